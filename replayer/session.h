/*
 * A SESSION is the recorded process tree at one instant of its replay: live processes, all stopped, and the number of
 * the event that comes next. It only moves forward; timeline.h goes back by keeping clones of sessions.
 */
#ifndef RELIVE_SESSION_H
#define RELIVE_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/user.h>
#include "replayer/host.h"
#include "trace-fmt/trace.h"

/* A task of the recording, living as a thread of a host process of ours. */
struct rtask {
	uint32_t no, proc;
	int32_t tid, pid;              /* as recorded */
	pid_t host_tid;                /* ours */
	char name[16];                 /* as prctl(PR_SET_NAME) or exec made it */
	struct host *host;
	struct user_regs_struct regs;  /* valid whenever it is stopped */
	bool regs_dirty;               /* to be written back before it runs */
	bool at_entry;                 /* stands at the system call that the next event of its is about */
	bool in_call;                  /* EV_SYSCALL_ENTER was applied, its exit not yet */
	bool dead;                     /* gone, or waiting as a zombie leader */
	uint32_t watch_gen;            /* which set of debug registers it has */
	uint8_t *xstate;               /* in a frozen session: its extended state, n_xstate bytes */
	uint32_t n_xstate;
	struct rtask *next;
};

/* Bookkeeping of a recorded process. */
struct rproc {
	uint32_t no;
	int32_t pid, ppid;
	uint32_t ckpt;                 /* of its latest exec (its own or inherited) */
	bool ended;
	int wait_status;
	struct rproc *next;
};

/* Why running stopped before the next event. */
enum run_kind {
	RUN_EVENT,       /* the event was applied */
	RUN_BREAK,       /* at a breakpoint of ctl */
	RUN_WATCH,       /* a watchpoint of ctl hit; watch says which */
	RUN_STEP,        /* one instruction done */
	RUN_SIGNAL,      /* ctl->signals: the signal of the next event is about to be delivered */
	RUN_CALL,        /* ctl->calls: at the system call of the next event, before it is carried out */
	RUN_POINT,       /* at ctl->until */
	RUN_PASS,        /* at the wanted pass of ctl->pass */
	RUN_INTERRUPTED,
	RUN_END,         /* no event is left */
};

/* A stop that somebody wants. Addresses are in process `proc`. */
struct run_break {
	uint32_t proc;
	uint64_t addr;
};
struct run_watch {
	uint32_t proc;
	uint64_t addr, len;
	bool on_read, on_write;
	uint8_t *old;                  /* len bytes: the value when last seen; owned by the watch's owner */
};

/* An instant between two events, named by the machine's state as a clock point is. */
struct run_point {
	uint64_t event_no;             /* the event that comes next there */
	uint32_t task;
	struct user_regs_struct regs;
	uint32_t n_window;
	uint8_t window[1024];          /* bytes from regs.rsp - 128 */
	uint64_t mem_hash;             /* of all memory that the program can have written */
};

/* Arrivals of a task at an address before its next event. */
struct run_pass {
	uint32_t task;
	uint64_t addr;
	uint64_t stop_at;              /* stop at this arrival, counted from 1; 0: count only */
	uint64_t seen;                 /* so far; an arrival at the very start of a run does not count twice */
};

struct run_ctl {
	const struct run_break *breaks;
	size_t n_breaks;
	struct run_watch *watches;
	size_t n_watches;
	uint32_t step_task;            /* not 0: stop after one instruction of this task */
	bool skip_first;               /* do not stop where the task already stands */
	const struct run_point *until; /* NULL: none */
	struct run_pass *pass;         /* NULL: none */
	uint32_t signals, calls;       /* a process in which to stop before each signal, each system call; 0: none */
	bool (*interrupted)(void *arg);
	void *arg;
	void (*output)(void *arg, int stream, const void *bytes, size_t n);
	void *output_arg;
};

struct run_result {
	enum run_kind kind;
	uint32_t task;                 /* who */
	uint64_t event_no;             /* RUN_EVENT, RUN_WATCH by an event: which */
	size_t watch;                  /* RUN_WATCH: index into ctl->watches */
};

struct session {
	struct trace *trace;
	struct trace_iter *it;
	struct objects *objects;
	const struct event *ev;        /* the next event; NULL: none is left */
	uint64_t ev_no;                /* its number; one more than the last if ev is NULL */
	struct rtask *tasks;
	struct rproc *procs;
	struct host *hosts;
	struct host *seed;             /* an empty one; NULL: none was needed yet */
	uint64_t announced;            /* the event before which RUN_SIGNAL or RUN_CALL was reported */
	bool frozen;                   /* a clone that is kept to be cloned again: no threads but one a host */
	uint32_t clock_page;           /* index of the page in which the last candidate for a clock point differed */
	struct clock_tries {
		uint64_t event_no;     /* the clock point that they were for */
		uint64_t n;            /* looks at the task where that may be */
		uint64_t regs, window, xstate;   /* of these: with equal registers; the stack, too; all but pages */
	} tries;
	uint64_t pages_ns;             /* our processor time that went to comparing pages at clock points */
	struct site_book *book;        /* what was learned at code sites; shared by copies */
	uint64_t as_gen;               /* counts events that changed mappings */
	uint64_t last_time_ns;         /* the last event's */
	bool as_changing;              /* the next event does */
	struct lockhooks *locks;       /* lockhook.h; NULL: nobody looks at locks */
	char report[16384];            /* of a divergence */
};

/**
 * A session at the trace's beginning: before event 1.
 *
 * @learned  path of the file that keeps what replays of this trace have learned; read now, and written in the end if there was
 *           anything new. NULL: none. It makes no other difference than time.
 */
int session_open(struct trace *t, const char *learned, struct session **ret);
void session_close(struct session *s);

/**
 * A copy at the same instant. @s stays as it is. A frozen copy is cheaper and can only be cloned again.
 */
int session_clone(struct session *s, bool frozen, struct session **ret);

/**
 * Run to the next stop: an event applied, or what @ctl asks for. @ctl may be NULL.
 * 0, -RL_EDIVERGED (s->report), -RL_ECORRUPT, -errno.
 */
int session_run(struct session *s, const struct run_ctl *ctl, struct run_result *ret);

struct rtask *session_task(struct session *s, uint32_t no);
struct rtask *session_task_by_tid(struct session *s, int32_t tid);
struct rproc *session_proc(struct session *s, uint32_t no);
/** The task that executes until the next event; NULL at the end. */
struct rtask *session_current(struct session *s);

/** Name the instant at which @t stands. 0 or -errno. */
int run_point_take(struct session *s, struct rtask *t, struct run_point *ret);

/** Registers to memory and back. */
int rtask_flush(struct rtask *t);
int rtask_fetch(struct rtask *t);

#endif
