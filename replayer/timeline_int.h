/* Shared by the files of the timeline. */
#ifndef RELIVE_TIMELINE_INT_H
#define RELIVE_TIMELINE_INT_H

#include "replayer/timeline.h"
#include "tracee/remote.h"

struct timeline {
	struct trace *trace;
	uint32_t proc;                 /* the debugged process */
	uint64_t first;                /* the event that comes next at its beginning */
	uint32_t home_proc;            /* the process to debug after a restart */
	uint64_t home_first;
	struct session *now;
	bool mid;                      /* now lies between two events, after some instructions of the current task */
	uint32_t shown;                /* the task of the last stop */

	struct session **snaps;        /* frozen copies at event boundaries, in order; the first at the beginning */
	size_t n_snaps, cap_snaps;
	uint64_t snap_ns, snap_gap_ns;

	/* Where the last backward step came from: stepping `steps` times from `trail` leads to now. */
	struct session *trail;
	uint32_t trail_task;
	uint64_t trail_steps;
	bool trail_mid;                /* the trail begins between two events */

	struct run_break *breaks;
	size_t n_breaks, cap_breaks;
	struct run_watch *watches;
	size_t n_watches, cap_watches;
	bool catch_calls;
	int *caught;                   /* the system calls to stop at; none listed: all */
	size_t n_caught;
	bool (*interrupted)(void *arg);
	void *interrupted_arg;
	unsigned ticks;                /* when it was last asked */
};

/* What an event was, remembered after it is gone. */
struct event_seen {
	uint8_t kind;
	uint32_t task, proc;
	int nr;
	int32_t child_pid;             /* of a process that it made; 0: none */
	uint32_t child_proc;
	bool child_vfork;
	bool no_insn;                  /* an EV_INSN that executed none */
};

struct event_seen event_see(struct session *s);   /* s->ev must not be NULL */
struct run_ctl quiet_ctl(const struct timeline *tl);
bool wants_stop(struct timeline *tl, const struct run_result *res);
bool call_is_caught(const struct timeline *tl, int nr);
int snap_here(struct timeline *tl, bool force);
bool at_end(const struct timeline *tl, struct session *s);
int run_to_boundary(struct timeline *tl, struct session *s, uint64_t no);
int session_at(struct timeline *tl, uint64_t no, struct session **ret);
void become(struct timeline *tl, struct session *s, bool mid);
void watches_refresh(struct timeline *tl, struct session *s);
struct run_ctl ctl_for(struct timeline *tl);
void fill_watch(const struct timeline *tl, const struct run_result *res, struct timeline_stop *ret);
void trail_drop(struct timeline *tl);
int to_beginning(struct timeline *tl);

#endif
