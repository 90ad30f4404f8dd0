/*
 * The agent at replay: it takes results from the buffer that EV_BUFFER fills, so that there is nothing to do but to
 * keep it out of sight. See agent/abi.h.
 */
#ifndef RELIVE_REPLAYER_AGENT_H
#define RELIVE_REPLAYER_AGENT_H

#include <stdbool.h>
#include "replayer/session.h"

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

/** A task's registers as the program would have them without the agent. */
struct user_regs_struct agent_regs(const struct rtask *t);

#endif
