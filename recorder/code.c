/*
 * Instructions in files' code that are changed when the code gets mapped: those whose results differ from run to run are
 * made to trap, and what the agent can do is made to jump to it.
 */
#include "recorder/agent_int.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include "common/grow.h"

static const uint8_t opcode = 0x0f, trap = INSN_SITE_TRAP;

struct edit {
	uint64_t addr;
	size_t len;
	const uint8_t *was, *now;
	const struct patch *patch;   /* NULL: a trap */
};

struct edits {
	struct edit *v;
	size_t n, cap;
};

static int add_edit(struct edits *l, const struct edit *e)
{
	struct edit *at = GROW(l->v, l->n, l->cap);

	if (!at)
		return -ENOMEM;
	*at = *e;
	l->n++;
	return 0;
}

static int by_addr(const void *a, const void *b)
{
	const struct edit *x = a, *y = b;

	return (x->addr > y->addr) - (x->addr < y->addr);
}

static bool is_patched(const struct patch *p, size_t n, uint64_t addr)
{
	for (size_t i = 0; i < n; i++) {
		if (p[i].site == addr)
			return true;
	}
	return false;
}

static int list_edits(struct recording *r, const struct mapping *m, const struct object_entry *o, const struct patch *p,
		      size_t n_patches, struct edits *l)
{
	int err = 0;

	for (size_t i = 0; !err && i < n_patches; i++)
		err = add_edit(l, &(struct edit){ p[i].site, p[i].tail.len, p[i].tail.original, p[i].bytes, &p[i] });
	for (size_t i = 0; !err && i < o->sites.n; i++) {
		const struct insn_site *s = &o->sites.v[i];
		uint64_t at = m->start + (s->off - m->off);

		if (s->off < m->off || at >= m->end || (s->is_cpuid && r->cpuid_faults) || (s->is_tsc && !agent_used(r)) ||
		    is_patched(p, n_patches, at))
			continue;
		err = add_edit(l, &(struct edit){ at, 1, &opcode, &trap, NULL });
	}
	if (l->n)
		qsort(l->v, l->n, sizeof(*l->v), by_addr);
	return err;
}

#define NEAR_BYTES 4096

/* How many edits, from the first, are near enough to be made together. */
static size_t near_ones(const struct edit *e, size_t n, size_t *ret_len)
{
	size_t k = 0;

	for (; k < n && e[k].addr + e[k].len - e[0].addr <= NEAR_BYTES; k++)
		*ret_len = (size_t)(e[k].addr + e[k].len - e[0].addr);
	return k;
}

/* Where other bytes are than the file's, it was done already, or the program has put other code there. */
static int edit_together(struct recording *r, struct task *t, const struct edit *e, size_t n, size_t len, bool emit)
{
	uint8_t code[NEAR_BYTES];
	bool any = false;

	if (mem_read(t->mm->mem_fd, e[0].addr, code, len))
		return 0;
	for (size_t i = 0; i < n; i++) {
		uint8_t *at = code + (e[i].addr - e[0].addr);

		if (memcmp(at, e[i].was, e[i].len) != 0)
			continue;
		memcpy(at, e[i].now, e[i].len);
		any = true;
		if (emit)
			ev_write_bytes(r, t->no, e[i].addr, e[i].now, e[i].len);
		if (e[i].patch)
			agent_known_made(t, e[i].patch);
	}
	return any ? mem_write(t->mm->mem_fd, e[0].addr, code, len) : 0;
}

static int change(struct recording *r, struct task *t, const struct mapping *m, const struct object_entry *o,
		  const struct patch *p, size_t n_patches, bool emit)
{
	struct edits l = { 0 };
	int err = list_edits(r, m, o, p, n_patches, &l);

	for (size_t i = 0; !err && i < l.n; ) {
		size_t len = 0, n = near_ones(&l.v[i], l.n - i, &len);

		err = edit_together(r, t, &l.v[i], n, len, emit);
		i += n;
	}
	free(l.v);
	return err;
}

int trap_sites(struct recording *r, struct task *t, const struct mapping *m, uint32_t obj, bool emit)
{
	struct object_entry *o = object_by_id(r, obj);
	const struct patch *p = NULL;
	size_t n;

	if (!o || !(m->prot & PROT_EXEC) || m->shared)
		return 0;
	n = agent_known(r, t, m, o, emit, &p);
	return change(r, t, m, o, p, n, emit);
}

bool trap_has_sites(struct recording *r, const struct mapping *m, uint32_t obj)
{
	const struct object_entry *o = object_by_id(r, obj);
	struct edits l = { 0 };
	bool any;

	if (!o || !(m->prot & PROT_EXEC) || m->shared || list_edits(r, m, o, NULL, 0, &l))
		return false;
	any = l.n > 0;
	free(l.v);
	return any;
}

/* No jumps: somebody may stand in what they would replace. */
static int change_mapping(struct recording *r, struct task *t, struct mapping *m, bool reached)
{
	struct object_entry *o;
	uint32_t obj;
	int err = object_of_mapping(r, t, m, &obj);

	if (err)
		return err;
	o = object_by_id(r, obj);
	if (!o)
		return 0;
	if (reached) {
		tsc_mapped(r, t, m, obj);
	} else if (t->mm->may_interpret && trap_has_sites(r, m, obj) && guard_code(t, m)) {
		ev_asop(r, &(struct ev_asop){ .kind = AS_PROTECT, .prot = PROT_READ, .addr = m->start, .len = m->end - m->start });
		return 0;
	}
	return change(r, t, m, o, NULL, 0, true);
}

static void change_range(struct recording *r, struct task *t, uint64_t addr, uint64_t len, bool reached)
{
	struct maps maps = { 0 };
	int err = maps_read_range(t->tid, addr, addr + len, &maps);
	struct mapping *m = err ? NULL : (struct mapping *)maps_find_from(&maps, addr);

	for (; m && !err && m < maps.v + maps.n && m->start < addr + len; m++) {
		if (m->ino && !m->shared && m->prot & PROT_EXEC)
			err = change_mapping(r, t, m, reached);
	}
	maps_free(&maps);
	if (err && !r->err)
		r->err = err;
}

void trap_sites_protected(struct recording *r, struct task *t, uint64_t addr, uint64_t len)
{
	change_range(r, t, addr, len, false);
}

void trap_sites_reached(struct recording *r, struct task *t, uint64_t addr, uint64_t len)
{
	change_range(r, t, addr, len, true);
}
