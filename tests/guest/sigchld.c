/* SIGCHLD with what siginfo says of each child; an ignored SIGCHLD reaps by itself. */
#include "guest.h"
#include <signal.h>

static volatile sig_atomic_t n_chld;

static void on_chld(int sig, siginfo_t *si, void *uc)
{
	(void)sig;
	(void)uc;
	CHECK(si->si_code == CLD_EXITED || si->si_code == CLD_KILLED);
	n_chld++;
}

int main(void)
{
	struct sigaction sa = { .sa_sigaction = on_chld, .sa_flags = SA_SIGINFO | SA_RESTART | SA_NOCLDSTOP };
	int total = 0;

	CHECK(sigaction(SIGCHLD, &sa, NULL) == 0);
	for (int i = 1; i <= 5; i++) {
		pid_t pid = fork();

		CHECK(pid >= 0);
		if (pid == 0)
			_exit(i);
		total += WEXITSTATUS(guest_wait(pid));
		while (n_chld < i)
			usleep(100);
	}
	CHECK(total == 15 && n_chld == 5);
	signal(SIGCHLD, SIG_IGN);
	pid_t pid = fork();
	if (pid == 0)
		_exit(0);
	CHECK(waitpid(pid, NULL, 0) == -1 && errno == ECHILD);
	return guest_done();
}
