/* Letting a task run for so much processor time and no longer, with nothing in its way. */
#ifndef RELIVE_REPLAYER_TIMED_H
#define RELIVE_REPLAYER_TIMED_H

#include <stdint.h>
#include "replayer/session.h"

/**
 * Some microseconds less than @ns at times, or an eighth less; hardly ever more. *ret_ran is how much it was.
 * 1: it is still on its way; 0: it came to something that stops it, or alarms are denied: its host is of no more use then; or an error.
 */
int run_for(struct rtask *t, uint64_t ns, uint64_t *ret_ran);

#endif
