/* Threads write to the same standard output without a lock, in pieces: the order of the pieces is the schedule's. */
#include "guest.h"
#include <pthread.h>

static void *talk(void *arg)
{
	char piece[8];

	for (int i = 0; i < 20; i++) {
		int n = snprintf(piece, sizeof(piece), "%c%d ", (char)('a' + (int)(intptr_t)arg), i);

		guest_work(1, 200);
		CHECK(write(1, piece, (size_t)n) == n);
	}
	return NULL;
}

int main(void)
{
	pthread_t t[3];

	for (intptr_t i = 0; i < 3; i++)
		CHECK(pthread_create(&t[i], NULL, talk, (void *)i) == 0);
	for (int i = 0; i < 3; i++)
		pthread_join(t[i], NULL);
	puts("");
	return guest_done();
}
