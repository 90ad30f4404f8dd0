/* clone and clone3 with the less common flags, CLONE_UNTRACED among them; pidfds: waited for, signalled through, given to poll. */
#include "guest.h"
#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>

static pid_t clone3_(struct clone_args *a)
{
	return (pid_t)syscall(SYS_clone3, a, sizeof(*a));
}

static volatile int hits;

static void on_usr1(int sig)
{
	(void)sig;
	hits++;
}

static void descriptors(void)
{
	struct clone_args a = { .flags = CLONE_FILES | CLONE_FS, .exit_signal = SIGCHLD };
	pid_t pid = clone3_(&a);

	CHECK(pid >= 0);
	if (pid == 0) {
		int fd = open("/dev/null", O_RDONLY);

		_exit(fd >= 0 && dup2(fd, 50) == 50 && chdir("/usr") == 0 ? 0 : 1);
	}
	CHECK(guest_wait(pid) == 0);
	CHECK(fcntl(50, F_GETFD) == 0 && close(50) == 0);
	{
		char cwd[64];

		CHECK(getcwd(cwd, sizeof(cwd)) && strcmp(cwd, "/usr") == 0);
	}
}

static void with_pidfd(void)
{
	int fd = -1;
	pid_t ptid = 0, ctid = 0, pid;
	struct clone_args a = { .flags = CLONE_PIDFD | CLONE_PARENT_SETTID | CLONE_CHILD_SETTID | CLONE_CLEAR_SIGHAND,
				.pidfd = (uintptr_t)&fd, .parent_tid = (uintptr_t)&ptid, .child_tid = (uintptr_t)&ctid,
				.exit_signal = SIGCHLD };
	struct pollfd p = { .events = POLLIN };
	struct sigaction sa;
	siginfo_t si = { 0 };

	pid = clone3_(&a);
	CHECK(pid >= 0);
	if (pid == 0) {
		sigaction(SIGUSR1, NULL, &sa);
		if (ctid != (pid_t)syscall(SYS_gettid) || sa.sa_handler != SIG_DFL)
			_exit(1);
		for (;;)
			pause();
	}
	CHECK(ptid == pid && ctid == 0 && fd >= 0);
	p.fd = fd;
	CHECK(poll(&p, 1, 0) == 0);
	CHECK(syscall(SYS_pidfd_send_signal, fd, SIGTERM, NULL, 0) == 0);
	CHECK(poll(&p, 1, -1) == 1);
	CHECK(waitid((idtype_t)P_PIDFD, (id_t)fd, &si, WEXITED) == 0 && si.si_pid == pid && si.si_status == SIGTERM &&
	      si.si_code == CLD_KILLED);
	CHECK(close(fd) == 0);
}

static void sibling(void)
{
	struct clone_args a = { .flags = CLONE_PARENT };
	int p[2], status;
	pid_t pid, brother = 0;

	CHECK(pipe(p) == 0);
	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0) {
		brother = clone3_(&a);
		if (brother == 0)
			_exit(9);
		_exit(write(p[1], &brother, sizeof(brother)) == sizeof(brother) ? 0 : 1);
	}
	CHECK(read(p[0], &brother, sizeof(brother)) == sizeof(brother));
	CHECK(waitpid(brother, &status, 0) == brother && WEXITSTATUS(status) == 9);
	CHECK(guest_wait(pid) == 0);
}

static void no_exit_signal(void)
{
	struct clone_args a = { 0 };
	pid_t pid = clone3_(&a);
	int status;

	CHECK(pid >= 0);
	if (pid == 0)
		_exit(3);
	CHECK(waitpid(pid, &status, __WCLONE) == pid && WEXITSTATUS(status) == 3);
}

static void refused(void)
{
	struct clone_args a = { .flags = CLONE_SIGHAND, .exit_signal = SIGCHLD };

	CHECK(clone3_(&a) == -1 && errno == EINVAL);
	a = (struct clone_args){ .flags = CLONE_VM | CLONE_THREAD, .exit_signal = 0 };
	CHECK(clone3_(&a) == -1 && errno == EINVAL);
	CHECK(syscall(SYS_clone3, &a, 8ul) == -1 && errno == EINVAL);
}

/* It shares all memory with its parent, which waits for it by looking: whoever records must not lose sight of it. */
static int untraced_child(void *done)
{
	char buf[32];

	snprintf(buf, sizeof(buf), "%d", 12345);
	*(volatile int *)done = getppid() > 0 && !strcmp(buf, "12345") ? 1 : 2;
	return 0;
}

static void untraced(void)
{
	struct clone_args a = { .flags = CLONE_UNTRACED, .exit_signal = SIGCHLD };
	static char stack[65536];
	volatile int done = 0;
	unsigned long rounds = 0;
	pid_t pid = clone(untraced_child, stack + sizeof(stack), CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_UNTRACED | SIGCHLD, (void *)&done);

	CHECK(pid > 0);
	while (!done && ++rounds < 100000000)
		sched_yield();
	CHECK(done == 1 && guest_wait(pid) == 0);
	pid = clone3_(&a);
	CHECK(pid >= 0 || errno == ENOSYS);
	if (pid == 0)
		_exit(0);
	if (pid > 0)
		CHECK(guest_wait(pid) == 0);
}

int main(void)
{
	signal(SIGUSR1, on_usr1);
	descriptors();
	with_pidfd();
	sibling();
	no_exit_signal();
	refused();
	untraced();
	return guest_done();
}
