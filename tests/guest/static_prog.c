/* A statically linked program with threads, a timer and files. */
#include "guest.h"
#include <pthread.h>
#include <signal.h>

static __thread int mine = 3;

static void *worker(void *arg)
{
	mine += (int)(intptr_t)arg;
	guest_work(1, 1000);
	return (void *)(intptr_t)mine;
}

int main(void)
{
	pthread_t t[3];
	void *ret;
	int sum = 0;
	FILE *f;

	for (intptr_t i = 0; i < 3; i++)
		CHECK(pthread_create(&t[i], NULL, worker, (void *)i) == 0);
	for (int i = 0; i < 3; i++) {
		pthread_join(t[i], &ret);
		sum += (int)(intptr_t)ret;
	}
	f = fopen("/proc/self/stat", "r");
	CHECK(f && fgetc(f) != EOF && time(NULL) > 1000);
	printf("sum: %d\n", sum);
	return guest_done();
}
