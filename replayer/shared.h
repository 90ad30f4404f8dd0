/*
 * Which parts of a host's memory are mappings of which objects that change: MAP_SHARED ones, and private ones of the same
 * objects. Pure bookkeeping.
 */
#ifndef RELIVE_SHARED_H
#define RELIVE_SHARED_H

#include <stddef.h>
#include <stdint.h>

struct shared_map {
	uint64_t addr, len;
	uint64_t off;          /* of addr in the object, in bytes */
	uint32_t obj;
	uint8_t prot;
	uint8_t is_private;
};

/* Without overlaps, in no order. Zero-initialised is empty. */
struct shared_maps {
	struct shared_map *v;
	size_t n, cap;
};

/* What lies in [addr, addr + len) is not shared any more. The functions below return 0 or -ENOMEM. */
int shared_forget(struct shared_maps *s, uint64_t addr, uint64_t len);
/* A new mapping, in place of what was there. */
int shared_note(struct shared_maps *s, const struct shared_map *m);
int shared_protect(struct shared_maps *s, uint64_t addr, uint64_t len, uint8_t prot);
/* As mremap(2); @keep_old: MREMAP_DONTUNMAP. */
int shared_move(struct shared_maps *s, uint64_t addr, uint64_t len, uint64_t new_addr, uint64_t new_len, int keep_old);
int shared_copy(struct shared_maps *to, const struct shared_maps *from);
void shared_free(struct shared_maps *s);
/* The mapping that holds an address, or NULL. Valid until the next change. */
const struct shared_map *shared_find(const struct shared_maps *s, uint64_t addr);

#endif
