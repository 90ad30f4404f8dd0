/* One account. */
#ifndef ACCOUNT_H
#define ACCOUNT_H

#include <pthread.h>

struct account {
	pthread_mutex_t lock;    /* protects what follows */
	long balance;            /* in cents */
	long last_posting_ns;    /* when it last changed */
};

void account_open(struct account *a, long balance);

/* Change the balance by an amount. The caller holds the lock. */
void account_post(struct account *a, long amount);

#endif
