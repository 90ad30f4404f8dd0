/* Mutexes: normal, recursive, error checking, trylock, timedlock; the count under them is exact. */
#include "guest.h"
#include <pthread.h>

enum { N_THREADS = 4, N_ROUNDS = 2000 };
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_mutex_t busy = PTHREAD_MUTEX_INITIALIZER;
static long count;

static void *counter(void *arg)
{
	(void)arg;
	for (int i = 0; i < N_ROUNDS; i++) {
		pthread_mutex_lock(&lock);
		count++;
		if (i % 64 == 0)
			guest_work(1, 20);
		pthread_mutex_unlock(&lock);
	}
	return NULL;
}

static void *try_busy(void *arg)
{
	struct timespec ts;

	(void)arg;
	CHECK(pthread_mutex_trylock(&busy) == EBUSY);
	clock_gettime(CLOCK_REALTIME, &ts);
	ts.tv_nsec += 5000000;
	if (ts.tv_nsec >= 1000000000) {
		ts.tv_nsec -= 1000000000;
		ts.tv_sec++;
	}
	CHECK(pthread_mutex_timedlock(&busy, &ts) == ETIMEDOUT);
	return NULL;
}

static void check_kinds(void)
{
	pthread_mutexattr_t a;
	pthread_mutex_t m;

	pthread_mutexattr_init(&a);
	pthread_mutexattr_settype(&a, PTHREAD_MUTEX_RECURSIVE);
	pthread_mutex_init(&m, &a);
	CHECK(pthread_mutex_lock(&m) == 0 && pthread_mutex_lock(&m) == 0);
	CHECK(pthread_mutex_unlock(&m) == 0 && pthread_mutex_unlock(&m) == 0);
	pthread_mutexattr_settype(&a, PTHREAD_MUTEX_ERRORCHECK);
	pthread_mutex_init(&m, &a);
	CHECK(pthread_mutex_lock(&m) == 0 && pthread_mutex_lock(&m) == EDEADLK && pthread_mutex_unlock(&m) == 0);
	CHECK(pthread_mutex_unlock(&m) == EPERM);
}

int main(void)
{
	pthread_t t[N_THREADS];

	check_kinds();
	for (int i = 0; i < N_THREADS; i++)
		CHECK(pthread_create(&t[i], NULL, counter, NULL) == 0);
	for (int i = 0; i < N_THREADS; i++)
		pthread_join(t[i], NULL);
	CHECK(count == N_THREADS * N_ROUNDS);
	pthread_mutex_lock(&busy);
	CHECK(pthread_create(&t[0], NULL, try_busy, NULL) == 0);
	pthread_join(t[0], NULL);
	pthread_mutex_unlock(&busy);
	printf("count: %ld\n", count);
	return guest_done();
}
