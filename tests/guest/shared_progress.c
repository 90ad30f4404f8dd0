/*
 * Loops whose only progress is in memory that two processes share: where one was interrupted, nothing else tells. The other one
 * looks at it, through a mapping of its own.
 */
#include "guest.h"
#include <sched.h>
#include <sys/mman.h>

#define LOOKS 5
#define TURNS 300000

struct shared {
	volatile uint64_t count, stop;
};

static void count(struct shared *s)
{
	__asm__ volatile("1: incq (%0)\n cmpl $0, 8(%0)\n je 1b" : : "r"(s) : "cc", "memory");
	_exit(0);
}

int main(void)
{
	struct shared *s = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	CHECK(s != MAP_FAILED);
	for (int i = 0; i < LOOKS; i++) {
		pid_t pid;

		s->count = s->stop = 0;
		pid = fork();
		CHECK(pid >= 0);
		if (!pid)
			count(s);
		while (s->count < TURNS)
			sched_yield();
		printf("%llu\n", (unsigned long long)s->count);
		s->stop = 1;
		CHECK(guest_wait(pid) == 0);
	}
	return guest_done();
}
