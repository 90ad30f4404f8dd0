/* Descriptors of processes; who inherits orphans; a signal at the parent's death. */
#include "guest.h"
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#define P_PIDFD_ 3

static int pidfd_of(pid_t pid)
{
	return (int)syscall(SYS_pidfd_open, pid, 0);
}

static volatile sig_atomic_t got;

static void on_signal(int sig, siginfo_t *si, void *uc)
{
	(void)uc;
	got = sig == SIGUSR1 && si->si_code == SI_USER ? 1 : si->si_value.sival_int;
}

static void wait_for_signal(void)
{
	sigset_t none;

	sigemptyset(&none);
	while (!got)
		sigsuspend(&none);
}

static void through_descriptors(void)
{
	struct sigaction sa = { .sa_sigaction = on_signal, .sa_flags = SA_SIGINFO };
	siginfo_t si = { 0 };
	sigset_t set;
	int p[2], fd, theirs;
	struct pollfd poll_fd;
	pid_t child;
	char c;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGUSR2);
	sigprocmask(SIG_BLOCK, &set, NULL);
	sigaction(SIGUSR1, &sa, NULL);
	sigaction(SIGUSR2, &sa, NULL);
	CHECK(pipe(p) == 0 && (child = fork()) >= 0);
	if (child == 0) {
		int own[2];

		CHECK(pipe(own) == 0 && write(p[1], &own[0], sizeof(int)) == sizeof(int) && write(own[1], "z", 1) == 1);
		wait_for_signal();
		CHECK(got == 1);
		got = 0;
		CHECK(write(p[1], "u", 1) == 1);
		wait_for_signal();
		_exit(got);
	}
	fd = pidfd_of(child);
	if (fd < 0) {   /* a kernel without it */
		CHECK(errno == ENOSYS);
		kill(child, SIGKILL);
		guest_wait(child);
		return;
	}
	CHECK(fcntl(fd, F_GETFD) == FD_CLOEXEC && read(p[0], &theirs, sizeof(theirs)) == sizeof(theirs));
	poll_fd = (struct pollfd){ fd, POLLIN, 0 };
	CHECK(poll(&poll_fd, 1, 0) == 0);
	theirs = (int)syscall(SYS_pidfd_getfd, fd, theirs, 0);
	CHECK(theirs >= 0 ? read(theirs, &c, 1) == 1 && c == 'z' : errno == EPERM || errno == ENOSYS);
	CHECK(syscall(SYS_pidfd_send_signal, fd, SIGUSR1, NULL, 0) == 0 && read(p[0], &c, 1) == 1 && c == 'u');
	si.si_signo = SIGUSR2;
	si.si_code = SI_QUEUE;
	si.si_value.sival_int = 23;
	CHECK(syscall(SYS_pidfd_send_signal, fd, SIGUSR2, &si, 0) == 0);
	CHECK(poll(&poll_fd, 1, -1) == 1);
	memset(&si, 0, sizeof(si));
	CHECK(waitid(P_PIDFD_, (id_t)fd, &si, WEXITED | WNOWAIT) == 0 && si.si_pid == child && si.si_code == CLD_EXITED && si.si_status == 23);
	CHECK(waitid(P_PIDFD_, (id_t)fd, &si, WEXITED) == 0 && waitid(P_PIDFD_, (id_t)fd, &si, WEXITED) == -1 && errno == ECHILD);
	CHECK(syscall(SYS_pidfd_send_signal, fd, 0, NULL, 0) == -1 && errno == ESRCH && pidfd_of(child) == -1 && errno == ESRCH);
	close(fd);
	close(theirs);
}

static void orphans(void)
{
	int p[2];
	pid_t child, orphan;

	CHECK(prctl(PR_SET_CHILD_SUBREAPER, 1) == 0 && pipe(p) == 0 && (child = fork()) >= 0);
	if (child == 0) {
		pid_t parent = getpid();

		orphan = fork();
		if (orphan == 0) {
			while (getppid() == parent)
				usleep(1000);
			_exit(getppid() == atoi(getenv("REAPER")) ? 31 : 1);
		}
		CHECK(write(p[1], &orphan, sizeof(orphan)) == sizeof(orphan));
		_exit(30);
	}
	CHECK(read(p[0], &orphan, sizeof(orphan)) == sizeof(orphan));
	CHECK(WEXITSTATUS(guest_wait(child)) == 30 && WEXITSTATUS(guest_wait(orphan)) == 31);
	CHECK(prctl(PR_SET_CHILD_SUBREAPER, 0) == 0);
}

static void at_parents_death(void)
{
	int p[2];
	pid_t child, orphan;
	char c;

	CHECK(prctl(PR_SET_CHILD_SUBREAPER, 1) == 0 && pipe(p) == 0 && (child = fork()) >= 0);
	if (child == 0) {
		int ready[2];

		CHECK(pipe(ready) == 0);
		orphan = fork();
		if (orphan == 0) {
			int want = 0;

			CHECK(prctl(PR_SET_PDEATHSIG, SIGUSR1) == 0 && prctl(PR_GET_PDEATHSIG, &want) == 0 && want == SIGUSR1);
			CHECK(write(ready[1], "r", 1) == 1);
			got = 0;
			wait_for_signal();
			_exit(40 + got);
		}
		CHECK(read(ready[0], &c, 1) == 1 && write(p[1], &orphan, sizeof(orphan)) == sizeof(orphan));
		_exit(30);
	}
	CHECK(read(p[0], &orphan, sizeof(orphan)) == sizeof(orphan));
	CHECK(WEXITSTATUS(guest_wait(child)) == 30 && WEXITSTATUS(guest_wait(orphan)) == 41);
}

int main(void)
{
	char number[16];

	snprintf(number, sizeof(number), "%d", (int)getpid());
	setenv("REAPER", number, 1);
	through_descriptors();
	orphans();
	at_parents_death();
	return guest_done();
}
