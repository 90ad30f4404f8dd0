/* Shared by the files of the replayer. */
#ifndef RELIVE_REPLAYER_INTERNAL_H
#define RELIVE_REPLAYER_INTERNAL_H

#include "replayer/session.h"

#define RED_ZONE 128   /* bytes below sp that a function may use: where the stack window begins */

/* ---- clock.c ---- */

/**
 * Whether the task stands at the clock point of @ev. Cheap things are compared first.
 * 1 yes, 0 no, negative: an error. @ret_pages (may be NULL): how many pages differ when all else agrees.
 */
int clock_matches(struct session *s, struct rtask *t, const struct event *ev, size_t *ret_pages);

/** Whether all pages of which @ev has hashes are as recorded. */
bool pages_match(struct rtask *t, const struct event *ev);

/** The same for an instant that no event names. */
int point_matches(struct session *s, struct rtask *t, const struct run_point *p);

/** Compare general registers as replay does: all but orig_rax, TF and RF. */
bool regs_equal(const struct user_regs_struct *a, const struct user_regs_struct *b);

/* ---- diverge.c ---- */

/** Fill s->report; returns -RL_EDIVERGED. @what: what happened instead, a phrase. */
int diverged(struct session *s, struct rtask *t, const struct event *ev, const char *what);

/* ---- apply.c ---- */

/** Carry out s->ev, for whose instant its task has been brought. Moves on to the next event. */
int event_apply(struct session *s, const struct run_ctl *ctl, struct run_result *ret);
int session_next(struct session *s);
struct rtask *rtask_add(struct session *s, struct host *h, pid_t host_tid);

/* ---- run.c ---- */

/** Whether its task executes something before the event's instant. */
bool event_needs_run(const struct event *ev);

/** Bring the task of s->ev to the event's instant, or to an earlier stop of @ctl. RUN_EVENT: it is there. */
int run_to_event(struct session *s, const struct run_ctl *ctl, struct run_result *ret);

#endif
