/* clone3 with SIGHAND but not THREAD, with an id or a group that is asked for, into a new process namespace, and by vfork's rules. */
#include "guest.h"
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>

static pid_t clone3_(struct clone_args *a)
{
	return (pid_t)syscall(SYS_clone3, a, sizeof(*a));
}

static char stack[65536] __attribute__((aligned(16)));
static volatile int seen;

static int changes_the_handler(void *arg)
{
	seen = *(int *)arg;
	signal(SIGUSR1, SIG_IGN);
	return 4;
}

static void common_handlers(void)
{
	struct sigaction sa;
	int n = 8;
	pid_t pid = clone(changes_the_handler, stack + sizeof(stack), CLONE_VM | CLONE_SIGHAND | CLONE_FS | CLONE_FILES | SIGCHLD, &n);

	CHECK(pid > 0 && WEXITSTATUS(guest_wait(pid)) == 4 && seen == 8);
	CHECK(sigaction(SIGUSR1, NULL, &sa) == 0 && sa.sa_handler == SIG_IGN);
}

/* Forbidden, possible, or unknown to the kernel: in each case told, and then true. */
static void with_an_id(void)
{
	pid_t want = 0, pid = fork();
	struct clone_args a = { .exit_signal = SIGCHLD, .set_tid = (uintptr_t)&want, .set_tid_size = 1 };

	CHECK(pid >= 0);
	if (pid == 0)
		_exit(0);
	CHECK(guest_wait(pid) == 0);
	want = pid;      /* free again */
	pid = clone3_(&a);
	if (pid == 0)
		_exit(getpid() == want ? 6 : 1);
	printf("an id: %s\n", pid > 0 ? "given" : strerror(errno));
	CHECK(pid < 0 || (pid == want && WEXITSTATUS(guest_wait(pid)) == 6));
	want = 1;
	pid = clone3_(&a);
	if (pid == 0)
		_exit(1);
	CHECK(pid == -1);
	printf("number 1: %s\n", strerror(errno));
	fflush(stdout);
}

static void into_a_group(void)
{
	int fd = open("/dev/null", O_RDONLY);
	struct clone_args a = { .flags = CLONE_INTO_CGROUP, .exit_signal = SIGCHLD, .cgroup = (uint64_t)fd };

	CHECK(fd >= 0 && clone3_(&a) == -1);
	printf("into /dev/null as a group: %s\n", strerror(errno));
	CHECK(close(fd) == 0);
}

static void like_vfork(void)
{
	struct clone_args a = { .flags = CLONE_VFORK, .exit_signal = SIGCHLD };
	int p[2];
	char c = 0;
	pid_t pid;

	CHECK(pipe(p) == 0);
	fflush(stdout);
	pid = clone3_(&a);
	CHECK(pid >= 0);
	if (pid == 0) {
		usleep(2000);
		_exit(write(p[1], "v", 1) == 1 ? 2 : 1);
	}
	CHECK(fcntl(p[0], F_SETFL, O_NONBLOCK) == 0 && read(p[0], &c, 1) == 1 && c == 'v');   /* it has been waited for */
	CHECK(WEXITSTATUS(guest_wait(pid)) == 2);
}

static void first_of_a_namespace(void)
{
	struct clone_args a = { .flags = CLONE_NEWUSER | CLONE_NEWPID, .exit_signal = SIGCHLD };
	pid_t pid = clone3_(&a), child;

	if (pid == 0) {
		child = fork();
		if (child == 0)
			_exit(getpid() == 2 ? 5 : 1);
		_exit(getpid() == 1 && child == 2 && guest_wait(child) == 5 << 8 ? 3 : 1);
	}
	if (pid < 0)
		printf("no new namespace: %s\n", strerror(errno));
	CHECK(pid < 0 || WEXITSTATUS(guest_wait(pid)) == 3);
}

int main(void)
{
	common_handlers();
	with_an_id();
	into_a_group();
	like_vfork();
	first_of_a_namespace();
	return guest_done();
}
