/* What a run did to its locks, for people and for programs. */
#ifndef RELIVE_CLI_LOCKPRINT_H
#define RELIVE_CLI_LOCKPRINT_H

#include "cli/placename.h"
#include "cli/procs.h"
#include "replayer/locks.h"

enum lockprint_style { LOCKPRINT_SOME, LOCKPRINT_ALL, LOCKPRINT_JSON };

/** To standard output. 0 or -ENOMEM. */
int lockprint(struct trace *t, const struct procs *procs, const struct locks_result *r, enum lockprint_style style);

/* Shared by lockprint.c and lockprint_json.c. */
struct lockprinter {
	const struct procs *procs;
	struct placenames *names;
	const struct lock *locks;
	const struct lock_edge *edges;
	const struct lock_wait *waits;
	const struct lock_cycle *cycles;
	const struct lock_deadlock *deadlocks;
	size_t n_locks, n_waits, n_cycles, n_deadlocks;
	const struct locks_result *r;
};

void lockprint_json(struct lockprinter *p);
const char *lock_type_name(enum lock_type type);
/** What a thread that has not returned from it is doing, as a verb with a space behind it. */
const char *lock_op_verb(enum lock_op op);
int32_t lock_tid(const struct lockprinter *p, uint32_t task);
/** The thread that a wait of a deadlock is for; 0: the last of an open one. */
uint32_t lock_waited_for(const struct lockprinter *p, const struct lock_deadlock *d, size_t i);
bool lock_is_used(const struct lockprinter *p, size_t i);

#endif
