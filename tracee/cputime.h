/* Processor time of a thread. */
#ifndef RELIVE_TRACEE_CPUTIME_H
#define RELIVE_TRACEE_CPUTIME_H

#include <stdint.h>
#include <sys/types.h>

/* Nanoseconds that a thread, of any process, has run so far; 0: the kernel does not say (no CONFIG_SCHED_INFO). */
uint64_t cputime_of(pid_t tid);

/** The calling thread's own, in nanoseconds. */
uint64_t cputime_own(void);

#endif
