/* Going back: run forward from a copy before here, note the stops, settle on the last one before here. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/err.h"
#include "common/log.h"
#include "replayer/internal.h"
#include "replayer/timeline_int.h"
#include "tracee/agentcode.h"
#include "tracee/insn.h"

/* An instant: event_no comes next; if mid, `point` says where in between. */
struct place {
	uint64_t event_no;
	bool mid;
	struct run_point point;
};

static int place_of(struct session *s, bool mid, struct place *ret)
{
	struct rtask *t = session_current(s);

	ret->event_no = s->ev_no;
	ret->mid = mid && t && t->host;
	return ret->mid ? run_point_take(s, t, &ret->point) : 0;
}

void trail_drop(struct timeline *tl)
{
	session_close(tl->trail);
	tl->trail = NULL;
	tl->trail_steps = 0;
}

static int keep_report(struct timeline *tl, struct session *s, int err)
{
	if (err == -RL_EDIVERGED && s)
		snprintf(tl->now->report, sizeof(tl->now->report), "%s", s->report);
	return err;
}

/* Going back found something else than going forward did: a fault of ours or a divergence. */
static int lost(struct timeline *tl, const char *what)
{
	snprintf(tl->now->report, sizeof(tl->now->report), "going back failed near event %llu: %s",
		 (unsigned long long)tl->now->ev_no, what);
	return -RL_EDIVERGED;
}

/* ---- running back to a breakpoint or watchpoint ---- */

struct hit {
	uint64_t n;                    /* which one since the copy, from 1; 0: none */
	struct run_result res;
	struct timeline_stop stop;     /* what the debugger is told */
};

/* What a run's end means to a debugger that goes backward. False: nothing. */
static bool is_hit(struct timeline *tl, struct session *s, const struct event_seen *seen, const struct run_result *res,
		   struct timeline_stop *ret)
{
	memset(ret, 0, sizeof(*ret));
	ret->task = res->task;
	switch (res->kind) {
	case RUN_BREAK:
		ret->kind = TL_BREAK;
		return true;
	case RUN_WATCH:
		fill_watch(tl, res, ret);
		return true;
	case RUN_CALL:
		ret->kind = TL_CALL;
		ret->syscall_nr = s->ev->nr;
		return call_is_caught(tl, ret->syscall_nr);
	case RUN_EVENT:
		ret->kind = TL_RETURN;
		ret->syscall_nr = seen->nr;
		return (seen->kind == EV_SYSCALL || seen->kind == EV_SYSCALL_EXIT) && seen->proc == tl->proc &&
		       call_is_caught(tl, seen->nr);
	default:
		return false;
	}
}

/* Whether the debugged process is about to become another program: a debugger has to hear of it on the way back, too. */
static bool execs_next(const struct timeline *tl, struct session *s)
{
	const struct rtask *t = s->ev->kind == EV_EXEC ? session_task(s, s->ev->task) : NULL;

	return t && t->proc == tl->proc && s->ev_no >= tl->first;
}

/*
 * Run until `limit`, noting the last hit; or, if stop_at is not 0, until that hit.
 * 0 or a negative error.
 */
static int scan(struct timeline *tl, struct session *s, const struct place *limit, uint64_t stop_at, struct hit *ret)
{
	struct run_ctl ctl = ctl_for(tl);
	uint64_t n = 0;

	ret->n = 0;
	ctl.skip_first = false;
	ctl.until = limit->mid ? &limit->point : NULL;
	ctl.calls = tl->catch_calls ? tl->proc : 0;
	watches_refresh(tl, s);
	for (;;) {
		struct timeline_stop stop;
		struct event_seen seen;
		struct run_result res;
		int err;

		if (!s->ev || s->ev_no > limit->event_no || (s->ev_no == limit->event_no && !limit->mid))
			return 0;
		if (execs_next(tl, s)) {
			*ret = (struct hit){ .n = ++n, .res = { .kind = RUN_EVENT }, .stop = { .kind = TL_EXEC, .task = s->ev->task } };
			if (n == stop_at)
				return 0;
		}
		seen = event_see(s);
		err = session_run(s, &ctl, &res);
		if (err)
			return err;
		ctl.skip_first = res.kind != RUN_EVENT && !(res.kind == RUN_WATCH && res.event_no);
		if (res.kind == RUN_POINT || res.kind == RUN_END)
			return 0;
		if (wants_stop(tl, &res))
			return -EINTR;
		if (s->ev_no == limit->event_no && !limit->mid && res.kind == RUN_EVENT)
			return 0;   /* its end is here, not before here */
		if (res.kind == RUN_CALL && s->ev_no == limit->event_no && limit->mid)
			return 0;   /* here itself: nothing lies between a call's entry and its event */
		if (res.kind == RUN_EVENT && seen.child_proc == tl->proc)
			watches_refresh(tl, s);   /* it did not exist before */
		if (!is_hit(tl, s, &seen, &res, &stop))
			continue;
		ret->n = ++n;
		ret->res = res;
		ret->stop = stop;
		if (n == stop_at)
			return 0;
	}
}

