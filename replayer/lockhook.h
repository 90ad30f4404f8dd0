/*
 * Seeing what a replayed program does to locks: functions of its C library are found by their symbols and patched to
 * write down their calls (lockstub.h), or stopped at where that cannot be done. Nothing of this is recorded: execution
 * between two events is deterministic, so the replay takes the locks in the recorded order, and what the state clock
 * compares is compared as if no function were patched.
 */
#ifndef RELIVE_LOCKHOOK_H
#define RELIVE_LOCKHOOK_H

#include "replayer/lockevent.h"
#include "replayer/session.h"
#include "replayer/site.h"
#include "replayer/traps.h"

/* A file in a process's memory that has code. */
struct lock_module {
	uint32_t proc, obj;
	uint64_t bias;            /* address in memory minus address in the file */
	uint64_t lo, hi;          /* of all its segments */
};

struct lockhooks;
struct lock_table;

/** From now on, @event is called for each call and return. Ends with the session. 0 or -errno. */
int lockhooks_open(struct session *s, void (*event)(void *arg, const struct lock_event *e), void *arg);
void lockhooks_close(struct lockhooks *h);
/** After the last event. */
void lockhooks_end(struct session *s);

/** Latest last. */
size_t lockhooks_modules(const struct lockhooks *h, const struct lock_module **ret);
size_t lockhooks_functions(const struct lockhooks *h);   /* found, over all processes */

/* ---- for run.c; all do nothing in a session without hooks ---- */

/** Before anything is done about the session's next event. */
int lockhook_see(struct session *s);
/** Before a run of @t: patch, and add what must stop. */
int lockhook_begin(struct session *s, struct rtask *t, struct traps *traps);
/** @t is about to go on from where it stands. */
int lockhook_depart(struct session *s, struct rtask *t, struct traps *traps, struct sites *sites);
/** Right before it is resumed freely. */
int lockhook_arm(struct session *s, struct rtask *t);
/** After that. 1: the stop was the hooks' own; 0: it was not, and the program's memory is as recorded, but for patches. */
int lockhook_settle(struct session *s, struct rtask *t, struct traps *traps, struct sites *sites, const struct stop *st);

/** Whether the page at @addr may have patches in it. */
bool lockhook_near(const struct lock_table *tab, uint64_t addr);

/** In a page of code, put the program's own bytes in the place of patches. */
void lockhook_unpatch(const struct lock_table *tab, uint64_t addr, uint8_t *page);

#endif
