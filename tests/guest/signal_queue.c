/* Real-time signals queue in order, with their values; sigtimedwait, sigwaitinfo, signalfd and the pending set. */
#include "guest.h"
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>

static volatile int n, order[64];

static void on_rt(int sig, siginfo_t *si, void *uc)
{
	(void)uc;
	order[n++] = (sig - SIGRTMIN) * 100 + si->si_value.sival_int;
}

static void send_all(void)
{
	for (int i = 0; i < 5; i++)
		for (int s = 2; s >= 0; s--)
			CHECK(sigqueue(getpid(), SIGRTMIN + s, (union sigval){ .sival_int = i }) == 0);
}

int main(void)
{
	struct sigaction sa = { .sa_sigaction = on_rt, .sa_flags = SA_SIGINFO };
	struct timespec soon = { 0, 3000000 };
	struct signalfd_siginfo fsi[8];
	struct pollfd pfd;
	sigset_t set, pending;
	siginfo_t si;
	pid_t pid;
	int fd;

	sigemptyset(&set);
	for (int s = 0; s < 3; s++) {
		sigaddset(&set, SIGRTMIN + s);
		sigaddset(&sa.sa_mask, SIGRTMIN + s);
	}
	for (int s = 0; s < 3; s++)
		CHECK(sigaction(SIGRTMIN + s, &sa, NULL) == 0);
	CHECK(sigprocmask(SIG_BLOCK, &set, NULL) == 0);
	send_all();
	CHECK(sigpending(&pending) == 0 && sigismember(&pending, SIGRTMIN) == 1 && n == 0);
	CHECK(sigprocmask(SIG_UNBLOCK, &set, NULL) == 0);
	CHECK(n == 15);
	for (int i = 0; i < n; i++)
		printf("%d ", order[i]);
	putchar('\n');
	CHECK(sigprocmask(SIG_BLOCK, &set, NULL) == 0);
	CHECK(sigtimedwait(&set, &si, &soon) == -1 && errno == EAGAIN);
	send_all();
	for (int i = 0; i < 8; i++) {
		int sig = sigwaitinfo(&set, &si);

		CHECK(sig == si.si_signo && si.si_code == SI_QUEUE && si.si_pid == getpid());
		printf("%d:%d ", sig - SIGRTMIN, si.si_value.sival_int);
	}
	putchar('\n');
	fd = signalfd(-1, &set, SFD_NONBLOCK);
	pfd = (struct pollfd){ .fd = fd, .events = POLLIN };
	CHECK(fd >= 0 && poll(&pfd, 1, -1) == 1);
	CHECK(read(fd, fsi, sizeof(fsi)) == 7 * (ssize_t)sizeof(fsi[0]));
	for (int i = 0; i < 7; i++)
		printf("%d:%d ", (int)fsi[i].ssi_signo - SIGRTMIN, fsi[i].ssi_int);
	putchar('\n');
	CHECK(read(fd, fsi, sizeof(fsi)) == -1 && errno == EAGAIN);
	fflush(stdout);
	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0) {
		usleep(2000);
		sigqueue(getppid(), SIGRTMIN + 1, (union sigval){ .sival_int = 77 });
		_exit(0);
	}
	CHECK(poll(&pfd, 1, -1) == 1 && read(fd, fsi, sizeof(fsi)) == (ssize_t)sizeof(fsi[0]));
	CHECK(fsi[0].ssi_int == 77 && fsi[0].ssi_pid == (uint32_t)pid);
	CHECK(guest_wait(pid) == 0);
	return guest_done();
}
