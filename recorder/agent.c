/* The agent's life in recorded programs: see agent.h. */
#include "recorder/agent_int.h"

#include <errno.h>
#include <linux/sched.h>
#include <stdlib.h>
#include <string.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>
#include "agent/abi.h"
#include "common/err.h"
#include "common/grow.h"
#include "common/log.h"

#ifndef HOT
#define HOT 16                    /* stops after which a site is patched */
#endif

_Static_assert(AGENT_CODE == RL_AGENT && AGENT_CODE_BYTES == RL_AGENT_CODE_BYTES, "abi.h and layout.h agree");
_Static_assert(AGENT_DATA == RL_AGENT_DATA && AGENT_BUF + AGENT_BUF_BYTES <= RL_END, "abi.h and layout.h agree");
_Static_assert(sizeof(struct agent_ctl) < AGENT_STACK_TOP - AGENT_DATA - 8192, "the stack has room");

void agent_set_tsc(struct mm *mm, enum agent_tsc how)
{
	if (mm->agent)
		(void)put_u32(mm, CTL(tsc), how);
}

void agent_set_clock(struct mm *mm, uint64_t addr)
{
	if (mm->agent)
		(void)mem_write(mm->mem_fd, CTL(clock), &addr, sizeof(addr));
}


void agent_free(struct agent_mm *a)
{
	if (!a)
		return;
	free(a->sites);
	free(a->patches);
	free(a->blocks);
	free(a->code);
	free(a);
}

static void *copy_of(const void *v, size_t bytes)
{
	void *c = malloc(bytes + 1);

	if (c && bytes)
		memcpy(c, v, bytes);
	return c;
}

void agent_inherit(struct mm *child, const struct mm *parent)
{
	struct agent_mm *a;

	if (!parent->agent)
		return;
	a = malloc(sizeof(*a));
	if (!a)
		return;
	*a = *parent->agent;
	a->forks = false;
	a->sites = copy_of(a->sites, a->n_sites * sizeof(*a->sites));
	a->patches = copy_of(a->patches, a->n_patches * sizeof(*a->patches));
	a->blocks = copy_of(a->blocks, a->n_blocks * sizeof(*a->blocks));
	a->code = copy_of(a->code, a->n_code * sizeof(*a->code));
	a->cap_code = a->n_code;
	a->cap_sites = a->n_sites;
	a->cap_patches = a->n_patches;
	a->cap_blocks = a->n_blocks;
	child->agent = a;
}

/* ---- descriptors ---- */

static void forget_fds(struct mm *mm)
{
	static const uint8_t none[AGENT_FDS];

	(void)mem_write(mm->mem_fd, CTL(fd_class), none, sizeof(none));
}

static void forget_fd(struct mm *mm, uint64_t fd)
{
	static const uint8_t none;

	if (fd < AGENT_FDS)
		(void)mem_write(mm->mem_fd, CTL(fd_class) + fd, &none, 1);
}

static void set_fds_off(struct mm *mm, bool off)
{
	forget_fds(mm);
	(void)put_u32(mm, CTL(fds_off), off);
}

void agent_new_child(struct task *parent, struct task *child, uint64_t flags)
{
	bool vm = flags & CLONE_VM, files = flags & CLONE_FILES;

	if (!parent->mm->agent)
		return;
	parent->mm->agent->forks |= !vm;
	if (vm == files)
		return;
	set_fds_off(parent->mm, true);
	if (child->mm != parent->mm)
		set_fds_off(child->mm, true);
	/* Whoever waits for a vfork child gets its memory back, and its own descriptors are what they were. */
	if (vm && flags & CLONE_VFORK)
		parent->mm->agent->vforked = true;
}

