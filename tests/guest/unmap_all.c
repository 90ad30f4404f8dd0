/* A child that unmaps everything from the bottom up dies of it, at the instruction after the call. */
#include "guest.h"
#include <signal.h>
#include <sys/mman.h>

int main(void)
{
	pid_t pid;
	int status;

	CHECK(munmap((void *)0x10000, 0x8000000000ul) == 0 || errno == ENOMEM);
	pid = fork();
	if (pid == 0) {
		munmap((void *)0x10000, 0x7ffffffe0000ul);
		_exit(0);
	}
	status = guest_wait(pid);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
	return guest_done();
}
