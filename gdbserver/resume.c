#include "gdbserver/session.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "common/err.h"
#include "gdbserver/signals.h"

#define WHERE_MAX 256

/* Whether gdb wants to hear of this stop at all. */
static bool stop_wanted(const struct session *s, const struct target_stop *stop)
{
	switch (stop->kind) {
	case STOP_SIGNAL:
		return stop->signo < 1 || stop->signo > 64 || !(s->pass_signals >> (stop->signo - 1) & 1);
	case STOP_FORK:
		return s->flags & (stop->is_vfork ? GDB_VFORK_EVENTS : GDB_FORK_EVENTS);
	case STOP_VFORK_DONE:
		return s->vfork_done_due;
	case STOP_EXEC:
		return s->flags & GDB_EXEC_EVENTS;
	default:
		return true;
	}
}

/* gdb has no stop reply for these; a line on its console says what the bare stop cannot. */
static void stop_explain(struct session *s)
{
	const struct target_stop *stop = &s->stop;
	int status = stop->wait_status;
	char line[sizeof(stop->text) + 128];

	if (stop->kind == STOP_ERROR)
		snprintf(line, sizeof(line), "relive: %.*s\n", (int)sizeof(stop->text), stop->text);
	else if (stop->kind == STOP_EXITED && WIFSIGNALED(status))
		snprintf(line, sizeof(line), "relive: process %d ends here, killed by signal %d (%s)\n", stop->pid,
			 WTERMSIG(status), strsignal(WTERMSIG(status)));
	else if (stop->kind == STOP_EXITED)
		snprintf(line, sizeof(line), "relive: process %d ends here, with exit status %d\n", stop->pid,
			 WEXITSTATUS(status));
	else
		return;
	session_console(s, line);
}

static void stop_take(struct session *s, const struct target_stop *stop)
{
	s->stop = *stop;
	/* gdb takes the thread of a stop for chosen by Hg, and remembers its own last Hc: neither is sent again. */
	s->g = (struct ptid){ .pid = stop->pid, .tid = stop->tid };
	s->fork_child = stop->kind == STOP_FORK ? stop->other_pid : 0;
	break_forget_child(s);
	if (stop->kind == STOP_FORK && stop->is_vfork)
		s->vfork_done_due = true;
	else if (stop->kind == STOP_VFORK_DONE)
		s->vfork_done_due = false;
	stop_explain(s);
}

static void run_once(struct session *s, const struct target_resume *r, struct target_stop *stop)
{
	int err;

	session_forget(s);
	err = s->t->ops->resume(s->t->self, r, stop);
	session_forget(s);
	/* gdb 13 waits forever after a vfork that it met while stepping backwards off a breakpoint; a fork it can take. */
	if (r->dir == TARGET_BACKWARD)
		stop->is_vfork = false;
	if (err >= 0)
		return;
	*stop = (struct target_stop){ .kind = STOP_ERROR };
	stop->pid = s->t->ops->current_pid(s->t->self);
	stop->tid = s->t->ops->current_tid(s->t->self);
	snprintf(stop->text, sizeof(stop->text), "the replay cannot go on from here: %s", rl_strerror(err));
}

/*
 * Run until something gdb wants to know. gdb keeps breakpoints out of a process from a vfork until it hears that the
 * child is done; the child is not replayed here, so it is done at once.
 */
static int session_resume(struct session *s, const struct target_resume *r)
{
	struct target_stop stop = { .kind = STOP_VFORK_DONE, .pid = s->stop.pid, .tid = s->stop.tid };

	s->just_begun = false;
	s->stop_dir = r->dir;
	if (!s->vfork_done_due) {
		s->interrupt_seen = false;
		do {
			run_once(s, r, &stop);
			/* What gdb does not want to hear of may have been all there was to step over. */
			if (r->step && (stop.kind == STOP_FORK || stop.kind == STOP_EXEC) && !stop_wanted(s, &stop))
				stop.kind = STOP_STEP;
		} while (!stop_wanted(s, &stop) && !s->interrupt_seen);
		if (!stop_wanted(s, &stop))
			stop.kind = STOP_INTERRUPTED;
	}
	stop_take(s, &stop);
	stop_describe(s);
	return 0;
}

