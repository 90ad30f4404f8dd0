/* vfork and exec: the parent stands still until the child has gone on; memory is shared until then. */
#include "guest.h"

static volatile int seen;

int main(void)
{
	pid_t pid = vfork();

	CHECK(pid >= 0);
	if (pid == 0) {
		seen = 1;
		execl("/bin/echo", "echo", "from the child", (char *)NULL);
		_exit(127);
	}
	CHECK(seen == 1);
	CHECK(guest_wait(pid) == 0);
	pid = vfork();
	if (pid == 0) {
		seen = 2;
		_exit(5);
	}
	CHECK(seen == 2);
	int status = guest_wait(pid);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 5);
	pid = vfork();
	if (pid == 0) {
		execl("/nonexistent/program", "x", (char *)NULL);
		_exit(errno == ENOENT ? 9 : 10);
	}
	status = guest_wait(pid);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 9);
	return guest_done();
}
