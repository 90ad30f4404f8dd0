/* Four threads that only compute, so that each must be preempted at arbitrary instructions; sums are exact. */
#include "guest.h"
#include <math.h>
#include <pthread.h>

static void *compute(void *arg)
{
	uint64_t x = (uint64_t)(intptr_t)arg;
	double d = (double)x + 0.5;
	static __thread uint64_t table[256];

	for (int i = 0; i < 3000; i++) {
		x = guest_work(x, 20);
		table[x % 256] += x;
		d = d * 1.0000001 + (double)(x % 1000) / 3.0;
	}
	for (int i = 0; i < 256; i++)
		x ^= table[i];
	x ^= (uint64_t)d;
	return (void *)x;
}

int main(void)
{
	pthread_t t[4];

	for (intptr_t i = 0; i < 4; i++)
		CHECK(pthread_create(&t[i], NULL, compute, (void *)i) == 0);
	for (int i = 0; i < 4; i++) {
		void *ret;

		pthread_join(t[i], &ret);
		printf("thread %d: %lx\n", i, (unsigned long)(uintptr_t)ret);
	}
	return guest_done();
}