int session_follow_child(struct session *s)
{
	int32_t child = s->fork_child, parent = s->t->ops->current_pid(s->t->self);
	int err;

	break_remove_all(s);
	err = s->t->ops->follow(s->t->self, child);
	if (err < 0)
		return err;
	session_forget(s);
	s->left = parent;
	s->fork_child = 0;
	s->vfork_done_due = false;
	s->stop.pid = s->stop.tid = child;
	s->g = (struct ptid){ .pid = child, .tid = child };
	for (size_t i = 0; !err && i < s->n_child_breaks; i++)
		err = break_insert(s, s->child_breaks[i].kind, s->child_breaks[i].addr, s->child_breaks[i].len);
	break_forget_child(s);
	return err;
}

static int process_is_over(struct session *s, int32_t pid)
{
	out_str(&s->reply, "W00");
	if (s->flags & GDB_MULTIPROCESS)
		out_fmt(&s->reply, ";process:%x", (unsigned int)pid);
	return 0;
}

/* A child that the replay does not have is over as soon as it is to run. */
static int child_is_over(struct session *s)
{
	int32_t child = s->fork_child;

	if (s->life == LIFE_FORKED_OFF)
		s->life = LIFE_NONE;
	s->fork_child = 0;
	return process_is_over(s, child);
}

/* gdb holds both sides of a fork (`set detach-on-fork off`) and lets one of them run: the other one is over for it. */
static int other_is_over(struct session *s, int32_t other)
{
	char line[200];

	snprintf(line, sizeof(line), "relive: one process of a recording is debugged at a time: process %d is let go of, as if it "
		 "had exited; relive replay -p %d opens it\n", other, other);
	session_console(s, line);
	s->fork_child = s->left = 0;
	break_forget_child(s);
	return process_is_over(s, other);
}

static int resume_thread(struct session *s, struct ptid id, struct target_resume *r)
{
	int32_t tid;

	if (s->life == LIFE_FORKED_OFF || (session_is_child(s, id) && !s->t->ops->follow))
		return child_is_over(s);
	if (session_is_left(s, id))
		return other_is_over(s, s->left);
	if (session_is_child(s, id)) {
		bool vforked = s->vfork_done_due;   /* of a vfork's parent gdb lets go later */
		int err = session_follow_child(s);

		if (err < 0)
			return err;
		if (!vforked)
			return other_is_over(s, s->left);
	} else if (s->fork_child) {
		return other_is_over(s, s->fork_child);
	}
	if (!r->step)
		id.tid = 0;
	tid = session_thread(s, id);
	if (tid < 0)
		return tid;
	r->tid = tid;
	return session_resume(s, r);
}

int packet_vcont_query(struct session *s, struct arg *a)
{
	arg_want_end(a);
	if (a->err)
		return a->err;
	out_str(&s->reply, "vCont;c;C;s;S;t;r");
	return 0;
}

/* One action of vCont: its effect on *r and *who, if it is the first, or the first step. */
static void vcont_action(struct session *s, struct arg *a, bool first, struct target_resume *r, struct ptid *who)
{
	struct target_resume step = { .step = true };
	struct ptid id = { .pid = -1, .tid = -1 };
	bool stepping = true;

	if (arg_skip(a, 'r')) {
		step.range_start = arg_hex(a);
		arg_want(a, ',');
		step.range_end = arg_hex(a);
	} else if (arg_skip(a, 'S')) {
		arg_hex_max(a, 0xff);
	} else if (arg_skip(a, 'C')) {
		arg_hex_max(a, 0xff);
		stepping = false;
	} else if (!arg_skip(a, 's')) {
		if (!arg_skip(a, 't'))
			arg_want(a, 'c');
		stepping = false;
	}
	if (arg_skip(a, ':'))
		id = arg_ptid(a, s->stop.pid);
	/* The leftmost action for a thread counts, and there is only one thread to step. */
	if (stepping && !r->step)
		*r = step;
	else if (!first)
		return;
	*who = id;
}

