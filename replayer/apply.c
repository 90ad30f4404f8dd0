/* Carrying out an event: everything that the recorded program's kernel did to it, done again by us. */
#include "replayer/agent.h"
#include "replayer/internal.h"
#include "replayer/watch.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include "common/err.h"
#include "common/log.h"
#include "tracee/remote.h"
#include "tracee/xstate.h"

int session_next(struct session *s)
{
	uint64_t time_ns = s->ev ? s->ev->time_ns : 0;
	int got = trace_next(s->it, &s->ev);

	s->last_time_ns = time_ns;

	if (got < 0)
		return got;
	if (got == 0)
		s->ev = NULL;
	s->ev_no++;
	return 0;
}

int rtask_flush(struct rtask *t)
{
	int err;

	if (!t->regs_dirty)
		return 0;
	err = remote_setregs(t->host_tid, &t->regs);
	if (!err)
		t->regs_dirty = false;
	return err;
}

int rtask_fetch(struct rtask *t)
{
	t->regs_dirty = false;
	return remote_getregs(t->host_tid, &t->regs);
}

struct rtask *rtask_add(struct session *s, struct host *h, pid_t host_tid)
{
	struct rtask *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->host = h;
	t->host_tid = host_tid;
	h->n_tasks++;
	t->next = s->tasks;
	s->tasks = t;
	return t;
}

static struct rproc *rproc_add(struct session *s, uint32_t no, int32_t pid, int32_t ppid, uint32_t ckpt)
{
	struct rproc *p = session_proc(s, no);

	if (!p) {
		p = calloc(1, sizeof(*p));
		if (!p)
			return NULL;
		p->next = s->procs;
		s->procs = p;
	}
	p->no = no;
	p->pid = pid;
	p->ppid = ppid;
	p->ckpt = ckpt;
	return p;
}

static void host_drop(struct session *s, struct host *h)
{
	if (--h->n_tasks > 0)
		return;
	for (struct host **at = &s->hosts; *at; at = &(*at)->next) {
		if (*at == h) {
			*at = h->next;
			break;
		}
	}
	host_kill(h);
}

static int set_xstate(struct rtask *t, const uint8_t *canon, uint32_t n)
{
	static struct xstate now, x;
	int err = xstate_read(t->host_tid, &now);

	if (!err)
		err = xstate_from_canon(canon, n, now.n, &x);
	return err ? err : xstate_write(t->host_tid, &x);
}

static void set_regs(struct rtask *t, const struct user_regs_struct *regs)
{
	t->regs = *regs;
	t->regs.orig_rax = -1ull;   /* nothing for the kernel to restart */
	t->regs_dirty = true;
}

/* ---- parts of an event ---- */

/*
 * Injection moves the thread away from where it stands, registers and all, and back: what we hold of it must be
 * written before, and a system call that it stands at must be over.
 */
static int settle(struct rtask *t)
{
	if (t->at_entry) {
		t->regs.orig_rax = -1ull;
		t->regs_dirty = true;
	}
	return rtask_flush(t);
}

static int apply_asops(struct session *s, struct rtask *t, const struct event *ev)
{
	int err = ev->n_asops ? settle(t) : 0;

	return err || !ev->n_asops ? err : host_asops(t->host, t->host_tid, s->objects, ev->asops, ev->n_asops);
}

static int apply_writes(struct session *s, const struct event *ev)
{
	for (uint32_t i = 0; i < ev->n_writes; i++) {
		const struct ev_write *w = &ev->writes[i];
		struct rtask *t;

		if (w->task & EV_WRITE_OBJECT) {
			int err = objects_write(s->objects, w->task & ~EV_WRITE_OBJECT, w->addr, w->bytes, w->len);

			if (err)
				return err;
			continue;
		}
		t = session_task(s, w->task);
		if (!t || !t->host)
			continue;   /* the memory is gone with its last task */
		if (host_write(t->host, s->objects, w->addr, w->bytes, w->len))
			return diverged(s, t, ev, "memory that the recorded call wrote is not mapped");
	}
	return 0;
}

