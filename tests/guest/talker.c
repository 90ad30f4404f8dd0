/* Prints numbered lines while two threads compute and a child process sleeps: something to be killed in the middle of. */
#include "guest.h"
#include <pthread.h>
#include <signal.h>

static volatile int stop;

static void *compute(void *arg)
{
	volatile uint64_t *sum = arg;

	while (!stop) {
		*sum = guest_work(*sum, 500);
		usleep(50);
	}
	return NULL;
}

int main(int argc, char **argv)
{
	int n_lines = argc > 1 ? atoi(argv[1]) : 20;
	uint64_t sums[2] = { 1, 2 };
	pthread_t t[2];
	pid_t child = fork();

	if (child == 0)
		for (;;)
			pause();
	for (int i = 0; i < 2; i++)
		CHECK(pthread_create(&t[i], NULL, compute, &sums[i]) == 0);
	for (int i = 0; i < n_lines; i++) {
		char line[64];
		int n = snprintf(line, sizeof(line), "line %d of talker %d and %d\n", i, (int)getpid(), (int)child);

		CHECK(write(1, line, (size_t)n) == n);
		usleep(500);
	}
	stop = 1;
	for (int i = 0; i < 2; i++)
		pthread_join(t[i], NULL);
	CHECK(kill(child, SIGKILL) == 0 && WIFSIGNALED(guest_wait(child)));
	return guest_done();
}
