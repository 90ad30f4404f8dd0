/* What strace and debuggers begin with. Recorded, it is refused: the child has a tracer already. */
#include "guest.h"
#include <sys/ptrace.h>

int main(void)
{
	pid_t child = fork();

	CHECK(child >= 0);
	if (!child)
		_exit(ptrace(PTRACE_TRACEME, 0, 0, 0) ? errno : 0);
	printf("child: %d\n", WEXITSTATUS(guest_wait(child)));
	return guest_done();
}
