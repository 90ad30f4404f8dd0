#include "account.h"
#include <time.h>

static long now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000L + ts.tv_nsec;
}

void account_open(struct account *a, long balance)
{
	pthread_mutex_init(&a->lock, NULL);
	a->balance = balance;
	a->last_posting_ns = now_ns();
}

void account_post(struct account *a, long amount)
{
	long before = a->balance;

	a->last_posting_ns = now_ns();
	a->balance = before + amount;
}
