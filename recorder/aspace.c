/* What a call did to the address space, as operations that replay can perform at the recorded addresses. */
#include "recorder/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include "common/grow.h"
#include "common/log.h"
#include "recorder/agent.h"

#define PAGE_UP(n) (((n) + TRACE_PAGE - 1) & ~(uint64_t)(TRACE_PAGE - 1))

/* What a program gets that asks for this protection. */
static uint8_t prot_given(const struct task *t, uint64_t prot)
{
	return (uint8_t)((prot & 7) | (t->read_is_exec && prot & PROT_READ ? PROT_EXEC : 0));
}

static void note_stack(struct mm *mm, uint64_t start, uint64_t len)
{
	struct stack_range *s = GROW(mm->mmap_stacks, mm->n_mmap_stacks, mm->cap_mmap_stacks);

	if (s) {
		*s = (struct stack_range){ start, start + len };
		mm->n_mmap_stacks++;
	}
}

static void forget_stacks(struct mm *mm, uint64_t start, uint64_t len)
{
	for (size_t i = 0; i < mm->n_mmap_stacks; i++) {
		struct stack_range *s = &mm->mmap_stacks[i];

		if (s->start < start + len && start < s->end)
			*s-- = mm->mmap_stacks[--mm->n_mmap_stacks], i--;
	}
}

static bool guard_new(struct recording *r, struct task *t, struct mapping *m, uint32_t obj)
{
	return t->mm->may_interpret && trap_has_sites(r, m, obj) && guard_code(t, m);
}

void map_objects(struct recording *r, struct task *t, uint64_t addr, uint64_t len, uint16_t extra_flags)
{
	struct maps maps = { 0 };
	int err = maps_read_range(t->tid, addr, addr + len, &maps);
	const struct mapping *m = err ? NULL : maps_find_from(&maps, addr);

	for (; m && m < maps.v + maps.n && m->start < addr + len; m++) {
		uint64_t start = m->start > addr ? m->start : addr;
		uint64_t end = m->end < addr + len ? m->end : addr + len;
		struct mapping part = *m;
		struct ev_asop op = { .kind = AS_MAP, .prot = (uint8_t)m->prot, .addr = start, .len = end - start,
				      .flags = (uint16_t)(extra_flags | (m->shared ? AS_SHARED : 0)) };

		part.start = start;
		part.end = end;
		part.off = m->off + (start - m->start);
		if (m->ino || m->shared) {
			op.obj_off = part.off;
			err = object_of_mapping(r, t, &part, &op.obj);
			if (!err && !guard_new(r, t, &part, op.obj))
				err = trap_sites(r, t, &part, op.obj, true);
			op.prot = (uint8_t)part.prot;
			if (err && !r->err)
				r->err = err;
		}
		tsc_mapped(r, t, &part, op.obj);
		ev_asop(r, &op);
	}
	maps_free(&maps);
}

#define STACK_MAX (1ull << 30)
#define STACK_GAP (1ull << 20)   /* stack_guard_gap, Documentation/admin-guide/kernel-parameters.txt */

uint64_t stack_bottom(struct task *t, const struct maps *maps, const struct mapping *m)
{
	struct rlimit lim;
	uint64_t want = 8ull << 20, low = m->start;
	const struct mapping *below = NULL;

	if (prlimit(t->tid, RLIMIT_STACK, NULL, &lim) == 0)
		want = lim.rlim_cur;
	if (want > STACK_MAX)
		want = STACK_MAX;
	want &= ~(MAPS_PAGE - 1);
	for (size_t i = 0; i < maps->n && maps->v[i].start < m->start; i++)
		below = &maps->v[i];
	if (m->end - want < low)
		low = m->end - want;
	if (below && below->end + STACK_GAP > low)
		low = below->end + STACK_GAP < m->start ? below->end + STACK_GAP : m->start;
	return low;
}

/* The main stack of @t's process may now grow as far as its limit says. False: replay need not do anything. */
static bool stack_relimit(struct task *t, struct ev_asop *op)
{
	struct maps maps = { 0 };
	struct mm *mm = t->mm;
	const struct mapping *m;
	uint64_t low;

	if (!mm->stack_top || maps_read(t->tid, &maps))
		return false;
	*op = (struct ev_asop){ 0 };
	m = maps_find(&maps, mm->stack_top - 1);
	if (m && m->end == mm->stack_top) {
		low = stack_bottom(t, &maps, m);
		if (low > mm->stack_low)
			*op = (struct ev_asop){ .kind = AS_UNMAP, .addr = mm->stack_low, .len = low - mm->stack_low };
		else if (low < mm->stack_low)
			*op = (struct ev_asop){ .kind = AS_MAP, .addr = low, .len = mm->stack_low - low,
						.prot = (uint8_t)m->prot, .flags = AS_STACK | AS_GROWSDOWN };
		mm->stack_low = low;
	}
	maps_free(&maps);
	return op->kind != 0;
}

