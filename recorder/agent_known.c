/*
 * Places in files' code that are patched as soon as the code is mapped: see agent.h. A process that lives for a
 * millisecond comes to no place often; but all processes of a recording that map the file come to the same ones. What is
 * planned once serves all of them, since trampolines keep their distance from the file's code and hold no addresses.
 */
#include "recorder/agent_int.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include "common/err.h"
#include "common/grow.h"
#include "common/log.h"

#define HOT_CALLS 16   /* in all processes */
#define KNOWN_MAX (TRAMPS_BYTES / AGENT_TRAMP_BYTES / 2)   /* half of a block: the rest is for a process's own */

/* A system call, rdtsc or rdtscp, by its place in the file. */
struct call_place {
	uint64_t off;
	uint32_t hits;
	bool settled;                /* planned or refused */
};

struct known_sites {
	uint64_t base, block;        /* where file and trampolines were when it was planned; block 0: no place for them */
	struct patch *v;             /* as of then */
	size_t n, cap;
	struct call_place *calls;
	size_t n_calls, cap_calls;
};

void agent_known_free(struct object_entry *o)
{
	if (!o->known)
		return;
	free(o->known->v);
	free(o->known->calls);
	free(o->known);
	o->known = NULL;
}

static void find_block(struct task *t, const struct mapping *m, struct known_sites *k)
{
	struct maps maps = { 0 };

	k->base = m->start - m->off;
	if (m->start < 2 * REACH || maps_read(t->tid, &maps))
		return;
	k->block = maps_find_gap(&maps, (m->start - REACH) & ~(MAPS_PAGE - 1), m->start, TRAMPS_BYTES);
	if (m->end - k->block >= 0x7ff00000ull)
		k->block = 0;
	maps_free(&maps);
}

static void plan_insns(struct task *t, const struct mapping *m, const struct object_entry *o, struct known_sites *k)
{
	for (size_t i = 0; i < o->sites.n && k->n < KNOWN_MAX; i++) {
		const struct insn_site *s = &o->sites.v[i];
		struct patch *p;

		if (s->off - s->lead < m->off || s->off >= m->off + (m->end - m->start))
			continue;
		p = GROW(k->v, k->n, k->cap);
		if (p && patch_plan_insn(t, s, k->base + s->off, k->block + k->n * AGENT_TRAMP_BYTES, p) == 0)
			k->n++;
	}
}

static struct known_sites *known_of(struct task *t, const struct mapping *m, struct object_entry *o)
{
	if (o->known)
		return o->known;
	o->known = calloc(1, sizeof(*o->known));
	if (!o->known)
		return NULL;
	find_block(t, m, o->known);
	if (o->known->block)
		plan_insns(t, m, o, o->known);
	return o->known;
}

static void note_code(struct agent_mm *a, const struct mapping *m, const struct object_entry *o)
{
	struct code_map *c;

	for (size_t i = 0; i < a->n_code; i++) {
		if (a->code[i].start < m->end && m->start < a->code[i].end)
			a->code[i--] = a->code[--a->n_code];
	}
	c = GROW(a->code, a->n_code, a->cap_code);
	if (!c)
		return;
	*c = (struct code_map){ .start = m->start, .end = m->end, .base = m->start - m->off, .obj = o->id };
	a->n_code++;
}

bool agent_has_block(const struct mm *mm, uint64_t addr)
{
	for (size_t i = 0; mm->agent && i < mm->agent->n_blocks; i++) {
		const struct tramps *b = &mm->agent->blocks[i];

		if (addr >= b->addr && addr < b->addr + b->bytes)
			return true;
	}
	return false;
}

size_t agent_n_blocks(const struct mm *mm)
{
	return mm->agent ? mm->agent->n_blocks : 0;
}

static int put_tramps(struct recording *r, struct task *t, uint64_t block, const struct known_sites *k, bool emit)
{
	static uint8_t code[KNOWN_MAX * AGENT_TRAMP_BYTES];
	struct ev_asop op = { .kind = AS_MAP, .prot = PROT_READ | PROT_EXEC, .addr = block, .len = TRAMPS_BYTES };
	size_t bytes = k->n * AGENT_TRAMP_BYTES;
	struct tramps *b = GROW(t->mm->agent->blocks, t->mm->agent->n_blocks, t->mm->agent->cap_blocks);
	int64_t got;
	int err;

	if (!b)
		return -ENOMEM;
	err = task_call(t, SYS_mmap, REMOTE_ARGS(block, TRAMPS_BYTES, PROT_READ | PROT_EXEC,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1ull, 0), &got);
	if (err || got != (int64_t)block)
		return err ? err : -RL_EUNSUPPORTED;
	*b = (struct tramps){ .addr = block, .bytes = TRAMPS_BYTES, .used = (uint32_t)bytes };
	t->mm->agent->n_blocks++;
	for (size_t i = 0; i < k->n; i++)
		memcpy(code + i * AGENT_TRAMP_BYTES, k->v[i].code, AGENT_TRAMP_BYTES);
	if (emit) {
		ev_asop(r, &op);
		ev_write_bytes(r, t->no, block, code, bytes);
	}
	return mem_write(t->mm->mem_fd, block, code, bytes);
}

