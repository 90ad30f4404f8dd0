/* Strict seccomp: reading and writing go on, anything else kills. */
#include "guest.h"
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

int main(void)
{
	int fds[2], status;
	char c = 0;
	pid_t pid;

	CHECK(pipe(fds) == 0);
	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_SECCOMP, 1);
		(void)!write(fds[1], "x", 1);
		syscall(SYS_getpid);
		(void)!write(fds[1], "y", 1);
		syscall(SYS_exit, 0);
	}
	status = guest_wait(pid);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	close(fds[1]);
	CHECK(read(fds[0], &c, 1) == 1 && c == 'x' && read(fds[0], &c, 1) == 0);
	return guest_done();
}
