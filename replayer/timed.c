/*
 * The task's own process has an alarm for it: the timer's interrupt comes while the task runs and stops it there and then. Whoever
 * sleeps instead, to stop it from outside, is let in when the scheduler likes, and a task runs 100 us too far, or milliseconds.
 */
#include "replayer/timed.h"

#include <errno.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include "common/err.h"
#include "replayer/agent.h"
#include "tracee/cputime.h"
#include "tracee/layout.h"
#include "tracee/remote.h"

#define NEAR_NS 15000        /* what it takes to set the alarm again: not for less, */
#define NEAR_PART 8          /* nor for so small a part of the way */
#define SETTING_NS 8000      /* from the alarm's being set on until the task runs, at least */
#define STOP_NS 5000         /* of its processor time go to starting and stopping it */
#define ROUNDS_MAX 200       /* the alarm goes by the clock, and others may have the processor meanwhile */

static int set_alarm(struct rtask *t, uint64_t ns)
{
	struct remote r = { .tid = t->host_tid, .site = RL_STUB_CALL };
	struct itimerval at = { .it_value = { (time_t)(ns / 1000000000), (suseconds_t)(ns % 1000000000 / 1000) } };
	int64_t got;
	int err = rtask_flush(t);

	if (!err)
		err = mem_write(t->host->mem_fd, RL_DATA, &at, sizeof(at));
	if (!err)
		err = remote_call(&r, SYS_setitimer, REMOTE_ARGS(ITIMER_REAL, RL_DATA), &got);
	return err ? err : (int)got;
}

/* Hosts block it: one that comes late waits for the next time, when it only makes a stop too many. */
static int let_alarm(struct rtask *t, bool in)
{
	const uint64_t bit = 1ull << (SIGALRM - 1);
	uint64_t mask;

	if (ptrace(PTRACE_GETSIGMASK, t->host_tid, sizeof(mask), &mask) < 0)
		return errno == ESRCH ? -RL_EGONE : -errno;
	mask = in ? mask & ~bit : mask | bit;
	return ptrace(PTRACE_SETSIGMASK, t->host_tid, sizeof(mask), &mask) < 0 ? -errno : 0;
}

/* @ret_ran: what was the task's own time of it. Setting the alarm takes as long as a short way. */
static int run_to_alarm(struct rtask *t, uint64_t ns, struct stop *ret, uint64_t *ret_ran)
{
	int err = set_alarm(t, ns), late;
	uint64_t start = cputime_of(t->host_tid);

	if (!err)
		err = let_alarm(t, true);
	if (!err)
		err = remote_resume(t->host_tid, agent_run_request(t), 0);
	if (!err)
		err = remote_wait(t->host_tid, ret);
	if (!err && (ret->kind == TS_DEAD || ret->kind == TS_EXITING))
		err = -RL_EGONE;
	if (err)
		return err;
	*ret_ran = start ? cputime_of(t->host_tid) - start : ns;
	*ret_ran -= *ret_ran < STOP_NS ? *ret_ran : STOP_NS;
	late = let_alarm(t, false);
	return late ? late : rtask_fetch(t);
}

int run_for(struct rtask *t, uint64_t ns, uint64_t *ret_ran)
{
	struct stop st = { 0 };
	uint64_t ran = 0;
	int err = 0;

	*ret_ran = 0;
	t->at_entry = false;
	for (int rounds = 0; !err && rounds < ROUNDS_MAX && *ret_ran + NEAR_NS + ns / NEAR_PART < ns; rounds++) {
		err = run_to_alarm(t, ns - *ret_ran + SETTING_NS, &st, &ran);
		if (!err && (st.kind != TS_SIGNAL || st.sig != SIGALRM))
			return 0;
		*ret_ran += ran;
	}
	/* One who denies us alarms only takes our leaps. */
	return err == -EPERM || err == -ENOSYS ? 0 : err ? err : 1;
}
