/* A tree of forked processes; each level waits for its children; exit statuses add up. */
#include "guest.h"

static int grow(int depth)
{
	int total = 1;

	if (depth == 0)
		return 1;
	for (int i = 0; i < 2; i++) {
		pid_t pid = fork();

		CHECK(pid >= 0);
		if (pid == 0)
			_exit(grow(depth - 1));
		int status = guest_wait(pid);
		CHECK(WIFEXITED(status));
		total += WEXITSTATUS(status);
	}
	return total;
}

int main(void)
{
	printf("processes: %d\n", grow(3));
	CHECK(wait(NULL) == -1 && errno == ECHILD);
	return guest_done();
}
