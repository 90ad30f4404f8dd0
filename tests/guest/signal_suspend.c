/* sigsuspend, sigtimedwait, pause, and a ping-pong of signals between parent and child. */
#include "guest.h"
#include <signal.h>

static volatile int n_seen;

static void on_usr1(int sig)
{
	(void)sig;
	n_seen++;
}

static void wait_one(const sigset_t *open)
{
	CHECK(sigsuspend(open) == -1 && errno == EINTR);
}

int main(void)
{
	struct sigaction sa = { .sa_handler = on_usr1 };
	struct timespec soon = { 0, 2000000 };
	sigset_t blocked, open;
	pid_t pid, parent = getpid();

	CHECK(sigaction(SIGUSR1, &sa, NULL) == 0);
	sigemptyset(&blocked);
	sigaddset(&blocked, SIGUSR1);
	CHECK(sigprocmask(SIG_BLOCK, &blocked, &open) == 0);
	sigdelset(&open, SIGUSR1);
	CHECK(sigtimedwait(&blocked, NULL, &soon) == -1 && errno == EAGAIN);
	raise(SIGUSR1);
	CHECK(sigtimedwait(&blocked, NULL, &soon) == SIGUSR1 && n_seen == 0);
	pid = fork();
	CHECK(pid >= 0);
	for (int i = 0; i < 20; i++) {
		if (pid == 0) {
			wait_one(&open);
			kill(parent, SIGUSR1);
		} else {
			kill(pid, SIGUSR1);
			wait_one(&open);
		}
	}
	CHECK(n_seen == 20);
	if (pid == 0)
		_exit(0);
	CHECK(guest_wait(pid) == 0);
	return guest_done();
}
