#include "replayer/timeline.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "common/err.h"
#include "common/grow.h"
#include "common/log.h"
#include "replayer/self.h"
#include "replayer/timeline_int.h"

/* ---- copies ---- */

#define SNAPS_MAX 48
#define SNAP_FIRST_GAP_NS 50000000ull

static uint64_t mono_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* Half of the copies go, evenly; from now on they are made half as often. */
static void snaps_thin(struct timeline *tl)
{
	size_t kept = 1;

	for (size_t i = 1; i < tl->n_snaps; i++) {
		if (i % 2)
			session_close(tl->snaps[i]);
		else
			tl->snaps[kept++] = tl->snaps[i];
	}
	tl->n_snaps = kept;
	tl->snap_gap_ns *= 2;
}

int snap_here(struct timeline *tl, bool force)
{
	uint64_t now = mono_ns();
	struct session **slot;
	int err;

	if (tl->n_snaps && tl->snaps[tl->n_snaps - 1]->ev_no >= tl->now->ev_no)
		return 0;
	if (!force && now - tl->snap_ns < tl->snap_gap_ns)
		return 0;
	if (tl->n_snaps >= SNAPS_MAX)
		snaps_thin(tl);
	slot = GROW(tl->snaps, tl->n_snaps, tl->cap_snaps);
	if (!slot)
		return -ENOMEM;
	err = session_clone(tl->now, true, slot);
	if (err)
		return err;
	tl->n_snaps++;
	tl->snap_ns = mono_ns();
	return 0;
}

/* The last copy at or before the instant at which event no comes next. */
static size_t snap_before(const struct timeline *tl, uint64_t no)
{
	size_t i = tl->n_snaps;

	while (i > 1 && tl->snaps[i - 1]->ev_no > no)
		i--;
	return i - 1;
}

/* ---- ends ---- */

bool at_end(const struct timeline *tl, struct session *s)
{
	struct rtask *t;

	if (!s->ev)
		return true;
	t = session_task(s, s->ev->task);
	return t && t->proc == tl->proc && s->ev->kind == EV_EXIT && s->ev->flags & EVF_PROC_EXIT;
}

/* ---- moving a session that is nobody's present ---- */

/* No stops but the debugger's wish to interrupt. */
struct run_ctl quiet_ctl(const struct timeline *tl)
{
	return (struct run_ctl){ .interrupted = tl->interrupted, .arg = tl->interrupted_arg };
}

/* The debugger's wish to interrupt. Asking costs a system call, so not after each event. */
static bool asked_to_stop(struct timeline *tl)
{
	if (!tl->interrupted || tl->ticks == self_ticks())
		return false;
	tl->ticks = self_ticks();
	return tl->interrupted(tl->interrupted_arg);
}

bool wants_stop(struct timeline *tl, const struct run_result *res)
{
	return res->kind == RUN_INTERRUPTED || asked_to_stop(tl);
}

/* Run events until event no comes next. */
int run_to_boundary(struct timeline *tl, struct session *s, uint64_t no)
{
	struct run_ctl ctl = quiet_ctl(tl);
	struct run_result res;
	int err = 0;

	while (!err && s->ev && s->ev_no < no) {
		err = session_run(s, &ctl, &res);
		if (!err && wants_stop(tl, &res))
			err = -EINTR;
	}
	return err;
}

/* A live session at the instant at which event no comes next. */
int session_at(struct timeline *tl, uint64_t no, struct session **ret)
{
	int err = session_clone(tl->snaps[snap_before(tl, no)], false, ret);

	if (err)
		return err;
	err = run_to_boundary(tl, *ret, no);
	if (err) {
		snprintf(tl->now->report, sizeof(tl->now->report), "%s", (*ret)->report);
		session_close(*ret);
		*ret = NULL;
	}
	return err;
}

void become(struct timeline *tl, struct session *s, bool mid)
{
	session_close(tl->now);
	tl->now = s;
	tl->mid = mid;
}

/* ---- opening ---- */

static int find_proc(struct timeline *tl, int32_t pid)
{
	struct trace_iter *it;
	const struct event *ev;
	int err = trace_iter_open(tl->trace, 1, &it);

	if (err)
		return err;
	while (!tl->proc && (err = trace_next(it, &ev)) > 0) {
		const struct trace_ckpt *c;

		if (ev->kind == EV_EXEC && trace_ckpt(tl->trace, ev->ckpt, &c) == 0 && (!pid || c->pid == pid))
			tl->proc = c->proc;
		else if (ev->new_task.task && !(ev->new_task.flags & NT_THREAD) && ev->new_task.pid == pid)
			tl->proc = ev->new_task.proc;
		else
			continue;
		tl->first = ev->no + 1;
	}
	trace_iter_close(it);
	return err < 0 ? err : tl->proc ? 0 : -ESRCH;
}

