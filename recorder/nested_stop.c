/*
 * Stops of those who are traced by another task of the program, and how wait(2) tells of them. Who has asked to be traced
 * (PTRACE_TRACEME) stands still at each signal until its parent lets it go on with that one, with another or with none; and with
 * PTRACE_SYSCALL before and after each call. Before a call it is in it, as far as the trace is concerned: as if that had blocked.
 */
#include "recorder/nested_int.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include "recorder/agent.h"
#include "tracee/procfile.h"

#define STOPPED_BY(sig) ((sig) << 8 | 0x7f)   /* wait(2)'s status */
#define SETTABLE (PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL)

/* A task of its tracer's; the one that it was before, if that lives. */
static struct task *tracer_of(const struct recording *r, const struct task *t)
{
	struct task *found = NULL;

	for (struct task *o = r->tasks; t->tracer && o; o = o->next) {
		if (o->proc->no == t->tracer && o->state != TASK_DYING && o->state != TASK_DEAD && (!found || o->tid == o->proc->pid))
			found = o;
	}
	return found;
}

bool nested_trace_me(struct recording *r, struct task *t)
{
	char text[2048];
	struct task *parent;

	procfile_read(t->proc->pid, "status", text, sizeof(text));
	parent = task_by_tid(r, (pid_t)procfile_number(text, "\nPPid:", 10));
	if (!parent)
		return false;
	t->tracer = parent->proc->no;
	agent_stop_calls(parent->mm);   /* a wait of its may not be the agent's */
	agent_stop_calls(t->mm);        /* it may have to stand still at each call */
	nested_answer(t, 0);
	return true;
}

static uid_t uid_of(const struct task *t)
{
	char text[2048];

	procfile_read(t->proc->pid, "status", text, sizeof(text));
	return (uid_t)procfile_number(text, "\nUid:", 10);
}

static bool waits(const struct task *t)
{
	return t->where == IN_CALL && (t->call.nr == SYS_wait4 || t->call.nr == SYS_waitid);
}

/* As if the kernel had stopped t: its tracer gets a SIGCHLD, and who waits for it returns. */
static void tell(struct recording *r, const struct task *tracer)
{
	(void)kill(tracer->proc->pid, SIGCHLD);
	for (struct task *o = r->tasks; o; o = o->next) {
		if (o->proc == tracer->proc && o->state == TASK_BLOCKED && waits(o))
			ptrace(PTRACE_INTERRUPT, o->tid, 0, 0);
	}
}

static void hold(struct recording *r, struct task *t, struct task *tracer, enum held_at at, int sig)
{
	t->holder = tracer;
	t->held_told = false;
	t->held_at = at;
	t->held_sig = sig;
	tell(r, tracer);
}

bool nested_holds(struct recording *r, struct task *t, const siginfo_t *info, bool forced, bool faults)
{
	struct task *tracer = tracer_of(r, t);

	if (!tracer || t->shown)
		return false;
	/* It will stand here while others run. An instruction that faults is nowhere else. */
	if (!t->at_restart && (faults || !agent_leave(r, t)))
		clock_record(r, t);
	if (t->have_stop)
		return true;   /* it is ending */
	t->held_forced = forced;
	t->held_info = *info;
	if (info->si_signo == SIGTRAP && info->si_code == SI_TKILL && info->si_pid == getpid()) {
		t->held_info.si_code = SI_USER;
		t->held_info.si_pid = t->proc->pid;
		t->held_info.si_uid = uid_of(t);
	}
	hold(r, t, tracer, AT_SIGNAL, info->si_signo);
	return true;
}

bool nested_at_call(struct recording *r, struct task *t)
{
	struct task *tracer = tracer_of(r, t);
	int sig = SIGTRAP | (t->trace_options & PTRACE_O_TRACESYSGOOD ? 0x80 : 0);

	if (!tracer || !t->stops_at_calls)
		return false;
	t->held_info = (siginfo_t){ .si_signo = SIGTRAP, .si_code = sig };
	t->held_info.si_pid = t->proc->pid;
	t->held_info.si_uid = uid_of(t);
	hold(r, t, tracer, t->where == IN_CALL ? AT_CALL : AFTER_CALL, sig);
	return true;
}

/* As the kernel does without PTRACE_O_TRACEEXEC. */
void nested_execed(struct recording *r, struct task *t)
{
	if (!t->tracer)
		return;
	(void)syscall(SYS_tgkill, t->proc->pid, t->tid, SIGTRAP);
	(void)nested_at_call(r, t);
}

/* From a call: a signal comes when that is over. */
static void release_from_call(struct task *t, int sig)
{
	t->holder = NULL;
	if (sig)
		(void)syscall(SYS_tgkill, t->proc->pid, t->tid, sig);
	if (t->held_at == AT_CALL && t->state == TASK_READY && remote_resume(t->tid, PTRACE_SYSCALL, 0) == 0)
		t->state = TASK_BLOCKED;
}

/* Let it go on. With a signal: that comes to it now. */
static void release(struct task *t, int sig)
{
	siginfo_t other = { .si_signo = sig, .si_code = SI_USER };

	if (t->held_at != AT_SIGNAL) {
		release_from_call(t, sig);
		return;
	}
	if (sig && sig != t->held_info.si_signo) {
		other.si_pid = t->holder->proc->pid;
		other.si_uid = uid_of(t->holder);
		t->held_info = other;
		t->held_forced = false;
	}
	t->holder = NULL;
	if (!sig || t->state != TASK_READY)
		return;
	ptrace(PTRACE_SETSIGINFO, t->tid, 0, &t->held_info);
	t->stop = (struct stop){ .kind = TS_SIGNAL, .sig = sig };
	t->have_stop = t->shown = true;
}

