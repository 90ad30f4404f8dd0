/* Sessions: the recorded process tree, alive again, at one instant. */
#include "replayer/session.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "common/err.h"
#include "replayer/internal.h"
#include "replayer/lockhook.h"
#include "replayer/self.h"
#include "replayer/site.h"
#include "tracee/remote.h"

struct rtask *session_task(struct session *s, uint32_t no)
{
	struct rtask *t = s->tasks;

	while (t && t->no != no)
		t = t->next;
	return t;
}

struct rtask *session_task_by_tid(struct session *s, int32_t tid)
{
	struct rtask *t = s->tasks;

	while (t && t->tid != tid)
		t = t->next;
	return t;
}

struct rproc *session_proc(struct session *s, uint32_t no)
{
	struct rproc *p = s->procs;

	while (p && p->no != no)
		p = p->next;
	return p;
}

struct rtask *session_current(struct session *s)
{
	return s->ev ? session_task(s, s->ev->task) : NULL;
}

int session_open(struct trace *t, const char *learned, struct session **ret)
{
	struct session *s = calloc(1, sizeof(*s));
	int err;

	if (!s)
		return -ENOMEM;
	s->trace = t;
	self_enter((int)trace_header(t)->cpu);
	if (learned)
		s->book = site_book_open(learned, trace_id(t));
	err = trace_iter_open(t, 1, &s->it);
	if (!err)
		err = objects_open(t, &s->objects);
	if (!err)
		err = session_next(s);
	if (err) {
		session_close(s);
		return err;
	}
	*ret = s;
	return 0;
}

void session_close(struct session *s)
{
	if (!s)
		return;
	while (s->tasks) {
		struct rtask *t = s->tasks;

		s->tasks = t->next;
		free(t->xstate);
		free(t);
	}
	while (s->procs) {
		struct rproc *p = s->procs;

		s->procs = p->next;
		free(p);
	}
	while (s->hosts) {
		struct host *h = s->hosts;

		s->hosts = h->next;
		host_kill(h);
	}
	host_kill(s->seed);
	objects_close(s->objects);
	site_book_put(s->book);
	lockhooks_close(s->locks);
	if (s->it)
		trace_iter_close(s->it);
	free(s);
	self_leave();
}

/* Stop once between arriving at an event and carrying it out, if that is wanted. */
static bool announce(struct session *s, const struct run_ctl *ctl, struct run_result *ret)
{
	const struct event *ev = s->ev;
	struct rtask *t = session_task(s, ev->task);
	bool call = ev->kind == EV_SYSCALL || ev->kind == EV_SYSCALL_ENTER;

	if (!t || s->announced == ev->no)
		return false;
	if (!(ev->kind == EV_SIGNAL && ctl->signals == t->proc) && !(call && ctl->calls == t->proc))
		return false;
	s->announced = ev->no;
	ret->kind = call ? RUN_CALL : RUN_SIGNAL;
	ret->event_no = ev->no;
	return true;
}

int session_run(struct session *s, const struct run_ctl *ctl, struct run_result *ret)
{
	int err;

	memset(ret, 0, sizeof(*ret));
	if (!s->ev) {
		ret->kind = RUN_END;
		return 0;
	}
	err = run_to_event(s, ctl, ret);
	if (err || ret->kind != RUN_EVENT)
		return err;
	if (ctl && announce(s, ctl, ret))
		return 0;
	return event_apply(s, ctl, ret);
}