int timeline_open(struct trace *t, const struct timeline_opts *o, struct timeline **ret, char *err_text, size_t n_err)
{
	struct timeline *tl = calloc(1, sizeof(*tl));
	int err;

	if (!tl)
		return -ENOMEM;
	tl->trace = t;
	tl->snap_gap_ns = SNAP_FIRST_GAP_NS;
	err = find_proc(tl, o->pid);
	if (err == -ESRCH)
		snprintf(err_text, n_err, "the recording has no process %d", o->pid);
	tl->home_proc = tl->proc;
	tl->home_first = tl->first;
	if (!err)
		err = session_open(t, o->learned, &tl->now);
	if (!err)
		err = run_to_boundary(tl, tl->now, tl->first);
	if (!err)
		err = snap_here(tl, true);
	if (!err && o->at_end)
		err = timeline_to_end(tl);
	else if (!err && o->at_event)
		err = timeline_goto(tl, o->at_event);
	if (err) {
		if (err != -ESRCH)
			snprintf(err_text, n_err, "%s", tl->now && tl->now->report[0] ? tl->now->report : rl_strerror(err));
		timeline_close(tl);
		return err;
	}
	*ret = tl;
	return 0;
}

void timeline_close(struct timeline *tl)
{
	if (!tl)
		return;
	trail_drop(tl);
	for (size_t i = 0; i < tl->n_snaps; i++)
		session_close(tl->snaps[i]);
	session_close(tl->now);
	for (size_t i = 0; i < tl->n_watches; i++)
		free(tl->watches[i].old);
	free(tl->snaps);
	free(tl->breaks);
	free(tl->watches);
	free(tl->caught);
	free(tl);
}

struct session *timeline_now(struct timeline *tl)
{
	return tl->now;
}

uint32_t timeline_proc(const struct timeline *tl)
{
	return tl->proc;
}

struct rtask *timeline_task(struct timeline *tl)
{
	struct rtask *t = session_task(tl->now, tl->shown);

	if (t && t->proc == tl->proc && t->host)
		return t;
	t = session_current(tl->now);
	if (t && t->proc == tl->proc && t->host)
		return t;
	for (t = tl->now->tasks; t; t = t->next) {
		if (t->proc == tl->proc && t->host && !t->dead)
			return t;
	}
	return NULL;
}

/* ---- what to stop at ---- */

int timeline_break(struct timeline *tl, uint64_t addr, bool on)
{
	struct run_break *b;

	for (size_t i = 0; i < tl->n_breaks; i++) {
		if (tl->breaks[i].addr == addr) {
			if (!on)
				tl->breaks[i] = tl->breaks[--tl->n_breaks];
			return 0;
		}
	}
	if (!on)
		return -ENOENT;
	b = GROW(tl->breaks, tl->n_breaks, tl->cap_breaks);
	if (!b)
		return -ENOMEM;
	*b = (struct run_break){ tl->proc, addr };
	tl->n_breaks++;
	return 0;
}

int timeline_watch(struct timeline *tl, uint64_t addr, uint64_t len, bool on_read, bool on_write, bool on)
{
	struct run_watch *w;

	for (size_t i = 0; i < tl->n_watches; i++) {
		w = &tl->watches[i];
		if (w->addr != addr || w->len != len || w->on_read != on_read || w->on_write != on_write)
			continue;
		if (!on) {
			free(w->old);
			*w = tl->watches[--tl->n_watches];
		}
		return 0;
	}
	if (!on)
		return -ENOENT;
	w = GROW(tl->watches, tl->n_watches, tl->cap_watches);
	if (!w)
		return -ENOMEM;
	*w = (struct run_watch){ tl->proc, addr, len, on_read, on_write, calloc(1, len + 1) };
	if (!w->old)
		return -ENOMEM;
	tl->n_watches++;
	return 0;
}

int timeline_catch_calls(struct timeline *tl, bool on, const int *nrs, size_t n)
{
	free(tl->caught);
	tl->caught = NULL;
	tl->n_caught = 0;
	tl->catch_calls = on;
	if (!on || !n)
		return 0;
	tl->caught = malloc(n * sizeof(*nrs));
	if (!tl->caught)
		return -ENOMEM;
	memcpy(tl->caught, nrs, n * sizeof(*nrs));
	tl->n_caught = n;
	return 0;
}

bool call_is_caught(const struct timeline *tl, int nr)
{
	if (!tl->n_caught)
		return tl->catch_calls;
	for (size_t i = 0; i < tl->n_caught; i++) {
		if (tl->caught[i] == nr)
			return true;
	}
	return false;
}

