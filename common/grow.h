/* Arrays that grow by doubling. */
#ifndef RELIVE_GROW_H
#define RELIVE_GROW_H

#include <stdlib.h>

static inline void *grow_slot(void **v, size_t n, size_t *cap, size_t size)
{
	if (n == *cap) {
		size_t more = *cap ? *cap * 2 : 16;
		void *moved = realloc(*v, more * size);

		if (!moved)
			return NULL;
		*v = moved;
		*cap = more;
	}
	return (char *)*v + n * size;
}

/* The slot for element n of array v (element count n, capacity cap, both lvalues), or NULL without memory. The caller counts n up. */
#define GROW(v, n, cap) ((__typeof__(v))grow_slot((void **)&(v), (n), &(cap), sizeof(*(v))))

#endif
