/*
 * Data watchpoints while a task runs. What fits a debug register uses one; everything else protects its pages: the
 * fault is decoded, stepped over with the pages open, and reported only if it touched the watched bytes.
 */
#ifndef RELIVE_WATCH_H
#define RELIVE_WATCH_H

#include <stdbool.h>
#include <stddef.h>
#include "replayer/session.h"

struct watch_set;   /* NULL is an empty one, everywhere below */

/** Watch what @ctl asks for in @t's process. */
int watch_arm(struct session *s, struct rtask *t, const struct run_ctl *ctl, struct watch_set **ret);
/** Undo; frees the set. */
void watch_disarm(struct watch_set *w, struct rtask *t);

/** After a SIGTRAP: whether a debug register's watch was hit; *ret_watch is its index in ctl->watches. */
bool watch_triggered(struct watch_set *w, struct rtask *t, size_t *ret_watch);
/** Whether the last SIGTRAP came from a debug register, reported or not. */
bool watch_trapped(const struct watch_set *w);

/** After a SIGSEGV: whether it is ours. */
bool watch_owns_fault(struct watch_set *w, struct rtask *t);
/** Let the faulting instruction run. 1: it hit *ret_watch, 0: it did not, or a negative error. */
int watch_step(struct watch_set *w, struct rtask *t, size_t *ret_watch);

/** Before and after the agent changes a mapping: take the protection away, and protect what is there then. t is at the border to user mode. */
int watch_pages_free(struct watch_set *w);
int watch_pages_guard(struct watch_set *w, struct rtask *t);
/** Whether that has changed what is watched. */
bool watch_hit_by_mapping(struct watch_set *w, size_t *ret_watch);

/** Whether the bytes that an event wrote, or the memory that it mapped, hit a watch. */
bool watch_hit_by_event(struct session *s, const struct run_ctl *ctl, const struct event *ev, size_t *ret_watch);

#endif
