/*
 * The workloads that bench/run measures: workload NAME SCALE. At scale 100 each takes some tenths of a second unrecorded.
 * Each prints a sum, so that nothing is optimised away and a wrong replay shows.
 */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { N_THREADS = 4 };

static pthread_mutex_t shared_lock = PTHREAD_MUTEX_INITIALIZER;
static long scale = 100;
static uint64_t shared_sum;

static uint64_t compute(uint64_t seed, long rounds)
{
	uint64_t table[1024], sum = seed;

	for (unsigned i = 0; i < 1024; i++)
		table[i] = seed + i;
	for (long i = 0; i < rounds; i++) {
		sum = sum * 6364136223846793005u + 1442695040888963407u;
		table[sum >> 54] += sum ^ (sum >> 31);
		sum += table[(sum >> 20) & 1023];
	}
	return sum;
}

static uint64_t compute_loop(void)
{
	return compute(1, scale * 1500000);
}

/* 200,000 at scale 100: the cheapest call there is. */
static uint64_t small_calls(void)
{
	uint64_t sum = 0;

	for (long i = 0; i < scale * 2000; i++)
		sum += (uint64_t)syscall(SYS_getppid) != 0;
	return sum;
}

/* One-byte reads and writes through a pipe: calls with outputs. 100,000 of each at scale 100. */
static uint64_t pipe_bytes(void)
{
	uint64_t sum = 0;
	int fd[2];
	char c = 1;

	if (pipe(fd))
		return 0;
	for (long i = 0; i < scale * 1000; i++)
		if (write(fd[1], &c, 1) == 1 && read(fd[0], &c, 1) == 1)
			sum += (uint64_t)c;
	return sum;
}

static void *lock_own(void *arg)
{
	pthread_mutex_t own = PTHREAD_MUTEX_INITIALIZER;
	uint64_t *sum = arg;

	for (long i = 0; i < scale * 100000; i++) {
		pthread_mutex_lock(&own);
		*(volatile uint64_t *)sum += 1;
		pthread_mutex_unlock(&own);
	}
	return NULL;
}

static void *lock_shared(void *arg)
{
	for (long i = 0; i < scale * 1000; i++) {
		pthread_mutex_lock(&shared_lock);
		shared_sum += compute(1, 5) & 1;
		pthread_mutex_unlock(&shared_lock);
	}
	return arg;
}

static void *compute_apart(void *arg)
{
	uint64_t *sum = arg;

	*sum = compute(*sum, scale * 600000);
	return NULL;
}

static uint64_t in_threads(int n, void *(*body)(void *))
{
	static uint64_t sums[N_THREADS * 64];
	pthread_t t[N_THREADS];
	uint64_t sum = 0;

	for (int i = 0; i < n; i++)
		pthread_create(&t[i], NULL, body, &sums[i * 64]);
	for (int i = 0; i < n; i++) {
		pthread_join(t[i], NULL);
		sum += sums[i * 64];
	}
	return sum;
}

static uint64_t mutex_uncontended(void)
{
	return in_threads(1, lock_own);
}

static uint64_t mutex_contended(void)
{
	in_threads(N_THREADS, lock_shared);
	return shared_sum != 0;
}

static uint64_t four_threads(void)
{
	return in_threads(N_THREADS, compute_apart);
}

static const struct {
	const char *name;
	uint64_t (*run)(void);
} workloads[] = {
	{ "compute", compute_loop },
	{ "syscalls", small_calls },
	{ "pipe", pipe_bytes },
	{ "mutex", mutex_uncontended },
	{ "contended", mutex_contended },
	{ "threads", four_threads },
};

int main(int argc, char **argv)
{
	if (argc == 3 && (scale = atol(argv[2])) > 0)
		for (size_t i = 0; i < sizeof(workloads) / sizeof(*workloads); i++)
			if (strcmp(argv[1], workloads[i].name) == 0) {
				printf("%s %lx\n", argv[1], (unsigned long)workloads[i].run());
				return 0;
			}
	fprintf(stderr, "usage: workload NAME SCALE\n");
	return 2;
}
