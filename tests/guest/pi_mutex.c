/* Mutexes whose word the kernel writes: priority inheritance, and a robust mutex whose owner dies. */
#include "guest.h"
#include <pthread.h>

static pthread_mutex_t pi, robust;
static long count;

static void *counter(void *arg)
{
	(void)arg;
	for (int i = 0; i < 200; i++) {
		CHECK(pthread_mutex_lock(&pi) == 0);
		count++;
		if (i % 20 == 0)
			usleep(100);
		CHECK(pthread_mutex_unlock(&pi) == 0);
	}
	return NULL;
}

static void *die_with_it(void *arg)
{
	(void)arg;
	CHECK(pthread_mutex_lock(&robust) == 0);
	return NULL;
}

int main(void)
{
	pthread_mutexattr_t a;
	pthread_t t[3];

	pthread_mutexattr_init(&a);
	CHECK(pthread_mutexattr_setprotocol(&a, PTHREAD_PRIO_INHERIT) == 0 && pthread_mutex_init(&pi, &a) == 0);
	for (int i = 0; i < 3; i++)
		CHECK(pthread_create(&t[i], NULL, counter, NULL) == 0);
	for (int i = 0; i < 3; i++)
		pthread_join(t[i], NULL);
	CHECK(count == 600);
	pthread_mutexattr_init(&a);
	CHECK(pthread_mutexattr_setrobust(&a, PTHREAD_MUTEX_ROBUST) == 0 && pthread_mutex_init(&robust, &a) == 0);
	CHECK(pthread_create(&t[0], NULL, die_with_it, NULL) == 0);
	pthread_join(t[0], NULL);
	CHECK(pthread_mutex_lock(&robust) == EOWNERDEAD);
	CHECK(pthread_mutex_consistent(&robust) == 0 && pthread_mutex_unlock(&robust) == 0);
	return guest_done();
}