static int step_back_from(struct timeline *tl, struct session *at, bool mid, uint32_t task, struct timeline_stop *ret);

/* Now is hit number h->n after copy i; a write is shown before it happens. */
static int settle_on(struct timeline *tl, size_t i, const struct place *limit, const struct hit *h,
		     struct timeline_stop *ret)
{
	struct session *s;
	struct hit again;
	bool by_event = h->res.kind == RUN_WATCH && h->res.event_no;
	int err = session_clone(tl->snaps[i], false, &s);

	if (err)
		return err;
	err = scan(tl, s, limit, h->n, &again);
	if (!err && again.n != h->n)
		err = lost(tl, "the stop found before was not met again");
	if (err) {
		keep_report(tl, s, err);
		session_close(s);
		return err;
	}
	ret->task = h->res.task;
	if (h->res.kind != RUN_WATCH) {
		become(tl, s, h->res.kind != RUN_EVENT);
		*ret = h->stop;
		return 0;
	}
	become(tl, s, !by_event);
	err = step_back_from(tl, tl->now, tl->mid, h->res.task, ret);
	*ret = h->stop;
	return err;
}

static int back_to_hit(struct timeline *tl, struct timeline_stop *ret)
{
	struct place limit;
	int err = place_of(tl->now, tl->mid, &limit);
	size_t i = tl->n_snaps;

	while (!err && i-- > 0) {
		struct session *s;
		struct hit h;

		if (tl->snaps[i]->ev_no > limit.event_no || (tl->snaps[i]->ev_no == limit.event_no && !limit.mid))
			continue;
		err = session_clone(tl->snaps[i], false, &s);
		if (err)
			return err;
		err = keep_report(tl, s, scan(tl, s, &limit, 0, &h));
		session_close(s);
		if (!err && h.n)
			return settle_on(tl, i, &limit, &h, ret);
		limit.event_no = tl->snaps[i]->ev_no;
		limit.mid = false;
	}
	if (err)
		return err;
	ret->kind = TL_BEGIN;
	return to_beginning(tl);
}

/* ---- one instruction back ---- */

/* How often `task` passes addr between the instant before event no and `until` (or the event). */
static int count_passes(struct timeline *tl, uint64_t no, struct run_pass *pass, const struct run_point *until,
			struct session **ret)
{
	struct run_ctl ctl = quiet_ctl(tl);
	struct run_result res = { .kind = RUN_EVENT };
	struct session *s;
	int err = session_at(tl, no, &s);

	if (err)
		return err;
	ctl.pass = pass;
	ctl.until = until;
	/* Stop short of carrying the event out: only the way to it counts. */
	ctl.signals = ctl.calls = session_task(s, pass->task) ? session_task(s, pass->task)->proc : 0;
	s->announced = 0;
	do {
		err = session_run(s, &ctl, &res);
		ctl.skip_first = true;
		if (!err && wants_stop(tl, &res))
			err = -EINTR;
	} while (!err && res.kind == RUN_EVENT && s->ev && s->ev_no <= no);
	if (err || !ret) {
		keep_report(tl, s, err);
		session_close(s);
		return err;
	}
	*ret = s;
	return 0;
}

/* Step s until its task stands at addr; counts the steps. -E2BIG: not within so many. */
static int step_until(struct timeline *tl, struct session *s, uint32_t task, uint64_t addr, uint64_t max,
		      uint64_t *ret_steps)
{
	struct run_ctl ctl = { .step_task = task, .skip_first = true };
	struct run_result res;
	uint64_t n = 0;

	do {
		int err = session_run(s, &ctl, &res);

		if (err)
			return err;
		if (res.kind != RUN_STEP)
			return lost(tl, "an event came where only instructions should be");
		if (++n % 1024 == 0 && wants_stop(tl, &res))
			return -EINTR;
		if (n > max)
			return -E2BIG;
	} while (session_task(s, task)->regs.rip != addr);
	*ret_steps = n;
	return 0;
}

static int step_n(struct session *s, uint32_t task, uint64_t n)
{
	struct run_ctl ctl = { .step_task = task, .skip_first = true };
	struct run_result res;
	int err = 0;

	while (!err && n--)
		err = session_run(s, &ctl, &res);
	return err;
}

