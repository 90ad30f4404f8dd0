/* A bounded queue with condition variables, several producers and consumers; a timed wait that times out. */
#include "guest.h"
#include <pthread.h>

enum { N_ITEMS = 400, ROOM = 8 };
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t not_empty = PTHREAD_COND_INITIALIZER, not_full = PTHREAD_COND_INITIALIZER;
static int queue[ROOM], n_queued, n_taken;
static long sum;

static void *produce(void *arg)
{
	int base = *(int *)arg;

	for (int i = 0; i < N_ITEMS; i++) {
		pthread_mutex_lock(&lock);
		while (n_queued == ROOM)
			pthread_cond_wait(&not_full, &lock);
		queue[n_queued++] = base + i;
		pthread_cond_signal(&not_empty);
		pthread_mutex_unlock(&lock);
	}
	return NULL;
}

static void *consume(void *arg)
{
	(void)arg;
	for (;;) {
		pthread_mutex_lock(&lock);
		while (n_queued == 0 && n_taken < 2 * N_ITEMS)
			pthread_cond_wait(&not_empty, &lock);
		if (n_queued == 0)
			break;
		sum += queue[--n_queued];
		if (++n_taken == 2 * N_ITEMS)
			pthread_cond_broadcast(&not_empty);
		pthread_cond_signal(&not_full);
		pthread_mutex_unlock(&lock);
	}
	pthread_mutex_unlock(&lock);
	return NULL;
}

int main(void)
{
	int base[2] = { 0, 10000 };
	pthread_t t[4];
	struct timespec ts;

	for (int i = 0; i < 2; i++)
		CHECK(pthread_create(&t[i], NULL, produce, &base[i]) == 0);
	for (int i = 2; i < 4; i++)
		CHECK(pthread_create(&t[i], NULL, consume, NULL) == 0);
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	printf("sum: %ld\n", sum);
	CHECK(clock_gettime(CLOCK_REALTIME, &ts) == 0);
	pthread_mutex_lock(&lock);
	CHECK(pthread_cond_timedwait(&not_empty, &lock, &ts) == ETIMEDOUT);
	pthread_mutex_unlock(&lock);
	return guest_done();
}
