/* 64 threads at once, each with some work, locks and sleeps. */
#include "guest.h"
#include <pthread.h>

enum { N = 64 };
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int total;

static void *worker(void *arg)
{
	int me = (int)(intptr_t)arg;

	guest_work(1, 50);
	usleep(100 * (unsigned)(me % 7));
	pthread_mutex_lock(&lock);
	total += me;
	pthread_mutex_unlock(&lock);
	return NULL;
}

int main(void)
{
	pthread_t t[N];

	for (int i = 0; i < N; i++)
		CHECK(pthread_create(&t[i], NULL, worker, (void *)(intptr_t)i) == 0);
	for (int i = 0; i < N; i++)
		pthread_join(t[i], NULL);
	printf("total: %d\n", total);
	CHECK(total == N * (N - 1) / 2);
	return guest_done();
}
