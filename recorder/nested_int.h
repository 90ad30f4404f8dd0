/* What the two parts of the program's own ptrace(2) share: nested.c looks, nested_stop.c stops and tells. */
#ifndef RELIVE_RECORDER_NESTED_INT_H
#define RELIVE_RECORDER_NESTED_INT_H

#include "recorder/internal.h"

/** The result of t's present call. */
void nested_answer(struct task *t, int64_t result);
/** A part of its answer in memory: 0 or -EFAULT. */
int nested_put(struct task *t, uint64_t addr, const void *bytes, size_t n);

/** t asks to be traced by its parent. False: that is not possible. */
bool nested_trace_me(struct recording *r, struct task *t);
/** A request of the holder's about a task that has asked to be traced. False: one that is refused. */
bool nested_control(struct task *t, struct task *target);
/** t waits: tell it of one that has stopped for it. False: there is none. */
bool nested_wait(struct recording *r, struct task *t);

#endif
