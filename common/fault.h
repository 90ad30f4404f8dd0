/* Named fault points: error branches that tests, and users of RELIVE_FAULT, can make happen.
 *
 *	n = FAULT("trace-write") ? -1 : write(fd, p, len);
 *
 * An armed point fires once: at its (skip + 1)-th pass; FAULT() is then true and errno is set.
 * RELIVE_FAULT=NAME[:SKIP[:ERRNO]] arms one point from the environment, ERRNO being a number (default 5, EIO).
 * Unarmed, a point costs a load and a branch.
 */
#ifndef RELIVE_FAULT_H
#define RELIVE_FAULT_H

#include <stdbool.h>

extern _Atomic bool fault_possible;   /* whether any point is armed, or the environment was not looked at yet */

#define FAULT(name) (__builtin_expect(fault_possible, 0) && fault_hit(name))

/** Use FAULT(). */
bool fault_hit(const char *name);

/** Arm @name (static storage) in place of whatever was armed: fire at the pass after @skip passes, with errno @err. */
void fault_arm(const char *name, unsigned skip, int err);

/** Disarm. Whether the point armed last had fired. */
bool fault_disarm(void);

#endif
