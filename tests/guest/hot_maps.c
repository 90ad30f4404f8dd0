/*
 * Mappings that come and go often: by several threads that compute in between, in children of forks, under signals, and such
 * as look alike but are of other kinds. With an argument, so many rounds.
 */
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include "guest.h"

enum { P = 4096, THREADS = 3, SLOTS = 8 };

static int rounds = 60;
static sigjmp_buf out;

static char *map(void *at, size_t len, int prot, int flags)
{
	return mmap(at, len, prot, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);
}

static void fill(char *p, size_t len, uint64_t seed)
{
	for (size_t i = 0; i + 8 <= len; i += 512)
		memcpy(p + i, &seed, 8);
}

/* All of it as it was filled, or zero. */
static int holds(const char *p, size_t len, uint64_t seed)
{
	uint64_t v;

	for (size_t i = 0; i + 8 <= len; i += 512) {
		memcpy(&v, p + i, 8);
		if (v != seed)
			return 0;
	}
	return 1;
}

static void fault(int sig)
{
	(void)sig;
	siglongjmp(out, 1);
}

static void tick(int sig)
{
	char *p = map(NULL, 2 * P, PROT_READ | PROT_WRITE, 0);

	(void)sig;
	p[P] = 1;
	munmap(p, 2 * P);
}

/* One round: slots of memory are mapped, written, protected, emptied, holed and given back. */
static uint64_t churn(uint64_t x, int n)
{
	struct { char *p; size_t len; uint64_t seed; } slot[SLOTS] = { 0 };

	for (int i = 0; i < n; i++) {
		unsigned k = (unsigned)(x >> 7) % SLOTS;
		size_t len = (1 + (x >> 20) % 9) * P;

		x = guest_work(x, 20 + x % 60);
		if (slot[k].p) {
			CHECK(holds(slot[k].p, slot[k].len, slot[k].seed));
			if (x & 1) {
				CHECK(mprotect(slot[k].p, P, PROT_READ) == 0 && mprotect(slot[k].p, P, PROT_READ | PROT_WRITE) == 0);
			} else if (x & 2) {
				CHECK(madvise(slot[k].p, slot[k].len, x & 4 ? MADV_DONTNEED : MADV_FREE) == 0);
				if (x & 4)
					CHECK(holds(slot[k].p, slot[k].len, 0));
				fill(slot[k].p, slot[k].len, slot[k].seed);
			} else if (x & 8) {
				CHECK(map(slot[k].p, slot[k].len, PROT_READ | PROT_WRITE, MAP_FIXED | MAP_NORESERVE) == slot[k].p);
				CHECK(holds(slot[k].p, slot[k].len, 0));
				fill(slot[k].p, slot[k].len, slot[k].seed);
			} else {
				CHECK(munmap(slot[k].p, slot[k].len) == 0);
				slot[k].p = NULL;
			}
		} else {
			slot[k].p = map(NULL, len, PROT_READ | PROT_WRITE, x & 16 ? MAP_NORESERVE : 0);
			CHECK(slot[k].p != MAP_FAILED && holds(slot[k].p, len, 0));
			slot[k].len = len;
			slot[k].seed = x;
			fill(slot[k].p, len, x);
		}
	}
	for (int k = 0; k < SLOTS; k++) {
		if (slot[k].p)
			CHECK(munmap(slot[k].p, slot[k].len) == 0);
	}
	return x;
}

static void *churner(void *arg)
{
	return (void *)churn((uint64_t)arg * 0x9e3779b97f4a7c15u, 8 * rounds);
}

static void breaks(void)
{
	char *start = sbrk(0);

	for (int i = 0; i < rounds; i++) {
		CHECK(sbrk(5 * P + i) == start);
		fill(start, 5 * P, (uint64_t)i + 1);
		CHECK(sbrk(-2 * P) == start + 5 * P + i && holds(start, 3 * P, (uint64_t)i + 1));
		CHECK(brk(start) == 0);
		CHECK(sbrk(0) == start);
	}
	CHECK((char *)syscall(SYS_brk, 0) == start && (char *)syscall(SYS_brk, 1) == start);
}

