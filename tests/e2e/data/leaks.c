/* Built with a sanitizer that looks for leaks at the end, while one thread computes and another one waits: leaks WORD leaks. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static pthread_barrier_t begun;

static void *computes(void *arg)
{
	volatile char *mine = malloc(100);

	pthread_barrier_wait(&begun);
	for (;;)
		mine[5]++;
	return arg;
}

static void *waits(void *arg)
{
	char *volatile mine = malloc(77);

	mine[0] = 1;
	pthread_barrier_wait(&begun);
	pause();
	free(mine);
	return arg;
}

int main(int argc, char **argv)
{
	pthread_t one, two;
	char *volatile lost;

	(void)argv;
	pthread_barrier_init(&begun, NULL, 3);
	if (pthread_create(&one, NULL, computes, NULL) || pthread_create(&two, NULL, waits, NULL))
		return 2;
	pthread_barrier_wait(&begun);
	if (argc > 1) {
		lost = malloc(1234);
		lost[0] = 1;
		lost = NULL;
	}
	puts("done");
	fflush(stdout);
	return 0;
}
