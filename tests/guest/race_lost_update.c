/* Two threads add to a plain counter: updates get lost when one is interrupted between its load and its store. */
#include "guest.h"
#include <pthread.h>

enum { N_ROUNDS = 400 };
static volatile long counter;

static void *add(void *arg)
{
	(void)arg;
	for (int i = 0; i < N_ROUNDS; i++) {
		long seen = counter;

		seen += (long)(guest_work((uint64_t)seen, 40) | 1) & 1;
		counter = seen;
		guest_work(1, 40);
	}
	return NULL;
}

int main(void)
{
	pthread_t t[2];

	for (int i = 0; i < 2; i++)
		CHECK(pthread_create(&t[i], NULL, add, NULL) == 0);
	for (int i = 0; i < 2; i++)
		pthread_join(t[i], NULL);
	printf("counter %ld of %d\n", counter, 2 * N_ROUNDS);
	return guest_done();
}
