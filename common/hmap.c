#include "common/hmap.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "common/fault.h"
#include "common/banned.h"

#define HMAP_MIN_SLOTS 16

/* The finalizer of MurmurHash3: all bits of the key reach the low bits. */
static size_t hmap_home(uint64_t key, size_t cap)
{
	key ^= key >> 33;
	key *= 0xff51afd7ed558ccdULL;
	key ^= key >> 33;
	key *= 0xc4ceb9fe1a85ec53ULL;
	key ^= key >> 33;
	return (size_t)key & (cap - 1);
}

/* The slot that holds @key, or the empty one where it would go. There is always an empty slot. */
static struct hmap_slot *hmap_find(const struct hmap *m, uint64_t key)
{
	size_t i = hmap_home(key, m->cap);

	while (m->slots[i].key && m->slots[i].key != key)
		i = (i + 1) & (m->cap - 1);
	return &m->slots[i];
}

void hmap_free(struct hmap *m)
{
	free(m->slots);
	*m = (struct hmap){ 0 };
}

void hmap_clear(struct hmap *m)
{
	if (m->cap)
		memset(m->slots, 0, m->cap * sizeof(*m->slots));
	m->n = 0;
	m->has_zero = false;
}

size_t hmap_count(const struct hmap *m)
{
	return m->n + m->has_zero;
}

static int hmap_grow(struct hmap *m)
{
	struct hmap bigger = { .n = m->n, .zero_val = m->zero_val, .has_zero = m->has_zero };

	bigger.cap = m->cap ? m->cap * 2 : HMAP_MIN_SLOTS;
	bigger.slots = FAULT("hmap-grow") ? NULL : calloc(bigger.cap, sizeof(*bigger.slots));
	if (!bigger.slots)
		return -ENOMEM;
	for (size_t i = 0; i < m->cap; i++) {
		if (m->slots[i].key)
			*hmap_find(&bigger, m->slots[i].key) = m->slots[i];
	}
	free(m->slots);
	*m = bigger;
	return 0;
}

int hmap_put(struct hmap *m, uint64_t key, uint64_t val)
{
	struct hmap_slot *s;

	if (!key) {
		m->has_zero = true;
		m->zero_val = val;
		return 0;
	}
	if ((m->n + 1) * 4 > m->cap * 3) {
		int err = hmap_grow(m);

		if (err)
			return err;
	}
	s = hmap_find(m, key);
	m->n += !s->key;
	*s = (struct hmap_slot){ key, val };
	return 0;
}

bool hmap_get(const struct hmap *m, uint64_t key, uint64_t *ret_val)
{
	const struct hmap_slot *s;

	if (!key) {
		if (m->has_zero && ret_val)
			*ret_val = m->zero_val;
		return m->has_zero;
	}
	if (!m->n)
		return false;
	s = hmap_find(m, key);
	if (s->key && ret_val)
		*ret_val = s->val;
	return s->key != 0;
}

/* Close the gap at @hole: move back each following entry whose probe sequence passes over it (Knuth 6.4, algorithm R). */
static void hmap_close_gap(struct hmap *m, size_t hole)
{
	size_t mask = m->cap - 1;

	for (size_t i = (hole + 1) & mask; m->slots[i].key; i = (i + 1) & mask) {
		size_t home = hmap_home(m->slots[i].key, m->cap);

		if (((i - home) & mask) >= ((i - hole) & mask)) {
			m->slots[hole] = m->slots[i];
			hole = i;
		}
	}
	m->slots[hole] = (struct hmap_slot){ 0, 0 };
}

bool hmap_del(struct hmap *m, uint64_t key, uint64_t *ret_val)
{
	struct hmap_slot *s;

	if (!hmap_get(m, key, ret_val))
		return false;
	if (!key) {
		m->has_zero = false;
		return true;
	}
	s = hmap_find(m, key);
	hmap_close_gap(m, (size_t)(s - m->slots));
	m->n--;
	return true;
}

bool hmap_next(const struct hmap *m, size_t *at, uint64_t *ret_key, uint64_t *ret_val)
{
	while (*at < m->cap) {
		const struct hmap_slot *s = &m->slots[(*at)++];

		if (s->key) {
			*ret_key = s->key;
			*ret_val = s->val;
			return true;
		}
	}
	if (*at == m->cap && m->has_zero) {
		(*at)++;
		*ret_key = 0;
		*ret_val = m->zero_val;
		return true;
	}
	return false;
}
