/*
 * SITES: the addresses at which a run waits for a wanted state or a wanted pass. A site begins as an int3. When passes
 * turn out to be many, what they looked like is turned into a test in the program's own machine code
 * (tracee/filter.h), so that only a likely pass stops.
 *
 * The tests only choose which passes are looked at; whether one is the wanted one is the caller's to say. Nothing of
 * all this is there between two runs, nor whenever the task is looked at: patches come and go with
 * sites_insert and sites_remove, and sites_settle brings a task out of a filter's code.
 */
#ifndef RELIVE_SITE_H
#define RELIVE_SITE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "replayer/session.h"
#include "replayer/traps.h"
#include "tracee/stop.h"

/* A state that is waited for, as far as it is known. */
struct site_want {
	const struct user_regs_struct *regs;
	uint64_t window_addr;
	const uint8_t *window;
	uint32_t n_window;
	const struct ev_write *words;      /* further memory known, one to eight bytes each */
	uint32_t n_words;
	const uint8_t *xstate;             /* canonical */
	uint32_t n_xstate;
};

struct sites;

enum sites_flags {
	SITES_READ_MEMORY = 1,   /* any memory may be read at any pass: no page is guarded by a watch */
	SITES_PROTECT = 2,       /* protections may be changed: nobody looks at them meanwhile */
	SITES_RETURNS_MOVE = 4,  /* return addresses on the stack may be others while the task runs (lockhook.h) */
};

/** @traps  the user's breakpoints, looked at until sites_close. @flags  enum sites_flags. */
int sites_open(struct session *s, struct rtask *t, const struct traps *traps, int flags, struct sites **ret);

/** Wait at an address; @want and @pass may be NULL. All pointers stay the caller's and must live on. */
int sites_add(struct sites *ss, uint64_t addr, const struct site_want *want, struct run_pass *pass);

/** Take everything away. The task must have been settled. NULL is fine. */
void sites_close(struct sites *ss);

/** An int3 has come to addr since: no filter may cover it. */
void sites_give_way(struct sites *ss, uint64_t addr);

bool sites_has(const struct sites *ss, uint64_t addr);

/** The task stands at a site and this is not the wanted pass. 0 or a negative error. */
int sites_missed(struct sites *ss);

/**
 * Whether the task can be resumed right where it stands with the patches in place; else the instruction must be
 * stepped over without them.
 */
bool sites_can_resume(const struct sites *ss);

/** Before and after the task runs freely. Insert may move rip (into a filter's copy of the same instruction). */
int sites_insert(struct sites *ss);
int sites_remove(struct sites *ss);

/**
 * After a stop, patches removed: bring rip back to an address of the program.
 * 1: the stop was a site's own; the task stands at that site, or where a filter's jump was in its way, and can be
 * resumed. 0: it was not. Negative: an error.
 */
int sites_settle(struct sites *ss, const struct stop *st);

/**
 * Filters in code that the program may write to are protected from that. After a SIGSEGV, patches removed: whether it
 * is by that protection. If so: sites_unguard, step over the instruction, sites_guard.
 */
bool sites_owns_fault(struct sites *ss);
int sites_unguard(struct sites *ss);
int sites_guard(struct sites *ss);

/** Whether the arrival at which the task stands was counted by the filter already. */
bool sites_counted(struct sites *ss);

/** How often the filters' tests let a wrong pass through, and whether nothing better can be had at some site. */
uint64_t sites_misses(const struct sites *ss);

/** What was learned at sites, kept for the session's life. */
struct site_book;
/** With what an earlier replay of the trace left at @path; what is learned is written there in the end. NULL: no memory. */
struct site_book *site_book_open(const char *path, uint64_t trace_id);
void site_book_put(struct site_book *b);
struct site_book *site_book_get(struct site_book *b);

#endif
