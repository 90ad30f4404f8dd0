/* Create and join threads, with results. */
#include "guest.h"
#include <pthread.h>

static void *square(void *arg)
{
	intptr_t n = (intptr_t)arg;

	guest_work(1, 50);
	return (void *)(n * n);
}

int main(void)
{
	intptr_t sum = 0;

	for (int round = 0; round < 5; round++) {
		pthread_t t[10];

		for (intptr_t i = 0; i < 10; i++)
			CHECK(pthread_create(&t[i], NULL, square, (void *)i) == 0);
		for (int i = 0; i < 10; i++) {
			void *ret;

			CHECK(pthread_join(t[i], &ret) == 0);
			sum += (intptr_t)ret;
		}
	}
	printf("sum of squares: %ld\n", (long)sum);
	return guest_done();
}
