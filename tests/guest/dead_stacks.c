/*
 * Bytes below a stack pointer that are not determined by what is recorded, while their owner computes and is interrupted: on a
 * thread's own stack they are dead, anywhere else they are somebody's. Arguments: a file that somebody else changes
 * meanwhile; which stack it is: main, thread, clone, heap or signal.
 */
#include "guest.h"
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <ucontext.h>

#define STACK_BYTES 65536
#define PASSES 150000000l

static const volatile uint64_t *page;

/* Spread the page's first word below the red zone, compute for some slices, and clean up. No register keeps the word. */
static void spread_and_compute(void)
{
	__asm__ volatile("mov (%0), %%rax\n mov $64, %%ecx\n"
			 "1: mov %%rax, -1024(%%rsp,%%rcx,8)\n dec %%ecx\n jnz 1b\n"
			 "xor %%eax, %%eax\n mov %1, %%rcx\n"
			 "2: add $3, %%rax\n dec %%rcx\n jnz 2b\n"
			 "xor %%eax, %%eax\n mov $64, %%ecx\n"
			 "3: mov %%rax, -1024(%%rsp,%%rcx,8)\n dec %%ecx\n jnz 3b\n"
			 : : "r"(page), "i"(PASSES) : "rax", "rcx", "cc", "memory");
}

static void *thread(void *arg)
{
	spread_and_compute();
	return arg;
}

static int cloned(void *arg)
{
	(void)arg;
	spread_and_compute();
	_exit(0);
}

static void on_signal(int sig)
{
	(void)sig;
	spread_and_compute();
}

/* So that there is somebody to take turns with. */
static void *computes(void *arg)
{
	for (volatile long i = 0; i < PASSES; i++)
		;
	return arg;
}

static ucontext_t back, there;

static void on_the_heap(void)
{
	CHECK(getcontext(&there) == 0);
	there.uc_stack.ss_sp = malloc(STACK_BYTES);
	there.uc_stack.ss_size = STACK_BYTES;
	there.uc_link = &back;
	CHECK(there.uc_stack.ss_sp);
	makecontext(&there, spread_and_compute, 0);
	CHECK(swapcontext(&back, &there) == 0);
}

static void on_a_signal_stack(void)
{
	stack_t alt = { .ss_sp = malloc(STACK_BYTES), .ss_size = STACK_BYTES };
	struct sigaction sa = { .sa_handler = on_signal, .sa_flags = SA_ONSTACK };

	CHECK(alt.ss_sp && sigaltstack(&alt, NULL) == 0 && sigaction(SIGUSR1, &sa, NULL) == 0);
	raise(SIGUSR1);
}

static void in_a_thread(void)
{
	pthread_t t;

	CHECK(pthread_create(&t, NULL, thread, NULL) == 0 && pthread_join(t, NULL) == 0);
}

static void in_a_clone(void)
{
	char *stack = mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);

	CHECK(stack != MAP_FAILED);
	CHECK(guest_wait(clone(cloned, stack + STACK_BYTES, CLONE_VM | SIGCHLD, NULL)) == 0);
}

int main(int argc, char **argv)
{
	static const struct { const char *name; void (*run)(void); } kinds[] = {
		{ "main", spread_and_compute }, { "thread", in_a_thread }, { "clone", in_a_clone }, { "heap", on_the_heap },
		{ "signal", on_a_signal_stack },
	};
	pthread_t other;
	char line[16];
	int fd;

	CHECK(argc == 3 && (fd = open(argv[1], O_RDONLY)) >= 0);
	page = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
	CHECK(page != MAP_FAILED && page[0] == 0);
	puts("ready");
	CHECK(fflush(stdout) == 0 && fgets(line, sizeof(line), stdin));
	CHECK(pthread_create(&other, NULL, computes, NULL) == 0);
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (strcmp(kinds[i].name, argv[2]) == 0)
			kinds[i].run();
	}
	CHECK(pthread_join(other, NULL) == 0);
	return guest_done();
}