#define OUTPUT_PART 65536

static void apply_outputs(struct rtask *t, const struct event *ev, const struct run_ctl *ctl)
{
	static uint8_t bytes[OUTPUT_PART];

	if (!ctl || !ctl->output)
		return;
	for (uint32_t i = 0; i < ev->n_outputs; i++) {
		const struct ev_output *o = &ev->outputs[i];

		for (uint32_t done = 0; done < o->len; ) {
			size_t n = o->len - done < OUTPUT_PART ? o->len - done : OUTPUT_PART;

			n = mem_read_some(t->host->mem_fd, o->addr + done, bytes, n);
			if (!n)
				break;
			ctl->output(ctl->output_arg, o->stream, bytes, n);
			done += (uint32_t)n;
		}
	}
}

static int apply_new_task(struct session *s, struct rtask *parent, const struct event *ev)
{
	const struct ev_new_task *nt = &ev->new_task;
	struct host *h = parent->host;
	struct rtask *t;
	struct rproc *pp = session_proc(s, parent->proc);
	struct rproc *p;
	pid_t tid;
	int err = settle(parent);

	if (err)
		return err;
	if (nt->flags & NT_VM) {
		err = host_thread(h, parent->host_tid, &tid);
	} else {
		err = host_fork(h, parent->host_tid, &h);
		if (!err) {
			tid = h->pid;
			h->next = s->hosts;
			s->hosts = h;
		}
	}
	if (err)
		return err;
	t = rtask_add(s, h, tid);
	if (!t)
		return -ENOMEM;
	t->no = nt->task;
	t->proc = nt->proc;
	t->tid = nt->tid;
	t->pid = nt->pid;
	memcpy(t->name, parent->name, sizeof(t->name));
	set_regs(t, &nt->regs);
	p = session_proc(s, nt->proc);
	if (!p)
		p = rproc_add(s, nt->proc, nt->pid, parent->pid, pp ? pp->ckpt : 0);
	return p ? 0 : -ENOMEM;
}

/* ---- kinds of events ---- */

static int leave_host(struct session *s, struct rtask *t)
{
	struct host *h = t->host;
	int err = 0;

	if (!h)
		return 0;
	/* A leader cannot end before its threads; it stays, stopped for good. */
	if (h->n_tasks > 1 && t->host_tid != h->pid) {
		err = settle(t);
		if (!err)
			err = host_end_thread(h, t->host_tid);
	}
	t->host = NULL;
	host_drop(s, h);
	return err;
}

/* An empty host: copies of the first one, which is kept for that, cost less than emptying a copy of ourselves. */
static int spawn(struct session *s, struct host **ret)
{
	bool trap = trace_header(s->trace)->flags & HDR_CPUID_TRAPPED;
	int err = s->seed ? 0 : host_spawn(trap, &s->seed);

	if (err == -RL_EUNSUPPORTED && trap)
		snprintf(s->report, sizeof(s->report), "the recording has cpuid instructions as events, and this machine "
			 "cannot trap them: replay it where `relive doctor` says that it can\n");
	return err ? err : host_fork(s->seed, s->seed->pid, ret);
}

static void name_after_file(struct rtask *t, const char *path)
{
	const char *slash = strrchr(path, '/');

	memset(t->name, 0, sizeof(t->name));
	strncpy(t->name, slash ? slash + 1 : path, sizeof(t->name) - 1);
}

/* prctl(PR_SET_NAME): its argument is still in memory. */
static void name_by_call(struct rtask *t, const struct event *ev)
{
	if (ev->kind != EV_SYSCALL || ev->nr != SYS_prctl || ev->before.rdi != PR_SET_NAME || ev->after.rax)
		return;
	memset(t->name, 0, sizeof(t->name));
	mem_read_string(t->host->mem_fd, ev->before.rsi, t->name, sizeof(t->name));
}

