/* Where a task stands that is in the agent, a trampoline or a patched site, and how it comes out: see agent.h. */
#include "recorder/agent_int.h"

#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/ptrace.h>
#include "agent/abi.h"
#include "common/err.h"

void agent_fix_rip(struct task *t, struct user_regs_struct *regs)
{
	const struct agent_mm *a = t->mm ? t->mm->agent : NULL;

	for (size_t i = a ? a->n_patches : 0; i-- > 0; ) {
		const struct patch *p = &a->patches[i];
		uint64_t off = regs->rip - p->site;
		uint8_t now[AGENT_PATCH_MAX];

		if (off == 0 || off >= p->tail.len)
			continue;
		/* The code may have been unmapped, and other code be there. */
		if (mem_read(t->mm->mem_fd, p->site, now, p->tail.len) || memcmp(now, p->bytes, p->tail.len) != 0)
			continue;
		for (unsigned k = 0; k < p->tail.n_moved; k++) {
			if (p->tail.moved_from[k] == off) {
				regs->rip = p->tramp + p->tail.moved_to[k];
				return;
			}
		}
	}
}

static bool in_agent(uint64_t rip)
{
	return (rip >= AGENT_CODE && rip < AGENT_TRAMPS) || (rip >= RL_VDSO && rip < RL_VDSO + RL_VDSO_BYTES);
}

/* Have it make its call by the traced path. */
static bool give_call_back(struct task *t, struct user_regs_struct *regs)
{
	uint64_t way_out;

	if (mem_read(t->mm->mem_fd, AGENT_HDR_FAULT, &way_out, sizeof(way_out)))
		return false;
	regs->rip = way_out;
	return remote_setregs(t->tid, regs) == 0;
}

void agent_take_segv(struct task *t, uint32_t segv)
{
	if (segv == AGENT_SEGV_AS_BEFORE)
		return;
	t->segv_blocked = segv == AGENT_SEGV_BLOCKED;
	(void)put_u32(t->mm, CTL(segv), AGENT_SEGV_AS_BEFORE);
}

static void learn_segv(struct task *t)
{
	uint32_t segv;

	if (t->mm && t->mm->agent && mem_read(t->mm->mem_fd, CTL(segv), &segv, sizeof(segv)) == 0)
		agent_take_segv(t, segv);
}

static bool faulted(struct task *t, int sig)
{
	struct user_regs_struct regs;

	if ((sig != SIGSEGV && sig != SIGBUS) || !t->mm || !t->mm->agent || remote_getregs(t->tid, &regs) || !in_agent(regs.rip) ||
	    !give_call_back(t, &regs))
		return false;
	signal_undo_forced(t);
	return true;
}

bool agent_faulted(struct task *t, int sig)
{
	learn_segv(t);
	return faulted(t, sig);
}

bool agent_inside(struct task *t)
{
	struct user_regs_struct regs;

	return t->mm && t->mm->agent && remote_getregs(t->tid, &regs) == 0 &&
	       (in_agent(regs.rip) || patch_of_tramp(t->mm->agent, regs.rip));
}

bool agent_at_work(struct task *t)
{
	struct user_regs_struct regs;

	return t->mm && t->mm->agent && remote_getregs(t->tid, &regs) == 0 && in_agent(regs.rip);
}

void agent_set_masked(struct task *t, bool masked)
{
	if (t->mm && t->mm->agent)
		(void)put_u32(t->mm, CTL(masked), masked);
}

/* Where a trampoline's instruction is that traps: if it is longer than two bytes, not at its beginning. */
static uint64_t trapping_place(const struct patch *p)
{
	return p->code[0] == 0xeb ? p->tramp + AGENT_TRAMP_MOVED : p->tramp;
}

void agent_show_place(struct task *t)
{
	struct user_regs_struct regs;
	const struct patch *p;

	if (!t->mm || !t->mm->agent || remote_getregs(t->tid, &regs))
		return;
	p = patch_of_tramp(t->mm->agent, regs.rip);
	if (p && regs.rip == p->tramp + 2)
		regs.rip = regs.rcx = p->site + 2;
	else if (p && p->tail.before && regs.rip == trapping_place(p))
		regs.rip = p->site + p->tail.before;   /* it traps there, too */
	else
		return;
	(void)remote_setregs(t->tid, &regs);
}

