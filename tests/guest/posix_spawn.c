/* posix_spawn with file actions; system() and popen(). */
#include "guest.h"
#include <spawn.h>

extern char **environ;

int main(void)
{
	posix_spawn_file_actions_t fa;
	char buf[64] = "", *argv[] = { "sh", "-c", "echo spawned; exit 3", NULL };
	int fd[2], status;
	pid_t pid;
	FILE *p;

	CHECK(pipe(fd) == 0);
	posix_spawn_file_actions_init(&fa);
	posix_spawn_file_actions_adddup2(&fa, fd[1], 1);
	posix_spawn_file_actions_addclose(&fa, fd[0]);
	CHECK(posix_spawn(&pid, "/bin/sh", &fa, NULL, argv, environ) == 0);
	close(fd[1]);
	CHECK(read(fd[0], buf, sizeof(buf)) == 8 && strcmp(buf, "spawned\n") == 0);
	status = guest_wait(pid);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 3);
	CHECK(posix_spawnp(&pid, "no-such-program-here", NULL, NULL, argv, environ) == ENOENT);
	status = system("exit 6");
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 6);
	p = popen("echo one; echo two", "r");
	CHECK(p && fgets(buf, sizeof(buf), p) && strcmp(buf, "one\n") == 0);
	CHECK(fgets(buf, sizeof(buf), p) && strcmp(buf, "two\n") == 0 && pclose(p) == 0);
	return guest_done();
}
