/* fork while other threads run; the child has only the forking thread, and atfork handlers run. */
#include "guest.h"
#include <pthread.h>

static volatile int stop;
static int n_prepare, n_parent, n_child;

static void prepare(void) { n_prepare++; }
static void parent(void) { n_parent++; }
static void child(void) { n_child++; }

static void *busy(void *arg)
{
	(void)arg;
	while (!stop) {
		guest_work(1, 100);
		free(malloc(100));
	}
	return NULL;
}

int main(void)
{
	pthread_t t[2];

	pthread_atfork(prepare, parent, child);
	for (int i = 0; i < 2; i++)
		CHECK(pthread_create(&t[i], NULL, busy, NULL) == 0);
	for (int i = 0; i < 5; i++) {
		pid_t pid = fork();

		CHECK(pid >= 0);
		if (pid == 0) {
			char *p = malloc(1000);

			CHECK(p && n_child == 1);
			memset(p, 1, 1000);
			_exit(40 + i);
		}
		int status = guest_wait(pid);
		CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 40 + i);
	}
	stop = 1;
	for (int i = 0; i < 2; i++)
		pthread_join(t[i], NULL);
	CHECK(n_prepare == 5 && n_parent == 5 && n_child == 0);
	return guest_done();
}
