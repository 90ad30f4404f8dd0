/* Processes that share their parent's memory: clone with CLONE_VM alone, nested vforks, an exec that fails, one that works. */
#include "guest.h"
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>

static char stack1[65536] __attribute__((aligned(16))), stack2[65536] __attribute__((aligned(16)));
static volatile int seen, ready;

static int shares(void *arg)
{
	seen += *(int *)arg;
	while (!ready)
		usleep(100);
	seen += 100;
	return 5;
}

static int executes(void *arg)
{
	(void)arg;
	seen += 1000;
	execl("/bin/true", "true", NULL);
	_exit(9);
}

int main(void)
{
	int n = 7;
	pid_t pid = clone(shares, stack1 + sizeof(stack1), CLONE_VM | SIGCHLD, &n), pid2;

	CHECK(pid > 0);
	while (seen != 7)
		usleep(100);
	ready = 1;
	CHECK(WEXITSTATUS(guest_wait(pid)) == 5 && seen == 107);
	pid = clone(executes, stack2 + sizeof(stack2), CLONE_VM | SIGCHLD, NULL);
	CHECK(guest_wait(pid) == 0 && seen == 1107);
	pid = vfork();
	if (pid == 0) {
		pid2 = vfork();
		if (pid2 == 0) {
			seen++;
			execl("/does/not/exist", "x", NULL);
			_exit(3);
		}
		seen += WEXITSTATUS(guest_wait(pid2)) * 10;
		execl("/bin/sh", "sh", "-c", "exit 4", NULL);
		_exit(9);
	}
	CHECK(WEXITSTATUS(guest_wait(pid)) == 4 && seen == 1138);
	return guest_done();
}
