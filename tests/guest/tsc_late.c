/*
 * Clock reads and the time stamp counter, before and after the program has made code of its own with rdtsc in it, which
 * a thread that ran before executes, too, and a child.
 */
#include <cpuid.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <x86intrin.h>
#include "guest.h"

static uint64_t (*volatile made)(void);
static pthread_barrier_t barrier;

static uint64_t ns(clockid_t id)
{
	struct timespec ts;

	CHECK(syscall(SYS_clock_gettime, id, &ts) == 0);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static void clocks(const char *who, int n)
{
	uint64_t last = ns(CLOCK_MONOTONIC), sum = 0;

	for (int i = 0; i < n; i++) {
		uint64_t now = ns(CLOCK_MONOTONIC);

		CHECK(now >= last);
		sum += now ^ ns(CLOCK_REALTIME) ^ ns(CLOCK_BOOTTIME) ^ ns(CLOCK_MONOTONIC_COARSE) ^ ns(CLOCK_PROCESS_CPUTIME_ID);
		last = now;
	}
	printf("%s: clocks %llx\n", who, (unsigned long long)sum);
}

static void counters(const char *who)
{
	uint64_t a = 0, b = 0;
	unsigned aux;

	for (int i = 0; i < 20; i++) {
		a ^= __rdtsc();
		b ^= __rdtscp(&aux);
		if (made)
			a += made();
	}
	printf("%s: counters %llx %llx\n", who, (unsigned long long)a, (unsigned long long)b);
}

static void *other(void *arg)
{
	clocks("other", 50);
	counters("other");
	pthread_barrier_wait(&barrier);
	pthread_barrier_wait(&barrier);
	counters("other, with made code");
	clocks("other, with made code", 50);
	return arg;
}

int main(void)
{
	static const uint8_t code[] = { 0x0f, 0x31, 0x48, 0xc1, 0xe2, 0x20, 0x48, 0x09, 0xd0, 0xc3 };   /* rdtsc; rax |= rdx << 32 */
	uint8_t *at;
	pthread_t t;
	pid_t pid;

	setvbuf(stdout, NULL, _IOLBF, 4096);
	pthread_barrier_init(&barrier, NULL, 2);
	clocks("main", 50);
	counters("main");
	CHECK(!pthread_create(&t, NULL, other, NULL));
	pthread_barrier_wait(&barrier);
	at = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	memcpy(at, code, sizeof(code));
	CHECK(!mprotect(at, 4096, PROT_READ | PROT_EXEC));
	made = (uint64_t (*)(void))at;
	pthread_barrier_wait(&barrier);
	CHECK(!pthread_join(t, NULL));
	counters("main, with made code");
	clocks("main, with made code", 50);
	pid = fork();
	if (!pid) {
		counters("child");
		clocks("child", 20);
		exit(0);
	}
	CHECK(guest_wait(pid) == 0);
	return guest_done();
}