/* One of a process that can have an event. */
static struct task *live_task_of(struct recording *r, const struct task *of)
{
	for (struct task *t = r->tasks; of && t; t = t->next) {
		if (t->proc == of->proc && t->mm && t->state != TASK_DEAD && t->state != TASK_DYING)
			return t;
	}
	return NULL;
}

/* A stack's limit is its process's own, but prlimit(2) sets that of others too: each has an event for it. */
void stack_limited(struct recording *r, struct task *t, const struct sys_call *c)
{
	bool pr = c->nr == SYS_prlimit64;
	struct task *target = pr && c->arg[0] ? live_task_of(r, task_by_number(r, t, (pid_t)c->arg[0])) : t;
	struct ev_asop op;

	if ((!pr && c->nr != SYS_setrlimit) || (pr && !c->arg[2]) || c->arg[pr ? 1 : 0] != RLIMIT_STACK || c->ret || !target ||
	    !stack_relimit(target, &op))
		return;
	ev_begin(r, target, EV_PATCH);
	ev_asop(r, &op);
	ev_end(r);
}

/* A mapping that grows by itself: replay has it at the full size that it may reach, as it has the stack. */
static void full_size(struct task *t, struct ev_asop *op)
{
	struct maps maps = { 0 };
	const struct mapping *m;
	struct stack_range *s;

	if (maps_read(t->tid, &maps))
		return;
	m = maps_find(&maps, op->addr);
	s = m ? GROW(t->mm->growing, t->mm->n_growing, t->mm->cap_growing) : NULL;
	if (s) {
		uint64_t low = stack_bottom(t, &maps, m);

		*s = (struct stack_range){ low, op->addr + op->len };
		t->mm->n_growing++;
		op->len += op->addr - low;
		op->addr = low;
	}
	maps_free(&maps);
}

/* Where nothing is left of one, what it might have grown into goes from the replay, too. */
static void forget_growing(struct recording *r, struct task *t, uint64_t start, uint64_t len)
{
	struct mm *mm = t->mm;
	struct maps maps = { 0 };

	for (size_t i = 0; i < mm->n_growing; i++) {
		struct stack_range s = mm->growing[i];
		const struct mapping *m;

		if (s.start >= start + len || start >= s.end)
			continue;
		if (!maps.v && maps_read(t->tid, &maps))
			return;
		m = maps_find_from(&maps, s.start);
		if (m && m < maps.v + maps.n && m->start < s.end)
			continue;
		ev_asop(r, &(struct ev_asop){ .kind = AS_UNMAP, .addr = s.start, .len = s.end - s.start });
		mm->growing[i--] = mm->growing[--mm->n_growing];
	}
	maps_free(&maps);
}

/* The parts of a program or library that others of the recording have mapped: all is known without asking the kernel. */
static bool map_known(struct recording *r, struct task *t, const struct sys_call *c, uint64_t addr, uint64_t len)
{
	struct object_entry *o = t->read_is_exec ? NULL : object_of_file(r, t, (int)c->arg[4]);
	struct mapping m = { .start = addr, .end = addr + len, .prot = (int)(c->arg[2] & 7), .off = c->arg[5], .name = "" };
	struct ev_asop op = { .kind = AS_MAP, .prot = (uint8_t)m.prot, .addr = addr, .len = len, .obj_off = m.off };
	int err;

	if (!o)
		return false;
	m.dev = o->dev;
	m.ino = o->ino;
	op.obj = o->id;
	err = guard_new(r, t, &m, o->id) ? 0 : trap_sites(r, t, &m, o->id, true);
	op.prot = (uint8_t)m.prot;
	if (err && !r->err)
		r->err = err;
	tsc_mapped(r, t, &m, o->id);
	ev_asop(r, &op);
	return true;
}

static void after_mmap(struct recording *r, struct task *t, const struct sys_call *c)
{
	uint64_t addr = (uint64_t)c->ret, len = PAGE_UP(c->arg[1]), flags = c->arg[3];

	forget_stacks(t->mm, addr, len);
	guard_forget(t->mm, addr, len);
	if (flags & MAP_ANONYMOUS && (flags & MAP_TYPE) == MAP_PRIVATE) {
		struct ev_asop op = { .kind = AS_MAP, .prot = prot_given(t, c->arg[2]), .addr = addr, .len = len };

		if (flags & MAP_STACK) {
			op.flags |= AS_STACK;
			note_stack(t->mm, addr, len);
		}
		if (flags & MAP_GROWSDOWN) {
			op.flags |= AS_GROWSDOWN;
			full_size(t, &op);
		}
		ev_asop(r, &op);
		agent_maps_mapped(t, addr, len, op.prot, flags);
		if (op.prot & PROT_EXEC)
			tsc_trap(r, t);
	} else if ((flags & MAP_TYPE) != MAP_PRIVATE || !map_known(r, t, c, addr, len)) {
		map_objects(r, t, addr, len, 0);
	}
}

