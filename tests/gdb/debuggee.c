/* The program that the debugger tests look at: unoptimised, with threads, a child process, a library, signals. Exit status 7. */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "tests/guest/shared_lib.h"

enum { N_WORKERS = 3, N_BUMPS = 20 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_barrier_t all_there, go_on;
static int counter;
static int table[64];
static char buffer[64];
static __thread int tls_number = 5;
static volatile double doubles[2] = { 1.5, 2.25 };
static volatile int n_signals;

static void bump(int by)
{
	int before = counter;

	before += by;
	counter = before;                       /* line: bump-store */
}

static void *worker(void *arg)
{
	int me = *(int *)arg;
	char name[16];

	snprintf(name, sizeof(name), "worker-%d", me);
	pthread_setname_np(pthread_self(), name);
	tls_number = 100 + me;
	pthread_barrier_wait(&all_there);
	pthread_barrier_wait(&go_on);
	for (int i = 0; i < N_BUMPS; i++) {
		pthread_mutex_lock(&lock);
		bump(1);
		table[me * 16] = i;                 /* line: table-store */
		pthread_mutex_unlock(&lock);
	}
	return NULL;
}

static int inner(int n)
{
	int twice = n * 2;

	return twice + 1;                       /* line: inner-return */
}

static int middle(int n)
{
	int got = inner(n);                     /* line: middle-call */

	got += 100;                             /* line: middle-after */
	return got;
}

static int outer(int n)
{
	int a = 1;                              /* line: outer-1 */
	int b = a + n;                          /* line: outer-2 */
	int c = middle(b);                      /* line: outer-3 */

	for (int i = 0; i < 3; i++)
		c += i;                         /* line: outer-loop */
	return c - a;                           /* line: outer-return */
}

static int fib(int n)
{
	return n < 2 ? n : fib(n - 1) + fib(n - 2);
}

static void all_started(void)
{
}

/* Changes that tens of thousands of instructions lie between: reached by falling through, and by a jump. */
static int far;

static void far_apart(void)
{
	for (int i = 1; i <= 4; i++) {
		int n = fib(14);

		if (i % 2)
			far += n;               /* line: far-odd */
		else
			far -= 100;             /* line: far-even */
	}
}

static void vectors(void)
{
	__asm__ volatile("movsd %0, %%xmm3\n\tmovhpd %1, %%xmm3\n\tnop\n\tnop" /* two doubles, to be looked at */
			 : : "m"(doubles[0]), "m"(doubles[1]) : "xmm3");
	all_started();
}

static void kernel_writes(void)
{
	int fd[2];

	if (pipe(fd) || write(fd[1], "from a pipe", 12) != 12)
		abort();
	if (read(fd[0], buffer, sizeof(buffer)) != 12) /* line: kernel-read */
		abort();
	close(fd[0]);
	close(fd[1]);
}

static void on_signal(int sig)
{
	n_signals += sig == SIGUSR1;            /* line: in-handler */
}

static int child_work(int n)
{
	int result = n + 1;

	return result;                          /* line: child-return */
}

static int run_child(void)
{
	int status;
	pid_t pid = fork();

	if (pid == 0)
		_exit(child_work(40));
	return waitpid(pid, &status, 0) == pid && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void run_workers(void)
{
	static int id[N_WORKERS] = { 1, 2, 3 };
	pthread_t t[N_WORKERS];

	pthread_barrier_init(&all_there, NULL, N_WORKERS + 1);
	pthread_barrier_init(&go_on, NULL, N_WORKERS + 1);
	for (int i = 0; i < N_WORKERS; i++)
		pthread_create(&t[i], NULL, worker, &id[i]);
	pthread_barrier_wait(&all_there);
	vectors();                              /* line: workers-there */
	pthread_barrier_wait(&go_on);
	for (int i = 0; i < N_WORKERS; i++)
		pthread_join(t[i], NULL);
}

int main(void)
{
	int got;

	signal(SIGUSR1, on_signal);
	got = outer(3);                         /* line: main-outer */
	printf("outer %d\n", got);
	run_workers();
	printf("counter %d, fib %d\n", counter, fib(10)); /* line: main-counter */
	kernel_writes();
	far_apart();
	raise(SIGUSR1);                         /* line: main-raise */
	printf("%s, signals %d, library %d, child %d\n", buffer, n_signals, lib_twice(21), run_child());
	counter = -1;                           /* line: main-last */
	return 7;
}
