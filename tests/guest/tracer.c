/*
 * What strace and debuggers do. Recorded, it is refused as soon as it goes beyond looking: the child has a tracer already.
 */
#include "guest.h"
#include <signal.h>
#include <sys/ptrace.h>

static int tried(long result)
{
	return result ? errno : 0;
}

int main(void)
{
	pid_t child = fork();
	int status;

	CHECK(child >= 0);
	if (!child)
		_exit(tried(ptrace(PTRACE_TRACEME, 0, 0, 0)));
	printf("child: %d\n", WEXITSTATUS(guest_wait(child)));
	child = fork();
	CHECK(child >= 0);
	while (!child)
		pause();
	printf("seize: %d\n", tried(ptrace(PTRACE_SEIZE, child, 0, 0)));
	CHECK(ptrace(PTRACE_ATTACH, child, 0, 0) == 0 && waitpid(child, &status, 0) == child && WIFSTOPPED(status));
	printf("poke: %d, ", tried(ptrace(PTRACE_POKEDATA, child, &status, 1)));
	printf("step: %d, ", tried(ptrace(PTRACE_SINGLESTEP, child, 0, 0)));
	printf("go on: %d, ", tried(ptrace(PTRACE_CONT, child, 0, 0)));
	printf("let go: %d\n", tried(ptrace(PTRACE_DETACH, child, 0, 0)));
	CHECK(kill(child, SIGKILL) == 0 && WTERMSIG(guest_wait(child)) == SIGKILL);
	return guest_done();
}
