/*
 * Leaps: the greater part of a long way to a clock point is run without looking, from a copy of the session that
 * takes it back should the point have been missed. For loops so short that even a filter's nanosecond is most of a pass.
 */
#ifndef RELIVE_LEAP_H
#define RELIVE_LEAP_H

#include "replayer/session.h"

/** Whether the next event's address was found slow to wait at, and nobody wants to stop before it. */
bool leap_wanted(struct session *s, const struct run_ctl *ctl);

struct leap {
	struct session *back;      /* how to undo it; NULL: nothing was done */
	uint64_t rest_ns;          /* what is left of the way, probably, */
	uint64_t patience_ns;      /* and how much processor time that may take: after that the leap must have gone too far */
	bool gauged;               /* something has told the way that is left (gauge.h), not the time alone, */
	bool past;                 /* and that there is none */
};

/** Leap. 1: done; 0: it went too far, or there was nothing to gain; negative: an error. */
int leap_take(struct session *s, struct leap *ret);

/** The leap to @ev led to it, and waiting after it took so long; or too far. The next ones there are longer, or shorter. */
void leap_hit(struct session *s, const struct event *ev, const struct leap *l, uint64_t rest_took_ns);
void leap_missed(struct session *s, const struct event *ev, const struct leap *l);

/** Back to before the leap; @back is used up. */
int leap_undo(struct session *s, struct session *back);

/** The way took so much processor time without a leap: remember whether that was too long. */
void leap_learn(struct session *s, const struct event *ev, uint64_t ns, uint64_t recorded_ns);

/** How long the recorded way from the last event to @ev took, without what recording it cost, as far as is known. */
uint64_t leap_recorded_ns(const struct session *s, const struct event *ev);

/**
 * Processor time so far, of ours and of the task of the next event: what waiting for a clock point costs, on a busy
 * machine too. Without comparing pages, which costs the same however the point was waited for.
 */
uint64_t leap_spent_ns(struct session *s);

#endif
