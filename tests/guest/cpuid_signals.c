/*
 * Signals that come where cpuid is asked, before it, while it is being answered, and behind it: a handler finds the program's own
 * addresses, and returns to them. The questions are new ones, of processors that are asked a lot.
 */
#include "guest.h"
#include <signal.h>
#include <sys/time.h>
#include <ucontext.h>

#define SIGNALS 1500

extern const char __executable_start, etext;
static volatile int n_signals, n_elsewhere;
static volatile int asking;   /* the first ones may come before the call has returned that asks for them */
static uint64_t delay = 1;

static void again(void)
{
	struct itimerval once = { .it_value.tv_usec = 1 };

	delay = delay * 6364136223846793005u + 1442695040888963407u;
	once.it_value.tv_usec += (long)(delay >> 56);
	CHECK(setitimer(ITIMER_REAL, &once, NULL) == 0);
}

static void on_signal(int sig, siginfo_t *info, void *context)
{
	uintptr_t ip = (uintptr_t)((ucontext_t *)context)->uc_mcontext.gregs[REG_RIP];

	(void)sig;
	(void)info;
	n_elsewhere += asking && (ip < (uintptr_t)&__executable_start || ip >= (uintptr_t)&etext);
	if (++n_signals < SIGNALS)
		again();
}

/* Somebody may jump to behind the cpuid, so that only what is in front of it can give way to a jump. */
static unsigned ask(unsigned leaf, unsigned sub, unsigned rounds)
{
	unsigned a, b, c, d;

	__asm__ volatile("	test %[rounds], %[rounds]\n"
			 "	jz 2f\n"
			 "1:	mov %[sub], %%ecx\n"
			 "	mov %[leaf], %%eax\n"
			 "	lea 0x1000(%%rax), %%rdx\n"
			 "	cpuid\n"
			 "2:	dec %[rounds]\n"
			 "	jns 1b\n"
			 : "=&a"(a), "=&b"(b), "=&c"(c), "=&d"(d), [rounds] "+r"(rounds)
			 : [leaf] "r"(leaf), [sub] "r"(sub) : "cc");
	return a ^ b ^ c ^ d;
}

int main(int argc, char **argv)
{
	struct sigaction sa = { .sa_sigaction = on_signal, .sa_flags = SA_SIGINFO };

	if (argc == 1) {
		for (unsigned sub = 0; sub < 100; sub++)
			(void)ask(4, sub, 1);
		CHECK(execl("/proc/self/exe", argv[0], "asked", NULL) == 0);
	}
	CHECK(sigaction(SIGALRM, &sa, NULL) == 0);
	again();
	asking = 1;
	while (n_signals < SIGNALS)
		(void)ask(4, 1000, 100);
	CHECK(n_elsewhere == 0);
	return guest_done();
}