static int apply_exec(struct session *s, struct rtask *t, const struct event *ev)
{
	const struct trace_ckpt *c;
	struct host *h;
	int err = trace_ckpt(s->trace, ev->ckpt, &c);

	if (err)
		return err == -ENOENT ? -RL_ECORRUPT : err;
	if (c->n_tasks != 1)
		return -RL_ECORRUPT;
	err = spawn(s, &h);
	if (err)
		return err;
	h->next = s->hosts;
	s->hosts = h;
	err = host_load(h, s->trace, s->objects, c);
	if (err)
		return err;
	if (t) {
		err = leave_host(s, t);
		if (err)
			return err;
		t->host = h;
		t->host_tid = h->pid;
		h->n_tasks++;
	} else {
		t = rtask_add(s, h, h->pid);
		if (!t)
			return -ENOMEM;
	}
	t->no = ev->task;
	t->proc = c->proc;
	t->pid = c->pid;
	t->tid = c->tasks[0].tid;
	t->in_call = t->at_entry = false;
	name_after_file(t, c->exe);
	set_regs(t, &c->tasks[0].regs);
	if (!rproc_add(s, c->proc, c->pid, c->ppid, c->id))
		return -ENOMEM;
	return set_xstate(t, c->tasks[0].xstate, c->tasks[0].n_xstate);
}

static int apply_exit(struct session *s, struct rtask *t, const struct event *ev)
{
	struct rproc *p = session_proc(s, t->proc);
	int err;

	t->dead = true;
	err = leave_host(s, t);
	if (p && ev->flags & EVF_PROC_EXIT) {
		p->ended = true;
		p->wait_status = ev->status;
	}
	if (!err)
		err = apply_writes(s, ev);
	for (struct rtask **at = &s->tasks; *at; at = &(*at)->next) {
		if (*at == t) {
			*at = t->next;
			free(t);
			break;
		}
	}
	return err;
}

static int apply_effects(struct session *s, struct rtask *t, const struct event *ev, const struct run_ctl *ctl)
{
	int err = apply_asops(s, t, ev);

	apply_outputs(t, ev, ctl);
	if (!err && ev->new_task.task)
		err = apply_new_task(s, t, ev);
	if (!err && ev->kind != EV_CLOCK)   /* a clock point's are there already */
		err = apply_writes(s, ev);
	if (!err && ev->flags & EVF_AFTER)
		set_regs(t, &ev->after);
	if (!err && ev->n_xstate && ev->kind != EV_CLOCK)
		err = set_xstate(t, ev->xstate, ev->n_xstate);
	return err;
}

int event_apply(struct session *s, const struct run_ctl *ctl, struct run_result *ret)
{
	const struct event *ev = s->ev;
	struct rtask *t = session_task(s, ev->task);
	int err;

	ret->kind = RUN_EVENT;
	ret->task = ev->task;
	ret->event_no = ev->no;
	if (!t && ev->kind != EV_EXEC)
		return diverged(s, NULL, ev, "there is no such task");
	if (t && t->host && event_needs_run(ev))
		agent_used_up(t->host);
	switch (ev->kind) {
	case EV_EXEC:
		err = apply_exec(s, t, ev);
		break;
	case EV_EXIT:
		err = apply_exit(s, t, ev);
		break;
	default:
		err = apply_effects(s, t, ev, ctl);
		name_by_call(t, ev);
		/* What another task did to its memory does not end its call. */
		t->in_call = ev->kind == EV_SYSCALL_ENTER || (ev->kind == EV_PATCH && t->in_call);
		t->at_entry = ev->kind == EV_SYSCALL_ENTER && t->at_entry;
		break;
	}
	if (!err && ev->kind == EV_BUFFER && t->host)
		agent_filled(t->host, ev);
	if (err) {
		log_debug("event %llu kind %d: %s", (unsigned long long)ev->no, ev->kind, rl_strerror(err));
		return err;
	}
	if (watch_hit_by_event(s, ctl, ev, &ret->watch))
		ret->kind = RUN_WATCH;
	return session_next(s);
}
