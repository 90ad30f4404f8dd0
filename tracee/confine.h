/* Seccomp filters for recorded and replayed processes. See seccomp(2). */
#ifndef RELIVE_CONFINE_H
#define RELIVE_CONFINE_H

#include <stdbool.h>
#include <stdint.h>

enum confine_mode {
	CONFINE_TRACE,   /* recording: every call asks the tracer */
	CONFINE_KILL,    /* replay: every call kills the process */
};

/**
 * Put the calling process and its descendants under a filter, with the exception of calls made at the instruction
 * before @allowed_ip or before @also_allowed (0: none), which go through. Calls of 32-bit code (int 0x80) and of x32 are
 * no exception: the tracer has to tell them from others. Both must lie below 4 GB. Sets no_new_privs unless the caller is privileged. 0 or -errno. Async-signal-safe.
 */
int confine_self(enum confine_mode mode, uint64_t allowed_ip, uint64_t also_allowed);

/** Whether the calling process is under a seccomp filter that somebody else has installed: a container's, mostly. */
bool confined_by_others(void);

#endif
