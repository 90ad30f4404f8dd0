#include "replayer/shared.h"

#include <errno.h>
#include <stdlib.h>
#include "common/grow.h"

static int add(struct shared_maps *s, struct shared_map m)
{
	struct shared_map *slot = GROW(s->v, s->n, s->cap);

	if (!slot)
		return -ENOMEM;
	*slot = m;
	s->n++;
	return 0;
}

/* The part of a mapping that lies in [start, end). */
static struct shared_map part(struct shared_map m, uint64_t start, uint64_t end)
{
	uint64_t m_end = m.addr + m.len;

	if (m.addr < start) {
		m.off += start - m.addr;
		m.addr = start;
	}
	m.len = (m_end < end ? m_end : end) - m.addr;
	return m;
}

/* Make addr the beginning of a mapping if it lies inside one. */
static int cut(struct shared_maps *s, uint64_t addr)
{
	for (size_t i = 0; i < s->n; i++) {
		struct shared_map m = s->v[i];

		if (m.addr < addr && addr < m.addr + m.len) {
			s->v[i] = part(m, m.addr, addr);
			return add(s, part(m, addr, m.addr + m.len));
		}
	}
	return 0;
}

static int cut_out(struct shared_maps *s, uint64_t addr, uint64_t len)
{
	int err = cut(s, addr);

	return err ? err : cut(s, addr + len);
}

int shared_forget(struct shared_maps *s, uint64_t addr, uint64_t len)
{
	int err = cut_out(s, addr, len);

	for (size_t i = 0; !err && i < s->n; ) {
		if (s->v[i].addr >= addr && s->v[i].addr < addr + len)
			s->v[i] = s->v[--s->n];
		else
			i++;
	}
	return err;
}

int shared_note(struct shared_maps *s, const struct shared_map *m)
{
	int err = shared_forget(s, m->addr, m->len);

	return err ? err : add(s, *m);
}

int shared_protect(struct shared_maps *s, uint64_t addr, uint64_t len, uint8_t prot)
{
	int err = cut_out(s, addr, len);

	for (size_t i = 0; !err && i < s->n; i++) {
		if (s->v[i].addr >= addr && s->v[i].addr < addr + len)
			s->v[i].prot = prot;
	}
	return err;
}

int shared_move(struct shared_maps *s, uint64_t addr, uint64_t len, uint64_t new_addr, uint64_t new_len, int keep_old)
{
	struct shared_maps moved = { 0 };
	uint64_t kept = len < new_len ? len : new_len;
	int err = 0;

	for (size_t i = 0; !err && i < s->n; i++) {
		struct shared_map m = s->v[i];

		if (m.addr >= addr + kept || m.addr + m.len <= addr)
			continue;
		m = part(m, addr, addr + kept);
		if (m.addr + m.len == addr + kept)
			m.len += new_len - kept;
		m.addr += new_addr - addr;
		err = add(&moved, m);
	}
	if (!err && !keep_old)
		err = shared_forget(s, addr, len);
	if (!err)
		err = shared_forget(s, new_addr, new_len);
	for (size_t i = 0; !err && i < moved.n; i++)
		err = add(s, moved.v[i]);
	shared_free(&moved);
	return err;
}

int shared_copy(struct shared_maps *to, const struct shared_maps *from)
{
	int err = 0;

	for (size_t i = 0; !err && i < from->n; i++)
		err = add(to, from->v[i]);
	return err;
}

void shared_free(struct shared_maps *s)
{
	free(s->v);
	s->v = NULL;
	s->n = s->cap = 0;
}

const struct shared_map *shared_find(const struct shared_maps *s, uint64_t addr)
{
	for (size_t i = 0; i < s->n; i++) {
		if (addr >= s->v[i].addr && addr - s->v[i].addr < s->v[i].len)
			return &s->v[i];
	}
	return NULL;
}