/* Run until one of the agent's exits, marked by int3. To be stopped cannot be masked, and waits until then. */
static int run_to_exit(struct task *t, const uint64_t exits[2], enum halt *ret_stopped)
{
	for (;;) {
		struct user_regs_struct regs;
		struct stop s;
		int err = remote_resume(t->tid, PTRACE_CONT, 0);

		if (!err)
			err = remote_wait(t->tid, &s);
		if (err)
			return err;
		if (s.kind == TS_INTERRUPT)
			continue;
		if (s.kind == TS_SIGNAL && s.sig == SIGTRAP && remote_getregs(t->tid, &regs) == 0 &&
		    (regs.rip == exits[0] + 1 || regs.rip == exits[1] + 1)) {
			regs.rip--;
			return remote_setregs(t->tid, &regs);
		}
		stop_put_off(ret_stopped, &s);
		if (stop_halts(&s))
			continue;
		if (s.kind == TS_SIGNAL && faulted(t, s.sig))
			continue;
		t->stop = s;
		t->have_stop = true;
		return 1;
	}
}

static int mark(struct task *t, const uint64_t exits[2], uint8_t saved[2])
{
	static const uint8_t int3 = 0xcc;
	int err = 0;

	for (unsigned i = 0; !err && i < 2; i++) {
		err = mem_read(t->mm->mem_fd, exits[i], &saved[i], 1);
		if (!err)
			err = mem_write(t->mm->mem_fd, exits[i], &int3, 1);
	}
	return err;
}

static int to_exit(struct task *t, enum halt *ret_stopped)
{
	uint64_t exits[2];
	uint8_t saved[2];
	int err, got;

	err = mem_read(t->mm->mem_fd, AGENT_HDR_FAST_EXIT, exits, sizeof(exits));
	if (!err)
		err = mark(t, exits, saved);
	if (err)
		return err;
	got = run_to_exit(t, exits, ret_stopped);
	if (got == -RL_EGONE)
		return got;
	for (unsigned i = 0; !err && i < 2; i++)
		err = mem_write(t->mm->mem_fd, exits[i], &saved[i], 1);
	return got ? got : err;
}

/* A step of code that touches nothing but registers and the stack. */
static int step(struct task *t, enum halt *ret_stopped)
{
	struct stop s;
	int err;

	do {
		err = remote_resume(t->tid, PTRACE_SINGLESTEP, 0);
		if (!err)
			err = remote_wait(t->tid, &s);
		if (!err)
			stop_put_off(ret_stopped, &s);
	} while (!err && (s.kind == TS_INTERRUPT || stop_halts(&s)));
	if (err)
		return err;
	if (s.kind == TS_SIGNAL && s.sig == SIGTRAP)
		return 0;
	t->stop = s;
	t->have_stop = true;
	return 1;
}

/*
 * Before the traced call: as if the instruction had not been reached. Where what precedes it was displaced and is over, the
 * instruction's own place is one that replay does not come to: then to the trampoline's, which traps likewise.
 */
static int back_to_site(struct task *t, struct user_regs_struct *regs, const struct patch *p)
{
	regs->rip = p->tail.before ? trapping_place(p) : p->site;
	return remote_setregs(t->tid, regs);
}

/* Instructions of our own in a trampoline, after a call: jumps, and what sets rcx. Done here, as each step is two switches. */
static bool do_own_insn(struct task *t, struct user_regs_struct *regs, const struct patch *p)
{
	const uint8_t *at = p->code + (regs->rip - p->tramp);
	int32_t rel;

	memcpy(&rel, at + 1, sizeof(rel));
	if (regs->rip == p->tramp + 2 || regs->rip == p->tramp + AGENT_TRAMP_DONE) {
		regs->rip = p->tramp + AGENT_TRAMP_MOVED;
		if (!p->is_insn)
			regs->rcx = p->site + 2;
		else
			regs->rip = p->tramp + AGENT_TRAMP_DONE + 2 + p->code[AGENT_TRAMP_DONE + 1];
	} else if (regs->rip == p->tramp + p->tramp_len - 5 && at[0] == 0xe9) {
		regs->rip += 5 + (uint64_t)(int64_t)rel;
	} else {
		return false;
	}
	return remote_setregs(t->tid, regs) == 0;
}

