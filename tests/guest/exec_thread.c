/* A thread that is not the leader executes while others compute, sleep and wait: they vanish, the process id stays. */
#include "guest.h"
#include <pthread.h>

static char *self;
static pid_t was;

static void *computes(void *arg)
{
	(void)arg;
	for (volatile unsigned long i = 0;; i++)
		;
	return NULL;
}

static void *sleeps(void *arg)
{
	(void)arg;
	pause();
	return NULL;
}

static void *executes(void *arg)
{
	char pid[16];

	(void)arg;
	usleep(2000);
	snprintf(pid, sizeof(pid), "%d", (int)was);
	execl(self, self, pid, NULL);
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t t;

	if (argc > 1) {
		CHECK(getpid() == atoi(argv[1]) && getpid() == gettid());
		return guest_done();
	}
	self = argv[0];
	was = getpid();
	CHECK(pthread_create(&t, NULL, computes, NULL) == 0);
	CHECK(pthread_create(&t, NULL, sleeps, NULL) == 0);
	CHECK(pthread_create(&t, NULL, executes, NULL) == 0);
	pthread_join(t, NULL);
	return 1;
}
