/*
 * A program that has the time stamp counter trap for itself (PR_SET_TSC), and gives it free again: at places that it came to
 * often before, so that they need no stop any more, as at others.
 */
#include "guest.h"
#include <setjmp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <x86intrin.h>

static sigjmp_buf back;
static volatile int n;

static void on_segv(int sig)
{
	(void)sig;
	n++;
	siglongjmp(back, 1);
}

static __attribute__((noinline)) uint64_t often(void)
{
	static volatile unsigned processors;
	unsigned aux;
	uint64_t last = __rdtscp(&aux);

	for (int i = 0; i < 40; i++) {
		uint64_t one = __rdtsc(), other = __rdtscp(&aux);

		CHECK(one >= last && other >= one);
		processors += aux;
		last = other;
	}
	return last;
}

int main(void)
{
	struct sigaction sa = { .sa_handler = on_segv };
	uint64_t a, b;
	int mode = 0;

	CHECK(sigaction(SIGSEGV, &sa, NULL) == 0);
	CHECK(prctl(PR_GET_TSC, &mode) == 0 && mode == PR_TSC_ENABLE);
	a = __rdtsc();
	b = __rdtsc();
	CHECK(b > a);
	CHECK(often() > b);
	CHECK(prctl(PR_SET_TSC, PR_TSC_SIGSEGV) == 0);
	CHECK(prctl(PR_GET_TSC, &mode) == 0 && mode == PR_TSC_SIGSEGV);
	if (sigsetjmp(back, 1) == 0)
		(void)__rdtsc();
	CHECK(n == 1);
	if (sigsetjmp(back, 1) == 0)
		(void)often();
	CHECK(n == 2);
	CHECK(prctl(PR_SET_TSC, 77) == -1 && errno == EINVAL);
	CHECK(prctl(PR_SET_TSC, PR_TSC_ENABLE) == 0);
	CHECK(__rdtsc() > b && often() > b && n == 2);
	return guest_done();
}
