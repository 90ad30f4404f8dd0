/*
 * A book of what a run did to its locks, kept from lock events: who took each lock in which order, how long it was held
 * and waited for, which locks were taken while others were held, and who waits for whom at the end. Knows nothing of
 * processes or traces.
 *
 * Times are what is certain: an event of a lock lies somewhere between two recorded events, so a lock was held, or waited
 * for, at least as long as this says.
 */
#ifndef RELIVE_LOCKBOOK_H
#define RELIVE_LOCKBOOK_H

#include <stddef.h>
#include "replayer/lockevent.h"

enum lock_type { LT_MUTEX, LT_RWLOCK, LT_SPIN, LT_SEM, LT_COND, LT_BARRIER, LT_ONCE, LT_THREAD };

struct lock_place {
	uint32_t task;            /* 0: there was none */
	uint64_t site;            /* return address of the call */
	uint64_t event_no;        /* the recorded event after it */
	uint64_t ns;
};

/* So many acquisitions in a row by one task. */
struct lock_turn {
	uint32_t task;
	bool shared;              /* a read lock */
	uint64_t n;
};

struct lock {
	uint32_t proc;
	enum lock_type type;
	uint64_t addr;
	uint64_t n_acquired;      /* of a condition: waits that ended; of a thread: joins; of a barrier, once: passes */
	uint64_t n_contended;     /* those that found it taken, or waited */
	uint64_t n_failed;        /* tries, timeouts, errors */
	uint64_t n_released;      /* of a condition: signals and broadcasts; of a semaphore: posts */
	struct lock_place longest_hold, longest_wait;
	struct lock_turn *turns;  /* acquisitions in order */
	size_t n_turns, cap_turns;
	bool turns_cut;           /* there were more */
	/* now */
	uint32_t owner;           /* task that holds it alone; 0: none */
	uint32_t n_readers;
	bool gone;                /* another lock is made at its address */
};

/* A lock was taken, or asked for, while another one was held. */
struct lock_edge {
	size_t from, to;
	uint64_t n;
	uint32_t task;            /* who did so first */
	bool many_tasks;
	uint64_t from_site, to_site, event_no;   /* then */
	bool from_alone, to_alone;               /* ever held, asked for other than as a read lock */
	size_t guard[8];          /* locks that were held as well each time */
	uint8_t n_guards;
};

/* A call that has not returned. */
struct lock_wait {
	uint32_t task;
	enum lock_op op;
	size_t lock;
	size_t mutex;             /* of LOCK_COND_WAIT */
	struct lock_place enter;
	uint32_t target;          /* of LOCK_JOIN */
	bool contended;
	uint64_t n_then;          /* the lock's acquisitions at the time */
};

struct lock_hold {
	uint32_t task;
	size_t lock;
	bool shared;
	uint32_t depth;           /* taken so often over by its own holder */
	struct lock_place since;
};

struct lock_cycle {
	size_t n;
	size_t *edges;            /* each from where the last one led to */
};

/* Each waits for the next one, the last for the first, or, if it is open, for nobody that could be told. */
struct lock_deadlock {
	bool open;
	size_t n;
	size_t *waits;
};

struct lockbook;

/** NULL: no memory. */
struct lockbook *lockbook_new(void);
void lockbook_free(struct lockbook *b);

/** Want of memory is remembered, and lockbook_finish tells of it. */
void lockbook_event(struct lockbook *b, const struct lock_event *e);

/** After the last event: find cycles and deadlocks. 0 or -ENOMEM. */
int lockbook_finish(struct lockbook *b);

size_t lockbook_locks(const struct lockbook *b, const struct lock **ret);
size_t lockbook_edges(const struct lockbook *b, const struct lock_edge **ret);
size_t lockbook_waits(const struct lockbook *b, const struct lock_wait **ret);
size_t lockbook_holds(const struct lockbook *b, const struct lock_hold **ret);
/** Cycles that tasks could have closed: two or more of them, no lock that guards all of it, not all for reading. */
size_t lockbook_cycles(const struct lockbook *b, const struct lock_cycle **ret);
size_t lockbook_deadlocks(const struct lockbook *b, const struct lock_deadlock **ret);

/** The hold of a lock by a task, or by anybody (task 0); NULL: none. */
const struct lock_hold *lockbook_hold(const struct lockbook *b, size_t lock, uint32_t task);

#endif
