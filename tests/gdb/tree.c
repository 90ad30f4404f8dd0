/* A process that forks, vforks and executes, for tests with gdb: tree NEXT, where NEXT is the program tree_next. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static volatile int steps;

__attribute__((noinline)) static int in_child(int n)
{
	steps += n;
	return steps - 2;
}

__attribute__((noinline)) static void in_parent(int status)
{
	steps += WEXITSTATUS(status);
}

static int wait_for(pid_t pid)
{
	int status = -1;

	return pid > 0 && waitpid(pid, &status, 0) == pid ? status : -1;
}

__attribute__((noinline)) static void forks(void)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(in_child(5));
	in_parent(wait_for(pid));  
}

__attribute__((noinline)) static void vforks(const char *next)
{
	pid_t pid = vfork();

	if (pid == 0) {
		execl(next, next, "child", (char *)NULL);
		_exit(127);
	}
	in_parent(wait_for(pid));
}

int main(int argc, char **argv)
{
	if (argc != 2)
		return 2;
	forks();
	forks();        /* line: second-forks */
	vforks(argv[1]);
	printf("steps %d\n", steps);
	fflush(stdout);
	execl(argv[1], argv[1], "same", (char *)NULL);
	return 127;
}