static void after_mremap(struct recording *r, struct task *t, const struct sys_call *c)
{
	uint64_t old = c->arg[0], old_len = PAGE_UP(c->arg[1]), new_len = PAGE_UP(c->arg[2]), at = (uint64_t)c->ret;
	struct ev_asop op = { .kind = AS_REMAP, .addr = old, .len = old_len, .new_addr = at, .new_len = new_len,
			      .flags = c->arg[3] & MREMAP_DONTUNMAP ? AS_DONTUNMAP : 0 };
	struct ev_asop grown;

	forget_stacks(t->mm, old, old_len);
	if (old_len == 0) {
		/* A second mapping of shared memory. */
		map_objects(r, t, at, new_len, 0);
		return;
	}
	guard_moved(t->mm, old, old_len, at, new_len);
	ev_asop(r, &op);
	if (new_len <= old_len)
		return;
	/* More of an object may have become visible. Anonymous memory grows by itself. */
	{
		size_t n = r->n_asops;

		map_objects(r, t, at + old_len, new_len - old_len, 0);
		while (r->n_asops > n && (grown = r->asops[r->n_asops - 1]).obj == 0)
			r->n_asops--;
	}
}

static void after_brk(struct recording *r, struct task *t, const struct sys_call *c)
{
	uint64_t from = PAGE_UP(t->mm->brk), to = PAGE_UP((uint64_t)c->ret);
	struct ev_asop op = { .kind = AS_MAP, .prot = prot_given(t, PROT_READ | PROT_WRITE), .addr = from, .len = to - from };

	t->mm->brk = (uint64_t)c->ret;
	if (to < from)
		op = (struct ev_asop){ .kind = AS_UNMAP, .addr = to, .len = from - to };
	if (to != from)
		ev_asop(r, &op);
	agent_maps_brk(t, from, to);
}

/* A hole punched through a shared mapping. */
static void remove_pages(struct recording *r, struct task *t, uint64_t addr, uint64_t end)
{
	struct maps maps = { 0 };
	const struct mapping *m = maps_read_range(t->tid, addr, end, &maps) ? NULL : maps_find_from(&maps, addr);

	for (; m && m < maps.v + maps.n && m->start < end; m++) {
		uint64_t from = m->start > addr ? m->start : addr, to = m->end < end ? m->end : end;
		struct object_entry *o = m->shared ? object_shared(r, m->dev, m->ino, 0) : NULL;

		if (o)
			ev_asop(r, &(struct ev_asop){ .kind = AS_PUNCH, .obj = o->id, .len = to - from,
						      .obj_off = m->off + (from - m->start) });
	}
	maps_free(&maps);
}

/* Pages of a private mapping that are the file's again: as it is now, not as it was when it was mapped. */
static void file_pages_again(struct recording *r, struct task *t, uint64_t addr, uint64_t end)
{
	struct maps maps = { 0 };
	const struct mapping *m = maps_read_range(t->tid, addr, end, &maps) ? NULL : maps_find_from(&maps, addr);

	for (; m && m < maps.v + maps.n && m->start < end; m++) {
		uint64_t from = m->start > addr ? m->start : addr, to = m->end < end ? m->end : end;

		if (m->ino && !m->shared && object_was_written(r, m))
			map_objects(r, t, from, to - from, 0);
	}
	maps_free(&maps);
}

static void after_madvise(struct recording *r, struct task *t, const struct sys_call *c)
{
	struct ev_asop op = { .kind = AS_ZERO, .addr = c->arg[0], .len = PAGE_UP(c->arg[1]) };

	/* MADV_FREE was turned into MADV_DONTNEED. */
	if (c->arg[2] == MADV_DONTNEED || c->arg[2] == MADV_FREE || c->arg[2] == MADV_DONTNEED_LOCKED) {
		ev_asop(r, &op);
		if (object_was_written(r, NULL))
			file_pages_again(r, t, op.addr, op.addr + op.len);
	}
	if (c->arg[2] == MADV_REMOVE)
		remove_pages(r, t, op.addr, op.addr + op.len);
}

static bool meets_ours(uint64_t addr, uint64_t len)
{
	return addr < RL_END && addr + len > RL_BASE && addr + len > addr;
}

