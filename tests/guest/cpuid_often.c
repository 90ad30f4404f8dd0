/*
 * cpuid asked again and again, by threads, by one program after the other in the same process: at places of which a
 * recorder may make a jump, at one whose jump would have to be in front of it, and at one into whose jump somebody would
 * jump. The answers stay the same.
 */
#include <pthread.h>
#include "guest.h"

#define ROUNDS 300

struct answer {
	unsigned a, b, c, d;
};

static __attribute__((noinline)) struct answer ask(unsigned leaf, unsigned sub)
{
	struct answer r;

	/* Registers that are no results keep all their bits, flags too; what comes next uses the stack. */
	__asm__ volatile("stc\n\tcpuid\n\tpush %%rax\n\tpop %%rax\n\tnop\n\tnop\n\tnop\n\tsbb $-1, %%eax\n\t"
			 : "=a"(r.a), "=b"(r.b), "=c"(r.c), "=d"(r.d) : "0"(leaf), "2"(sub) : "cc");
	return r;   /* a - (-1) - the carry: a */
}

static struct answer ask_with_entry(unsigned leaf, unsigned sub, int twice)
{
	struct answer r = { leaf, 0, sub, 0 };

	__asm__ volatile("test %4, %4\n\tjz 1f\n\tcpuid\n\tmov %5, %%eax\n\tmov %6, %%ecx\n1:\tcpuid\n2:\tnop\n\tnop\n\tnop\n\tdec %4\n\tjns 2b"
			 : "+a"(r.a), "=&b"(r.b), "+c"(r.c), "=&d"(r.d), "+r"(twice) : "r"(leaf), "r"(sub) : "cc");
	return r;
}

/* What follows cannot move: a loop comes to it, and it stores where it could fault. What precedes can, and has set the flags. */
static __attribute__((noinline)) struct answer ask_and_store(void)
{
	struct answer r = { 0 };
	unsigned a[2] = { 0, 0 }, *to = a, carry = 0;

	__asm__ volatile("stc\n\tmov $7, %%eax\n\tmov $0, %%ecx\n\tcpuid\n1:\tmov %%eax, (%4)\n\tadc $0, %5\n\tadd $4, %4\n\tcmp %4, %6\n\tja 1b"
			 : "=&a"(r.a), "=&b"(r.b), "=&c"(r.c), "=&d"(r.d), "+&r"(to), "+&r"(carry) : "r"(a + 2) : "cc", "memory");
	CHECK(a[0] == r.a && a[1] == r.a && to == a + 2 && carry == 1);
	return r;
}

static int same(struct answer x, struct answer y)
{
	return x.a == y.a && x.b == y.b && x.c == y.c && x.d == y.d;
}

static void *thread(void *arg)
{
	const struct answer *want = arg;
	uint64_t seed = 1;

	for (int i = 0; i < ROUNDS; i++) {
		seed = guest_work(seed, 3);
		CHECK(same(ask(7, 0), *want) && same(ask_and_store(), *want));
	}
	CHECK(seed);
	return NULL;
}

int main(int argc, char **argv)
{
	struct answer first = ask(7, 0);
	pthread_t t[2];
	int level = argc > 1 ? atoi(argv[1]) : 3;

	CHECK(same(ask_and_store(), first));
	for (int i = 0; i < 20; i++)
		CHECK(same(ask_with_entry(7, 0, i & 1), first));
	CHECK(same(ask(0xd, 0), ask(0xd, 0)) && ask(0, 1).a == ask(0, 2).a);
	for (int i = 0; i < 2; i++)
		CHECK(!pthread_create(&t[i], NULL, thread, &first));
	for (int i = 0; i < 2; i++)
		CHECK(!pthread_join(t[i], NULL));
	if (argc > 2) {
		struct answer told;

		CHECK(sscanf(argv[2], "%x,%x,%x,%x", &told.a, &told.b, &told.c, &told.d) == 4 && same(told, first));
	}
	if (level) {
		char words[64], next[16];

		snprintf(words, sizeof(words), "%x,%x,%x,%x", first.a, first.b, first.c, first.d);
		snprintf(next, sizeof(next), "%d", level - 1);
		fflush(stdout);
		execl("/proc/self/exe", argv[0], next, words, (char *)NULL);
		CHECK(0);
	}
	return guest_done();
}
