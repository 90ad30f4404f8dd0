/* What tree executes: in the child of its vfork, and at last itself. */
#include <string.h>

static volatile int next_steps;

__attribute__((noinline)) static int next_work(int n)
{
	next_steps += n;
	return next_steps;
}

int main(int argc, char **argv)
{
	next_work(argc);
	return argc == 2 && strcmp(argv[1], "child") == 0 ? next_work(2) : next_work(7);
}
