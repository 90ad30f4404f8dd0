/* Ownership by scope: `autoclose int fd`, `autofree char *p`. */
#ifndef RELIVE_SCOPE_H
#define RELIVE_SCOPE_H

#include <stdlib.h>
#include <unistd.h>

static inline void scope_close(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

static inline void scope_free(void *p)
{
	free(*(void **)p);
}

#define autoclose __attribute__((cleanup(scope_close)))
#define autofree __attribute__((cleanup(scope_free)))

/* Hand a descriptor to the caller: the scope no longer closes it. */
static inline int take_fd(int *fd)
{
	int taken = *fd;

	*fd = -1;
	return taken;
}

#endif
