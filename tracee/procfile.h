/* Small files of /proc (proc(5)), read whole in one go as the kernel makes them. */
#ifndef RELIVE_TRACEE_PROCFILE_H
#define RELIVE_TRACEE_PROCFILE_H

#include <stdint.h>
#include <sys/types.h>

/** Open /proc/PID/FILE for reading. A descriptor; -RL_EGONE: there is no such process; or -errno. */
int procfile_open(pid_t pid, const char *file);

/**
 * Read /proc/PID/FILE, which need not be of a process of ours.
 *
 * @file  "status", "cmdline", "fdinfo/3"...
 * @out   gets the text, cut to size - 1 bytes, and always a NUL: "" if it could not be read.
 *
 * Returns the bytes read, 0 if the process is gone or may not be looked at.
 */
size_t procfile_read(pid_t pid, const char *file, char *out, size_t size);

/**
 * The fields of a "stat" text behind the command's name, which may hold blanks and parentheses itself: the state's letter
 * comes first, then the parent. "" if there are none.
 */
const char *procfile_stat_fields(const char *stat);

/** The number behind a key, such as "pos:" or "\nSigCgt:"; 0 if the key is not in the text. */
uint64_t procfile_number(const char *text, const char *key, int base);

#endif
