/* Bringing a task to the exact instant of its next event. */
#include "replayer/internal.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <time.h>
#include "common/err.h"
#include "common/fault.h"
#include "common/grow.h"
#include "common/log.h"
#include "replayer/leap.h"
#include "replayer/self.h"
#include "replayer/agent.h"
#include "replayer/lockhook.h"
#include "replayer/site.h"
#include "replayer/traps.h"
#include "replayer/watch.h"
#include "tracee/cputime.h"
#include "tracee/agentcode.h"
#include "tracee/insn.h"
#include "tracee/remote.h"

#define EFLAGS_TF 0x100ull

#define MANY_MISSES 100   /* worth a line in the debug log */

/* One run of one task towards one event. */
struct run {
	struct session *s;
	struct rtask *t;
	const struct event *ev;
	const struct run_ctl *ctl;
	struct run_result *ret;
	struct traps traps;            /* int3 at the user's breakpoints */
	struct sites *sites;           /* where states and passes are waited for */
	bool stepping;                 /* the user wants one instruction */
	bool interrupt_sent;
	unsigned ticks;                /* when look_up was last called */
	uint64_t pass_ns;
	bool late;                     /* the deadline has passed */
	uint64_t deadline_ns;          /* the task's processor time when we give up waiting; 0: not known yet */
	struct watch_set *watch;       /* NULL: nothing is watched */
};

bool event_needs_run(const struct event *ev)
{
	switch (ev->kind) {
	case EV_SYSCALL:
	case EV_SYSCALL_ENTER:
	case EV_INSN:
	case EV_CLOCK:
		return true;
	case EV_SIGNAL:
		return ev->flags & EVF_SIG_SYNC;
	}
	return false;
}

#define PATIENCE 100             /* times the recorded time, */
#define PATIENCE_NS 5000000000u  /* and so long on top, until an instant will not come any more */
#define LOCK_STOP_NS 100000u     /* and for each stop at a lock function */

/* The task's processor time by which it will have run what took it at most so long when recorded. 0: not known. */
static uint64_t give_up_at(struct session *s, uint64_t recorded)
{
	const struct rtask *t = session_task(s, s->ev->task);

	return t && t->host ? cputime_of(t->host_tid) + PATIENCE * recorded + PATIENCE_NS : 0;
}

static void interrupt(struct run *r, bool *done)
{
	ptrace(PTRACE_INTERRUPT, r->t->host_tid, 0, 0);
	*done = true;
}

/* Has waiting become pointless? Looked at when a tick has interrupted it. */
static void look_up(struct run *r)
{
	if (r->ctl && r->ctl->interrupted && !r->interrupt_sent && r->ctl->interrupted(r->ctl->arg))
		interrupt(r, &r->interrupt_sent);
	/* With a watch each write to its pages may be a stop: nothing can be said about the time that takes. */
	if (r->watch || r->late)
		return;
	if (!r->deadline_ns)
		r->deadline_ns = give_up_at(r->s, r->ev->time_ns);
	if (r->deadline_ns && (cputime_of(r->t->host_tid) > r->deadline_ns || FAULT("too-late")))
		interrupt(r, &r->late);
}

/*
 * waitpid(2) knows no time limit, and the wanted instant may never come: missed by a leap, or because the recording was of
 * something that cannot be replayed. So ticks (self.h) end it now and then.
 */
static int wait_stop(struct run *r, struct stop *ret)
{
	int status;

	while (waitpid(r->t->host_tid, &status, __WALL) < 0) {
		if (errno != EINTR)
			return errno == ECHILD ? -RL_EGONE : -errno;
		look_up(r);
	}
	*ret = stop_decode(status);
	return 0;
}

static int go(struct run *r, int request, struct stop *ret)
{
	int err = rtask_flush(r->t);

	r->t->at_entry = false;
	if (!err)
		err = remote_resume(r->t->host_tid, request, 0);
	if (!err)
		err = wait_stop(r, ret);
	if (!err && (ret->kind == TS_DEAD || ret->kind == TS_EXITING))
		return -RL_EGONE;
	if (!err)
		err = rtask_fetch(r->t);
	if (!err)
		agent_see_call(r->t, ret);
	return err;
}

/* A watch on pages would lose them to a new mapping: then the agent's calls stop, too. */
static int run_request(const struct run *r)
{
	return r->watch ? PTRACE_SYSEMU : agent_run_request(r->t);
}

