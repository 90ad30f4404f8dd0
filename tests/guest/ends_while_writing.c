/*
 * Calls that a recorder may collect before it writes them down, and what may come in between: death by another process's
 * SIGKILL, by another thread's exit_group and exec, an exec and forks by who makes the calls, handlers that are entered in the
 * midst of them, nested, and left by a jump. Each record is counted once it is written: none may be missing or be there twice.
 */
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/time.h>
#include "guest.h"

#define FILES 4
#define ALARMS 60
#define BACK 4096    /* bytes read back now and then: they fill a buffer soon */

static struct shared {
	volatile long done[FILES];
} *shared;
static int fd[FILES];
static char *self;

static void start(void)
{
	for (int i = 0; i < FILES; i++) {
		shared->done[i] = 0;
		CHECK(ftruncate(fd[i], 0) == 0);
	}
}

static void put(int file)
{
	long i = shared->done[file];
	static __thread char back[BACK];

	CHECK(pwrite(fd[file], &i, sizeof(i), i * 8) == sizeof(i));
	shared->done[file] = i + 1;
	if (i % 16 == 15 && i * 8 > BACK)
		CHECK(pread(fd[file], back, BACK, i * 8 - BACK) == BACK);
}

/* The last record may not have been counted any more. */
static void check(const char *what)
{
	for (int k = 0; k < FILES; k++) {
		long n, done = shared->done[k];
		struct stat st;

		CHECK(!fstat(fd[k], &st));
		n = st.st_size / 8;
		CHECK(st.st_size % 8 == 0 && (n == done || n == done + 1));
		for (long i = 0; i < n; i++) {
			long got;

			CHECK(pread(fd[k], &got, 8, i * 8) == 8 && got == i);
		}
		printf("%s: %ld records, %ld counted\n", what, n, done);
	}
}

static void *for_ever(void *arg)
{
	for (;;)
		put((int)(intptr_t)arg);
	return NULL;
}

static void threads(int n)
{
	pthread_t t;

	for (int i = 1; i <= n; i++)
		CHECK(!pthread_create(&t, NULL, for_ever, (void *)(intptr_t)i));
}

static void until(int file, long n)
{
	while (shared->done[file] < n)
		usleep(200);
}

static void killed(int n_threads, long when)
{
	pid_t pid;
	int status;

	start();
	pid = fork();
	CHECK(pid >= 0);
	if (!pid) {
		threads(n_threads);
		for_ever(NULL);
	}
	for (int k = 0; k <= n_threads; k++)
		until(k, when);
	CHECK(!kill(pid, SIGKILL));
	status = guest_wait(pid);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	check("killed");
}

static void ended(int by_exec, long when)
{
	pid_t pid;

	start();
	pid = fork();
	CHECK(pid >= 0);
	if (!pid) {
		threads(3);
		until(1, when);
		until(2, when);
		if (by_exec)
			execl(self, self, "executed", NULL);
		_exit(17);
	}
	CHECK(guest_wait(pid) == 17 << 8);
	check(by_exec ? "another thread's exec" : "exit_group");
}

static void *puts_and_executes(void *arg)
{
	for (long i = 0; i < (intptr_t)arg; i++)
		put(0);
	execl(self, self, "executed", NULL);
	return NULL;
}

static void executes(long n)
{
	pthread_t t;
	pid_t pid;

	start();
	pid = fork();
	CHECK(pid >= 0);
	if (!pid) {
		threads(1);
		CHECK(!pthread_create(&t, NULL, puts_and_executes, (void *)(intptr_t)n));
		pthread_join(t, NULL);
		_exit(1);
	}
	CHECK(guest_wait(pid) == 17 << 8);
	CHECK(shared->done[0] == n);
	check("own exec");
}

static void *puts_and_forks(void *arg)
{
	char *args[] = { self, (char *)"executed", NULL };
	long n = (intptr_t)arg;
	pid_t pid;

	for (long i = 0; i < n; i++)
		put(0);
	pid = fork();
	CHECK(pid >= 0);
	if (!pid) {
		for (long i = 0; i < n; i++)
			put(1);
		_exit(0);
	}
	for (long i = 0; i < n; i++)
		put(0);
	CHECK(guest_wait(pid) == 0);
	for (long i = 0; i < n; i++)
		put(0);
	CHECK(!posix_spawn(&pid, self, NULL, NULL, args, NULL));   /* a vfork */
	for (long i = 0; i < n; i++)
		put(0);
	CHECK(guest_wait(pid) == 17 << 8);
	return NULL;
}

static void forks(long n)
{
	pthread_t t;

	start();
	CHECK(!pthread_create(&t, NULL, puts_and_forks, (void *)(intptr_t)n));
	for (long i = 0; i < n; i++)
		put(2);
	pthread_join(t, NULL);
	CHECK(shared->done[0] == 4 * n && shared->done[1] == n && shared->done[2] == n);
	check("forks");
}

static sigjmp_buf out;
static volatile int n_alarms, n_inner;

static void on_inner(int sig)
{
	(void)sig;
	put(2);
	n_inner++;
}

static void on_alarm(int sig)
{
	(void)sig;
	for (int i = 0; i < 20; i++)
		put(1);
	raise(SIGUSR1);
	put(1);
	if (++n_alarms % 2)
		siglongjmp(out, 1);
}

static void soon(void)
{
	struct itimerval once = { { 0, 0 }, { 0, 100 + n_alarms * 37 % 400 } };

	CHECK(!setitimer(ITIMER_REAL, &once, NULL));
}

static void handlers(void)
{
	struct sigaction sa = { .sa_handler = on_alarm };
	volatile int seen = -1;
	volatile long before = 0;

	start();
	CHECK(!sigaction(SIGALRM, &sa, NULL));
	sa.sa_handler = on_inner;
	CHECK(!sigaction(SIGUSR1, &sa, NULL));
	/* From a jump between a record and its count, the next record goes to the same place. */
	sigsetjmp(out, 1);
	CHECK(shared->done[0] >= before);
	while (n_alarms < ALARMS) {
		if (seen != n_alarms) {
			seen = n_alarms;
			soon();
		}
		put(0);
		before = shared->done[0];
	}
	CHECK(n_inner == n_alarms && shared->done[2] == n_inner && shared->done[1] == 21 * n_alarms);
	check("handlers");
}

int main(int argc, char **argv)
{
	char name[] = "ends_while_writing_XXXXXX";

	self = argv[0];
	if (argc > 1)
		return 17;
	for (int i = 0; i < FILES; i++) {
		memcpy(name + sizeof(name) - 7, "XXXXXX", 6);
		fd[i] = mkostemp(name, O_CLOEXEC);
		CHECK(fd[i] >= 0 && !unlink(name));
	}
	shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(shared != MAP_FAILED);
	for (int i = 0; i < 2; i++) {
		fflush(stdout);   /* a child has a copy of what is not written yet */
		killed(2 * i, 100 + 800 * i);
		ended(0, 50 + 900 * i);
		ended(1, 50 + 900 * i);
		executes(20 + 1000 * i);
		forks(20 + 1000 * i);
	}
	handlers();
	return guest_done();
}
