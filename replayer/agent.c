#include "replayer/agent.h"

#include <signal.h>
#include <sys/ptrace.h>
#include "common/err.h"
#include "replayer/traps.h"
#include "tracee/agentcode.h"
#include "tracee/remote.h"

/* Where in a trampoline a task can be told to stand in the program: at an instruction of its, but the site's first; that is the site. */
static bool at_moved(const struct agent_tramp *a, uint64_t rip)
{
	for (unsigned i = 0; i < a->tail.n_moved; i++) {
		if (a->addr + a->tail.moved_to[i] == rip)
			return a->tail.moved_from[i] != 0;
	}
	return false;
}

/* Before the instruction that stood at a cpuid's or an xsavec's site: it traps, which is the next event. */
static bool at_trapping(const struct agent_tramp *a, uint64_t rip)
{
	return a->traps ? rip == a->addr : a->tail.more && rip == a->addr + AGENT_TRAMP_MOVED;
}

bool agent_hides(const struct rtask *t)
{
	struct agent_tramp a;

	if (agent_holds(t->regs.rip))
		return true;
	return agent_tramp_at(t->host->mem_fd, t->regs.rip, &a) && !at_moved(&a, t->regs.rip) && !at_trapping(&a, t->regs.rip);
}

struct user_regs_struct agent_regs(const struct rtask *t)
{
	struct user_regs_struct regs = t->regs;
	struct agent_tramp a;

	regs.rip = agent_view(t->host->mem_fd, regs.rip);
	/* The traced call has left its own address there; the trampoline is about to put it right. */
	if (regs.rip != t->regs.rip && regs.rcx == t->regs.rip && agent_tramp_at(t->host->mem_fd, t->regs.rip, &a))
		regs.rcx = a.site + 2;
	return regs;
}

static int resume(struct rtask *t, int request)
{
	struct stop st;
	int err = rtask_flush(t);

	if (!err)
		err = remote_resume(t->host_tid, request, 0);
	if (!err)
		err = remote_wait(t->host_tid, &st);
	if (!err && (st.kind == TS_DEAD || st.kind == TS_EXITING))
		return -RL_EGONE;
	if (!err)
		err = rtask_fetch(t);
	if (err)
		return err;
	t->at_entry = st.kind == TS_SYSCALL;
	if (st.kind == TS_SIGNAL && st.sig == SIGSEGV && !agent_hides(t) && agent_view(t->host->mem_fd, t->regs.rip) != t->regs.rip)
		return 0;   /* the instruction has trapped, and will again */
	return t->at_entry || st.kind == TS_INTERRUPT || (st.kind == TS_SIGNAL && st.sig == SIGTRAP) ? 0 : -RL_EDIVERGED;
}

/* Through the agent, to where it returns. */
static int through(struct rtask *t, uint64_t back)
{
	struct traps traps = { 0 };
	int err = traps_add(&traps, back);

	if (!err)
		err = traps_insert(&traps, t->host->mem_fd);
	if (err)
		return err;
	err = resume(t, PTRACE_SYSEMU);
	traps_remove(&traps, t->host->mem_fd);
	traps_free(&traps);
	if (!err && !t->at_entry && t->regs.rip == back + 1) {
		t->regs.rip = back;
		t->regs_dirty = true;
	}
	return err;
}

int agent_way_out(const struct rtask *t, uint64_t *ret_back)
{
	uint64_t off = t->regs.rip % AGENT_TRAMP_BYTES;

	*ret_back = 0;
	if (agent_holds(t->regs.rip))
		return mem_read(t->host->mem_fd, AGENT_STACK_TOP - 8, ret_back, sizeof(*ret_back));
	if (off >= AGENT_TRAMP_ENTER && off < AGENT_TRAMP_BACK)
		*ret_back = t->regs.rip - off + AGENT_TRAMP_BACK;
	return 0;
}

int agent_come_out(struct rtask *t)
{
	uint64_t back;
	int err = 0;

	while (!err && !t->at_entry && agent_hides(t)) {
		err = agent_way_out(t, &back);
		if (!err)
			err = back ? through(t, back) : resume(t, PTRACE_SYSEMU_SINGLESTEP);
	}
	return err;
}
