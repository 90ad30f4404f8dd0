/* Threads append to one log as they are scheduled and print who came when: differs from run to run, never at replay. */
#include "guest.h"
#include <pthread.h>

static char order[4096];
static int n_order;

static void *worker(void *arg)
{
	for (int i = 0; i < 60; i++) {
		guest_work(1, 300);
		order[__atomic_fetch_add(&n_order, 1, __ATOMIC_SEQ_CST)] = (char)('A' + (int)(intptr_t)arg);
	}
	return NULL;
}

int main(void)
{
	pthread_t t[4];

	for (intptr_t i = 0; i < 4; i++)
		CHECK(pthread_create(&t[i], NULL, worker, (void *)i) == 0);
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	puts(order);
	return guest_done();
}
