#include "replayer/traps.h"

#include <errno.h>
#include <stdlib.h>
#include "common/grow.h"
#include "tracee/remote.h"

#define INT3 0xcc

int traps_add(struct traps *t, uint64_t addr)
{
	struct trap *slot;

	if (traps_has(t, addr))
		return 0;
	slot = GROW(t->v, t->n, t->cap);
	if (!slot)
		return -ENOMEM;
	*slot = (struct trap){ .addr = addr };
	t->n++;
	return 0;
}

bool traps_has(const struct traps *t, uint64_t addr)
{
	for (size_t i = 0; i < t->n; i++) {
		if (t->v[i].addr == addr)
			return true;
	}
	return false;
}

int traps_insert(struct traps *t, int mem_fd)
{
	static const uint8_t int3 = INT3;

	for (size_t i = 0; i < t->n; i++) {
		struct trap *p = &t->v[i];

		if (!p->inserted && mem_read(mem_fd, p->addr, &p->saved, 1) == 0)
			p->inserted = mem_write(mem_fd, p->addr, &int3, 1) == 0;
	}
	return 0;
}

void traps_remove(struct traps *t, int mem_fd)
{
	for (size_t i = 0; i < t->n; i++) {
		struct trap *p = &t->v[i];

		if (p->inserted)
			mem_write(mem_fd, p->addr, &p->saved, 1);
		p->inserted = false;
	}
}

void traps_free(struct traps *t)
{
	free(t->v);
	t->v = NULL;
	t->n = t->cap = 0;
}
