/*
 * Reading the arguments of a packet: a latching cursor. Read everything, then look at `err` once; after an error
 * every function returns zeros and moves nothing.
 */
#ifndef RELIVE_GDB_ARG_H
#define RELIVE_GDB_ARG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct arg {
	const char *p, *end;
	int err;          /* 0 or -EINVAL */
};

/* A thread id of the protocol: -1 all, 0 any, else an id. */
struct ptid {
	int32_t pid, tid;
};

struct arg arg_of(const char *data, size_t n);

bool arg_at_end(const struct arg *a);
/* Step over c if it is next; whether it was. */
bool arg_skip(struct arg *a, char c);
/* As above for a whole word. */
bool arg_skip_word(struct arg *a, const char *word);
/* c must be next. */
void arg_want(struct arg *a, char c);
/* Nothing may be left. */
void arg_want_end(struct arg *a);

/* A hexadecimal number of at least one digit that fits 64 bits. */
uint64_t arg_hex(struct arg *a);
/* As above, and at most max. */
uint64_t arg_hex_max(struct arg *a, uint64_t max);
/* `TID`, `pPID`, `pPID.TID`, with -1 and 0 allowed for either id. Without a process id, pid is `here`. */
struct ptid arg_ptid(struct arg *a, int32_t here);
/* Everything up to c (not included) or the end. The bytes stay where they are. */
struct arg arg_until(struct arg *a, char c);
/* All of it as hexadecimal text into out, terminated; at most size - 1 bytes, none of them NUL. */
void arg_hex_text(struct arg *a, char *out, size_t size);

#endif
