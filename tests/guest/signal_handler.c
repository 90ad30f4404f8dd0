/* A handler with siginfo and ucontext: raise, kill with a value (sigqueue), masks, pending, SA_RESETHAND, SA_NODEFER. */
#include "guest.h"
#include <signal.h>

static volatile int n_seen, last_value, depth, max_depth;

static void on_value(int sig, siginfo_t *si, void *uc)
{
	CHECK(sig == SIGRTMIN && si->si_pid == getpid() && si->si_code == SI_QUEUE && uc);
	last_value = last_value * 10 + si->si_value.sival_int;
	n_seen++;
}

static void on_nested(int sig)
{
	if (++depth > max_depth)
		max_depth = depth;
	if (depth < 4)
		raise(sig);
	depth--;
}

int main(void)
{
	struct sigaction sa = { .sa_sigaction = on_value, .sa_flags = SA_SIGINFO };
	sigset_t set, pending;

	CHECK(sigaction(SIGRTMIN, &sa, NULL) == 0);
	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN);
	CHECK(sigprocmask(SIG_BLOCK, &set, NULL) == 0);
	for (int i = 1; i <= 3; i++)
		CHECK(sigqueue(getpid(), SIGRTMIN, (union sigval){ .sival_int = i }) == 0);
	CHECK(n_seen == 0 && sigpending(&pending) == 0 && sigismember(&pending, SIGRTMIN));
	CHECK(sigprocmask(SIG_UNBLOCK, &set, NULL) == 0);
	CHECK(n_seen == 3 && last_value == 123);

	sa = (struct sigaction){ .sa_handler = on_nested, .sa_flags = SA_NODEFER };
	CHECK(sigaction(SIGUSR1, &sa, NULL) == 0 && raise(SIGUSR1) == 0 && max_depth == 4 && depth == 0);
	sa = (struct sigaction){ .sa_handler = on_nested, .sa_flags = SA_RESETHAND };
	depth = 3;
	CHECK(sigaction(SIGUSR2, &sa, NULL) == 0 && raise(SIGUSR2) == 0);
	CHECK(sigaction(SIGUSR2, NULL, &sa) == 0 && sa.sa_handler == SIG_DFL);
	printf("values in order: %d\n", last_value);
	return guest_done();
}