static bool insn_at(struct run *r, uint64_t addr, struct insn *ret)
{
	uint8_t code[INSN_MAX_BYTES];
	size_t n = mem_read_some(r->t->host->mem_fd, addr, code, sizeof(code));

	return n && insn_decode(code, n, addr, ret) == 0;
}

/* Leave a repeated string instruction: stepping would take a trap for each of its rounds. */
static int finish_rep(struct run *r, const struct insn *in, struct stop *ret)
{
	struct traps after = { 0 };
	int err = traps_add(&after, in->addr + in->len);

	if (!err)
		err = traps_insert(&after, r->t->host->mem_fd);
	if (err)
		return err;
	err = go(r, run_request(r), ret);
	traps_remove(&after, r->t->host->mem_fd);
	if (!err && ret->kind == TS_SIGNAL && ret->sig == SIGTRAP && r->t->regs.rip == in->addr + in->len + 1) {
		r->t->regs.rip--;
		r->t->regs_dirty = true;
	}
	traps_free(&after);
	return err;
}

/* pushf has stored the flags that we step with: the program never set TF. */
static int clean_pushed_flags(struct run *r)
{
	uint16_t low;
	int err = mem_read(r->t->host->mem_fd, r->t->regs.rsp, &low, sizeof(low));

	low &= (uint16_t)~EFLAGS_TF;
	return err ? err : mem_write(r->t->host->mem_fd, r->t->regs.rsp, &low, sizeof(low));
}

#define OPCODE_PUSHF 0x9c
#define PREFIX_OPSIZE 0x66

/* Execute the instruction at rip, with no trap of ours in place. */
static int step_over(struct run *r, struct stop *ret)
{
	uint64_t at = r->t->regs.rip;
	uint8_t code[2] = { 0 };
	struct insn in;
	int err;

	mem_read_some(r->t->host->mem_fd, at, code, sizeof(code));
	err = go(r, PTRACE_SYSEMU_SINGLESTEP, ret);

	/* A syscall instruction copies the flags to r11, our trap flag among them. */
	if (!err && ret->kind == TS_SYSCALL && r->t->regs.r11 & EFLAGS_TF) {
		r->t->regs.r11 &= ~EFLAGS_TF;
		r->t->regs_dirty = true;
	}
	if (!err && r->t->regs.rip != at &&
	    (code[0] == OPCODE_PUSHF || (code[0] == PREFIX_OPSIZE && code[1] == OPCODE_PUSHF)))
		return clean_pushed_flags(r);
	if (err || r->t->regs.rip != at || ret->kind != TS_SIGNAL || ret->sig != SIGTRAP)
		return err;
	if (insn_at(r, at, &in) && in.flags & INSN_REP)
		return finish_rep(r, &in, ret);
	return 0;
}

/*
 * A clock point inside a repeated move or store: let it do just the rounds that lie before the point. True if the
 * task was brought to where the point may be.
 */
static int enter_rep(struct run *r, bool *ret_moved)
{
	const struct user_regs_struct *want = &r->ev->before;
	struct user_regs_struct *have = &r->t->regs;
	uint64_t total = have->rcx;
	struct insn in;
	struct stop st;
	int err;

	*ret_moved = false;
	if (want->rcx >= have->rcx || want->rbx != have->rbx || want->rsp != have->rsp || want->rax != have->rax ||
	    want->rdx != have->rdx || want->rbp != have->rbp)
		return 0;
	if (!insn_at(r, have->rip, &in) || !(in.flags & INSN_REP))
		return 0;
	if (strncmp(in.name, "rep movs", 8) != 0 && strncmp(in.name, "rep stos", 8) != 0 &&
	    strncmp(in.name, "movs", 4) != 0 && strncmp(in.name, "stos", 4) != 0)
		return 0;
	have->rcx = total - want->rcx;
	r->t->regs_dirty = true;
	err = finish_rep(r, &in, &st);
	if (err)
		return err;
	have->rip = in.addr;
	have->rcx = want->rcx;
	r->t->regs_dirty = true;
	*ret_moved = true;
	return 0;
}

static bool user_break_at(struct run *r, uint64_t addr)
{
	if (!r->ctl)
		return false;
	for (size_t i = 0; i < r->ctl->n_breaks; i++) {
		if (r->ctl->breaks[i].proc == r->t->proc && agent_place(r->t->host->mem_fd, r->ctl->breaks[i].addr) == addr)
			return true;
	}
	return false;
}

