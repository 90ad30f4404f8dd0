#include "replayer/agent.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/ptrace.h>
#include "common/err.h"
#include "replayer/traps.h"
#include "tracee/agentcode.h"
#include "tracee/confine.h"
#include "tracee/layout.h"
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

static void note_mapped(struct host_ahead *a, uint64_t start, uint64_t end)
{
	struct agent_range *last;

	for (uint32_t i = 0; i < a->n; i++) {
		if (start <= a->mapped[i].end && a->mapped[i].start <= end) {
			a->mapped[i].start = start < a->mapped[i].start ? start : a->mapped[i].start;
			a->mapped[i].end = end > a->mapped[i].end ? end : a->mapped[i].end;
			return;
		}
	}
	if (a->n < AHEAD_MAX) {
		a->mapped[a->n++] = (struct agent_range){ start, end };
		return;
	}
	/* Too many: what lies between is given away. */
	last = &a->mapped[AHEAD_MAX - 1];
	last->start = start < last->start ? start : last->start;
	last->end = end > last->end ? end : last->end;
}

uint32_t agent_buffer_join(const struct event *ev, uint8_t out[AGENT_BUF_BYTES])
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < ev->n_writes; i++) {
		const struct ev_write *w = &ev->writes[i];

		if (w->addr != AGENT_BUF + (uint64_t)n || w->len > AGENT_BUF_BYTES - n)
			continue;
		memcpy(out + n, w->bytes, w->len);
		n += w->len;
	}
	return n;
}

void agent_filled(struct host *h, const struct event *ev)
{
	static uint8_t bytes[AGENT_BUF_BYTES];
	uint32_t n = agent_buffer_join(ev, bytes), at = 0;
	struct agent_op op;

	agent_used_up(h);
	while (agent_next_op(bytes, n, &at, &op)) {
		h->ahead.any = true;
		if (op.kind == AGENT_OP_MAP && !((op.addr | op.len) % AGENT_PAGE) && op.addr + op.len > op.addr)
			note_mapped(&h->ahead, op.addr, op.addr + op.len);
	}
}

void agent_used_up(struct host *h)
{
	h->ahead.any = false;
	h->ahead.n = 0;
}

/* Another one's filter could kill for a call of the program's, which by PTRACE_SYSEMU it never sees. */
static bool under_own_filter_only(void)
{
	static int others = -1;

	if (others < 0)
		others = confined_by_others();
	return !others;
}

int agent_run_request(const struct rtask *t)
{
	return t->host->ahead.any && under_own_filter_only() ? PTRACE_CONT : PTRACE_SYSEMU;
}

void agent_see_call(struct rtask *t, struct stop *st)
{
	if (st->kind != TS_SIGNAL || st->sig != SIGSYS)
		return;
	st->kind = TS_SYSCALL;
	t->regs.orig_rax = t->regs.rax;
	t->regs.rax = (uint64_t)-ENOSYS;
}

bool agent_calls(const struct rtask *t)
{
	return t->regs.rip == AGENT_SYSCALL + 2 && t->host->ahead.any;
}

int agent_take_call(struct rtask *t, struct agent_call *ret)
{
	const struct user_regs_struct *regs = &t->regs;

	*ret = (struct agent_call){ regs->orig_rax, { regs->rdi, regs->rsi, regs->rdx, regs->r10, regs->r8, regs->r9 } };
	if (!agent_may_redo(ret->nr, ret->arg))
		return -RL_EDIVERGED;
	t->at_entry = false;
	t->regs.orig_rax = -1ull;
	t->regs_dirty = true;
	return rtask_flush(t);
}

int agent_make_call(struct rtask *t, const struct agent_call *c)
{
	struct remote r = { .tid = t->host_tid, .site = RL_STUB_CALL };
	int64_t result;
	int err = remote_call(&r, (long)c->nr, c->arg, &result);

	t->regs.rax = (uint64_t)result;
	t->regs_dirty = true;
	return err;
}

static int resume(struct rtask *t, int request)
{
	struct agent_call call;
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
	agent_see_call(t, &st);
	if (st.kind == TS_SYSCALL && agent_calls(t)) {
		err = agent_take_call(t, &call);
		return err ? err : agent_make_call(t, &call);
	}
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
	err = resume(t, agent_run_request(t));
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
