/*
 * Host processes: processes of ours, emptied, in which recorded address spaces are rebuilt. They run under a filter that
 * lets no system call through but those injected at the stub, and those of the agent that change mappings.
 */
#ifndef RELIVE_HOST_H
#define RELIVE_HOST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include "agent/maps_abi.h"
#include "replayer/objects.h"
#include "replayer/shared.h"
#include "trace-fmt/trace.h"

#define AHEAD_MAX 16

/* What the buffer of the agent, which was filled for the task that runs next, will do to mappings. */
struct host_ahead {
	bool any;
	struct agent_range mapped[AHEAD_MAX];   /* where there will be memory, at some time */
	uint32_t n;
};

/* One address space. */
struct host {
	pid_t pid;
	int mem_fd;
	int n_tasks;                   /* recorded tasks living in it */
	pid_t *threads;                /* all but the leader, dead ones excepted */
	size_t n_threads, cap_threads;
	struct shared_maps shared;     /* its mappings of objects that change */
	uint64_t stubs[4];             /* where filters' code lies at present (site.h): no memory of the program's */
	struct host_ahead ahead;
	struct lock_table *locks;      /* lockhook.h; NULL: no function is patched */
	const struct host *copy_of;    /* while a session is cloned: whose copy it is */
	struct host *next;
};

/** An empty host, its only thread stopped. */
int host_spawn(bool trap_cpuid, struct host **ret);
/** A copy of @h made by fork in thread @tid (stopped); only that thread exists in the copy. */
int host_fork(struct host *h, pid_t tid, struct host **ret);
/** A further thread, stopped. */
int host_thread(struct host *h, pid_t tid, pid_t *ret_tid);
/** End one thread (not the leader). */
int host_end_thread(struct host *h, pid_t tid);
void host_kill(struct host *h);

/** Perform recorded changes of the address space in thread @tid. */
int host_asops(struct host *h, pid_t tid, struct objects *o, const struct ev_asop *ops, uint32_t n);
/** Write into its memory whatever its protection. 0 or -EFAULT (a part is not mapped). */
int host_write(struct host *h, struct objects *o, uint64_t addr, const void *bytes, size_t n);
/** Make its shared mappings those of @o (after a fork, for a clone of the session). */
int host_reshare(struct host *h, pid_t tid, struct objects *o);

/** Put a checkpoint's memory into an empty host. */
int host_load(struct host *h, struct trace *t, struct objects *o, const struct trace_ckpt *c);

#endif
