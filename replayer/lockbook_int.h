/* Shared by lockbook.c and lockgraph.c. */
#ifndef RELIVE_LOCKBOOK_INT_H
#define RELIVE_LOCKBOOK_INT_H

#include "replayer/lockbook.h"

#define NO_LOCK SIZE_MAX

struct lockbook {
	struct lock *locks;
	size_t n_locks, cap_locks;
	size_t *slots;            /* hash of locks: index + 1 */
	size_t n_slots;
	struct lock_edge *edges;
	size_t n_edges, cap_edges;
	size_t *edge_slots;
	size_t n_edge_slots;
	struct lock_hold *holds;
	size_t n_holds, cap_holds;
	struct lock_wait *waits;
	size_t n_waits, cap_waits;
	struct lock_cycle *cycles;
	size_t n_cycles, cap_cycles;
	struct lock_deadlock *deadlocks;
	size_t n_deadlocks, cap_deadlocks;
	bool no_memory;
};

/** A task asks for a lock, by itself or as a read lock, with all that it holds. */
void lockgraph_ask(struct lockbook *b, uint32_t task, size_t to, bool shared, const struct lock_place *at);
int lockgraph_find_cycles(struct lockbook *b);
int lockgraph_find_deadlocks(struct lockbook *b);

#endif