enum verdict { GO_ON = 0, STOP_HERE = 1 };   /* or a negative error */

static int stop_with(struct run *r, enum run_kind kind)
{
	r->ret->kind = kind;
	r->ret->task = r->t->no;
	return STOP_HERE;
}

static int at_syscall(struct run *r)
{
	const struct event *ev = r->ev;

	r->t->at_entry = true;
	if (ev->kind != EV_SYSCALL && ev->kind != EV_SYSCALL_ENTER)
		return diverged(r->s, r->t, ev, "a system call was made instead");
	if (r->t->regs.orig_rax != (uint64_t)(uint32_t)ev->nr && (int)r->t->regs.orig_rax != ev->nr)
		return diverged(r->s, r->t, ev, "another system call was made");
	if (!regs_equal(&r->t->regs, &ev->before))
		return diverged(r->s, r->t, ev, "registers differ at the system call");
	if (!pages_match(r->t, ev))
		return diverged(r->s, r->t, ev, "memory differs at the system call");
	return stop_with(r, RUN_EVENT);
}

static int judge(struct run *r, const struct stop *st, bool stepped);

/* The agent changes a mapping. Watchpoints hit are left in *ret_hit. */
static int at_agent_call(struct run *r, size_t *ret_hit)
{
	struct agent_call c;
	int err = agent_take_call(r->t, &c);

	if (!err)
		err = watch_pages_free(r->watch);
	if (!err)
		err = agent_make_call(r->t, &c);
	if (!err)
		err = watch_pages_guard(r->watch, r->t);
	if (!err)
		(void)watch_hit_by_mapping(r->watch, ret_hit);
	return err == -RL_EDIVERGED ? diverged(r->s, r->t, r->ev, "the agent makes a call that it must not make") : err;
}

/* The program changes code near a filter of ours. */
static int step_guarded(struct run *r)
{
	struct stop st;
	int err = sites_unguard(r->sites);

	if (!err)
		err = step_over(r, &st);
	if (!err)
		err = sites_guard(r->sites);
	return err ? err : judge(r, &st, true);
}

static int at_fault(struct run *r, int sig)
{
	const struct event *ev = r->ev;
	size_t hit;
	int got;

	if (sig == SIGSEGV && sites_owns_fault(r->sites))
		return step_guarded(r);
	if (sig == SIGSEGV && watch_owns_fault(r->watch, r->t)) {
		got = watch_step(r->watch, r->t, &hit);
		if (got < 0)
			return got;
		if (!got)
			return GO_ON;
		r->ret->watch = hit;
		return stop_with(r, RUN_WATCH);
	}

	if (ev->kind == EV_INSN && sig == SIGSEGV) {
		if (!regs_equal(&r->t->regs, &ev->before))
			return diverged(r->s, r->t, ev, "registers differ at the trapped instruction");
		return stop_with(r, RUN_EVENT);
	}
	if (ev->kind == EV_SIGNAL && ev->signo == sig) {
		if (!regs_equal(&r->t->regs, &ev->before))
			return diverged(r->s, r->t, ev, "registers differ at the fault");
		return stop_with(r, RUN_EVENT);
	}
	{
		char what[64];

		snprintf(what, sizeof(what), "signal %d was raised instead", sig);
		return diverged(r->s, r->t, ev, what);
	}
}

/* SIGTRAP: an int3 of ours, a single step, or the program's own affair. */
static int at_trap(struct run *r, bool stepped)
{
	struct rtask *t = r->t;

	size_t hit;

	if (!stepped && traps_has(&r->traps, t->regs.rip - 1)) {
		t->regs.rip--;
		t->regs_dirty = true;
		return GO_ON;
	}
	if (watch_triggered(r->watch, t, &hit)) {
		r->ret->watch = hit;
		return stop_with(r, RUN_WATCH);
	}
	if (stepped || watch_trapped(r->watch))
		return GO_ON;
	return at_fault(r, SIGTRAP);
}

/* Whether the task stands where it should; asked at each arrival at a clock point's address. */
static int arrived(struct run *r)
{
	bool moved;
	int yes;

	if (r->ev->kind != EV_CLOCK || r->t->regs.rip != r->ev->before.rip)
		return 0;
	if (r->s->tries.event_no != r->ev->no)
		r->s->tries = (struct clock_tries){ .event_no = r->ev->no };
	r->s->tries.n++;
	yes = clock_matches(r->s, r->t, r->ev, NULL);
	if (yes)
		return yes;
	yes = enter_rep(r, &moved);
	if (yes || !moved)
		return yes;
	return clock_matches(r->s, r->t, r->ev, NULL);
}

