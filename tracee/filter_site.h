/* Which instructions can carry a filter (tracee/filter.h), seen from the code around them. */
#ifndef RELIVE_TRACEE_FILTER_SITE_H
#define RELIVE_TRACEE_FILTER_SITE_H

#include <stdint.h>

enum filter_site {
	FILTER_SITE_NONE,      /* it cannot be patched */
	FILTER_SITE_SEVERAL,   /* several instructions make room; a jump through a table into their midst takes a stop */
	FILTER_SITE_ALONE,     /* the instruction itself has room for the jump */
};

/** Some 0.2 ms: remember the answer. @mem_fd as in mem_read. Unreadable code: FILTER_SITE_NONE. */
enum filter_site filter_site_look(int mem_fd, uint64_t addr);

#endif
