/* The recorder's main loop: pick a task, let it run to its next stop, do what the stop asks for. */
#include "recorder/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include "common/err.h"
#include "common/log.h"
#include "recorder/agent.h"

static void note_early(struct recording *r, pid_t tid, int status)
{
	struct early_stop *e = malloc(sizeof(*e));

	if (!e)
		return;
	*e = (struct early_stop){ tid, status, r->early };
	r->early = e;
}

void note_stop(struct recording *r, pid_t tid, int status)
{
	struct task *t = task_by_tid(r, tid);
	struct stop s = stop_decode(status);

	if (!t) {
		if (s.kind != TS_DEAD)
			note_early(r, tid, status);
		return;
	}
	switch (s.kind) {
	case TS_DEAD:
		task_died(r, t, status);
		return;
	case TS_EXITING:
		task_exiting(r, t);
		return;
	default:
		break;
	}
	if (t->state == TASK_DEAD)
		return;
	if (t->state == TASK_BLOCKED && s.kind == TS_VFORK_DONE) {
		remote_resume(tid, PTRACE_SYSCALL, 0);
		return;
	}
	t->stop = s;
	t->have_stop = true;
	t->state = TASK_READY;
}

int run_until_stop(struct recording *r, struct task *t, int request, int sig)
{
	pid_t tid = t->tid;
	int err;

	t->agent_ran |= t->where != IN_CALL;
	if (r->signal_next != t)
		r->signal_next = NULL;
	err = remote_resume(tid, request, sig);
	if (err)
		return err;
	sched_run_begin(r, t);
	for (;;) {
		int status;
		pid_t got = waitpid(-1, &status, __WALL);

		if (got < 0 && errno == EINTR) {
			flush_events(r);
			continue;
		}
		if (got < 0) {
			err = -errno;
			break;
		}
		/* A thread that executes reports as its leader. */
		if (got == tid || (got == t->proc->pid && stop_decode(status).kind == TS_EXEC)) {
			t->stop = stop_decode(status);
			t->have_stop = true;
			break;
		}
		note_stop(r, got, status);
		sched_recheck(r, t);
	}
	sched_run_end();
	if (!t->have_stop || t->stop.kind != TS_SIGNAL)
		r->signal_next = NULL;
	return err;
}

static void on_interrupt(struct recording *r, struct task *t, bool only_woken)
{
	if (t->where == IN_CALL) {
		/* A stop on the way out of a call that a group-stop or we disturbed: the call's end comes next. */
		run_until_stop(r, t, PTRACE_SYSCALL, 0);
		return;
	}
	/* Nobody else may run before it was said where t stands. */
	if (only_woken || !sched_others_ready(r, t) || sched_prolong(r, t)) {
		pace_hold(r, t);
		run_user(r, t, 0);
		return;
	}
	r->slice_over = true;
	if (!t->at_restart && agent_leave(r, t))
		return;
	if (t->at_restart || clock_point(r, t) != CLOCK_SYNC || t->have_stop)
		return;
	sched_let_be();
	run_user(r, t, 0);
}

static void on_group_stop(struct recording *r, struct task *t)
{
	t->state = TASK_FROZEN;
	if (ptrace(PTRACE_LISTEN, t->tid, 0, 0) < 0) {
		t->state = TASK_READY;
		log_debug("task %u: PTRACE_LISTEN refused", t->no);
	}
	(void)r;
}

static void handle_stop(struct recording *r, struct task *t)
{
	bool only_woken = pace_let(t);

	t->have_stop = false;
	switch (t->stop.kind) {
	case TS_SECCOMP:
		agent_flush(r, t);
		syscall_entry(r, t);
		break;
	case TS_SYSCALL:
		if (t->where == IN_CALL)
			syscall_exit(r, t);
		else if (r->outer_filter && is_call_entry(t))
			syscall_entry(r, t);
		break;
	case TS_NEW_TASK:
		task_new_child(r, t);
		if (t->state == TASK_BLOCKED)
			remote_resume(t->tid, PTRACE_SYSCALL, 0);
		else
			run_until_stop(r, t, PTRACE_SYSCALL, 0);
		break;
	case TS_VFORK_DONE:
		run_until_stop(r, t, PTRACE_SYSCALL, 0);
		break;
	case TS_EXEC: {
		int err = task_execed(r, t);

		if (err && err != -RL_EGONE && !r->err)
			r->err = err;
		break;
	}
	case TS_EXITING:
		agent_flush(r, t);
		if (t->where == AT_USER && !t->doomed && r->current == t && !agent_inside(t))
			clock_record(r, t);
		task_exiting(r, t);
		break;
	case TS_INTERRUPT:
		on_interrupt(r, t, only_woken);
		break;
	case TS_GROUP:
		on_group_stop(r, t);
		break;
	case TS_SIGNAL:
		signal_stop(r, t);
		break;
	case TS_DEAD:
		task_died(r, t, t->stop.status);
		break;
	case TS_NONE:
		break;
	}
}

int record_loop(struct recording *r)
{
	struct task *t;

	while (!r->err && (t = sched_pick(r))) {
		if (!t->have_stop && t->where == AT_USER) {
			tsc_settle(t);
			pace_hold(r, t);
		}
		if (!t->have_stop && run_user(r, t, 0))
			t->state = TASK_DYING;   /* killed: wait(2) will say so */
		/* Before anybody else runs, the place where t stands must be known to the trace. */
		while (r->current == t && t->have_stop && t->state == TASK_READY && !r->err)
			handle_stop(r, t);
	}
	return r->err;
}
