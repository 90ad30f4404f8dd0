/* Prints what differs in every run: time, time stamp counter, pids, addresses, random bytes, stack canary, hash of the environment. */
#include "guest.h"
#include <sys/auxv.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <x86intrin.h>

static int global;

int main(void)
{
	struct timespec ts;
	struct timeval tv;
	unsigned aux, char_sum = 0;
	uint64_t r;
	const unsigned char *at_random = (const unsigned char *)getauxval(AT_RANDOM);

	for (int i = 0; i < 3; i++) {
		clock_gettime(CLOCK_REALTIME, &ts);
		gettimeofday(&tv, NULL);
		printf("time %ld.%09ld %ld.%06ld %ld\n", ts.tv_sec, ts.tv_nsec, tv.tv_sec, tv.tv_usec, time(NULL));
		printf("tsc %llu", __rdtsc());
		printf(" %llu\n", __rdtscp(&aux));
	}
	CHECK(getrandom(&r, sizeof(r), 0) == sizeof(r));
	for (int i = 0; i < 16; i++)
		char_sum = char_sum * 31 + at_random[i];
	printf("pid %d ppid %d tid %ld\n", getpid(), getppid(), syscall(SYS_gettid));
	printf("random %lx at_random %x\n", r, char_sum);
	printf("code %p data %p stack %p heap %p libc %p\n", (void *)main, (void *)&global, (void *)&ts, malloc(1), (void *)printf);
	return guest_done();
}
