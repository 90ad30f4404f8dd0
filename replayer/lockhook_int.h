/* Shared by lockhook.c (finding and patching) and lockrun.c (while a task runs). */
#ifndef RELIVE_LOCKHOOK_INT_H
#define RELIVE_LOCKHOOK_INT_H

#include "replayer/lockhook.h"
#include "replayer/lockstub.h"

enum lock_how { ENTRY, BOTH, STOP };

struct lock_func {
	const char *name;
	enum lock_op op;
	enum lock_how how;
};
extern const struct lock_func lock_funcs[];
extern const size_t n_lock_funcs;

/* A function in one memory. */
struct lock_hook {
	uint64_t addr;
	const struct lock_func *func;
	bool patched;             /* else int3 while a task runs */
	bool aside;               /* patched, but not just now: a clock point is among the bytes */
	struct lockstub stub;
};

/* What is patched in one memory. */
struct lock_table {
	uint64_t id;
	const struct host *host;
	pid_t pid;
	uint32_t proc;
	struct lock_hook *v;
	size_t n, cap;
	unsigned n_stubs;         /* ever made: their places are not used again */
	uint8_t return_full;
	uint64_t lo, hi;          /* all hooks are in there */
	struct lock_table *next;
};

/* A call that has not returned. */
struct lock_pend {
	uint32_t task, proc;
	const struct lock_func *func;
	uint64_t obj, mutex, ret, rsp;
	bool stops;               /* at its return: its return address is not to be changed */
};

/* What an event will do to memory, to be looked at when it has. */
struct lock_change {
	uint64_t event_no;
	uint32_t task;
	const struct host *host;  /* NULL: the task's, once it has one */
	uint64_t addr, len, obj_off;
	uint32_t obj;             /* 0: what was there is gone */
};

/* Functions in a file. */
struct lock_found {
	uint32_t obj;
	uint8_t func;
	uint64_t value, off;
};

struct lockhooks {
	struct session *s;
	void (*event)(void *arg, const struct lock_event *e);
	void *arg;
	struct lock_table *tables;
	struct lock_pend *pends;
	size_t n_pends, cap_pends;
	struct lock_change *changes;
	size_t n_changes, cap_changes;
	struct lock_found *found;
	size_t n_found, cap_found;
	uint32_t *read_objs;      /* whose functions are in `found` */
	size_t n_read, cap_read;
	struct lock_module *modules;
	size_t n_modules, cap_modules;
	size_t n_functions;
	uint64_t n_tables;
	/* Of the last event seen. */
	uint64_t seen_no, seen_ns, after_ns;
	uint32_t seen_task;
	bool seen_exit, seen_late;
};

/** The table of t's memory; NULL: none yet. */
struct lock_table *lock_table_of(struct lockhooks *h, const struct rtask *t);
struct lock_hook *lock_hook_at(struct lock_table *tab, uint64_t addr);
/** Patch, or put the program's bytes back. */
int lock_hook_put(struct lock_table *tab, struct lock_hook *k, bool patched);
/** Bring the table of t's memory up to date. */
int lock_table_update(struct lockhooks *h, struct rtask *t);
/** What the next event is going to do. */
int lock_note_changes(struct lockhooks *h, const struct event *ev);
void lock_emit(struct lockhooks *h, const struct lock_pend *p, enum lock_phase phase, int64_t result, uint32_t target);

#endif
