/* The workloads that bench/syscalls and bench/locks measure: calls NAME N. Each prints a sum, so that a wrong replay shows. */
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { N_THREADS = 4 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static volatile uint64_t counter;

static uint64_t get_ppid(long n)
{
	uint64_t sum = 0;

	for (long i = 0; i < n; i++)
		sum += (uint64_t)getppid() != 0;
	return sum;
}

static uint64_t pread_byte(long n)
{
	int fd = open("/proc/self/exe", O_RDONLY);
	uint64_t sum = 0;
	uint8_t c;

	for (long i = 0; i < n; i++)
		sum += pread(fd, &c, 1, i & 1023) == 1 ? c : 0;
	return sum;
}

static uint64_t write_null(long n)
{
	int fd = open("/dev/null", O_WRONLY);
	uint64_t sum = 0;

	for (long i = 0; i < n; i++)
		sum += (uint64_t)write(fd, "x", 1);
	return sum;
}

static uint64_t read_clock(long n)
{
	struct timespec ts;
	uint64_t sum = 0;

	for (long i = 0; i < n; i++) {
		clock_gettime(CLOCK_MONOTONIC, &ts);
		sum += (uint64_t)ts.tv_nsec;
	}
	return sum;
}

/* As allocators do for large blocks: map, write, give back. */
static uint64_t map_block(long n)
{
	uint64_t sum = 0;

	for (long i = 0; i < n; i++) {
		uint8_t *p = mmap(NULL, 3 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		p[i & 4095] = (uint8_t)i;
		sum += p[i & 4095] + p[4096];
		munmap(p, 3 * 4096);
	}
	return sum;
}

static uint64_t private_lock(long n)
{
	for (long i = 0; i < n; i++) {
		pthread_mutex_lock(&lock);
		counter++;
		pthread_mutex_unlock(&lock);
	}
	return counter;
}

static void *contend(void *arg)
{
	private_lock((long)(intptr_t)arg);
	return NULL;
}

static uint64_t contended_lock(long n)
{
	pthread_t t[N_THREADS];

	for (int i = 0; i < N_THREADS; i++)
		pthread_create(&t[i], NULL, contend, (void *)(intptr_t)(n / N_THREADS));
	for (int i = 0; i < N_THREADS; i++)
		pthread_join(t[i], NULL);
	return counter;
}

static const struct {
	const char *name;
	uint64_t (*run)(long n);
} workloads[] = {
	{ "getppid", get_ppid },
	{ "pread", pread_byte },
	{ "write", write_null },
	{ "clock", read_clock },
	{ "map", map_block },
	{ "lock", private_lock },
	{ "contended", contended_lock },
};

int main(int argc, char **argv)
{
	long n = argc == 3 ? atol(argv[2]) : 0;

	for (size_t i = 0; n > 0 && i < sizeof(workloads) / sizeof(*workloads); i++) {
		if (strcmp(argv[1], workloads[i].name) == 0) {
			printf("%s %llx\n", argv[1], (unsigned long long)workloads[i].run(n));
			return 0;
		}
	}
	fprintf(stderr, "usage: calls NAME N\n");
	return 2;
}
