#include "cli/codeplace.h"

#include <errno.h>
#include <search.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "common/grow.h"

/* Code of a file as it is mapped; base: where the file's first byte would be. */
struct code_map {
	uint64_t start, end, base;
	uint32_t obj;
};

struct code_space {
	uint32_t proc;
	struct code_map *v;
	size_t n, cap;
};

static struct code_space *space_of(const struct code_maps *m, uint32_t proc)
{
	for (size_t i = m->n; i-- > 0; ) {
		if (m->v[i].proc == proc)
			return &m->v[i];
	}
	return NULL;
}

static int need_space(struct code_maps *m, uint32_t proc, struct code_space **ret)
{
	*ret = space_of(m, proc);
	if (*ret)
		return 0;
	*ret = GROW(m->v, m->n, m->cap);
	if (!*ret)
		return -ENOMEM;
	**ret = (struct code_space){ .proc = proc };
	m->n++;
	return 0;
}

/* What was there before is hidden: the newest is found first. */
static int add(struct code_space *s, uint64_t addr, uint64_t len, uint32_t obj, uint64_t obj_off)
{
	struct code_map *c;

	for (size_t i = 0; i < s->n; i++) {
		if (s->v[i].start >= addr && s->v[i].end <= addr + len)
			s->v[i--] = s->v[--s->n];
	}
	c = GROW(s->v, s->n, s->cap);
	if (!c)
		return -ENOMEM;
	*c = (struct code_map){ .start = addr, .end = addr + len, .base = addr - obj_off, .obj = obj };
	s->n++;
	return 0;
}

static int feed_exec(struct code_space *s, struct trace *t, uint32_t id)
{
	const struct trace_ckpt *k;
	int err = trace_ckpt(t, id, &k);

	s->n = 0;
	for (uint32_t i = 0; !err && i < k->n_maps; i++) {
		const struct ckpt_map *m = &k->maps[i];

		if (m->obj && m->prot & PROT_EXEC)
			err = add(s, m->addr, m->len, m->obj, m->obj_off);
	}
	return err;
}

/* A child begins as its parent's copy. */
static int feed_child(struct code_maps *m, uint32_t parent, uint32_t child)
{
	struct code_space *s, *p;
	int err = need_space(m, child, &s);

	p = space_of(m, parent);
	s->n = 0;
	for (size_t i = 0; !err && p && i < p->n; i++)
		err = add(s, p->v[i].start, p->v[i].end - p->v[i].start, p->v[i].obj, p->v[i].start - p->v[i].base);
	return err;
}

int code_maps_feed(struct code_maps *m, struct trace *t, uint32_t proc, const struct event *ev)
{
	struct code_space *s;
	int err = 0;

	if (ev->kind == EV_EXEC) {
		err = need_space(m, proc, &s);
		return err ? err : feed_exec(s, t, ev->ckpt);
	}
	for (uint32_t i = 0; !err && i < ev->n_asops; i++) {
		const struct ev_asop *op = &ev->asops[i];

		if (op->kind != AS_MAP || !op->obj || !(op->prot & PROT_EXEC))
			continue;
		err = need_space(m, proc, &s);
		if (!err)
			err = add(s, op->addr, op->len, op->obj, op->obj_off);
	}
	if (!err && ev->new_task.task && ev->new_task.proc != proc)
		err = feed_child(m, proc, ev->new_task.proc);
	return err;
}

struct code_place code_maps_find(const struct code_maps *m, uint32_t proc, uint64_t addr)
{
	const struct code_space *s = space_of(m, proc);

	for (size_t i = s ? s->n : 0; i-- > 0; ) {
		if (addr >= s->v[i].start && addr < s->v[i].end)
			return (struct code_place){ .obj = s->v[i].obj, .off = addr - s->v[i].base };
	}
	return (struct code_place){ .proc = proc, .off = addr };
}

void code_maps_free(struct code_maps *m)
{
	for (size_t i = 0; i < m->n; i++)
		free(m->v[i].v);
	free(m->v);
}

static int compare(const void *a, const void *b)
{
	const struct code_place *p = a, *q = b;

	if (p->off != q->off)
		return p->off < q->off ? -1 : 1;
	if (p->obj != q->obj)
		return p->obj < q->obj ? -1 : 1;
	return p->proc < q->proc ? -1 : p->proc > q->proc;
}

int place_set_add(struct place_set *s, struct code_place p)
{
	struct code_place *new;

	s->n_added++;
	if (tfind(&p, &s->root, compare))
		return 0;
	new = malloc(sizeof(*new));
	if (!new)
		return -ENOMEM;
	*new = p;
	if (!tsearch(new, &s->root, compare)) {
		free(new);
		return -ENOMEM;
	}
	s->n++;
	return 0;
}

void place_set_free(struct place_set *s)
{
	tdestroy(s->root, free);
}