static int come_out(struct task *t, enum halt *ret_stopped)
{
	const struct agent_mm *a = t->mm->agent;
	struct user_regs_struct regs;
	uint64_t fast, slow, target;
	const struct patch *p;
	int got = mem_read(t->mm->mem_fd, AGENT_HDR_FAST_EXIT, &fast, 8);

	if (!got)
		got = mem_read(t->mm->mem_fd, AGENT_HDR_SLOW_EXIT, &slow, 8);
	while (!got) {
		got = remote_getregs(t->tid, &regs);
		if (got)
			break;
		p = patch_of_tramp(a, regs.rip);
		if (!p && !in_agent(regs.rip))
			return 0;
		/* It may have trapped here already, its signal to come when the interruption is over: then it is in no call. */
		if (p && (regs.rip == p->tramp || regs.rip == trapping_place(p)))
			return p->is_insn && regs.rip == trapping_place(p) && t->stop.kind == TS_INTERRUPT ? 0 : back_to_site(t, &regs, p);
		if (p && do_own_insn(t, &regs, p))
			continue;
		if (regs.rip == slow) {
			got = mem_read(t->mm->mem_fd, AGENT_SLOW_TARGET, &target, 8);
			p = got ? NULL : patch_of_tramp(a, target);
			if (!p || target == p->tramp)
				return p ? back_to_site(t, &regs, p) : -RL_EUNSUPPORTED;
			got = step(t, ret_stopped);   /* a cpuid's answer is there */
			continue;
		}
		if (regs.rip == fast || (p && (regs.rip >= p->tramp + AGENT_TRAMP_BACK || regs.rip == p->tramp + 2)))
			got = step(t, ret_stopped);
		else
			got = to_exit(t, ret_stopped);
	}
	return got;
}

static uint64_t old_mask(struct task *t)
{
	uint64_t mask;

	return mem_read(t->mm->mem_fd, CTL(old_mask), &mask, sizeof(mask)) ? 0 : mask;
}

bool agent_opened_mask(struct task *t)
{
	return agent_inside(t) && old_mask(t) && old_mask(t) != AGENT_MASK_DUE;
}

/* A call that is about to set the signal mask would find and leave ours there, as long as we have one. */
static void not_with_our_mask(struct task *t)
{
	static const uint64_t none;
	struct user_regs_struct regs;

	if (old_mask(t) == AGENT_MASK_DUE && remote_getregs(t->tid, &regs) == 0 && give_call_back(t, &regs))
		(void)mem_write(t->mm->mem_fd, CTL(old_mask), &none, sizeof(none));
}

int agent_leave(struct recording *r, struct task *t)
{
	enum halt stopped = HALT_NO;
	bool segv_blocked;
	uint64_t mask;
	int got;

	(void)r;
	if (!agent_inside(t))
		return 0;
	learn_segv(t);
	segv_blocked = t->segv_blocked;
	not_with_our_mask(t);
	got = task_mask_signals(t, &mask);
	if (!got)
		got = put_u32(t->mm, CTL(masked), 1);
	if (got)
		return got;
	t->segv_blocked = true;   /* by us: for what is to be undone should it fault in the agent */
	got = come_out(t, &stopped);
	t->segv_blocked = segv_blocked;
	(void)put_u32(t->mm, CTL(masked), 0);
	if (got >= 0 && task_unmask_signals(t, mask))
		got = -RL_EGONE;
	task_halt_again(t, stopped);
	return got;
}

static bool at_patch(struct task *t, uint64_t rip, bool is_insn)
{
	const struct agent_mm *a = t->mm ? t->mm->agent : NULL;

	for (size_t i = 0; a && i < a->n_patches; i++) {
		const struct patch *p = &a->patches[i];
		uint8_t now[AGENT_PATCH_MAX];

		if (p->site == rip && p->is_insn == is_insn && mem_read(t->mm->mem_fd, rip, now, p->tail.len) == 0 &&
		    !memcmp(now, p->bytes, p->tail.len))
			return true;
	}
	return false;
}

bool agent_at_site(struct task *t, uint64_t rip)
{
	if (!at_patch(t, rip, false))
		return false;
	agent_want_stop(t->mm->mem_fd, 1);
	return true;
}

bool agent_at_insn(struct task *t, uint64_t rip)
{
	return at_patch(t, rip, true);
}