/* Whether ctl->until is an instant of this run. */
static bool until_here(const struct run *r)
{
	const struct run_point *p = r->ctl ? r->ctl->until : NULL;

	return p && p->event_no == r->s->ev_no && p->task == r->t->no;
}

/* Whether somebody wants a stop where the task stands. */
static int wanted(struct run *r, bool first)
{
	const struct run_ctl *c = r->ctl;
	int got = 0;

	if (!c)
		return 0;
	if (until_here(r))
		got = point_matches(r->s, r->t, c->until);
	if (got > 0 && c->pass && c->pass->task == r->t->no && c->pass->addr == r->t->regs.rip && sites_counted(r->sites))
		c->pass->seen--;   /* the point itself is not an arrival before it */
	if (got)
		return got > 0 ? stop_with(r, RUN_POINT) : got;
	if (first && c->skip_first)
		return 0;
	if (c->pass && c->pass->task == r->t->no && c->pass->addr == r->t->regs.rip) {
		if (!sites_counted(r->sites))
			c->pass->seen++;
		if (c->pass->seen == c->pass->stop_at)
			return stop_with(r, RUN_PASS);
	}
	return user_break_at(r, r->t->regs.rip) ? stop_with(r, RUN_BREAK) : 0;
}

/* Interrupted where an arrival would have been noticed in the next moment: then it is one. */
static int at_interrupt(struct run *r)
{
	int got = wanted(r, false);

	return got ? got : stop_with(r, RUN_INTERRUPTED);
}

static int too_late(struct run *r)
{
	return diverged(r->s, r->t, r->ev, "it was not reached in many times the recorded time");
}

static int judge(struct run *r, const struct stop *st, bool stepped)
{
	size_t hit = SIZE_MAX;
	int got;

	switch (st->kind) {
	case TS_SYSCALL:
		if (!agent_calls(r->t))
			return at_syscall(r);
		got = at_agent_call(r, &hit);
		if (got || hit == SIZE_MAX)
			return got;
		r->ret->watch = hit;
		return stop_with(r, RUN_WATCH);
	case TS_SIGNAL:
		return st->sig == SIGTRAP ? at_trap(r, stepped) : at_fault(r, st->sig);
	case TS_INTERRUPT:
		if (r->late)
			return too_late(r);
		return r->interrupt_sent ? at_interrupt(r) : GO_ON;
	default:
		return diverged(r->s, r->t, r->ev, stop_name(st->kind));
	}
}

/* A stop on the way through the agent. 1: the end of the way. Watchpoints hit are left in *ret_hit. */
static int judge_in_agent(struct run *r, const struct stop *st, uint64_t back, size_t *ret_hit)
{
	struct rtask *t = r->t;
	int got;

	if (st->kind == TS_SYSCALL)
		return agent_calls(t) ? at_agent_call(r, ret_hit) : at_syscall(r);
	if (st->kind == TS_INTERRUPT)
		return GO_ON;
	if (st->kind == TS_SIGNAL && st->sig == SIGSEGV && watch_owns_fault(r->watch, t)) {
		got = watch_step(r->watch, t, ret_hit);
		return got < 0 ? got : GO_ON;
	}
	if (st->kind == TS_SIGNAL && st->sig == SIGSEGV && r->ev->kind == EV_INSN)
		return at_fault(r, SIGSEGV);
	if (st->kind != TS_SIGNAL || st->sig != SIGTRAP)
		return diverged(r->s, t, r->ev, "the agent did not return");
	if (back && t->regs.rip == back + 1) {
		t->regs.rip = back;
		t->regs_dirty = true;
	}
	(void)watch_triggered(r->watch, t, ret_hit);
	return GO_ON;
}

/* The agent is not part of the program: one step of a user's leads all the way through it. */
static int pass_agent(struct run *r)
{
	size_t hit = SIZE_MAX;
	int got = 0;

	while (!got && agent_hides(r->t)) {
		struct traps traps = { 0 };
		struct stop st;
		uint64_t back;

		got = agent_way_out(r->t, &back);
		if (!got && back)
			got = traps_add(&traps, back);
		if (!got)
			got = traps_insert(&traps, r->t->host->mem_fd);
		if (!got)
			got = go(r, back ? run_request(r) : PTRACE_SYSEMU_SINGLESTEP, &st);
		traps_remove(&traps, r->t->host->mem_fd);
		traps_free(&traps);
		if (!got)
			got = judge_in_agent(r, &st, back, &hit);
	}
	if (got || hit == SIZE_MAX)
		return got;
	r->ret->watch = hit;
	return stop_with(r, RUN_WATCH);
}

