/*
 * A job of a shell: two threads compute, the main one says every now and then that it is there, and says when it was
 * continued. With the argument "read" it reads a line first. SIGINT ends it.
 */
#include "guest.h"
#include <pthread.h>
#include <signal.h>

static volatile sig_atomic_t n_cont, interrupted;

static void on_signal(int sig)
{
	if (sig == SIGCONT)
		n_cont++;
	else
		interrupted = 1;
}

static void *computes(void *arg)
{
	uint64_t x = 1;

	while (!interrupted) {
		x = guest_work(x, 1000);
		usleep(1000);
	}
	return arg;
}

int main(int argc, char **argv)
{
	static const int signals[] = { SIGCONT, SIGINT };
	char line[64] = "nothing\n";
	pthread_t t[2];
	int told = 0;

	for (int i = 0; i < 2; i++)
		CHECK(signal(signals[i], on_signal) != SIG_ERR);
	for (int i = 0; i < 2; i++)
		CHECK(pthread_create(&t[i], NULL, computes, NULL) == 0);
	printf("process %d\n", (int)getpid());
	fflush(stdout);
	if (argc > 1 && strcmp(argv[1], "read") == 0) {
		CHECK(fgets(line, sizeof(line), stdin));
		printf("read %s", line);
	}
	for (int i = 0; !interrupted; i++) {
		usleep(20000);
		printf("tick %d\n", i);
		for (; told < n_cont; told++)
			printf("continued\n");
		fflush(stdout);
	}
	for (int i = 0; i < 2; i++)
		CHECK(pthread_join(t[i], NULL) == 0);
	guest_done();
	return 5;
}
