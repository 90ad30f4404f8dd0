/* The limit on open descriptors. */
#ifndef RELIVE_NOFILE_H
#define RELIVE_NOFILE_H

#include <sys/resource.h>

/**
 * Raise our soft limit to the hard one: every recorded and every replayed process costs us descriptors.
 *
 * @ret_old  the limit before, for those who are to find it as it was (nofile_restore() in a child).
 */
void nofile_raise(struct rlimit *ret_old);
void nofile_restore(const struct rlimit *old);

#endif
