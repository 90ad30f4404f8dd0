/* A program that executes itself five times, from the main thread and from another one, keeping pid and descriptors. */
#include "guest.h"
#include <fcntl.h>
#include <pthread.h>

static char **args;
static int left;

static void *go_on(void *arg)
{
	char n[12], pid[12];

	(void)arg;
	snprintf(n, sizeof(n), "%d", left - 1);
	snprintf(pid, sizeof(pid), "%d", (int)getpid());
	execl("/proc/self/exe", args[0], n, pid, (char *)NULL);
	guest_fail("exec", __FILE__, __LINE__);
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t t;

	args = argv;
	left = argc > 1 ? atoi(argv[1]) : 5;
	if (argc > 2)
		CHECK(atoi(argv[2]) == (int)getpid());
	printf("%d left\n", left);
	fflush(stdout);
	if (left == 0)
		return guest_done();
	if (left % 2) {
		go_on(NULL);
	} else {
		CHECK(pthread_create(&t, NULL, go_on, NULL) == 0);
		pthread_join(t, NULL);
	}
	return 1;
}
