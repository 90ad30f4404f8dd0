/* main leaves by pthread_exit while threads compute, and write to memory that they have in common without asking one another. */
#include "guest.h"
#include <pthread.h>

static volatile uint32_t common_words[64];

static void *compute(void *arg)
{
	uint32_t x = (uint32_t)(uintptr_t)arg;

	for (int i = 0; i < 60000000; i++) {
		x = x * 1664525 + 1013904223;
		if (!(x >> 14))
			common_words[x % 64] = common_words[x % 64] * 31 + x;
	}
	return (void *)(uintptr_t)x;
}

static void *collect(void *arg)
{
	pthread_t t[3];
	uint32_t sum = 0;
	void *ret;

	pthread_join(*(pthread_t *)arg, NULL);
	for (uintptr_t i = 0; i < 3; i++)
		CHECK(pthread_create(&t[i], NULL, compute, (void *)i) == 0);
	for (int i = 0; i < 3; i++) {
		CHECK(pthread_join(t[i], &ret) == 0);
		printf("%d: %08x\n", i, (uint32_t)(uintptr_t)ret);
	}
	for (int i = 0; i < 64; i++)
		sum = sum * 31 + common_words[i];
	printf("together: %08x\n", sum);
	exit(guest_done());
}

int main(void)
{
	static pthread_t first;
	pthread_t t;

	first = pthread_self();
	CHECK(pthread_create(&t, NULL, collect, &first) == 0);
	pthread_exit(NULL);
}
