/* Limits that are reached: of a file's size, of processor time, of memory, of descriptors and of waiting signals. */
#include "guest.h"
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#define ROUNDS 40

static volatile sig_atomic_t n_files, n_cpu;

static void on_file(int sig)
{
	(void)sig;
	n_files++;
}

static void on_cpu(int sig)
{
	(void)sig;
	n_cpu++;
}

static void limit(int what, rlim_t soft)
{
	struct rlimit r;

	CHECK(getrlimit(what, &r) == 0);
	r.rlim_cur = soft < r.rlim_max ? soft : r.rlim_max;
	CHECK(setrlimit(what, &r) == 0);
}

static rlim_t limit_of(int what)
{
	struct rlimit r;

	CHECK(getrlimit(what, &r) == 0);
	return r.rlim_cur;
}

static void sizes(void)
{
	FILE *f = tmpfile();
	int fd = fileno(f);
	char bytes[100] = "";
	rlim_t before = limit_of(RLIMIT_FSIZE);

	signal(SIGXFSZ, on_file);
	limit(RLIMIT_FSIZE, 1050);
	for (int i = 0; i < 10; i++)
		CHECK(write(fd, bytes, 100) == 100);
	CHECK(write(fd, bytes, 100) == 50 && n_files == 0);
	for (int i = 1; i <= ROUNDS; i++)
		CHECK(write(fd, bytes, 100) == -1 && errno == EFBIG && n_files == i);
	CHECK(ftruncate(fd, 2000) == -1 && errno == EFBIG && n_files == ROUNDS + 1);
	limit(RLIMIT_FSIZE, before);
	CHECK(write(fd, bytes, 100) == 100);
	fclose(f);
}

static void memory(void)
{
	rlim_t space = limit_of(RLIMIT_AS), data = limit_of(RLIMIT_DATA);
	size_t big = (size_t)1 << 32;
	char *p;
	void *end = sbrk(0);

	p = mmap(NULL, big, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	CHECK(p != MAP_FAILED && munmap(p, big) == 0);
	limit(RLIMIT_AS, (rlim_t)1 << 31);
	CHECK(mmap(NULL, big, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0) == MAP_FAILED && errno == ENOMEM);
	p = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(p != MAP_FAILED && mremap(p, 1 << 20, big, MREMAP_MAYMOVE) == MAP_FAILED && errno == ENOMEM && munmap(p, 1 << 20) == 0);
	limit(RLIMIT_AS, space);
	limit(RLIMIT_DATA, 64 << 20);
	CHECK(sbrk(128 << 20) == (void *)-1 && errno == ENOMEM && sbrk(0) == end);
	CHECK(sbrk(4096) == end && sbrk(-4096) != (void *)-1 && sbrk(0) == end);
	limit(RLIMIT_DATA, data);
	CHECK(sbrk(128 << 20) == end);
	memset(end, 5, 1 << 20);
	CHECK(sbrk(-(128 << 20)) != (void *)-1);
}

static void descriptors(void)
{
	rlim_t before = limit_of(RLIMIT_NOFILE);
	int next = dup(0), p[2];

	limit(RLIMIT_NOFILE, (rlim_t)next + 3);
	for (int i = 0; i < ROUNDS; i++) {
		CHECK(dup(0) == next + 1 && dup(0) == next + 2 && dup(0) == -1 && errno == EMFILE);
		CHECK(open("/dev/null", O_RDONLY) == -1 && errno == EMFILE && pipe(p) == -1 && errno == EMFILE);
		CHECK(dup2(0, next + 3) == -1 && errno == EBADF);
		close(next + 1);
		close(next + 2);
	}
	limit(RLIMIT_NOFILE, before);
	close(next);
}

static void waiting_signals(void)
{
	rlim_t before = limit_of(RLIMIT_SIGPENDING);
	sigset_t set;
	int n = 0;

	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN);
	sigprocmask(SIG_BLOCK, &set, NULL);
	limit(RLIMIT_SIGPENDING, 0);
	CHECK(sigqueue(getpid(), SIGRTMIN, (union sigval){ .sival_int = 1 }) == -1 && errno == EAGAIN);
	limit(RLIMIT_SIGPENDING, before);
	for (int i = 0; i < 5; i++)
		CHECK(sigqueue(getpid(), SIGRTMIN, (union sigval){ .sival_int = i }) == 0);
	for (siginfo_t si; n < 5; n++)
		CHECK(sigwaitinfo(&set, &si) == SIGRTMIN && si.si_value.sival_int == n);
}

/* A second of processor time, of which it has used some. It is told once a second. */
static void time_used(void)
{
	rlim_t before = limit_of(RLIMIT_CPU);
	struct rusage u;

	signal(SIGXCPU, on_cpu);
	CHECK(getrusage(RUSAGE_SELF, &u) == 0);
	limit(RLIMIT_CPU, (rlim_t)u.ru_utime.tv_sec + (rlim_t)u.ru_stime.tv_sec + 1);
	for (volatile unsigned long i = 0; !n_cpu; i++)
		;
	limit(RLIMIT_CPU, before);
	CHECK(n_cpu == 1);
}

int main(void)
{
	sizes();
	memory();
	descriptors();
	waiting_signals();
	time_used();
	return guest_done();
}
