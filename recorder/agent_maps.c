/* What the agent knows of the memory that it may map, unmap and protect itself: see agent/maps_abi.h. */
#include "recorder/agent_int.h"

#include <stddef.h>
#include <sys/mman.h>
#include <sys/syscall.h>

/* Its part of struct agent_ctl. */
struct own {
	uint32_t n;
	struct agent_range v[AGENT_OWN_MAX];
};

static bool get(struct task *t, struct own *o)
{
	return t->mm && t->mm->agent && mem_read(t->mm->mem_fd, CTL(n_own), &o->n, sizeof(o->n)) == 0 && o->n <= AGENT_OWN_MAX &&
	       mem_read(t->mm->mem_fd, CTL(own), o->v, o->n * sizeof(o->v[0])) == 0;
}

/* If it cannot be written, the memory is gone. */
static void put(struct task *t, const struct own *o)
{
	(void)mem_write(t->mm->mem_fd, CTL(own), o->v, o->n * sizeof(o->v[0]));
	(void)put_u32(t->mm, CTL(n_own), o->n);
}

static void disown(struct task *t, uint64_t start, uint64_t len)
{
	struct own o;

	if (!get(t, &o) || !o.n)
		return;
	o.n = agent_disown(o.v, o.n, start, start + len >= start ? start + len : UINT64_MAX);
	put(t, &o);
}

static void own(struct task *t, uint64_t start, uint64_t len)
{
	struct own o;

	if (t->read_is_exec || !len || !get(t, &o))
		return;
	o.n = agent_own(o.v, o.n, start, start + len);
	put(t, &o);
}

void agent_maps_start(struct task *t)
{
	(void)mem_write(t->mm->mem_fd, CTL(brk), &t->mm->brk, sizeof(t->mm->brk));
}

void agent_maps_off(struct task *t)
{
	if (t->mm->agent)
		(void)put_u32(t->mm, CTL(maps_off), 1);
}

/* Advice after which memory is of the same kind, in a fork's child too. */
static bool is_harmless(uint64_t advice)
{
	switch (advice) {
	case MADV_NORMAL:
	case MADV_RANDOM:
	case MADV_SEQUENTIAL:
	case MADV_WILLNEED:
	case MADV_DONTNEED:
	case MADV_FREE:
	case MADV_HUGEPAGE:
	case MADV_NOHUGEPAGE:
	case MADV_DONTDUMP:
	case MADV_DODUMP:
		return true;
	}
	return false;
}

/* Whatever comes of the call, its memory may be of another kind then. */
void agent_maps_before(struct task *t)
{
	const struct sys_call *c = &t->call;
	uint64_t len = AGENT_PAGE_UP(c->arg[1]);

	if (!t->mm->agent)
		return;
	switch (c->nr) {
	case SYS_brk:
		break;
	case SYS_mmap:
		if (c->arg[3] & MAP_FIXED)
			disown(t, c->arg[0], len);
		break;
	case SYS_mremap:
		disown(t, c->arg[0], len);
		if (c->arg[3] & MREMAP_FIXED)
			disown(t, c->arg[4], AGENT_PAGE_UP(c->arg[2]));
		break;
	case SYS_mprotect:
		if (c->arg[2] & ~(uint64_t)AGENT_PROTS)
			disown(t, c->arg[0], len);
		break;
	case SYS_madvise:
		if (!is_harmless(c->arg[2]))
			disown(t, c->arg[0], len);
		break;
	case SYS_munmap:
	case SYS_pkey_mprotect:
		disown(t, c->arg[0], len);
		break;
	default:   /* these are rare */
		disown(t, 0, UINT64_MAX);
	}
}

void agent_maps_mapped(struct task *t, uint64_t addr, uint64_t len, uint64_t prot, uint64_t flags)
{
	const uint64_t known = MAP_TYPE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED | MAP_FIXED_NOREPLACE;

	if (!(flags & ~known) && !(prot & ~(uint64_t)AGENT_PROTS))
		own(t, addr, len);
}

void agent_maps_brk(struct task *t, uint64_t from, uint64_t to)
{
	if (!t->mm->agent)
		return;
	(void)mem_write(t->mm->mem_fd, CTL(brk), &t->mm->brk, sizeof(t->mm->brk));
	if (to > from)
		own(t, from, to - from);
	else
		disown(t, to, from - to);
}

void agent_maps_flush(struct recording *r, struct task *t, const struct agent_ctl *ctl)
{
	if (!ctl->mapped)
		return;
	(void)put_u32(t->mm, CTL(mapped), 0);
	r->maps_gen++;
	if (ctl->brk)
		t->mm->brk = ctl->brk;
}