bool nested_control(struct task *t, struct task *target)
{
	uint64_t data = t->call.arg[3];

	switch ((unsigned)t->call.arg[0]) {
	case PTRACE_SETOPTIONS:
		nested_answer(t, data & ~(uint64_t)SETTABLE ? -EINVAL : 0);
		if (!t->forced)
			target->trace_options = data;
		return true;
	case PTRACE_GETSIGINFO:
		nested_answer(t, nested_put(t, data, &target->held_info, sizeof(target->held_info)));
		return true;
	case PTRACE_SYSCALL:
	case PTRACE_CONT:
	case PTRACE_DETACH:
		if (data >= _NSIG) {
			nested_answer(t, -EIO);
			return true;
		}
		if ((unsigned)t->call.arg[0] == PTRACE_DETACH)
			target->tracer = 0;
		target->stops_at_calls = (unsigned)t->call.arg[0] == PTRACE_SYSCALL;
		release(target, (int)data);
		nested_answer(t, 0);
		return true;
	case PTRACE_KILL:
		target->holder = NULL;
		(void)syscall(SYS_tgkill, target->proc->pid, target->tid, SIGKILL);
		nested_answer(t, 0);
		return true;
	}
	return false;
}

void nested_ended(struct recording *r, const struct task *t)
{
	for (struct task *o = r->tasks; o; o = o->next) {
		struct task *tracer;

		if (o == t || o->state == TASK_DEAD || (o->holder != t && o->tracer != t->proc->no))
			continue;
		tracer = o->tracer ? tracer_of(r, o) : NULL;
		if (tracer && tracer != t) {
			o->holder = o->holder ? tracer : NULL;
			continue;
		}
		if (o->tracer && o->trace_options & PTRACE_O_EXITKILL)
			(void)syscall(SYS_tgkill, o->proc->pid, o->tid, SIGKILL);
		if (o->holder && o->tracer)
			release(o, o->held_at == AT_SIGNAL ? o->held_sig : 0);
		o->holder = NULL;
		o->tracer = 0;
	}
}

/* ---- wait(2) ---- */

static int its_signal(const struct task *o)
{
	return o->tracer ? o->held_sig : SIGSTOP;
}

static bool is_awaited_by_wait4(const struct task *t, const struct task *o)
{
	int32_t pid = (int32_t)t->call.arg[0];

	if (pid > 0)
		return o->tid == pid;
	return pid == -1 || getpgid(o->tid) == (pid ? -pid : getpgid(t->tid));
}

static bool is_awaited_by_waitid(const struct task *t, const struct task *o)
{
	pid_t id = (pid_t)t->call.arg[1];

	if (!(t->call.arg[3] & (WEXITED | WSTOPPED | WCONTINUED)))
		return false;
	switch (t->call.arg[0]) {
	case P_ALL:
		return true;
	case P_PID:
		return o->tid == id;
	case P_PGID:
		return getpgid(o->tid) == (id ? id : getpgid(t->tid));
	}
	return false;
}

static struct task *stopped_for(struct recording *r, const struct task *t)
{
	for (struct task *o = r->tasks; o; o = o->next) {
		if (o->holder && o->holder->proc == t->proc && !o->held_told && o->state != TASK_DYING && o->state != TASK_DEAD &&
		    (t->call.nr == SYS_wait4 ? is_awaited_by_wait4(t, o) : is_awaited_by_waitid(t, o)))
			return o;
	}
	return NULL;
}

static void its_siginfo(const struct task *o, siginfo_t *info)
{
	info->si_signo = SIGCHLD;
	info->si_errno = 0;
	info->si_code = CLD_TRAPPED;
	info->si_pid = o->tid;
	info->si_uid = uid_of(o);
	info->si_status = its_signal(o);
}

bool nested_wait(struct recording *r, struct task *t)
{
	static const uint8_t no_usage[sizeof(struct rusage)];
	bool is_wait4 = t->call.nr == SYS_wait4;
	uint64_t usage = t->call.arg[is_wait4 ? 3 : 4], place = t->call.arg[is_wait4 ? 1 : 2];
	struct task *o = stopped_for(r, t);
	int err = 0;

	if (!o)
		return false;
	t->n_answers = 0;
	if (place && is_wait4) {
		int status = STOPPED_BY(its_signal(o));

		err = nested_put(t, place, &status, sizeof(status));
	} else if (place) {
		size_t n = offsetof(siginfo_t, si_status) + sizeof(int);
		siginfo_t info = { 0 };

		(void)mem_read(t->mm->mem_fd, place, &info, n);   /* between its members nothing is written */
		its_siginfo(o, &info);
		err = nested_put(t, place, &info, n);
	}
	if (usage && !err)
		err = nested_put(t, usage, no_usage, sizeof(no_usage));
	o->held_told = is_wait4 || !(t->call.arg[3] & WNOWAIT);
	nested_answer(t, err ? err : is_wait4 ? o->tid : 0);
	return true;
}

void nested_waited(struct recording *r, struct task *t)
{
	if (waits(t) && nested_wait(r, t))
		t->have_plan = false;   /* the kernel has written nothing */
}

/* A SIGCHLD of ours is about the last one that stopped. */
void nested_siginfo(struct recording *r, struct task *t, siginfo_t *info)
{
	if (info->si_signo != SIGCHLD || info->si_code != SI_USER || info->si_pid != getpid())
		return;
	for (struct task *o = r->tasks; o; o = o->next) {
		if (o->holder && o->holder->proc == t->proc)
			its_siginfo(o, info);
	}
	ptrace(PTRACE_SETSIGINFO, t->tid, 0, info);
}
