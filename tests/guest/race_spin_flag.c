/* Threads hand a turn on by spinning on a volatile flag, with a bound; who gave up first and when depends on the schedule. */
#include "guest.h"
#include <pthread.h>
#include <sched.h>

enum { N_THREADS = 3, N_TURNS = 8, PATIENCE = 4000 };
static volatile int turn, n_gave_up;
static volatile long n_spins;

static void *worker(void *arg)
{
	int me = (int)(intptr_t)arg;

	for (int i = 0; i < N_TURNS; i++) {
		int patience = PATIENCE;

		while (turn % N_THREADS != me && --patience) {
			guest_work(1, 1);
			n_spins++;
		}
		if (!patience)
			n_gave_up++;
		turn++;
	}
	return NULL;
}

int main(void)
{
	pthread_t t[N_THREADS];

	for (intptr_t i = 0; i < N_THREADS; i++)
		CHECK(pthread_create(&t[i], NULL, worker, (void *)i) == 0);
	for (int i = 0; i < N_THREADS; i++)
		pthread_join(t[i], NULL);
	printf("turns %d, gave up %d times, spins %ld\n", turn, n_gave_up, n_spins);
	return guest_done();
}
