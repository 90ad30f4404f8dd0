/*
 * The agent at replay: it takes results from the buffer that EV_BUFFER fills, so that there is nothing to do but to
 * keep it out of sight. See agent/abi.h.
 */
#ifndef RELIVE_REPLAYER_AGENT_H
#define RELIVE_REPLAYER_AGENT_H

#include <stdbool.h>
#include "agent/abi.h"
#include "replayer/session.h"
#include "tracee/stop.h"

/** Whether the task stands where no instruction of the program's own is about to be executed. */
bool agent_hides(const struct rtask *t);

/** How a task that agent_hides() comes out: *ret_back is where the agent returns to; 0: by single steps. 0 or -EFAULT. */
int agent_way_out(const struct rtask *t, uint64_t *ret_back);

/**
 * If the task stands in the agent, or in a trampoline between two instructions of the program, let it run on to the
 * program's next one; or into its next system call: then t->at_entry is set. 0, -RL_EDIVERGED (something else
 * happened), -RL_EGONE, -errno.
 */
int agent_come_out(struct rtask *t);

/** What an event writes to the buffer; how many bytes that is. A trace is hostile input: addresses and lengths may be anything. */
uint32_t agent_buffer_join(const struct event *ev, uint8_t out[AGENT_BUF_BYTES]);

/**
 * A task's buffer was filled, or used up: see struct host_ahead. Where nobody watches, the agent makes its calls without a stop then.
 */
void agent_filled(struct host *h, const struct event *ev);
void agent_used_up(struct host *h);
/** How to let a task run: its own system calls stop. */
int agent_run_request(const struct rtask *t);
/** Such a call stops as a signal then: make it what it is for those who look at it. */
void agent_see_call(struct rtask *t, struct stop *st);
/* One of its calls. */
struct agent_call {
	uint64_t nr, arg[6];
};
/**
 * Whether a stop at a system call is one of the agent's own; take it, so that the task stands behind it; and then make it.
 * -RL_EDIVERGED: it must not be made.
 */
bool agent_calls(const struct rtask *t);
int agent_take_call(struct rtask *t, struct agent_call *ret);
int agent_make_call(struct rtask *t, const struct agent_call *c);

/** A task's registers as the program would have them without the agent. */
struct user_regs_struct agent_regs(const struct rtask *t);

#endif