void timeline_on_interrupt(struct timeline *tl, bool (*interrupted)(void *arg), void *arg)
{
	tl->interrupted = interrupted;
	tl->interrupted_arg = arg;
}

/* Watches report changes against what is there when a run begins. */
void watches_refresh(struct timeline *tl, struct session *s)
{
	struct rtask *t = s->tasks;

	while (t && (t->proc != tl->proc || !t->host))
		t = t->next;
	for (size_t i = 0; t && i < tl->n_watches; i++) {
		memset(tl->watches[i].old, 0, tl->watches[i].len);
		mem_read_some(t->host->mem_fd, tl->watches[i].addr, tl->watches[i].old, tl->watches[i].len);
	}
}

struct run_ctl ctl_for(struct timeline *tl)
{
	return (struct run_ctl){
		.breaks = tl->breaks, .n_breaks = tl->n_breaks, .watches = tl->watches, .n_watches = tl->n_watches,
		.skip_first = true, .interrupted = tl->interrupted, .arg = tl->interrupted_arg,
	};
}

void fill_watch(const struct timeline *tl, const struct run_result *res, struct timeline_stop *ret)
{
	const struct run_watch *w = &tl->watches[res->watch];

	ret->kind = TL_WATCH;
	ret->watch_addr = w->addr;
	ret->watch_read = w->on_read;
	ret->watch_write = w->on_write;
}

/* ---- another process ---- */

/* The event after the one that made it, looked for backward from now: mostly it is the last one. */
static int first_of(struct timeline *tl, uint32_t proc, uint64_t *ret)
{
	struct trace_iter *it;
	const struct event *ev;
	int err = trace_iter_open(tl->trace, 1, &it);

	if (err)
		return err;
	err = -ESRCH;
	for (uint64_t no = tl->now->ev_no; err == -ESRCH && no-- > 1; ) {
		const struct trace_ckpt *c;
		int got = trace_seek(it, no);

		if (!got)
			got = trace_next(it, &ev);
		if (got < 0)
			err = got;
		else if (ev->new_task.task && !(ev->new_task.flags & NT_THREAD) && ev->new_task.proc == proc)
			err = 0;
		else if (no == 1 && ev->kind == EV_EXEC && trace_ckpt(tl->trace, ev->ckpt, &c) == 0 && c->proc == proc)
			err = 0;
		if (!err)
			*ret = no + 1;
	}
	trace_iter_close(it);
	return err;
}

static void forget_stops(struct timeline *tl)
{
	for (size_t i = 0; i < tl->n_watches; i++)
		free(tl->watches[i].old);
	tl->n_watches = tl->n_breaks = 0;
}

int timeline_follow(struct timeline *tl, int32_t pid)
{
	const struct rproc *p = tl->now->procs;
	uint64_t first;
	int err;

	while (p && (p->pid != pid || p->ended))
		p = p->next;
	if (!p)
		return -ESRCH;
	err = first_of(tl, p->no, &first);
	if (err)
		return err;
	trail_drop(tl);
	forget_stops(tl);
	tl->proc = p->no;
	tl->first = first;
	return 0;
}

/* ---- forward ---- */

/* What the debugger is told about an event that was carried out; false: nothing. */
static bool event_stops(struct timeline *tl, const struct event_seen *seen, uint32_t step_task, struct timeline_stop *ret)
{
	if (seen->proc == tl->proc && seen->child_pid) {
		ret->kind = TL_FORK;
		ret->other_pid = seen->child_pid;
		ret->is_vfork = seen->child_vfork;
		return true;
	}
	if (seen->task == step_task && !seen->no_insn) {
		switch (seen->kind) {
		case EV_SYSCALL:
		case EV_SYSCALL_EXIT:
		case EV_INSN:
		case EV_SIGNAL:
			ret->kind = TL_STEP;
			return true;
		}
	}
	if (seen->proc != tl->proc)
		return false;
	if (seen->kind == EV_EXEC) {
		ret->kind = TL_EXEC;
		return true;
	}
	if ((seen->kind == EV_SYSCALL || seen->kind == EV_SYSCALL_EXIT) && call_is_caught(tl, seen->nr)) {
		ret->kind = TL_RETURN;
		ret->syscall_nr = seen->nr;
		return true;
	}
	return false;
}

struct event_seen event_see(struct session *s)
{
	struct rtask *t = session_task(s, s->ev->task);

	struct event_seen seen = { .kind = s->ev->kind, .task = s->ev->task, .proc = t ? t->proc : 0, .nr = s->ev->nr,
				   .no_insn = s->ev->kind == EV_INSN && !s->ev->insn_len };
	const struct ev_new_task *made = &s->ev->new_task;

