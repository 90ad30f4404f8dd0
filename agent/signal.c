/*
 * Signal masks. The recorder blocks all signals while it lets a task leave the agent (agent_leave() in recorder/agent.c). A
 * call that sets the mask must not be made then, but by the traced path: we look at `masked` after old_mask has told the
 * recorder that the call is due, and the recorder looks at old_mask after it has set `masked`.
 */
#include <asm/signal.h>
#include <asm/unistd.h>
#include "agent/call.h"

#define MASK_BYTES 8

static uint64_t mask_after(uint64_t old, uint64_t how, uint64_t set)
{
	switch ((int)how) {
	case SIG_BLOCK:
		return old | set;
	case SIG_UNBLOCK:
		return old & ~set;
	}
	return set;
}

/* Made twice, as it is when the place for the old mask is bad, it does the same again. */
int agent_sigmask(struct agent_ctl *ctl, struct agent_frame *f)
{
	bool sets = f->rsi;
	uint64_t set;
	long n;

	if (f->r10 != MASK_BYTES || !agent_has_room(ctl, MASK_BYTES))
		return AGENT_TRACED;
	set = sets ? *(const uint64_t *)f->rsi : 0;
	*(volatile uint64_t *)&ctl->old_mask = AGENT_MASK_DUE;
	if (*(volatile uint32_t *)&ctl->masked) {
		ctl->old_mask = 0;
		return AGENT_TRACED;
	}
	n = agent_syscall((long)f->rdi, sets ? (long)&set : 0, (long)&ctl->old_mask, MASK_BYTES, 0, 0, __NR_rt_sigprocmask);
	if (n) {
		ctl->old_mask = 0;
		return AGENT_TRACED;
	}
	if (sets)
		ctl->segv = mask_after(ctl->old_mask, f->rdi, set) >> (SIGSEGV - 1) & 1 ? AGENT_SEGV_BLOCKED : AGENT_SEGV_OPEN;
	if (f->rdx)
		*(uint64_t *)f->rdx = ctl->old_mask;
	*(volatile uint64_t *)&ctl->old_mask = 0;
	return agent_commit(ctl, f, 0);
}
