/* The replayer as the gdb server drives it: gdbserver/target.h over replayer/timeline.h. */
#ifndef RELIVE_CLI_TARGET_REPLAY_H
#define RELIVE_CLI_TARGET_REPLAY_H

#include <stddef.h>

#include "gdbserver/target.h"
#include "replayer/timeline.h"
#include "trace-fmt/trace.h"

/**
 * Start replaying @t and go to where @o says. On failure a sentence about it is in @err.
 * 0, -RL_EDIVERGED, -ESRCH (no such process), or another negative code.
 */
int target_replay_open(struct trace *t, const struct timeline_opts *o, struct target *ret, char *err, size_t n_err);
void target_replay_close(struct target *t);

#endif
