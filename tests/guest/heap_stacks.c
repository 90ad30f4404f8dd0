/*
 * Coroutines on pieces of the heap: what lies below the stack pointer is not dead, it is another one's. Loops whose only
 * progress is there, taken the processor from by each other.
 */
#include "guest.h"
#include <pthread.h>
#include <ucontext.h>

#define ROUNDS 300000u

struct piece {
	volatile uint64_t progress[64];         /* below the stack, in its first page */
	char stack[4096 + 65536];
};

static __thread ucontext_t back, there;
static __thread struct piece *piece;
static volatile uint64_t turns;

static void loop(void)
{
	for (unsigned i = 0; i < 3; i++) {
		while (piece->progress[1] < ROUNDS * (i + 1)) {
			piece->progress[1]++;
			piece->progress[2] ^= piece->progress[1] * 0x9e3779b97f4a7c15u;
		}
		piece->progress[3] = piece->progress[3] * 31 + turns++;
		swapcontext(&there, &back);
	}
}

static void *coroutine(void *arg)
{
	uint64_t *sum = arg;

	piece = calloc(1, sizeof(*piece));
	CHECK(piece && getcontext(&there) == 0);
	/* A small stack, so that its pointer stays in the page of `progress`, or the next. */
	there.uc_stack.ss_sp = piece->stack;
	there.uc_stack.ss_size = 4096;
	there.uc_link = &back;
	makecontext(&there, loop, 0);
	for (int i = 0; i < 4; i++)
		CHECK(swapcontext(&back, &there) == 0);
	CHECK(piece->progress[1] == 3 * ROUNDS);
	*sum = piece->progress[2] + piece->progress[3];
	return NULL;
}

int main(void)
{
	uint64_t sums[3] = { 0 };
	pthread_t t[3];

	for (int i = 0; i < 3; i++)
		CHECK(pthread_create(&t[i], NULL, coroutine, &sums[i]) == 0);
	for (int i = 0; i < 3; i++) {
		CHECK(pthread_join(t[i], NULL) == 0);
		printf("%llx\n", (unsigned long long)sums[i]);
	}
	return guest_done();
}
