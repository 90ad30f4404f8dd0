/* A condition variable used wrongly: the flag is looked at outside the lock, so the wake-up can come before the wait and is lost. */
#include "guest.h"
#include <pthread.h>

enum { N_ROUNDS = 8 };
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static volatile int flag[N_ROUNDS];
static pthread_barrier_t start;
static int n_lost, n_seen_early;

static void *waiter(void *arg)
{
	(void)arg;
	for (int i = 0; i < N_ROUNDS; i++) {
		struct timespec ts;
		int ret = 0;

		pthread_barrier_wait(&start);
		if (flag[i]) {
			n_seen_early++;
			continue;
		}
		guest_work(1, 400);
		pthread_mutex_lock(&lock);
		clock_gettime(CLOCK_REALTIME, &ts);
		ts.tv_nsec += 3000000;
		if (ts.tv_nsec >= 1000000000) {
			ts.tv_nsec -= 1000000000;
			ts.tv_sec++;
		}
		ret = pthread_cond_timedwait(&cond, &lock, &ts);
		pthread_mutex_unlock(&lock);
		n_lost += ret == ETIMEDOUT;
	}
	return NULL;
}

static void *waker(void *arg)
{
	(void)arg;
	for (int i = 0; i < N_ROUNDS; i++) {
		pthread_barrier_wait(&start);
		guest_work(1, 500);
		flag[i] = 1;
		pthread_cond_signal(&cond);
	}
	return NULL;
}

int main(void)
{
	pthread_t t[2];

	pthread_barrier_init(&start, NULL, 2);
	CHECK(pthread_create(&t[0], NULL, waiter, NULL) == 0 && pthread_create(&t[1], NULL, waker, NULL) == 0);
	for (int i = 0; i < 2; i++)
		pthread_join(t[i], NULL);
	printf("lost wake-ups %d, seen early %d, of %d\n", n_lost, n_seen_early, N_ROUNDS);
	return guest_done();
}