/*
 * Signals in C and S are ignored: the recording says which signals arrive. Stopping single threads makes no sense in a
 * recording either: who runs when is written down.
 */
int packet_vcont(struct session *s, struct arg *a)
{
	struct target_resume r = { .dir = TARGET_FORWARD };
	struct ptid who = { 0 };
	bool first = true;

	do {
		arg_want(a, ';');
		vcont_action(s, a, first, &r, &who);
		first = false;
	} while (!arg_at_end(a));
	if (a->err)
		return a->err;
	return resume_thread(s, who, &r);
}

/* The address at which c, s, C and S may ask to go on would change the run. */
static int resume_simple(struct session *s, struct arg *a, bool step)
{
	struct target_resume r = { .dir = TARGET_FORWARD, .step = step };

	if (a->err)
		return a->err;
	if (!arg_at_end(a))
		return reply_refuse(s, "the recording cannot be continued at another address");
	return resume_thread(s, s->c, &r);
}

int packet_continue(struct session *s, struct arg *a)
{
	return resume_simple(s, a, false);
}

int packet_continue_signal(struct session *s, struct arg *a)
{
	arg_hex_max(a, 0xff);
	return resume_simple(s, a, false);
}

int packet_step(struct session *s, struct arg *a)
{
	return resume_simple(s, a, true);
}

int packet_step_signal(struct session *s, struct arg *a)
{
	arg_hex_max(a, 0xff);
	return resume_simple(s, a, true);
}

int packet_reverse_continue(struct session *s, struct arg *a)
{
	struct target_resume r = { .dir = TARGET_BACKWARD };

	(void)a;
	return resume_thread(s, s->c, &r);
}

int packet_reverse_step(struct session *s, struct arg *a)
{
	struct target_resume r = { .dir = TARGET_BACKWARD, .step = true };

	(void)a;
	return resume_thread(s, s->c, &r);
}

static int restart(struct session *s, const char *where)
{
	struct target_stop stop = { .kind = STOP_STEP };
	int err;

	session_forget(s);
	break_remove_all(s);
	err = where ? s->t->ops->restart_at(s->t->self, where, &stop) : s->t->ops->restart(s->t->self, &stop);
	if (err < 0)
		return err;
	s->life = LIFE_RUNNING;
	s->layout_known = false;
	s->just_begun = true;
	s->vfork_done_due = false;
	s->left = 0;
	s->stop_dir = TARGET_FORWARD;
	stop_take(s, &stop);
	return 0;
}

/*
 * vRun;FILE;ARGUMENT...: which program to run, and with what arguments, is in the recording, whatever gdb says. So the
 * first argument is free to name a place to start at.
 */
int packet_run(struct session *s, struct arg *a)
{
	char place[WHERE_MAX] = "";
	struct arg where;
	int err;

	arg_skip(a, ';');
	arg_until(a, ';');
	arg_skip(a, ';');
	where = arg_until(a, ';');
	arg_hex_text(&where, place, sizeof(place));
	if (where.err)
		return where.err;
	err = restart(s, place[0] && s->t->ops->restart_at ? place : NULL);
	if (err == -ENOENT)
		return reply_refuse(s, "the recording has no such place to run from; 'set args' without arguments forgets it");
	if (err < 0)
		return err;
	stop_describe_plainly(s);
	return 0;
}

int packet_restart(struct session *s, struct arg *a)
{
	(void)a;
	restart(s, NULL);
	return REPLY_NONE;
}

/* The first stop of a connection: gdb would take a replaylog reason here for the end of a command. */
int packet_why(struct session *s, struct arg *a)
{
	(void)a;
	if (s->life == LIFE_RUNNING)
		stop_describe_plainly(s);
	else
		out_str(&s->reply, "W00");
	return 0;
}
