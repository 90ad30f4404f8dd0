/* Seccomp filters for recorded and replayed processes. See seccomp(2). */
#ifndef RELIVE_CONFINE_H
#define RELIVE_CONFINE_H

#include <stdbool.h>
#include <stdint.h>


/**
 * Put the calling process and its descendants under a filter by which every call asks the tracer, with the exception of calls made at the instruction
 * before @allowed_ip or before @also_allowed (0: none), which go through. Calls of 32-bit code (int 0x80) and of x32 are
 * no exception: the tracer has to tell them from others. Both must lie below 4 GB. Sets no_new_privs unless the caller is privileged. 0 or -errno. Async-signal-safe.
 */
int confine_recorded(uint64_t allowed_ip, uint64_t also_allowed);

/**
 * The same for replay: no call is made, but raises SIGSYS. Let through are those at the instruction before @allowed_ip, and at
 * the one before @agent_ip those that agent_may_redo().
 */
int confine_replayed(uint64_t allowed_ip, uint64_t agent_ip);

/** Whether the calling process is under a seccomp filter that somebody else has installed: a container's, mostly. */
bool confined_by_others(void);

#endif
