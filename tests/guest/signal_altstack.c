/* A handler on an alternate stack, and an overflowing stack caught there. */
#include "guest.h"
#include <setjmp.h>
#include <signal.h>
#include <sys/resource.h>

static char alt[65536];
static sigjmp_buf back;
static volatile int on_alt;

static void on_signal(int sig)
{
	char here;

	on_alt = &here >= alt && &here < alt + sizeof(alt);
	if (sig == SIGSEGV)
		siglongjmp(back, 1);
}

static __attribute__((noinline)) int dive(int n)
{
	volatile char frame[4096];

	frame[0] = (char)n;
	return n > 0 ? dive(n - 1) + frame[0] : 0;
}

int main(void)
{
	struct sigaction sa = { .sa_handler = on_signal, .sa_flags = SA_ONSTACK };
	stack_t ss = { .ss_sp = alt, .ss_size = sizeof(alt) }, now;
	struct rlimit limit = { 1 << 20, 1 << 20 };

	CHECK(sigaltstack(&ss, NULL) == 0);
	CHECK(sigaction(SIGUSR1, &sa, NULL) == 0 && sigaction(SIGSEGV, &sa, NULL) == 0);
	CHECK(raise(SIGUSR1) == 0 && on_alt == 1);
	CHECK(sigaltstack(NULL, &now) == 0 && now.ss_sp == (void *)alt && now.ss_flags == 0);
	CHECK(setrlimit(RLIMIT_STACK, &limit) == 0);
	on_alt = 0;
	if (sigsetjmp(back, 1) == 0) {
		dive(1000000);
		return 1;
	}
	CHECK(on_alt == 1);
	puts("caught the overflow");
	return guest_done();
}
