/* Where a clock point is best put: a few instructions on from where the timer struck. */
#include "recorder/internal.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <unistd.h>
#include "common/err.h"
#include "recorder/agent.h"
#include "tracee/filter_site.h"
#include "tracee/insn.h"

#define STEPS_MAX 40
#define STEPS_PICKY 3        /* so long, only the best kind of place will do, if one is that near: a step takes 20 us */
#define STEPS_WRITABLE 24    /* and so long, none in code that can change */
#define PLACES 4096          /* a power of two */

/* What is known about an instruction's place. Filters' risks are about code, which seldom changes: only hints. */
struct clock_places {
	struct place {
		uint64_t addr;
		uint64_t next;             /* in its likely course; 0: not known */
		uint32_t code;             /* its first bytes, in case it did change */
		uint8_t site;              /* enum filter_site */
		uint8_t barrier;           /* must not be stepped over */
		uint8_t writable;          /* the program may change this code: replay would have to guard it */
		uint8_t rep_len;           /* repeats itself; its length */
		uint8_t next_is_call;      /* barrier: the kernel or we take over there, a synchronous point */
		uint8_t memory;            /* reads or writes it, and not only its own stack's top */
	} v[PLACES];
};

#define SYNC_INSNS (INSN_SYSCALL | INSN_RDTSC | INSN_RDTSCP | INSN_CPUID)
#define BARRIER_INSNS (SYNC_INSNS | INSN_INT | INSN_INT3 | INSN_XBEGIN | INSN_XSAVE)

uint64_t clock_next_insn(const struct insn *in)
{
	if (in->flags & (INSN_CALL | INSN_RET | INSN_SYSCALL | INSN_INT | INSN_INT3))
		return 0;
	if (!(in->flags & INSN_BRANCH))
		return in->addr + in->len;
	if (in->flags & INSN_INDIRECT)
		return 0;
	if (!(in->flags & INSN_CONDITIONAL) || in->target <= in->addr)
		return in->target;
	return in->addr + in->len;
}

static bool is_pushf(const uint8_t *code)
{
	return code[0] == 0x9c || (code[0] == 0x66 && code[1] == 0x9c);
}

static bool in_writable(struct task *t, uint64_t addr)
{
	struct maps maps = { 0 };
	const struct mapping *m;
	bool yes;

	if (maps_read_range(t->tid, addr, addr + 1, &maps))
		return false;
	m = maps_find(&maps, addr);
	yes = m && (m->prot & PROT_WRITE || m->shared);
	maps_free(&maps);
	return yes;
}

static void look(struct task *t, uint64_t addr, const uint8_t *code, size_t n, struct place *p)
{
	struct insn in;

	memset(p, 0, sizeof(*p));
	p->addr = addr;
	memcpy(&p->code, code, 4);
	if (insn_site_decode(code, n, addr, &in) == 0) {
		p->barrier = p->next_is_call = 1;
		return;
	}
	if (insn_decode(code, n, addr, &in)) {
		p->barrier = 1;
		return;
	}
	p->next_is_call = (in.flags & SYNC_INSNS) != 0;
	p->barrier = (in.flags & BARRIER_INSNS) != 0 || is_pushf(code);
	p->rep_len = in.flags & INSN_REP ? in.len : 0;
	p->next = clock_next_insn(&in);
	for (unsigned i = 0; i < in.n_mem; i++)
		p->memory |= !in.mem[i].implicit;
	if (!p->barrier && !p->rep_len)
		p->site = (uint8_t)filter_site_look(t->mm->mem_fd, addr);
	p->writable = p->site && in_writable(t, addr);
}

static const struct place *place_at(struct recording *r, struct task *t, uint64_t addr)
{
	struct place *p = &r->places->v[(addr * 0x9e3779b97f4a7c15ull) >> 52 & (PLACES - 1)];
	uint8_t code[INSN_MAX_BYTES] = { 0 };
	size_t n = mem_read_some(t->mm->mem_fd, addr, code, sizeof(code));
	uint32_t head;

	memcpy(&head, code, 4);
	if (p->addr != addr || p->code != head)
		look(t, addr, code, n, p);
	return p;
}

static int set_debug_reg(pid_t tid, int n, uint64_t value)
{
	size_t at = offsetof(struct user, u_debugreg) + (size_t)n * sizeof(((struct user *)0)->u_debugreg[0]);

	return ptrace(PTRACE_POKEUSER, tid, at, value) < 0 ? -errno : 0;
}

