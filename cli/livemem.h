/* The memory of recorded threads while their events are listed, had by replaying alongside. */
#ifndef RELIVE_CLI_LIVEMEM_H
#define RELIVE_CLI_LIVEMEM_H

#include <stdint.h>

#include "tracee/sysinfo.h"
#include "trace-fmt/trace.h"

struct livemem;

/** Begin a replay of @t, before its first event. 0 or a negative code. */
int livemem_open(struct trace *t, struct livemem **ret);
void livemem_close(struct livemem *l);

/**
 * Replay until @ev has just happened, and give the memory of its thread, valid until the next call. Events are given
 * in order; some may be left out. 0; -RL_EDIVERGED or another negative code: the replay goes no further, *ret is
 * memory of which nothing can be read.
 */
int livemem_at(struct livemem *l, const struct event *ev, struct sys_mem *ret);

#endif
