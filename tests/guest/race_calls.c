/*
 * Two threads add to a plain counter, with calls between load and store that a recorder may have made cheap: updates get lost
 * only when one is made to give way at such a call, or on the few instructions around it.
 */
#include "guest.h"
#include <pthread.h>
#include <sys/syscall.h>

enum { N_ROUNDS = 30000 };
static volatile long counter;

static void *add(void *arg)
{
	for (int i = 0; i < N_ROUNDS; i++) {
		long seen = counter;

		syscall(SYS_getppid);
		counter = seen + 1;
		syscall(SYS_getppid);
	}
	return arg;
}

int main(void)
{
	pthread_t t[2];

	for (int i = 0; i < 2; i++)
		CHECK(pthread_create(&t[i], NULL, add, NULL) == 0);
	for (int i = 0; i < 2; i++)
		pthread_join(t[i], NULL);
	CHECK(counter > 0 && counter <= 2 * N_ROUNDS);
	printf("counter %ld of %d\n", counter, 2 * N_ROUNDS);
	return guest_done();
}
