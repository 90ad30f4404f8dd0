/* Which file's code an address of a recorded process is in, learned from a trace's events. */
#ifndef RELIVE_CLI_CODEPLACE_H
#define RELIVE_CLI_CODEPLACE_H

#include <stddef.h>
#include <stdint.h>

#include "trace-fmt/trace.h"

struct code_place {
	uint32_t obj;           /* of the trace; 0: in memory of the process's own, */
	uint32_t proc;          /* which is this one, else 0 */
	uint64_t off;           /* in the file; else the address */
};

struct code_maps {
	struct code_space *v;   /* one a process */
	size_t n, cap;
};

/** Learn from the next event, which is one of process @proc's. All must be given, in order. 0 or -errno. */
int code_maps_feed(struct code_maps *m, struct trace *t, uint32_t proc, const struct event *ev);
struct code_place code_maps_find(const struct code_maps *m, uint32_t proc, uint64_t addr);
void code_maps_free(struct code_maps *m);

/* A set of places. Zeroed, it is empty. */
struct place_set {
	void *root;
	uint64_t n, n_added;    /* different ones; and how often one was added */
};

/** 0 or -ENOMEM. */
int place_set_add(struct place_set *s, struct code_place p);
void place_set_free(struct place_set *s);

#endif
