/* Replaying a whole trace to see what it does to its locks. */
#ifndef RELIVE_LOCKS_H
#define RELIVE_LOCKS_H

#include "replayer/lockbook.h"
#include "replayer/lockhook.h"
#include "trace-fmt/trace.h"

struct locks_result {
	struct lockbook *book;
	struct lock_module *modules;  /* what code was where; latest last */
	size_t n_modules;
	size_t n_functions;           /* lock functions found */
	bool incomplete;              /* the trace has no end */
	uint64_t last_event;
	char report[16384];           /* of a divergence */
};

/** As replay_run(). @ret is to be given to locks_free whatever happens. */
int locks_run(struct trace *t, struct locks_result *ret);
void locks_free(struct locks_result *r);

#endif