	if (made->task && !(made->flags & NT_THREAD)) {
		seen.child_pid = made->pid;
		seen.child_proc = made->proc;
		seen.child_vfork = made->flags & NT_VFORK;
	}
	return seen;
}

/* One session_run, and whether the debugger wants to know. 1: yes, 0: go on, negative: an error. */
static int forward_once(struct timeline *tl, struct run_ctl *ctl, struct timeline_stop *ret)
{
	struct event_seen seen;
	struct run_result res;
	int err;

	if (at_end(tl, tl->now)) {
		ret->kind = TL_END;
		return 1;
	}
	if (!tl->mid) {
		err = snap_here(tl, false);
		if (err)
			log_debug("no copy kept: %s", rl_strerror(err));
	}
	seen = event_see(tl->now);
	err = session_run(tl->now, ctl, &res);
	ctl->skip_first = false;
	if (err)
		return err;
	tl->mid = res.kind != RUN_EVENT && !(res.kind == RUN_WATCH && res.event_no);
	if (res.task)
		ret->task = res.task;
	switch (res.kind) {
	case RUN_EVENT:
		return event_stops(tl, &seen, ctl->step_task, ret);
	case RUN_WATCH:
		fill_watch(tl, &res, ret);
		return 1;
	case RUN_BREAK:
		ret->kind = TL_BREAK;
		return 1;
	case RUN_STEP:
		ret->kind = TL_STEP;
		return 1;
	case RUN_SIGNAL:
		ret->kind = TL_SIGNAL;
		ret->signo = tl->now->ev->signo;
		return 1;
	case RUN_CALL:
		ret->kind = TL_CALL;
		ret->syscall_nr = tl->now->ev->nr;
		return call_is_caught(tl, ret->syscall_nr);
	case RUN_INTERRUPTED:
		ret->kind = TL_INTERRUPTED;
		return 1;
	default:
		ret->kind = TL_END;
		return 1;
	}
}

static bool in_range(struct timeline *tl, uint32_t task, uint64_t start, uint64_t end)
{
	struct rtask *t = session_task(tl->now, task);

	return t && t->regs.rip >= start && t->regs.rip < end;
}

int timeline_forward(struct timeline *tl, uint32_t step_task, uint64_t range_start, uint64_t range_end,
		     struct timeline_stop *ret)
{
	struct run_ctl ctl = ctl_for(tl);
	int got;

	trail_drop(tl);
	memset(ret, 0, sizeof(*ret));
	ctl.step_task = step_task;
	ctl.signals = tl->proc;
	ctl.calls = tl->catch_calls ? tl->proc : 0;
	watches_refresh(tl, tl->now);
	do {
		got = forward_once(tl, &ctl, ret);
		if (!got && asked_to_stop(tl)) {
			ret->kind = TL_INTERRUPTED;
			got = 1;
		}
		if (got == 1 && ret->kind == TL_STEP && in_range(tl, step_task, range_start, range_end)) {
			got = 0;
			ctl.skip_first = true;
		}
	} while (!got);
	if (ret->task)
		tl->shown = ret->task;
	return got < 0 ? got : 0;
}

/* ---- jumps ---- */

int timeline_goto(struct timeline *tl, uint64_t no)
{
	struct session *s = NULL;
	int err = 0;

	trail_drop(tl);
	if (no < tl->first)
		no = tl->first;
	if (tl->mid || tl->now->ev_no > no || tl->snaps[snap_before(tl, no)]->ev_no > tl->now->ev_no) {
		err = session_clone(tl->snaps[snap_before(tl, no)], false, &s);
		if (err)
			return err;
		become(tl, s, false);
	}
	while (!err && tl->now->ev_no < no && !at_end(tl, tl->now)) {
		struct run_ctl ctl = quiet_ctl(tl);
		struct run_result res;

		snap_here(tl, false);
		err = session_run(tl->now, &ctl, &res);
		if (!err && wants_stop(tl, &res)) {
			tl->mid = res.kind == RUN_INTERRUPTED;
			break;
		}
	}
	tl->shown = tl->now->ev ? tl->now->ev->task : tl->shown;
	return err;
}

int to_beginning(struct timeline *tl)
{
	return timeline_goto(tl, tl->first);
}

int timeline_restart(struct timeline *tl)
{
	tl->proc = tl->home_proc;
	tl->first = tl->home_first;
	return to_beginning(tl);
}

int timeline_to_end(struct timeline *tl)
{
	int err = timeline_goto(tl, UINT64_MAX);

	if (!err)
		err = snap_here(tl, false);
	return err;
}