/* What must not be taken for private memory of the usual kind, in the places where that has been all the time. */
static void others(void)
{
	char *p = map(NULL, 16 * P, PROT_NONE, MAP_NORESERVE), *q;
	unsigned char vec[4];
	int fd = open("/proc/self/exe", O_RDONLY), child;
	struct rlimit lim, was;

	CHECK(fd >= 0 && p != MAP_FAILED);
	for (int i = 0; i < 30; i++) {
		CHECK(mmap(p + 4 * P, P, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED, fd, 0) == p + 4 * P && !memcmp(p + 4 * P, "\177ELF", 4));
		p[4 * P] = 'x';
		CHECK(madvise(p + 4 * P, P, MADV_DONTNEED) == 0 && p[4 * P] == 0x7f);
		CHECK(mmap(p + 5 * P, P, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == p + 5 * P);
		child = fork();
		if (!child) {
			p[5 * P] = (char)i;
			p[4 * P] = 'y';
			churn((uint64_t)i + 5, 20);
			_exit(0);
		}
		CHECK(guest_wait(child) == 0 && p[5 * P] == i && p[4 * P] == 0x7f);
		CHECK(madvise(p + 5 * P, P, MADV_DONTNEED) == 0 && p[5 * P] == i);
		CHECK(munmap(p + 3 * P, 4 * P) == 0 && mincore(p + 4 * P, P, vec) == -1 && errno == ENOMEM);
		CHECK(map(p + 3 * P, 4 * P, PROT_READ | PROT_WRITE, MAP_FIXED) == p + 3 * P && p[5 * P] == 0);
		CHECK(madvise(p + 4 * P, P, MADV_DONTFORK) == 0);
		p[6 * P] = 'z';
		child = fork();
		if (!child)
			_exit(mincore(p + 4 * P, P, vec) == -1 && p[6 * P] == 'z' && munmap(p + 4 * P, P) == 0 ? 0 : 1);
		CHECK(guest_wait(child) == 0);
		q = mremap(p + 6 * P, P, 3 * P, MREMAP_MAYMOVE);
		CHECK(q != MAP_FAILED && q[0] == 'z' && q[2 * P] == 0 && munmap(q, 3 * P) == 0);
		CHECK(map(p, 16 * P, PROT_NONE, MAP_FIXED | MAP_NORESERVE) == p);
		CHECK(mprotect(p, P, PROT_READ | PROT_WRITE | PROT_EXEC) == 0);
		memcpy(p, "\xb8\x07\x00\x00\x00\xc3", 6);
		CHECK(((int (*)(void))(uintptr_t)p)() == 7 && mprotect(p, P, PROT_NONE) == 0);
	}
	/* Errors: nothing changes. */
	CHECK(munmap(p + 1, P) == -1 && errno == EINVAL && munmap(p, 0) == -1 && errno == EINVAL);
	CHECK(mprotect(p, (size_t)-P, PROT_READ) == -1 && map(NULL, 0, PROT_READ, 0) == MAP_FAILED && errno == EINVAL);
	CHECK(map(NULL, (size_t)1 << 47, PROT_READ, MAP_NORESERVE) == MAP_FAILED && errno == ENOMEM);
	CHECK(map(NULL, (size_t)-1, PROT_READ, 0) == MAP_FAILED && map(p + 1, P, PROT_READ, MAP_FIXED) == MAP_FAILED);
	CHECK(getrlimit(RLIMIT_AS, &lim) == 0);
	was = lim;
	lim.rlim_cur = 1;
	CHECK(setrlimit(RLIMIT_AS, &lim) == 0);
	CHECK(map(NULL, P, PROT_READ, 0) == MAP_FAILED && errno == ENOMEM);
	CHECK(setrlimit(RLIMIT_AS, &was) == 0 && munmap(p, 16 * P) == 0);
	close(fd);
}

/* Memory that is gone is gone, and what is protected faults, each time. */
static void faults(void)
{
	for (volatile int i = 0; i < rounds; i++) {
		static char *volatile p;

		p = map(NULL, 2 * P, PROT_READ | PROT_WRITE, 0);
		p[0] = 'a';
		if (i & 1)
			mprotect(p, P, PROT_NONE);
		else
			munmap(p, P);
		if (!sigsetjmp(out, 1)) {
			p[0] = 'b';
			CHECK(!"a fault");
		}
		if (i & 1)
			CHECK(mprotect(p, P, PROT_READ) == 0 && p[0] == 'a' && munmap(p, P) == 0);
		CHECK(munmap(p + P, P) == 0);
	}
}

int main(int argc, char **argv)
{
	struct sigaction segv = { .sa_handler = fault, .sa_flags = SA_NODEFER }, alarm = { .sa_handler = tick, .sa_flags = SA_RESTART };
	struct itimerval every = { { 0, 1000 }, { 0, 1000 } }, never = { { 0, 0 }, { 0, 0 } };
	pthread_t t[THREADS];
	uint64_t sum = 0;

	if (argc > 1)
		rounds = atoi(argv[1]);
	CHECK(sigaction(SIGSEGV, &segv, NULL) == 0 && sigaction(SIGPROF, &alarm, NULL) == 0);
	breaks();
	others();
	faults();
	CHECK(setitimer(ITIMER_PROF, &every, NULL) == 0);
	for (int i = 0; i < THREADS; i++)
		CHECK(pthread_create(&t[i], NULL, churner, (void *)(uintptr_t)(i + 1)) == 0);
	sum = churn(99, 4 * rounds);
	for (int i = 0; i < THREADS; i++) {
		void *x;

		CHECK(pthread_join(t[i], &x) == 0);
		sum += (uint64_t)x;
	}
	CHECK(setitimer(ITIMER_PROF, &never, NULL) == 0);
	breaks();
	printf("%016llx\n", (unsigned long long)sum);
	return guest_done();
}
