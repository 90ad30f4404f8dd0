/*
 * What a replay of a trace has learned, kept in a file next to it (docs/trace-format.md, "The side file"), so that the next
 * replay knows at once. It can only save time: whoever reads it must come to the same results with any contents.
 */
#ifndef RELIVE_LEARNED_H
#define RELIVE_LEARNED_H

#include <stddef.h>
#include <stdint.h>

#define LEARNED_MAX 1024      /* notes in a file */
#define LEARNED_TESTS 4
#define LEARNED_REST_MAX 64

/* Of a code address at which clock points are waited for. Meanings: replayer/site_int.h. */
struct learned_note {
	uint64_t addr;
	uint16_t slowness;
	uint8_t rest, least_rest;   /* at most LEARNED_REST_MAX, and one more */
	uint8_t n_tests;
	uint32_t test[LEARNED_TESTS];
};

/**
 * @path      of the side file.
 * @trace_id  trace_id() of the trace it should be about.
 * @out       LEARNED_MAX of them.
 *
 * 0; -ENOENT: there is none. Else there is a file with that name, and *ret_n is 0: -ESTALE (about another trace), -RL_EVERSION,
 * -RL_ETRUNCATED or -RL_ECORRUPT (damaged), -EEXIST (something else altogether, not to be written over); -errno.
 */
int learned_read(const char *path, uint64_t trace_id, struct learned_note *out, size_t *ret_n);

/** Replace the file, at once or not at all. 0, -ENOMEM or -errno, e.g. as the directory is not writable. */
int learned_write(const char *path, uint64_t trace_id, const struct learned_note *v, size_t n);

/** The same in memory. */
int learned_decode(const void *bytes, size_t n_bytes, uint64_t trace_id, struct learned_note *out, size_t *ret_n);

#endif
