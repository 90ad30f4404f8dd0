/*
 * Locks taken in opposite orders by threads that run one after the other: no deadlock here, but some could have been.
 * Possible: a and b; c, d and e in a ring. Not possible: under a common lock, by one thread only, by trying, by readers.
 */
#include "guest.h"
#include <pthread.h>

#define MUTEX(name) static pthread_mutex_t name = PTHREAD_MUTEX_INITIALIZER
MUTEX(a);
MUTEX(b);
MUTEX(c);
MUTEX(d);
MUTEX(e);
MUTEX(gate);
MUTEX(guarded_1);
MUTEX(guarded_2);
MUTEX(own_1);
MUTEX(own_2);
MUTEX(tried_1);
MUTEX(tried_2);
static pthread_rwlock_t read_1 = PTHREAD_RWLOCK_INITIALIZER;
static pthread_rwlock_t read_2 = PTHREAD_RWLOCK_INITIALIZER;

static void both(pthread_mutex_t *x, pthread_mutex_t *y)
{
	pthread_mutex_lock(x);
	pthread_mutex_lock(y);
	pthread_mutex_unlock(y);
	pthread_mutex_unlock(x);
}

static void read_both(pthread_rwlock_t *x, pthread_rwlock_t *y)
{
	pthread_rwlock_rdlock(x);
	pthread_rwlock_rdlock(y);
	pthread_rwlock_unlock(y);
	pthread_rwlock_unlock(x);
}

static void *first(void *arg)
{
	(void)arg;
	both(&a, &b);
	both(&c, &d);
	pthread_mutex_lock(&gate);
	both(&guarded_1, &guarded_2);
	pthread_mutex_unlock(&gate);
	both(&own_1, &own_2);
	both(&own_2, &own_1);
	both(&tried_1, &tried_2);
	read_both(&read_1, &read_2);
	return NULL;
}

static void *second(void *arg)
{
	(void)arg;
	both(&b, &a);
	both(&d, &e);
	pthread_mutex_lock(&gate);
	both(&guarded_2, &guarded_1);
	pthread_mutex_unlock(&gate);
	pthread_mutex_lock(&tried_2);
	CHECK(pthread_mutex_trylock(&tried_1) == 0);
	pthread_mutex_unlock(&tried_1);
	pthread_mutex_unlock(&tried_2);
	read_both(&read_2, &read_1);
	return NULL;
}

static void *third(void *arg)
{
	(void)arg;
	both(&e, &c);
	return NULL;
}

int main(void)
{
	void *(*const threads[])(void *) = { first, second, third };

	for (unsigned i = 0; i < 3; i++) {
		pthread_t t;

		CHECK(pthread_create(&t, NULL, threads[i], NULL) == 0);
		pthread_join(t, NULL);
	}
	return guest_done();
}
