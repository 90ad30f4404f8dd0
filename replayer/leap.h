/*
 * Leaps: the greater part of a long way to a clock point is run without looking, from a copy of the session that
 * takes it back should the point have been missed. For loops so short that even a filter's nanosecond is most of a pass.
 */
#ifndef RELIVE_LEAP_H
#define RELIVE_LEAP_H

#include "replayer/session.h"

/** Whether the next event's address was found slow to wait at, and nobody wants to stop before it. */
bool leap_wanted(struct session *s, const struct run_ctl *ctl);

/** Leap. *ret_back is how to undo it. 1: done; 0: it went too far, or there was nothing to gain; negative: an error. */
int leap_take(struct session *s, struct session **ret_back);

/** Back to before the leap; @back is used up. */
int leap_undo(struct session *s, struct session *back);

/** The way took so long without a leap: remember whether that was too long. @n_ns: nanoseconds. */
void leap_learn(struct session *s, const struct event *ev, uint64_t ns, uint64_t recorded_ns);
/** The leap to @ev was no use. */
void leap_forget(struct session *s, const struct event *ev);

/** How long the recorded way from the last event to @ev took, without what recording it cost, as far as is known. */
uint64_t leap_recorded_ns(const struct session *s, const struct event *ev);

#endif
