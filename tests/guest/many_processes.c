/* A thousand short processes, some at a time, each with a status of its own. */
#include "guest.h"

int main(void)
{
	int sum = 0, status;

	for (int i = 0; i < 250; i++) {
		pid_t pid[4];

		for (int k = 0; k < 4; k++) {
			pid[k] = fork();
			CHECK(pid[k] >= 0);
			if (pid[k] == 0)
				_exit((i + k) % 100);
		}
		for (int k = 3; k >= 0; k--) {
			status = guest_wait(pid[k]);
			CHECK(WIFEXITED(status));
			sum += WEXITSTATUS(status);
		}
	}
	printf("%d\n", sum);
	return guest_done();
}