/* From one look at the task to the next. */
static int advance(struct run *r, bool first)
{
	int mem_fd = r->t->host->mem_fd;
	struct stop st;
	int got = arrived(r);

	if (got)
		return got > 0 ? stop_with(r, RUN_EVENT) : got;
	got = wanted(r, first);
	/* Many short waits: few ticks come in the middle of one. */
	if (r->ticks != self_ticks()) {
		r->ticks = self_ticks();
		look_up(r);
	}
	/* The stop that was asked for may have been spent on a step through a filter's code. */
	if (!got && r->late)
		got = too_late(r);
	if (!got && r->interrupt_sent)
		got = stop_with(r, RUN_INTERRUPTED);
	if (!got && sites_has(r->sites, r->t->regs.rip)) {
		got = sites_missed(r->sites);
		if (r->deadline_ns)
			r->deadline_ns += r->pass_ns;
	}
	if (r->s->locks && r->deadline_ns)
		r->deadline_ns += LOCK_STOP_NS;
	if (!got)
		got = lockhook_depart(r->s, r->t, &r->traps, r->sites);
	if (got)
		return got;
	if (r->stepping || traps_has(&r->traps, r->t->regs.rip) || !sites_can_resume(r->sites)) {
		got = r->stepping ? pass_agent(r) : 0;
		if (got)
			return got;
		got = step_over(r, &st);
		if (got)
			return got;
		got = judge(r, &st, true);
		if (!got && r->stepping)
			got = pass_agent(r);
		if (got)
			return got;
		return r->stepping ? stop_with(r, RUN_STEP) : GO_ON;
	}
	got = traps_insert(&r->traps, mem_fd);
	if (!got)
		got = sites_insert(r->sites);
	if (!got)
		got = lockhook_arm(r->s, r->t);
	if (!got)
		got = go(r, run_request(r), &st);
	if (sites_remove(r->sites) && !got)
		got = -EFAULT;
	traps_remove(&r->traps, mem_fd);
	if (!got)
		got = lockhook_settle(r->s, r->t, &r->traps, r->sites, &st);
	if (!got)
		got = sites_settle(r->sites, &st);
	if (got > 0) {
		/* A stop takes longer than what it stopped: also one in the midst of a filter's jump. */
		if (r->deadline_ns)
			r->deadline_ns += r->pass_ns;
		return GO_ON;
	}
	return got ? got : judge(r, &st, false);
}

static int plan_sites(struct run *r)
{
	const struct event *ev = r->ev;
	const struct run_point *p = until_here(r) ? r->ctl->until : NULL;
	struct run_pass *pass = r->ctl ? r->ctl->pass : NULL;
	int err = 0;

	if (ev->kind == EV_CLOCK) {
		struct site_want w = { .regs = &ev->before, .window_addr = ev->window_addr, .window = ev->window,
				       .n_window = ev->n_window, .words = ev->writes, .n_words = ev->n_writes,
				       .xstate = ev->xstate, .n_xstate = ev->n_xstate };

		err = sites_add(r->sites, ev->before.rip, &w, NULL);
	}
	if (!err && p) {
		struct site_want w = { .regs = &p->regs, .window_addr = p->regs.rsp - RED_ZONE, .window = p->window,
				       .n_window = p->n_window };

		err = sites_add(r->sites, p->regs.rip, &w, NULL);
	}
	if (!err && pass && pass->task == r->t->no)
		err = sites_add(r->sites, pass->addr, NULL, pass);
	return err;
}

static int plan_traps(struct run *r)
{
	int err = 0;

	for (size_t i = 0; !err && r->ctl && i < r->ctl->n_breaks; i++) {
		uint64_t at = agent_place(r->t->host->mem_fd, r->ctl->breaks[i].addr);

		if (r->ctl->breaks[i].proc == r->t->proc && at)
			err = traps_add(&r->traps, at);
	}
	return err;
}

static bool changes_mappings(const struct event *ev)
{
	return ev->n_asops || ev->kind == EV_EXEC || ev->new_task.task;
}