size_t agent_known(struct recording *r, struct task *t, const struct mapping *m, struct object_entry *o, bool emit,
		   const struct patch **ret)
{
	static struct patch here[KNOWN_MAX];
	struct known_sites *k;
	uint64_t moved, block;

	if (!agent_used(r) || !t->mm->agent || !o->whole)
		return 0;
	note_code(t->mm->agent, m, o);
	k = known_of(t, m, o);
	if (!k || !k->n)
		return 0;
	moved = m->start - m->off - k->base;
	block = k->block + moved;
	if (agent_has_block(t->mm, block) || put_tramps(r, t, block, k, emit))
		return 0;
	for (size_t i = 0; i < k->n; i++) {
		here[i] = k->v[i];
		here[i].site += moved;
		here[i].tramp += moved;
	}
	*ret = here;
	return k->n;
}

void agent_known_made(struct task *t, const struct patch *p)
{
	struct agent_mm *a = t->mm->agent;
	struct patch *mine = GROW(a->patches, a->n_patches, a->cap_patches);

	if (!mine)
		return;
	*mine = *p;
	a->n_patches++;
}

static struct call_place *call_at(struct known_sites *k, uint64_t off)
{
	struct call_place *c;

	for (size_t i = 0; i < k->n_calls; i++) {
		if (k->calls[i].off == off)
			return &k->calls[i];
	}
	c = GROW(k->calls, k->n_calls, k->cap_calls);
	if (c) {
		*c = (struct call_place){ .off = off };
		k->n_calls++;
	}
	return c;
}

static void plan_call(struct recording *r, struct task *t, uint64_t site, uint64_t moved, struct known_sites *k)
{
	struct patch *p = k->n < KNOWN_MAX ? GROW(k->v, k->n, k->cap) : NULL;
	enum patch_form form = PATCH_ANYWHERE;
	enum patch_refusal why;
	uint8_t first;

	if (mem_read(t->mm->mem_fd, site, &first, 1) == 0 && first == INSN_SITE_TRAP)
		form = PATCH_TSC;
	if (!p)
		return;
	if (patch_plan(t, site, k->block + moved + k->n * AGENT_TRAMP_BYTES, form, p, &why)) {
		if (!patch_at(t->mm->agent, site))
			agent_refused(r, t, site, why);
		return;
	}
	p->site -= moved;
	p->tramp -= moved;
	k->n++;
	r->n_known_calls++;
	log_debug("site %llx will be patched wherever its file is mapped", (unsigned long long)site);
}

void agent_known_hit(struct recording *r, struct task *t, uint64_t site)
{
	const struct agent_mm *a = t->mm ? t->mm->agent : NULL;

	for (size_t i = 0; a && i < a->n_code; i++) {
		const struct code_map *m = &a->code[i];
		struct object_entry *o = site >= m->start && site < m->end ? object_by_id(r, m->obj) : NULL;
		struct call_place *c = o && o->known && o->known->block ? call_at(o->known, site - m->base) : NULL;

		if (!c || c->settled || ++c->hits < HOT_CALLS)
			continue;
		c->settled = true;
		plan_call(r, t, site, m->base - o->known->base, o->known);
	}
}

static void catch_up(struct recording *r, struct task *t, const struct code_map *m, const struct known_sites *k)
{
	for (size_t i = 0; i < k->n; i++) {
		uint64_t site = k->v[i].site + (m->base - k->base);
		enum patch_refusal why;

		if (!k->v[i].is_insn && site >= m->start && site < m->end && !patch_at(t->mm->agent, site))
			(void)agent_patch_site(r, t, site, PATCH_HERE, &why);
	}
}

/* A shell's children come to places that it does not come to itself, each of them once or twice. */
void agent_known_catch_up(struct recording *r, struct task *t)
{
	struct agent_mm *a = t->mm->agent;

	if (!a->forks || a->n_known_calls == r->n_known_calls)
		return;
	a->n_known_calls = r->n_known_calls;
	for (size_t i = 0; i < a->n_code; i++) {
		const struct object_entry *o = object_by_id(r, a->code[i].obj);

		if (o && o->known)
			catch_up(r, t, &a->code[i], o->known);
	}
}
