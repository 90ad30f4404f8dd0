/*
 * Signals that find threads computing. Usage: signals_in_loops HOW THREADS COUNT. HOW: "timer" sends them itself, each a bit later
 * than the one before, so that on the slowest machine some find work done since; "outside" says "ready" and its process id, and waits for SIGUSR1 or SIGINT. Each arrival is kept with the instruction and all registers that it
 * found, and told at the end, after COUNT of them.
 */
#include "guest.h"
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/time.h>
#include <ucontext.h>

#define KEPT 1000

static volatile int stop;
static volatile long timer_us;
static int wanted;
static atomic_int n_arrived;
static volatile uint64_t memory_count[64];

static struct arrival {
	int sig;
	uint64_t ip, others;
} arrived[KEPT];

static void set_timer(long us)
{
	struct itimerval once = { .it_value = { us / 1000000, us % 1000000 } };

	timer_us = us;
	CHECK(setitimer(ITIMER_REAL, &once, NULL) == 0);
}

static void on_signal(int sig, siginfo_t *info, void *context)
{
	const greg_t *reg = ((ucontext_t *)context)->uc_mcontext.gregs;
	int n = atomic_fetch_add(&n_arrived, 1);
	struct arrival a = { .sig = sig, .ip = (uint64_t)reg[REG_RIP] };

	(void)info;
	for (int i = REG_R8; i < REG_RIP; i++)
		a.others = (a.others ^ (uint64_t)reg[i]) * 1099511628211u;
	for (int i = 0; i < 64; i += 8)
		a.others = (a.others ^ memory_count[i]) * 1099511628211u;
	if (n < KEPT)
		arrived[n] = a;
	if (n + 1 >= wanted)
		stop = 1;
	else if (timer_us)
		set_timer(timer_us + timer_us / 4);
}

static void count_in_register(void)
{
	__asm__ volatile("1: inc %%rax\n\tcmpl $0, (%0)\n\tje 1b" : : "r"(&stop) : "rax", "cc", "memory");
}

static void count_in_memory(volatile uint64_t *c)
{
	__asm__ volatile("1: addq $1, (%0)\n\tcmpl $0, (%1)\n\tje 1b" : : "r"(c), "r"(&stop) : "cc", "memory");
}

static void compute(void)
{
	uint64_t v = 1;

	while (!stop)
		v = guest_work(v, 50);
	memory_count[16] = v;
}

static void fill(void)
{
	static unsigned char block[64][1 << 16];

	for (int i = 0; !stop; i++) {
		void *d = block[i % 64];
		size_t n = sizeof(block[0]);

		__asm__ volatile("rep stosb" : "+D"(d), "+c"(n) : "a"(i) : "memory");
	}
}

static void *thread(void *p)
{
	switch (*(int *)p % 4) {
	case 0: count_in_register(); break;
	case 1: count_in_memory(&memory_count[8]); break;
	case 2: compute(); break;
	case 3: fill(); break;
	}
	return NULL;
}

int main(int argc, char **argv)
{
	struct sigaction sa = { .sa_sigaction = on_signal, .sa_flags = SA_SIGINFO };
	int n_threads = argc > 3 ? atoi(argv[2]) : 1, no[64];
	pthread_t t[64];
	sigset_t all;

	CHECK(argc > 3 && n_threads > 0 && n_threads <= 64);
	wanted = atoi(argv[3]);
	CHECK(sigaction(SIGUSR1, &sa, NULL) == 0 && sigaction(SIGINT, &sa, NULL) == 0 && sigaction(SIGALRM, &sa, NULL) == 0);
	no[0] = wanted;   /* one thread has another loop for each number */
	for (int i = 0; n_threads > 1 && i < n_threads; i++) {
		no[i] = i;
		CHECK(pthread_create(&t[i], NULL, thread, &no[i]) == 0);
	}
	sigfillset(&all);
	if (n_threads > 1)
		CHECK(pthread_sigmask(SIG_BLOCK, &all, NULL) == 0);
	if (strcmp(argv[1], "timer") == 0)
		set_timer(1500);
	else
		printf("ready %d\n", (int)getpid());
	fflush(stdout);
	if (n_threads == 1)
		thread(&no[0]);
	CHECK(pthread_sigmask(SIG_BLOCK, &all, NULL) == 0);
	for (int i = 0; n_threads > 1 && i < n_threads; i++)
		CHECK(pthread_join(t[i], NULL) == 0);
	CHECK(n_arrived >= wanted);
	for (int i = 0; i < n_arrived && i < KEPT; i++)
		printf("signal %d at %#lx, %016lx\n", arrived[i].sig, (unsigned long)arrived[i].ip, (unsigned long)arrived[i].others);
	return guest_done();
}
