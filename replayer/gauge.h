/*
 * A gauge tells how far a task still is from a wanted state: by something in its registers, its stack or its memory that
 * goes there steadily, such as a loop's counter. Which that is, is found by looking a few times on the way. What it says is a guess.
 */
#ifndef RELIVE_GAUGE_H
#define RELIVE_GAUGE_H

#include <stdint.h>
#include "replayer/session.h"
#include "tracee/xstate.h"

struct gauge;

/** @ev: the clock point that is wanted; must live on. @way_ns: how long the way there will roughly take. NULL: no memory. */
struct gauge *gauge_new(const struct event *ev, uint64_t way_ns);
void gauge_free(struct gauge *g);

#define GAUGE_WINDOW_WORDS 128
#define GAUGE_WORDS 512

/* What is looked at: the same of the wanted state and of every other one. */
struct gauge_state {
	const struct user_regs_struct *regs;
	uint64_t window[GAUGE_WINDOW_WORDS];   /* at the wanted state's window_addr */
	uint64_t words[GAUGE_WORDS];           /* where its writes are */
	uint8_t canon[XSTATE_MAX];
};

/** The task was in this state when it had had so much processor time; each time more. */
void gauge_see(struct gauge *g, const struct gauge_state *state, uint64_t ran_ns);

/** The same with a task that is stopped. 0 or a negative error. */
int gauge_look(struct gauge *g, struct rtask *t, uint64_t ran_ns);

#define GAUGE_MUTE (-1)   /* nothing tells */
#define GAUGE_PAST (-2)   /* the task was there, and has gone on */

/** How much processor time it may run and is probably not there yet, after at least three looks; or one of the above. */
int64_t gauge_left_ns(const struct gauge *g);

#endif