/* The trail leads from a copy to here by single steps: go one fewer. */
static int follow_trail(struct timeline *tl)
{
	struct session *s;
	int err = session_clone(tl->trail, false, &s);

	if (err)
		return err;
	err = step_n(s, tl->trail_task, tl->trail_steps - 1);
	if (err) {
		session_close(s);
		return err;
	}
	tl->trail_steps--;
	become(tl, s, tl->trail_steps > 0 || tl->trail_mid);
	return 0;
}

#define STEPS_CHEAP 2000     /* single steps that nobody waits for */
#define CODE_BEFORE 128

/* The address from which execution falls through to `here`, as far as the code tells. 0: it does not. */
static uint64_t fall_through(struct session *s, const struct place *here)
{
	uint8_t code[CODE_BEFORE];
	uint64_t end = here->point.regs.rip;
	struct insn in;

	if (mem_read_some(session_task(s, here->point.task)->host->mem_fd, end - sizeof(code), code, sizeof(code)) !=
		    sizeof(code) ||
	    insn_before(code, sizeof(code), end, &in) || in.flags & (INSN_REP | INSN_CALL | INSN_SYSCALL))
		return 0;
	return in.addr;
}

/* Whether one step of s leads to `here`. Negative: an error. */
static int steps_to(struct session *s, const struct place *here)
{
	uint32_t task = here->point.task;
	struct session *copy;
	int err = session_clone(s, false, &copy), got;

	if (err)
		return err;
	got = step_n(copy, task, 1);
	if (!got)
		got = point_matches(copy, session_task(copy, task), &here->point);
	session_close(copy);
	return got;
}

/*
 * Back to the instruction in front of `here` in the code, if it was that one's last execution that led here. 0: it was
 * not, or cannot be told.
 */
static int back_by_fall_through(struct timeline *tl, const struct place *here)
{
	struct run_pass pass = { .task = here->point.task };
	struct session *s;
	int got = session_at(tl, here->event_no, &s);

	if (got)
		return got;
	pass.addr = fall_through(s, here);
	session_close(s);
	if (!pass.addr)
		return 0;
	/* A stop in the middle of an instruction, if that is what it was, may lead anywhere: then it is not the way. */
	got = count_passes(tl, here->event_no, &pass, &here->point, NULL);
	if (got || !pass.seen)
		return got == -EINTR ? got : 0;
	pass.stop_at = pass.seen;
	pass.seen = 0;
	got = count_passes(tl, here->event_no, &pass, NULL, &s);
	if (got)
		return got == -EINTR ? got : 0;
	got = pass.seen == pass.stop_at ? steps_to(s, here) : 0;
	if (got <= 0) {
		session_close(s);
		return got == -EINTR ? got : 0;
	}
	trail_drop(tl);
	become(tl, s, true);
	return 1;
}

/* The last arrival at the present instruction before `here`; or the event before, if there is none. */
static int last_pass(struct timeline *tl, const struct place *here, struct session **ret, bool *ret_mid)
{
	struct run_pass pass = { .task = here->point.task, .addr = here->point.regs.rip };
	int err = count_passes(tl, here->event_no, &pass, &here->point, NULL);

	if (err)
		return err;
	*ret_mid = pass.seen != 0;
	if (!pass.seen)
		return session_at(tl, here->event_no, ret);
	pass.stop_at = pass.seen;
	pass.seen = 0;
	return count_passes(tl, here->event_no, &pass, NULL, ret);
}

/* By single steps from there. They are kept as a trail, so that the next steps back are free. */
static int back_by_steps(struct timeline *tl, const struct place *here, uint64_t max)
{
	uint32_t task = here->point.task;
	struct session *from = NULL, *copy = NULL;
	uint64_t steps = 0;
	bool mid;
	int err = last_pass(tl, here, &from, &mid);

	if (err)
		return err;
	err = session_clone(from, true, &copy);
	if (!err)
		err = keep_report(tl, from, step_until(tl, from, task, here->point.regs.rip, max, &steps));
	session_close(from);
	if (err) {
		session_close(copy);
		return err;
	}
	trail_drop(tl);
	tl->trail = copy;
	tl->trail_task = task;
	tl->trail_steps = steps;
	tl->trail_mid = mid;
	return follow_trail(tl);
}

/* Back from an instant between two events, inside the run of its task. */
static int back_inside(struct timeline *tl, const struct place *here, struct timeline_stop *ret)
{
	int err = back_by_steps(tl, here, STEPS_CHEAP);

	if (err == -E2BIG) {
		err = back_by_fall_through(tl, here);
		if (!err)
			err = back_by_steps(tl, here, UINT64_MAX);
	}
	ret->kind = TL_STEP;
	return err < 0 ? err : 0;
}

/*
 * Back over an event: to the last arrival at the instruction that it is about. What traps in a trampoline is not come to by
 * steps: there, they lead from the site to the event.
 */