static bool same_file(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

static bool is_ours(const struct stat *st)
{
	struct stat own;

	return (fstat(STDOUT_FILENO, &own) == 0 && same_file(st, &own)) ||
	       (fstat(STDERR_FILENO, &own) == 0 && same_file(st, &own));
}

static bool is_object(const struct recording *r, const struct stat *st)
{
	for (const struct object_entry *o = r->objects; o; o = o->next) {
		if (o->ino == st->st_ino)
			return true;
	}
	return false;
}

static uint8_t class_of_file(const struct recording *r, const char *path, const struct stat *st)
{
	bool null = S_ISCHR(st->st_mode) && (st->st_rdev == 0x103 || st->st_rdev == 0x105);

	if (is_ours(st) && !null)
		return AGENT_FD_SLOW;
	if (null)
		return AGENT_FD_READ | AGENT_FD_WRITE;
	if (S_ISFIFO(st->st_mode) || S_ISSOCK(st->st_mode))
		return AGENT_FD_STREAM;
	if (is_proc(r, path, st) || proc_is_copy(r, st))
		return AGENT_FD_SLOW;
	if (S_ISDIR(st->st_mode))
		return AGENT_FD_DIR;
	if (!(st->st_mode & S_IFMT))
		return AGENT_FD_EVENTS;
	if (!S_ISREG(st->st_mode))
		return AGENT_FD_SLOW;
	return (uint8_t)((st->st_size ? AGENT_FD_READ : 0) | (is_object(r, st) ? 0 : AGENT_FD_WRITE));
}

static bool closes_at_once(const struct stat *st)
{
	return S_ISREG(st->st_mode) || S_ISDIR(st->st_mode) || S_ISFIFO(st->st_mode) || (S_ISCHR(st->st_mode) && major(st->st_rdev) == 1);
}

static void learn_fd(struct recording *r, struct task *t, uint64_t fd)
{
	char path[64];
	struct stat st;
	uint8_t old, now;

	if (fd >= AGENT_FDS || mem_read(t->mm->mem_fd, CTL(fd_class) + fd, &old, 1) || old & AGENT_FD_SLOW)
		return;
	snprintf(path, sizeof(path), "/proc/%d/fd/%d", t->tid, (int)fd);
	if (stat(path, &st))
		return;
	now = (uint8_t)(class_of_file(r, path, &st) | (closes_at_once(&st) ? AGENT_FD_CLOSE : 0));
	if (now != old)
		(void)mem_write(t->mm->mem_fd, CTL(fd_class) + fd, &now, 1);
}

static void set_bit(uint8_t *bits, uint64_t ino)
{
	unsigned bit = agent_ino_bit(ino);

	bits[bit / 8] |= (uint8_t)(1u << bit % 8);
}

void agent_watch_file(struct recording *r, uint64_t ino)
{
	uint64_t at = CTL(inos) + agent_ino_bit(ino) / 8;

	for (struct task *t = r->tasks; t; t = t->next) {
		uint8_t byte;

		if (!t->mm || !t->mm->agent || t->state == TASK_DEAD || mem_read(t->mm->mem_fd, at, &byte, 1))
			continue;
		byte |= (uint8_t)(1u << agent_ino_bit(ino) % 8);
		(void)mem_write(t->mm->mem_fd, at, &byte, 1);
		forget_fds(t->mm);
	}
}

void agent_note_copies(const struct recording *r, struct mm *mm)
{
	if (!mm->agent)
		return;
	(void)mem_write(mm->mem_fd, CTL(copy_dev), &r->copy_dev, sizeof(r->copy_dev));
	forget_fds(mm);
}

/* The files that agent_watch_file was told of, and our own output. */
static int put_inos(struct recording *r, struct mm *mm)
{
	uint8_t bits[AGENT_INO_BITS / 8] = { 0 };
	struct stat st;

	for (int fd = STDOUT_FILENO; fd <= STDERR_FILENO; fd++) {
		if (fstat(fd, &st) == 0)
			set_bit(bits, st.st_ino);
	}
	for (const struct object_entry *o = r->objects; o; o = o->next)
		set_bit(bits, o->ino);
	return mem_write(mm->mem_fd, CTL(inos), bits, sizeof(bits));
}

/* What the processor is like: the answers that were given so far, for those that need no stop, and which registers it has. */
static int put_processor(const struct recording *r, struct mm *mm)
{
	struct agent_cpuid v[AGENT_CPUID_MAX + 2] = { 0 };
	uint64_t xcr0 = xstate_xcr0();
	size_t n = 0;

	_Static_assert(AGENT_XCR0 == AGENT_CPUID + (AGENT_CPUID_MAX + 1) * sizeof(v[0]), "behind the table's end");
	memcpy(&v[AGENT_CPUID_MAX + 1], &xcr0, sizeof(xcr0));

	for (; n < r->n_cpuid && n < AGENT_CPUID_MAX; n++) {
		const struct cpuid_answer *c = &r->cpuid[n];

		v[n] = (struct agent_cpuid){ .leaf = c->leaf, .sub = c->sub, .sub_mask = cpuid_has_subleaves(c->leaf) ? ~0u : 0,
					     .a = c->a, .b = c->b, .c = c->c, .d = c->d, .used = 1 };
	}
	return mem_write(mm->mem_fd, AGENT_CPUID, v, sizeof(v));
}

int agent_map(struct recording *r, struct task *t)
{
	size_t n = (size_t)(agent_image_end - agent_image);
	struct agent_ctl ctl = { .recording = 1, .off = t->filters || t->sec_strict || t->tracer, .proc_dev = r->proc_dev,
				 .copy_dev = r->copy_dev, .tsc = t->mm->tsc_own ? AGENT_TSC_STOPS : AGENT_TSC_READS };
	int err;

	if (!agent_used(r))
		return 0;
	err = mem_write(t->mm->mem_fd, AGENT_CODE, agent_image, n);
	if (!err)
		err = mem_write(t->mm->mem_fd, AGENT_DATA, &ctl, offsetof(struct agent_ctl, xsave));
	if (!err)
		err = put_processor(r, t->mm);
	if (!err)
		err = put_inos(r, t->mm);
	if (err)
		return err;
	agent_maps_start(t);
	t->mm->agent = calloc(1, sizeof(*t->mm->agent));
	return t->mm->agent ? 0 : -ENOMEM;
}

void agent_stop_calls(struct mm *mm)
{
	if (mm->agent)
		(void)put_u32(mm, CTL(off), 1);
}

/* What a traced call tells about descriptors. */
static void learn_from_call(struct recording *r, struct task *t)
{
	const struct sys_desc *d = sys_desc(t->call.nr);

	switch (t->call.nr) {
	case SYS_close:
		forget_fd(t->mm, t->call.arg[0]);
		break;
	case SYS_dup2:
	case SYS_dup3:
		forget_fd(t->mm, t->call.arg[1]);
		break;
	case SYS_close_range:
		forget_fds(t->mm);
		break;
	case SYS_unshare:
		if (t->call.ret == 0 && t->call.arg[0] & CLONE_FILES)
			set_fds_off(t->mm, true);
		break;
	case SYS_seccomp:
	case SYS_prctl:
		if (t->filters || t->sec_strict)   /* they must see each call */
			agent_stop_calls(t->mm);
		break;
	case SYS_vfork:
	case SYS_clone:
	case SYS_clone3:
		if (t->mm->agent->vforked)
			set_fds_off(t->mm, false);
		t->mm->agent->vforked = false;
		break;
	default:
		if (d && d->flags & SYSF_FD0 && t->call.ret >= 0 && patch_of_tramp(t->mm->agent, t->entry.rip))
			learn_fd(r, t, t->call.arg[0]);
	}
}

/* ---- patching ---- */

static struct site *site_of(struct agent_mm *a, uint64_t addr)
{
	struct site *s;

	for (size_t i = 0; i < a->n_sites; i++) {
		if (a->sites[i].addr == addr)
			return &a->sites[i];
	}
	s = GROW(a->sites, a->n_sites, a->cap_sites);
	if (s) {
		*s = (struct site){ .addr = addr };
		a->n_sites++;
	}
	return s;
}

static bool in_reach(uint64_t block, uint64_t site)
{
	int64_t d = (int64_t)(site - block);

	return d > -0x7ff00000ll && d < 0x7ff00000ll;
}

static bool stands_in(const struct task *t, const struct task *me, const struct patch *p, struct user_regs_struct *ret)
{
	return t != me && t->mm == me->mm && t->state != TASK_DEAD && t->where != IN_CALL &&
	       (remote_getregs(t->tid, ret) || (ret->rip > p->site && ret->rip < p->site + p->tail.len));
}

/* In front of a displaced instruction, and nothing is pending: as each one whose slice ended with its call there. */
static bool can_move(const struct task *t, const struct user_regs_struct *regs, const struct patch *p)
{
	if (t->state != TASK_READY || t->where != AT_USER || t->have_stop || t->at_restart)
		return false;
	for (unsigned k = 0; k < p->tail.n_moved; k++) {
		if (regs->rip == p->site + p->tail.moved_from[k])
			return true;
	}
	return false;
}

/* Whether another task stands in the bytes that a patch replaces, and must stay; those in a call are moved at its end. */
static bool somebody_stands_in(struct recording *r, struct task *me, const struct patch *p)
{
	for (struct task *t = r->tasks; t; t = t->next) {
		struct user_regs_struct regs = { 0 };

		if (stands_in(t, me, p, &regs) && !can_move(t, &regs, p))
			return true;
	}
	return false;
}

/* The others go on from the trampoline's copies. */
static void move_others(struct recording *r, struct task *me, const struct patch *p)
{
	for (struct task *t = r->tasks; t; t = t->next) {
		struct user_regs_struct regs = { 0 };

		if (!stands_in(t, me, p, &regs) || !can_move(t, &regs, p))
			continue;
		agent_fix_rip(t, &regs);
		if (remote_setregs(t->tid, &regs))
			continue;
		t->call_end = regs.rip;
		ev_begin(r, t, EV_PATCH);
		r->ev.flags = EVF_AFTER;
		r->ev.after = regs;
		ev_write_bytes(r, t->no, p->site, p->bytes, p->tail.len);
		ev_end(r);
	}
}

/* Room for one more trampoline, mapped for it if need be. NULL: there is none. */
static struct tramps *block_for(struct recording *r, struct task *t, uint64_t site)
{
	struct agent_mm *a = t->mm->agent;
	struct maps maps = { 0 };
	struct tramps *b;
	uint64_t from = site > REACH + 0x100000 ? site - REACH : 0x100000, at;
	int64_t got;

	for (size_t i = 0; i < a->n_blocks; i++) {
		b = &a->blocks[i];
		if (in_reach(b->addr, site) && b->used + AGENT_TRAMP_BYTES <= b->bytes)
			return b;
	}
	b = GROW(a->blocks, a->n_blocks, a->cap_blocks);
	if (!b)
		return NULL;
	*b = (struct tramps){ .addr = AGENT_TRAMPS, .bytes = AGENT_CODE + AGENT_CODE_BYTES - AGENT_TRAMPS };
	for (size_t i = 0; i < a->n_blocks; i++) {
		if (a->blocks[i].addr == AGENT_TRAMPS)
			b->bytes = 0;
	}
	if (b->bytes && in_reach(AGENT_TRAMPS, site)) {
		a->n_blocks++;
		return b;
	}
	if (maps_read(t->tid, &maps))
		return NULL;
	at = maps_find_gap(&maps, from & ~(TRAMPS_BYTES - 1), site, TRAMPS_BYTES);
	maps_free(&maps);
	if (!at || !in_reach(at, site) ||
	    task_call(t, SYS_mmap, REMOTE_ARGS(at, TRAMPS_BYTES, PROT_READ | PROT_EXEC,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1ull, 0), &got) || got != (int64_t)at)
		return NULL;
	(void)r;
	*b = (struct tramps){ .addr = at, .bytes = TRAMPS_BYTES };
	a->n_blocks++;
	return b;
}

static void emit_patch(struct recording *r, struct task *t, const struct tramps *block, const struct patch *p,
		       const struct user_regs_struct *regs)
{
	ev_begin(r, t, EV_PATCH);
	r->ev.flags = EVF_AFTER;
	r->ev.after = *regs;
	if (!block->used && block->addr != AGENT_TRAMPS) {
		struct ev_asop op = { .kind = AS_MAP, .prot = PROT_READ | PROT_EXEC, .addr = block->addr, .len = block->bytes };

		ev_asop(r, &op);
	}
	ev_write_bytes(r, t->no, p->tramp, p->code, sizeof(p->code));
	ev_write_bytes(r, t->no, p->site, p->bytes, p->tail.len);
	ev_end(r);
}

void agent_refused(struct recording *r, struct task *t, uint64_t site, enum patch_refusal why)
{
	ev_begin(r, t, EV_PATCH);
	r->ev.nr = (int)why;
	r->ev.window_addr = site;
	ev_end(r);
	log_debug("site %llx of process %u is not patched: reason %d", (unsigned long long)site, t->proc->no, (int)why);
}

int agent_patch_site(struct recording *r, struct task *t, uint64_t site, enum patch_form form, enum patch_refusal *ret_why)
{
	struct agent_mm *a = t->mm->agent;
	struct user_regs_struct regs;
	struct tramps *b = block_for(r, t, site);
	struct patch *p = b ? GROW(a->patches, a->n_patches, a->cap_patches) : NULL;
	int err;

	*ret_why = PATCH_NO_ROOM;
	if (!p)
		return -RL_EUNSUPPORTED;
	err = patch_plan(t, site, b->addr + b->used, form, p, ret_why);
	if (err)
		return err;
	if (somebody_stands_in(r, t, p))
		return -EAGAIN;
	err = remote_getregs(t->tid, &regs);
	if (!err)
		err = mem_write(t->mm->mem_fd, p->tramp, p->code, sizeof(p->code));
	if (!err)
		err = mem_write(t->mm->mem_fd, p->site, p->bytes, p->tail.len);
	if (err)
		return err;
	a->n_patches++;
	agent_fix_rip(t, &regs);
	err = remote_setregs(t->tid, &regs);
	if (!err)
		emit_patch(r, t, b, p, &regs);
	move_others(r, t, p);
	b->used += AGENT_TRAMP_BYTES;
	log_debug("site %llx of process %u patched", (unsigned long long)site, t->proc->no);
	return err;
}

/* While this task was in its call there. */
static bool was_patched(const struct task *t, uint64_t site, enum patch_refusal why)
{
	return why == PATCH_NO_SYSCALL && patch_at(t->mm->agent, site);
}

/* A site was come to again, and what stands there has been done: patch it, if that was often enough. */
static void came_to(struct recording *r, struct task *t, uint64_t site, enum patch_form form)
{
	struct site *s = site_of(t->mm->agent, site);
	enum patch_refusal why = PATCH_NO_ROOM;
	int err;

	if (!s || s->refused || ++s->hits < HOT)
		return;
	err = agent_patch_site(r, t, site, form, &why);
	if (err == -EAGAIN || (err && was_patched(t, site, why))) {
		s->hits = 0;
	} else if (err) {
		s->refused = true;
		agent_refused(r, t, site, why);
	}
}

void agent_called(struct recording *r, struct task *t)
{
	const struct sys_desc *d = sys_desc(t->call.nr);
	uint64_t site = t->entry.rip - 2;

	if (!t->mm || !t->mm->agent || t->at_restart)
		return;
	learn_from_call(r, t);
	agent_known_catch_up(r, t);
	if (!d || (d->class != SC_PLAIN && d->class != SC_ASPACE) || patch_of_tramp(t->mm->agent, site))
		return;
	agent_known_hit(r, t, site);
	came_to(r, t, site, PATCH_HERE);
}

void agent_read_tsc(struct recording *r, struct task *t, uint64_t site)
{
	if (!t->mm || !t->mm->agent || patch_of_tramp(t->mm->agent, site))
		return;
	agent_known_hit(r, t, site);
	came_to(r, t, site, PATCH_TSC);
}

bool agent_is_tscp(const struct task *t, uint64_t rip)
{
	const struct patch *p = t->mm && t->mm->agent ? patch_of_tramp(t->mm->agent, rip) : NULL;

	return p && p->is_insn && agent_is_rdtscp(&p->tail);
}

/* ---- the buffer ---- */

#define LONG_ENTRY 1024u   /* bytes; the trace stores equal writes of such lengths once */

/* The entries, long outputs as writes of their own: a file that is read again by other calls is the same bytes. */
static void put_entries(struct recording *r, const struct task *t, const uint8_t *bytes, size_t n)
{
	size_t from = 0, len;
	struct agent_entry e;

	for (size_t at = 0; n - at >= sizeof(e); at += len) {
		memcpy(&e, bytes + at, sizeof(e));
		len = AGENT_ENTRY_BYTES(e.head);
		if (len < sizeof(e) || len > n - at)   /* the program can write here, too */
			break;
		if (len < LONG_ENTRY)
			continue;
		ev_write_bytes(r, t->no, AGENT_BUF + from, bytes + from, at + sizeof(e) - from);
		from = at + sizeof(e);
		ev_write_bytes(r, t->no, AGENT_BUF + from, bytes + from, at + len - from);
		from = at + len;
	}
	ev_write_bytes(r, t->no, AGENT_BUF + from, bytes + from, n - from);
}

void agent_flush(struct recording *r, struct task *t)
{
	static uint8_t bytes[AGENT_BUF_BYTES];
	uint64_t place[2] = { 0, 0 };
	struct agent_ctl ctl;

	if (!t->agent_ran)
		return;
	t->agent_ran = false;
	if (!t->mm || !t->mm->agent || mem_read(t->mm->mem_fd, AGENT_DATA, &ctl, offsetof(struct agent_ctl, xsave)))
		return;
	if (ctl.yield)
		(void)put_u32(t->mm, CTL(yield), 0);
	agent_take_segv(t, ctl.segv);
	agent_maps_flush(r, t, &ctl);
	if (!ctl.pos || ctl.pos > sizeof(bytes) || mem_read(t->mm->mem_fd, AGENT_BUF, bytes, ctl.pos))
		return;
	(void)mem_write(t->mm->mem_fd, CTL(pos), place, 8);
	place[1] = ctl.pos;
	ev_begin(r, t, EV_BUFFER);
	ev_write_bytes(r, t->no, CTL(pos), place, sizeof(place));
	put_entries(r, t, bytes, ctl.pos);
	ev_end(r);
}

void agent_want_stop(int mem_fd, uint32_t n)
{
	(void)!pwrite(mem_fd, &n, sizeof(n), (off_t)CTL(yield));
}