/*
 * Resume and wait for this very task. 1: a trap of ours; 0: something else, which is t->stop now. An interruption that was asked
 * for before has come too late; and a SIGSTOP or the group's stop, which cannot be masked, comes again when we are done.
 */
static int resume(struct task *t, int request, enum halt *ret_stopped)
{
	struct stop s;
	int err;

	do {
		err = remote_resume(t->tid, request, 0);
		if (!err)
			err = remote_wait(t->tid, &s);
		if (err)
			return err;
		stop_put_off(ret_stopped, &s);
	} while (s.kind == TS_INTERRUPT || stop_halts(&s));
	if (s.kind == TS_SIGNAL && s.sig == SIGTRAP)
		return 1;
	t->stop = s;
	t->have_stop = true;
	return 0;
}

/* Out of a repeated instruction, whose rounds may be millions. */
static int leave_rep(struct task *t, uint64_t behind, enum halt *ret_stopped)
{
	int got;

	if (set_debug_reg(t->tid, 0, behind) || set_debug_reg(t->tid, 7, 1))
		return -RL_EUNSUPPORTED;
	got = resume(t, PTRACE_CONT, ret_stopped);
	set_debug_reg(t->tid, 7, 0);
	set_debug_reg(t->tid, 6, 0);
	return got;
}

/* Signals raised by instructions must not be blocked: the kernel would reset their handlers. */
static int mask_async(struct task *t, uint64_t *ret_old)
{
	uint64_t mask = ~(1ull << (SIGSEGV - 1) | 1ull << (SIGBUS - 1) | 1ull << (SIGILL - 1) | 1ull << (SIGFPE - 1) |
			  1ull << (SIGTRAP - 1));

	if (ptrace(PTRACE_GETSIGMASK, t->tid, sizeof(*ret_old), ret_old) < 0 ||
	    ptrace(PTRACE_SETSIGMASK, t->tid, sizeof(mask), &mask) < 0)
		return errno == ESRCH ? -RL_EGONE : -errno;
	return 0;
}

/* Whether so few steps from p on lead to a place of the best kind, as far as can be told without taking them. */
static bool best_is_near(struct recording *r, struct task *t, const struct place *p, int steps)
{
	while (steps-- > 0 && p->next) {
		p = place_at(r, t, p->next);
		if (p->barrier || p->rep_len)
			return false;
		if (p->site == FILTER_SITE_ALONE && !p->writable)
			return true;
	}
	return false;
}

static bool is_good(struct recording *r, struct task *t, const struct place *p, int steps)
{
	if (p->writable && steps < STEPS_WRITABLE)
		return false;
	return p->site == FILTER_SITE_ALONE || (p->site == FILTER_SITE_SEVERAL && !best_is_near(r, t, p, STEPS_PICKY - steps));
}

static enum clock_result step_on(struct recording *r, struct task *t, bool unseen, enum halt *ret_stopped)
{
	struct user_regs_struct regs;

	for (int steps = 0; steps < STEPS_MAX; steps++) {
		const struct place *p;
		int got;

		if (remote_getregs(t->tid, &regs))
			return CLOCK_GONE;
		if (agent_at_site(t, regs.rip))
			return CLOCK_SYNC;
		if (agent_at_insn(t, regs.rip))
			return CLOCK_POINT;   /* not a step into the agent */
		p = place_at(r, t, regs.rip);
		if (p->next_is_call)
			return CLOCK_SYNC;
		if (p->barrier || is_good(r, t, p, steps) || (unseen && p->memory))
			return CLOCK_POINT;
		got = p->rep_len ? leave_rep(t, regs.rip + p->rep_len, ret_stopped) : resume(t, PTRACE_SINGLESTEP, ret_stopped);
		if (got == -RL_EUNSUPPORTED)
			return CLOCK_POINT;
		if (got < 0)
			return CLOCK_GONE;
		if (got == 0)
			return CLOCK_SYNC;
	}
	return CLOCK_POINT;
}

enum clock_result clock_step(struct recording *r, struct task *t, bool unseen)
{
	enum clock_result got;
	enum halt stopped = HALT_NO;
	uint64_t mask;

	if (!r->places) {
		r->places = calloc(1, sizeof(*r->places));
		if (!r->places)
			return CLOCK_POINT;
	}
	if (mask_async(t, &mask))
		return CLOCK_GONE;
	got = step_on(r, t, unseen, &stopped);
	if (got != CLOCK_GONE)
		ptrace(PTRACE_SETSIGMASK, t->tid, sizeof(mask), &mask);
	task_halt_again(t, stopped);
	return got;
}
