/* System calls in words, as strace(1) writes them: for dumps, reports and messages. */
#ifndef RELIVE_TRACEE_SYSFMT_H
#define RELIVE_TRACEE_SYSFMT_H

#include "tracee/sysinfo.h"

/**
 * Write "name(arguments) = result" for a call that has ended.
 *
 * @m    the caller's memory after the call, for strings, buffers and structures; NULL: they are shown as addresses,
 *       as is whatever cannot be read.
 * @out  max bytes; always terminated if max > 0. Non-printable bytes are escaped: one line of printable ASCII.
 *
 * Returns the bytes written, without the terminator. What does not fit is cut off.
 */
size_t sysfmt_call(const struct sys_call *c, const struct sys_mem *m, char *out, size_t max);

/* The same without the result: for a call that has not ended. c->ret is ignored. */
size_t sysfmt_enter(const struct sys_call *c, const struct sys_mem *m, char *out, size_t max);

/* The same for the result alone: "3", "-1 ENOENT (No such file or directory)", "0x7f0000", "? ERESTARTSYS". */
size_t sysfmt_result(const struct sys_call *c, char *out, size_t max);

/* The call's name, or NULL if the table has none. Static storage, as for all that follow. */
const char *sys_name(int nr);
/* "ENOENT" for 2, also the ERESTART codes that only a tracer sees; NULL: no such error. */
const char *sys_errno_name(int err);
/* "SIGSEGV" for 11, "SIGRT_3" for 35; NULL: no such signal. */
const char *sys_signal_name(int signo);

#endif
