/* Double-checked initialisation gone wrong: the pointer is published before the object is filled, and two may fill it. */
#include "guest.h"
#include <pthread.h>
#include <sched.h>

struct config {
	int filled[8];
};
static struct config *volatile shared;
static int n_inits, n_half_seen;

static struct config *get(void)
{
	struct config *c = shared;

	if (!c) {
		c = calloc(1, sizeof(*c));
		__atomic_add_fetch(&n_inits, 1, __ATOMIC_SEQ_CST);
		shared = c;
		for (int i = 0; i < 8; i++) {
			guest_work(1, 400);
			((volatile int *)c->filled)[i] = i + 1;
		}
	}
	return c;
}

static void *user(void *arg)
{
	volatile int *filled;

	guest_work(1, 10 + 40 * (unsigned)(intptr_t)arg);
	filled = get()->filled;
	for (int i = 7; i >= 0; i--)
		if (filled[i] != i + 1) {
			__atomic_add_fetch(&n_half_seen, 1, __ATOMIC_SEQ_CST);
			break;
		}
	return NULL;
}

int main(void)
{
	int total_inits = 0, total_half = 0;

	for (int round = 0; round < 12; round++) {
		pthread_t t[3];

		shared = NULL;
		n_inits = n_half_seen = 0;
		for (intptr_t i = 0; i < 3; i++)
			CHECK(pthread_create(&t[i], NULL, user, (void *)i) == 0);
		for (int i = 0; i < 3; i++)
			pthread_join(t[i], NULL);
		total_inits += n_inits;
		total_half += n_half_seen;
	}
	printf("initialised %d times in 12 rounds, half-filled seen %d times\n", total_inits, total_half);
	return guest_done();
}
