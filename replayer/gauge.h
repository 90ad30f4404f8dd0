/*
 * A gauge tells how far a task still is from a wanted state: by something in its registers, its stack or its memory that
 * goes there steadily, such as a loop's counter. Which that is, is found by looking a few times on the way. What it says is a guess.
 */
#ifndef RELIVE_GAUGE_H
#define RELIVE_GAUGE_H

#include <stdint.h>
#include "replayer/session.h"

struct gauge;

/** @ev: the clock point that is wanted; must live on. @way_ns: how long the way there will roughly take. NULL: no memory. */
struct gauge *gauge_new(const struct event *ev, uint64_t way_ns);
void gauge_free(struct gauge *g);

/** Look at the task, which is stopped and has had so much processor time; each time more. 0 or a negative error. */
int gauge_look(struct gauge *g, struct rtask *t, uint64_t ran_ns);

#define GAUGE_MUTE (-1)   /* nothing tells */
#define GAUGE_PAST (-2)   /* the task was there, and has gone on */

/** How much processor time it may run and is probably not there yet, after at least three looks; or one of the above. */
int64_t gauge_left_ns(const struct gauge *g);

#endif
