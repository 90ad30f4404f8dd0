/* Much of everything, one after the other: churn N. Calls, threads, processes, mappings, files, signals that come and go. */
#include "guest.h"
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>

static void *nothing(void *arg)
{
	return arg;
}

static volatile sig_atomic_t caught;

static void on_signal(int sig)
{
	(void)sig;
	caught++;
}

static void calls(long n)
{
	for (long i = 0; i < n; i++)
		CHECK(getppid() > 0);
}

static void threads(long n)
{
	for (long i = 0; i < n; i++) {
		pthread_t t;

		CHECK(pthread_create(&t, NULL, nothing, NULL) == 0 && pthread_join(t, NULL) == 0);
	}
}

static void processes(long n)
{
	for (long i = 0; i < n; i++) {
		pid_t child = fork();

		if (child == 0)
			_exit(3);
		CHECK(WEXITSTATUS(guest_wait(child)) == 3);
	}
}

static void mappings(long n)
{
	for (long i = 0; i < n; i++) {
		size_t len = 4096 * (size_t)(1 + i % 7);
		char *p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		CHECK(p != MAP_FAILED);
		p[0] = (char)i;
		CHECK(mprotect(p, len, PROT_READ) == 0 && munmap(p, len) == 0);
	}
}

/* Each is another file, some are mapped. */
static void files(long n)
{
	for (long i = 0; i < n; i++) {
		char name[] = "churn_XXXXXX";
		int fd = mkstemp(name);
		void *p;

		CHECK(fd >= 0 && write(fd, name, sizeof(name)) == sizeof(name));
		p = i % 4 ? NULL : mmap(NULL, 4096, PROT_READ, i % 8 ? MAP_PRIVATE : MAP_SHARED, fd, 0);
		CHECK(!p || (memcmp(p, name, sizeof(name)) == 0 && munmap(p, 4096) == 0));
		CHECK(close(fd) == 0 && unlink(name) == 0);
	}
}

static void signals(long n)
{
	signal(SIGUSR1, on_signal);
	for (long i = 0; i < n; i++)
		raise(SIGUSR1);
	CHECK(caught == n);
}

int main(int argc, char **argv)
{
	long n = argc == 2 ? atol(argv[1]) : 1;

	calls(n * 100000);
	threads(n * 20);
	processes(n * 4);
	mappings(n * 60);
	files(n * 40);
	signals(n * 40);
	return guest_done();
}
