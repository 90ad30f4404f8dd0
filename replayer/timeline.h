/*
 * A recording as a line of time on which a debugger moves in both directions, looking at one process of the tree.
 *
 * Forward is running a session. Backward is: take the nearest copy of a session before here, run it forward noting
 * each stop, and settle on the last one before here; copies are dropped as time goes on.
 */
#ifndef RELIVE_TIMELINE_H
#define RELIVE_TIMELINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "replayer/session.h"

struct timeline_opts {
	int32_t pid;           /* the process to debug, as the recorded program saw its id; 0: the root process */
	uint64_t at_event;     /* where to start; 0: at the process's first instruction */
	bool at_end;           /* start at the end */
	const char *learned;   /* as for session_open() */
};

enum timeline_stop_kind {
	TL_STEP,               /* the step is done */
	TL_BREAK,
	TL_WATCH,              /* watch is the index given by timeline_watch() order; see timeline_watch_at() */
	TL_SIGNAL,             /* signo is about to be delivered to task */
	TL_CALL,               /* before a system call */
	TL_RETURN,             /* after one */
	TL_EXEC,               /* a new program; going back, about to become the old one again */
	TL_FORK,               /* forward only: other_pid was made, is_vfork says how */
	TL_INTERRUPTED,
	TL_BEGIN, TL_END,
};

struct timeline_stop {
	enum timeline_stop_kind kind;
	uint32_t task;
	int signo;
	int syscall_nr;
	uint64_t watch_addr;
	bool watch_read, watch_write;
	int32_t other_pid;
	bool is_vfork;
};

struct timeline;

/** On failure a sentence is in @err. 0, -ESRCH (no such process), -RL_EDIVERGED, -RL_ECORRUPT, -errno. */
int timeline_open(struct trace *t, const struct timeline_opts *o, struct timeline **ret, char *err, size_t n_err);
void timeline_close(struct timeline *tl);

/** Now. Valid until the next movement. */
struct session *timeline_now(struct timeline *tl);
uint32_t timeline_proc(const struct timeline *tl);
/**
 * From now on look at another process that lives at this instant; its beginning is then the timeline's. Breakpoints and
 * watchpoints are forgotten. 0, -ESRCH, or another negative error.
 */
int timeline_follow(struct timeline *tl, int32_t pid);
/** The task that the debugger should show: of the debugged process, the one that ran last. */
struct rtask *timeline_task(struct timeline *tl);

/** 0, -ENOMEM, -ENOENT (deleting what was never set). */
int timeline_break(struct timeline *tl, uint64_t addr, bool on);
int timeline_watch(struct timeline *tl, uint64_t addr, uint64_t len, bool on_read, bool on_write, bool on);
/** System calls to stop at: none, the n listed ones, or all (n = 0). 0 or -ENOMEM. */
int timeline_catch_calls(struct timeline *tl, bool on, const int *nrs, size_t n);
void timeline_on_interrupt(struct timeline *tl, bool (*interrupted)(void *arg), void *arg);

/**
 * Move. @step_task: 0 to run on, else one instruction of that task. With a range, stepping forward goes on while its
 * rip is inside [range_start, range_end).
 * 0 or a negative error (a divergence's report is timeline_now()->report).
 */
int timeline_forward(struct timeline *tl, uint32_t step_task, uint64_t range_start, uint64_t range_end,
		     struct timeline_stop *ret);
int timeline_backward(struct timeline *tl, uint32_t step_task, struct timeline_stop *ret);
/** Go to where event @no comes next; to the process's beginning or end if it lies outside. */
int timeline_goto(struct timeline *tl, uint64_t no);
/** To the beginning of the process that timeline_open() was told of. */
int timeline_restart(struct timeline *tl);
int timeline_to_end(struct timeline *tl);

#endif