/* Whether the agent will change some on the way to the next event. */
static bool maps_ahead(struct session *s)
{
	const struct rtask *t = session_task(s, s->ev->task);

	return t && t->host && t->host->ahead.any;
}

/* @pass_ns: how much the deadline moves with every wrong pass looked at. */
static int run_once(struct session *s, const struct run_ctl *ctl, struct run_result *ret, uint64_t deadline_ns,
		    uint64_t pass_ns)
{
	struct run r = { .s = s, .ev = s->ev, .ctl = ctl, .ret = ret, .deadline_ns = deadline_ns, .pass_ns = pass_ns,
			 .ticks = self_ticks() };
	int got;

	if (!s->ev) {
		ret->kind = RUN_END;
		return 0;
	}
	ret->kind = RUN_EVENT;
	ret->task = s->ev->task;
	s->as_gen += s->as_changing;
	s->as_changing = changes_mappings(s->ev) || maps_ahead(s);
	got = lockhook_see(s);
	if (got || !event_needs_run(s->ev))
		return got;
	r.t = session_task(s, s->ev->task);
	if (!r.t || r.t->dead || !r.t->host)
		return diverged(s, NULL, s->ev, "there is no such task");
	r.stepping = ctl && ctl->step_task == r.t->no;
	if (r.t->at_entry)
		return 0;
	got = plan_traps(&r);
	if (!got)
		got = lockhook_begin(s, r.t, &r.traps);
	if (!got && ctl && ctl->n_watches)
		got = watch_arm(s, r.t, ctl, &r.watch);
	if (!got)
		got = sites_open(s, r.t, &r.traps, (r.watch ? 0 : SITES_READ_MEMORY) | (until_here(&r) ? 0 : SITES_PROTECT) |
				 (s->locks ? SITES_RETURNS_MOVE : 0), &r.sites);
	if (!got)
		got = plan_sites(&r);
	for (bool first = true; !got; first = false)
		got = advance(&r, first);
	if (r.ev->kind == EV_CLOCK)
		log_debug("%llu wrong passes at %llx; of %llu looked at, %llu had the registers, %llu the stack, %llu all but pages",
			  (unsigned long long)sites_misses(r.sites), (unsigned long long)r.ev->before.rip,
			  (unsigned long long)s->tries.n, (unsigned long long)s->tries.regs, (unsigned long long)s->tries.window,
			  (unsigned long long)s->tries.xstate);
	sites_close(r.sites);
	watch_disarm(r.watch, r.t);
	if (got >= 0 && ret->kind != RUN_EVENT && agent_holds(r.t->regs.rip))
		got = agent_come_out(r.t);
	traps_free(&r.traps);
	return got < 0 ? got : 0;
}

/* As run_once, after a leap. 1: the event was reached; 0: it was missed, and all is as before. */
static int run_leaping(struct session *s, const struct run_ctl *ctl, struct run_result *ret)
{
	const struct rtask *t = session_task(s, s->ev->task);
	struct leap leap;
	uint64_t start;
	int got = leap_take(s, &leap);

	if (got > 0) {
		start = leap_spent_ns(s);
		self_hurry(true);
		got = run_once(s, ctl, ret, cputime_of(t->host_tid) + leap.patience_ns, 0);
		self_hurry(false);
		if (!got) {
			leap_hit(s, s->ev, &leap, leap_spent_ns(s) - start);
			session_close(leap.back);
			return 1;
		}
	}
	if (!leap.back)
		return got;
	leap_missed(s, s->ev, &leap);
	return leap_undo(s, leap.back);
}

#define PASS_NS 1000000u         /* looking at a wrong pass takes longer than the pass did */

#define LEAPS 2   /* to one event, each shorter than the one before */

int run_to_event(struct session *s, const struct run_ctl *ctl, struct run_result *ret)
{
	uint64_t recorded, start;
	int got = 0;

	for (int tries = 0; !got && tries < LEAPS && leap_wanted(s, ctl); tries++)
		got = run_leaping(s, ctl, ret);
	if (got)
		return got > 0 ? 0 : got;
	recorded = s->ev && s->ev->kind == EV_CLOCK ? leap_recorded_ns(s, s->ev) : 0;
	start = recorded ? leap_spent_ns(s) : 0;
	got = run_once(s, ctl, ret, recorded ? give_up_at(s, recorded) : 0, PASS_NS);
	if (recorded)
		leap_learn(s, s->ev, leap_spent_ns(s) - start, recorded);
	return got;
}