static int back_over(struct timeline *tl, uint64_t no, uint32_t task, uint64_t addr, struct timeline_stop *ret)
{
	struct run_pass pass = { .task = task };
	struct session *s;
	int mem_fd, err = session_at(tl, no, &s);

	if (err)
		return err;
	mem_fd = session_task(s, task)->host->mem_fd;
	pass.addr = agent_place(mem_fd, agent_view(mem_fd, addr));
	session_close(s);
	err = count_passes(tl, no, &pass, NULL, NULL);
	if (err)
		return err;
	if (!pass.seen)
		return lost(tl, "the event's instruction was not passed");
	pass.stop_at = pass.seen;
	pass.seen = 0;
	err = count_passes(tl, no, &pass, NULL, &s);
	if (err)
		return err;
	trail_drop(tl);
	become(tl, s, true);
	ret->kind = TL_STEP;
	return 0;
}

/* The task's last event before `before` that took an instruction of its, or began it. */
static int last_event_of(struct timeline *tl, uint32_t task, uint64_t before, struct event *ret)
{
	struct trace_iter *it;
	const struct event *ev;
	int err = trace_iter_open(tl->trace, tl->first, &it);

	if (err)
		return err;
	err = -ENOENT;
	for (uint64_t no = before; no-- > tl->first && err == -ENOENT; ) {
		int got = trace_seek(it, no);

		if (!got)
			got = trace_next(it, &ev);
		if (got < 0) {
			err = got;
			break;
		}
		if (ev->new_task.task == task)
			break;
		if (ev->task != task || ev->kind == EV_SYSCALL_EXIT || ev->kind == EV_EXIT)
			continue;
		*ret = *ev;
		err = 0;
	}
	trace_iter_close(it);
	return err;
}

/* A clock point takes no instruction: what lies before it is the run that led to it. */
static int back_from_clock(struct timeline *tl, const struct event *ev, struct timeline_stop *ret)
{
	struct place here = { .event_no = ev->no, .mid = true };
	struct session *s;
	int err = session_at(tl, ev->no + 1, &s);

	if (err)
		return err;
	err = run_point_take(s, session_task(s, ev->task), &here.point);
	here.point.event_no = ev->no;
	session_close(s);
	return err ? err : back_inside(tl, &here, ret);
}

static int back_from_boundary(struct timeline *tl, uint64_t event_no, uint32_t task, struct timeline_stop *ret)
{
	struct session *s;
	struct event ev;
	int err = last_event_of(tl, task, event_no, &ev);

	if (err == -ENOENT) {
		ret->kind = TL_BEGIN;
		return to_beginning(tl);
	}
	if (err)
		return err;
	switch (ev.kind) {
	case EV_SYSCALL:
	case EV_SYSCALL_ENTER:
		return back_over(tl, ev.no, task, ev.before.rip - 2, ret);
	case EV_INSN:
		return back_over(tl, ev.no, task, ev.before.rip, ret);
	case EV_CLOCK:
		return back_from_clock(tl, &ev, ret);
	case EV_EXEC:
	case EV_SIGNAL:
		if (ev.flags & EVF_SIG_SYNC)
			return back_over(tl, ev.no, task, ev.before.rip, ret);
		err = session_at(tl, ev.no, &s);
		if (err)
			return err;
		trail_drop(tl);
		become(tl, s, false);
		ret->kind = ev.kind == EV_EXEC ? TL_EXEC : TL_STEP;
		return 0;
	}
	ret->kind = TL_BEGIN;
	return to_beginning(tl);
}

static int step_back_from(struct timeline *tl, struct session *at, bool mid, uint32_t task, struct timeline_stop *ret)
{
	struct rtask *current = session_current(at);
	struct place here;
	int err;

	if (!mid || !current || current->no != task)
		return back_from_boundary(tl, at->ev_no, task, ret);
	err = place_of(at, true, &here);
	return err ? err : back_inside(tl, &here, ret);
}

static int step_back(struct timeline *tl, uint32_t task, struct timeline_stop *ret)
{
	ret->task = task;
	if (tl->trail && tl->trail_task == task && tl->trail_steps > 0) {
		ret->kind = TL_STEP;
		return follow_trail(tl);
	}
	trail_drop(tl);
	return step_back_from(tl, tl->now, tl->mid, task, ret);
}

int timeline_backward(struct timeline *tl, uint32_t step_task, struct timeline_stop *ret)
{
	int err;

	memset(ret, 0, sizeof(*ret));
	if (step_task) {
		err = step_back(tl, step_task, ret);
	} else {
		trail_drop(tl);
		err = back_to_hit(tl, ret);
	}
	if (err == -EINTR) {
		ret->kind = TL_INTERRUPTED;
		err = 0;
	}
	if (ret->task)
		tl->shown = ret->task;
	return err;
}
