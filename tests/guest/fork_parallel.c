/* Children that run at the same time, compute, and answer through pipes; wait in any order, WNOHANG, waitid, a killed child. */
#include "guest.h"
#include <signal.h>

int main(void)
{
	int fd[4][2];
	uint64_t got, want;
	int status, n_ok = 0, n_killed = 0;
	siginfo_t si;
	pid_t pid, killed;

	for (int i = 0; i < 4; i++) {
		CHECK(pipe(fd[i]) == 0);
		pid = fork();
		CHECK(pid >= 0);
		if (pid == 0) {
			got = guest_work((uint64_t)i, 20000);
			CHECK(write(fd[i][1], &got, sizeof(got)) == sizeof(got));
			_exit(i);
		}
	}
	killed = fork();
	if (killed == 0)
		for (;;)
			pause();
	CHECK(waitpid(killed, &status, WNOHANG) == 0);
	for (int i = 3; i >= 0; i--) {
		want = guest_work((uint64_t)i, 20000);
		CHECK(read(fd[i][0], &got, sizeof(got)) == sizeof(got) && got == want);
	}
	CHECK(kill(killed, SIGTERM) == 0);
	CHECK(waitid(P_PID, (id_t)killed, &si, WEXITED | WNOWAIT) == 0 && si.si_code == CLD_KILLED && si.si_status == SIGTERM);
	while ((pid = wait(&status)) > 0) {
		if (WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM && pid == killed)
			n_killed++;
		else if (WIFEXITED(status))
			n_ok += WEXITSTATUS(status);
	}
	printf("exited: %d, killed: %d\n", n_ok, n_killed);
	CHECK(n_ok == 6 && n_killed == 1);
	return guest_done();
}
