/* Who is who in a trace: its processes and threads, learned from its events. */
#ifndef RELIVE_CLI_PROCS_H
#define RELIVE_CLI_PROCS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "trace-fmt/trace.h"

struct proc {
	uint32_t no;            /* its number in the trace */
	int32_t pid, ppid;      /* as the recorded program saw them; ppid 0: not known */
	uint32_t parent;        /* its parent's number in the trace; 0: it is the first one */
	char *exe, *command;    /* of its last exec, or its parent's at the fork; malloc'ed, not NULL */
	uint32_t n_threads;     /* ever */
	uint64_t n_events, first_event, last_event;
	uint64_t start_event;   /* its parent's call that made it, or the first one's exec */
	bool exited;
	int status;             /* wait status, if exited */
};

struct proc_task {
	uint32_t no;            /* its number in the trace */
	int32_t tid;
	size_t proc;            /* index into procs */
	uint64_t n_events, first_event, last_event;
	bool exited;
	int status;
};

struct idmap {                  /* number -> index */
	uint32_t *keys, *values;
	size_t n_slots;         /* a power of two, or 0 */
};

struct procs {
	struct proc *procs;
	struct proc_task *tasks;
	size_t n_procs, n_tasks;
	struct idmap proc_by_no, task_by_no;
};

/** Learn from the next event. All events must be given, in order. 0 or -ENOMEM. */
int procs_feed(struct procs *p, struct trace *t, const struct event *ev);

/** Feed all events of a trace, from its first to its last readable one. 0 or -errno. Damage ends the list silently. */
int procs_read(struct trace *t, struct procs *ret);

void procs_free(struct procs *p);

/** NULL: no event told of this number. */
const struct proc_task *procs_task(const struct procs *p, uint32_t no);
const struct proc *procs_of_task(const struct procs *p, uint32_t task);

/**
 * Find a process by pid, or by its command's name (the base name of the program, or the program's path). Of several,
 * the first with that name. NULL: none.
 */
const struct proc *procs_find(const struct procs *p, const char *pid_or_command);

#endif
