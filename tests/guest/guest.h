/* What every guest shares. A guest is a small program that shows one behaviour, checks it, and prints EXIT-SUCCESS last. */
#ifndef GUEST_H
#define GUEST_H

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Print the failed condition to stderr and exit with status 1. */
#define CHECK(cond) \
	do { \
		if (!(cond)) \
			guest_fail(#cond, __FILE__, __LINE__); \
	} while (0)

static inline void guest_fail(const char *what, const char *file, int line)
{
	const char *slash = strrchr(file, '/');

	fflush(stdout);
	fprintf(stderr, "%s:%d: not true: %s (errno %d, %s)\n", slash ? slash + 1 : file, line, what, errno, strerror(errno));
	exit(1);
}

/* The last statement of main(). */
static inline int guest_done(void)
{
	puts("EXIT-SUCCESS");
	return fflush(stdout) ? 1 : 0;
}

/* Wait for a child and return its wait status. */
static inline int guest_wait(pid_t pid)
{
	int status;

	CHECK(waitpid(pid, &status, 0) == pid);
	return status;
}

/*
 * Some processor time: about 0.1 us a round. A round is one long chain of instructions without a branch, so that no
 * instruction is passed more often than that.
 */
static __attribute__((noinline, unused)) uint64_t guest_work(uint64_t seed, unsigned rounds)
{
#define GUEST_MIX1 seed = seed * 0x9e3779b97f4a7c15u + 0x7f4a7c15u; seed ^= seed >> 29;
#define GUEST_MIX4 GUEST_MIX1 GUEST_MIX1 GUEST_MIX1 GUEST_MIX1
#define GUEST_MIX16 GUEST_MIX4 GUEST_MIX4 GUEST_MIX4 GUEST_MIX4
	for (unsigned i = 0; i < rounds; i++) {
		__asm__ volatile("" : "+r"(seed));      /* calls without a use for the result are not optimised away */
		GUEST_MIX16 GUEST_MIX16 GUEST_MIX16
	}
	return seed;
}

#endif
