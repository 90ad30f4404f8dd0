/* Replaying a whole trace, verifying as it goes. */
#ifndef RELIVE_REPLAY_H
#define RELIVE_REPLAY_H

#include <stdbool.h>
#include <stdint.h>
#include "trace-fmt/trace.h"

struct replay_opts {
	bool verify_full;
	bool quiet;            /* do not reproduce the program's output */
	const char *learned;   /* as for session_open() */
};

struct replay_result {
	int wait_status;       /* of the program, as recorded */
	bool incomplete;       /* the trace has no end */
	uint64_t last_event;   /* the last one replayed */
	char report[16384];    /* what differed, for -RL_EDIVERGED; "" otherwise */
};

/**
 * Replay @t from its beginning. What the program wrote to standard output and error goes to @out_fd and @err_fd.
 * 0; -RL_EDIVERGED (*ret->report says how); -RL_ECORRUPT; -RL_EUNSUPPORTED (this machine cannot replay it); -errno.
 */
int replay_run(struct trace *t, const struct replay_opts *o, int out_fd, int err_fd, struct replay_result *ret);

#endif
