/* int3 instructions put into a host's code for the length of one run. */
#ifndef RELIVE_TRAPS_H
#define RELIVE_TRAPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct trap {
	uint64_t addr;
	uint8_t saved;
	bool inserted;
};
struct traps {
	struct trap *v;
	size_t n, cap;
};

int traps_add(struct traps *t, uint64_t addr);
bool traps_has(const struct traps *t, uint64_t addr);
/** Unmapped addresses are left out. 0 or -errno. */
int traps_insert(struct traps *t, int mem_fd);
void traps_remove(struct traps *t, int mem_fd);
void traps_free(struct traps *t);

#endif
