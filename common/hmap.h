/* A hash map from 64-bit keys to 64-bit values or pointers. Any key is allowed. A zeroed struct hmap is an empty map.
 *
 * Open addressing with linear probing; at most 3/4 full. Keys are mixed before use, so plain numbers and addresses
 * may be keys; it is no defence against keys chosen to collide.
 */
#ifndef RELIVE_HMAP_H
#define RELIVE_HMAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct hmap_slot {
	uint64_t key, val;
};

struct hmap {
	struct hmap_slot *slots;   /* an empty slot's key is 0; key 0 itself lives in zero_val */
	size_t n, cap;             /* entries (key 0 not counted); slots, a power of two or 0 */
	uint64_t zero_val;
	bool has_zero;
};

void hmap_free(struct hmap *m);

/** Forget all entries; keep the memory. */
void hmap_clear(struct hmap *m);

size_t hmap_count(const struct hmap *m);

/** Add an entry or replace the value of one. 0 or -ENOMEM (then the map is as before). */
int hmap_put(struct hmap *m, uint64_t key, uint64_t val);

/** Whether @key is there; then *ret_val (unless NULL) is its value. */
bool hmap_get(const struct hmap *m, uint64_t key, uint64_t *ret_val);

/** Take an entry out. Whether it was there; then *ret_val (unless NULL) is what it held. */
bool hmap_del(struct hmap *m, uint64_t key, uint64_t *ret_val);

/**
 * Walk over all entries in no order: `for (size_t at = 0; hmap_next(&m, &at, &key, &val);)`.
 * The map must not change meanwhile.
 */
bool hmap_next(const struct hmap *m, size_t *at, uint64_t *ret_key, uint64_t *ret_val);

static inline int hmap_put_ptr(struct hmap *m, uint64_t key, void *p)
{
	return hmap_put(m, key, (uint64_t)(uintptr_t)p);
}

/** The pointer stored for @key, or NULL. */
static inline void *hmap_get_ptr(const struct hmap *m, uint64_t key)
{
	uint64_t val;

	return hmap_get(m, key, &val) ? (void *)(uintptr_t)val : NULL;
}

static inline void *hmap_del_ptr(struct hmap *m, uint64_t key)
{
	uint64_t val;

	return hmap_del(m, key, &val) ? (void *)(uintptr_t)val : NULL;
}

#endif
