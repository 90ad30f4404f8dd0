/* Copies of sessions: each host forks, so that memory is shared until somebody writes to it. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "common/err.h"
#include "replayer/internal.h"
#include "replayer/self.h"
#include "replayer/site.h"
#include "tracee/remote.h"
#include "tracee/xstate.h"

/* The canonical form of a task's extended state, from the live thread or from where a frozen session keeps it. */
static int take_xstate(const struct session *s, struct rtask *t, struct rtask *copy)
{
	static struct xstate x;
	static uint8_t canon[XSTATE_MAX];
	const uint8_t *from = t->xstate;
	size_t n = t->n_xstate;
	int err = 0;

	if (!s->frozen) {
		err = xstate_read(t->host_tid, &x);
		n = err ? 0 : xstate_canon(&x, canon);
		from = canon;
	}
	if (err)
		return err;
	copy->xstate = malloc(n + 1);
	if (!copy->xstate)
		return -ENOMEM;
	memcpy(copy->xstate, from, n);
	copy->n_xstate = (uint32_t)n;
	return 0;
}

static int put_xstate(struct rtask *t)
{
	static struct xstate now, x;
	int err = xstate_read(t->host_tid, &now);

	if (!err)
		err = xstate_from_canon(t->xstate, t->n_xstate, now.n, &x);
	if (!err)
		err = xstate_write(t->host_tid, &x);
	free(t->xstate);
	t->xstate = NULL;
	return err;
}

static struct host *copy_of(const struct session *c, const struct host *h)
{
	struct host *x = c->hosts;

	while (x && x->copy_of != h)
		x = x->next;
	return x;
}

/* Any thread of a host that can run injected calls. */
static pid_t vehicle(struct session *s, struct host *h, int *ret_err)
{
	*ret_err = 0;
	if (s->frozen)
		return h->pid;
	for (struct rtask *t = s->tasks; t; t = t->next) {
		if (t->host == h) {
			t->regs.orig_rax = t->at_entry ? -1ull : t->regs.orig_rax;
			t->regs_dirty |= t->at_entry;
			*ret_err = rtask_flush(t);
			return t->host_tid;
		}
	}
	*ret_err = -RL_EGONE;
	return 0;
}

static int copy_hosts(struct session *s, struct session *c)
{
	for (struct host *h = s->hosts; h; h = h->next) {
		struct host *x;
		int err;
		pid_t tid = vehicle(s, h, &err);

		if (!err)
			err = host_fork(h, tid, &x);
		if (err)
			return err;
		x->copy_of = h;
		x->next = c->hosts;
		c->hosts = x;
		err = host_reshare(x, x->pid, c->objects);
		if (err)
			return err;
	}
	return 0;
}

static int copy_task(struct session *s, struct session *c, struct rtask *t)
{
	struct host *h = t->host ? copy_of(c, t->host) : NULL;
	struct rtask *x;
	pid_t tid = 0;
	int err = 0;

	if (!h)
		return 0;
	if (c->frozen || h->n_tasks == 0)
		tid = h->pid;
	else
		err = host_thread(h, h->pid, &tid);
	if (err)
		return err;
	x = rtask_add(c, h, tid);
	if (!x)
		return -ENOMEM;
	x->no = t->no;
	x->proc = t->proc;
	x->tid = t->tid;
	x->pid = t->pid;
	x->regs = t->regs;
	memcpy(x->name, t->name, sizeof(x->name));
	x->regs_dirty = true;
	x->at_entry = t->at_entry;
	x->in_call = t->in_call;
	x->dead = t->dead;
	err = take_xstate(s, t, x);
	if (!err && !c->frozen)
		err = put_xstate(x);
	return err;
}

static int copy_procs(const struct session *s, struct session *c)
{
	for (const struct rproc *p = s->procs; p; p = p->next) {
		struct rproc *x = malloc(sizeof(*x));

		if (!x)
			return -ENOMEM;
		*x = *p;
		x->next = c->procs;
		c->procs = x;
	}
	return 0;
}

/* The copy reads on by itself, from the same event. */
static int copy_place(const struct session *s, struct session *c)
{
	int err;

	c->ev_no = s->ev_no;
	c->announced = s->announced;
	if (!s->ev)
		return 0;
	err = trace_iter_open(c->trace, s->ev_no, &c->it);
	if (err)
		return err;
	err = trace_next(c->it, &c->ev);
	return err < 0 ? err : err == 0 ? -RL_ECORRUPT : 0;
}

int session_clone(struct session *s, bool frozen, struct session **ret)
{
	struct session *c = calloc(1, sizeof(*c));
	int err;

	if (!c)
		return -ENOMEM;
	c->trace = s->trace;
	self_enter((int)trace_header(s->trace)->cpu);
	c->last_time_ns = s->last_time_ns;
	c->book = site_book_get(s->book);
	c->frozen = frozen;
	err = objects_clone(s->objects, &c->objects);
	if (!err)
		err = copy_place(s, c);
	if (!err)
		err = copy_procs(s, c);
	if (!err)
		err = copy_hosts(s, c);
	for (struct rtask *t = s->tasks; !err && t; t = t->next)
		err = copy_task(s, c, t);
	if (err) {
		session_close(c);
		return err;
	}
	*ret = c;
	return 0;
}