/*
 * A program that unmaps all there is would take our pages along, one that maps at their very place would overwrite
 * them. The former is given what lies below; the rest follows when the call has ended.
 */
static void keep_ours(struct task *t)
{
	uint64_t addr = t->call.arg[0], len = PAGE_UP(t->call.arg[1]);

	if (t->skipped || !meets_ours(addr, len))
		return;
	if (t->call.nr == SYS_munmap && addr < RL_BASE) {
		t->call.arg[1] = RL_BASE - addr;
		t->args_changed = true;
	} else if (t->call.nr == SYS_munmap) {
		t->skipped = true;
		t->forced = 0;
	} else if (t->call.nr == SYS_mprotect || (t->call.nr == SYS_mmap && t->call.arg[3] & (MAP_FIXED | MAP_FIXED_NOREPLACE))) {
		t->skipped = true;
		t->forced = -ENOMEM;
	}
}

static void unmap_above_ours(struct recording *r, struct task *t)
{
	uint64_t addr = t->entry.rdi, len = PAGE_UP(t->entry.rsi);
	struct ev_asop op = { .kind = AS_UNMAP, .addr = RL_END, .len = addr + len - RL_END };
	int64_t result;

	if (!meets_ours(addr, len) || addr + len <= RL_END)
		return;
	if (task_call(t, SYS_munmap, REMOTE_ARGS(op.addr, op.len), &result) == 0 && result == 0)
		ev_asop(r, &op);
}

/* shmdt(2) is told no length: look before the mapping goes. */
void aspace_before(struct recording *r, struct task *t)
{
	const struct sys_desc *d = sys_desc(t->call.nr);
	struct maps maps = { 0 };
	const struct mapping *m;

	(void)r;
	if (d && d->class == SC_ASPACE)
		agent_maps_before(t);
	keep_ours(t);
	if (t->call.nr != SYS_shmdt || maps_read(t->tid, &maps))
		return;
	m = maps_find(&maps, t->call.arg[0]);
	t->call.arg[1] = m && m->start == t->call.arg[0] ? m->end - m->start : 0;
	maps_free(&maps);
}

static void after_shmat(struct recording *r, struct task *t, const struct sys_call *c)
{
	struct maps maps = { 0 };
	const struct mapping *m;

	if (maps_read(t->tid, &maps))
		return;
	m = maps_find(&maps, (uint64_t)c->ret);
	if (m)
		map_objects(r, t, m->start, m->end - m->start, 0);
	maps_free(&maps);
}

/* PROT_GROWSDOWN changes all that lies below in the stack. */
static void whole_stack(struct task *t, struct ev_asop *op)
{
	if (op->addr >= t->mm->stack_low && op->addr < t->mm->stack_top) {
		op->len += op->addr - t->mm->stack_low;
		op->addr = t->mm->stack_low;
	}
}

void aspace_after(struct recording *r, struct task *t, const struct sys_call *c)
{
	bool failed = c->ret < 0 && c->ret >= -4095;
	struct ev_asop op = { .addr = c->arg[0], .len = PAGE_UP(c->arg[1]) };

	if (failed)
		return;
	switch (c->nr) {
	case SYS_mmap:
		after_mmap(r, t, c);
		break;
	case SYS_munmap:
		op.kind = AS_UNMAP;
		forget_stacks(t->mm, op.addr, op.len);
		guard_forget(t->mm, op.addr, op.len);
		if (!t->skipped)
			ev_asop(r, &op);
		forget_growing(r, t, op.addr, op.len);
		unmap_above_ours(r, t);
		break;
	case SYS_mprotect:
	case SYS_pkey_mprotect:
		op.kind = AS_PROTECT;
		op.prot = prot_given(t, c->arg[2]);
		if (c->arg[2] & PROT_GROWSDOWN)
			whole_stack(t, &op);
		guard_forget(t->mm, op.addr, op.len);
		if (op.len)
			ev_asop(r, &op);
		if (op.prot & PROT_EXEC) {
			trap_sites_protected(r, t, op.addr, op.len);
			tsc_trap(r, t);   /* it may have been written to before */
		}
		break;
	case SYS_remap_file_pages:
		guard_forget(t->mm, op.addr, op.len);
		map_objects(r, t, op.addr, op.len, 0);
		break;
	case SYS_mremap:
		after_mremap(r, t, c);
		break;
	case SYS_brk:
		after_brk(r, t, c);
		break;
	case SYS_madvise:
		after_madvise(r, t, c);
		break;
	case SYS_shmat:
		after_shmat(r, t, c);
		break;
	case SYS_shmdt:
		op.kind = AS_UNMAP;
		guard_forget(t->mm, op.addr, op.len);
		if (c->arg[1])
			ev_asop(r, &op);
		break;
	}
}
