/*
 * Timers that are faster than recording. A signal takes some 100 us to record, and much longer with all memory verified. A program
 * whose timer strikes more often than that would find the next signal waiting whenever a handler returns, and never get on. So
 * such signals are then kept waiting until the program has had as much processor time as the last one has cost: it sees a
 * timer that loses strikes, as on a busy machine.
 *
 * They wait in the kernel, blocked in the thread's mask while it runs in user mode. Any stop puts the mask right again. The agent makes
 * no call meanwhile that sees the mask, stops a timer or changes what is to be done with a signal: after such a call a signal
 * that was sent before would come too late.
 */
#include "recorder/internal.h"

#include <signal.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <time.h>
#include "recorder/agent.h"
#include "tracee/cputime.h"

#define LEAST_NS 50000u

static bool is_timers(const siginfo_t *info)
{
	if (info->si_code == SI_TIMER)
		return true;
	return info->si_code == SI_KERNEL &&
	       (info->si_signo == SIGALRM || info->si_signo == SIGVTALRM || info->si_signo == SIGPROF);
}

static uint64_t cost_clock(const struct task *t)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec + cputime_of(t->tid);
}

void pace_comes(struct task *t, const siginfo_t *info)
{
	struct timer_pace *p = &t->pace;

	p->began_ns = 0;
	if (!is_timers(info))
		return;
	p->signals |= 1ull << (info->si_signo - 1);
	p->too_fast = cputime_of(t->tid) - p->returned_ns < 2 * p->cost_ns;
	p->began_ns = cost_clock(t);
}

void pace_handled(struct task *t)
{
	struct timer_pace *p = &t->pace;
	uint64_t cost;

	if (!p->began_ns)
		return;
	cost = 2 * (cost_clock(t) - p->began_ns);   /* the handler's return takes about as much again */
	p->cost_ns = p->cost_ns ? (3 * p->cost_ns + cost) / 4 : cost;
	if (p->cost_ns < LEAST_NS)
		p->cost_ns = LEAST_NS;
}

void pace_returned(struct task *t)
{
	struct timer_pace *p = &t->pace;

	if (!p->signals)
		return;
	p->returned_ns = cputime_of(t->tid);
	p->due_ns = p->too_fast ? p->returned_ns + p->cost_ns : 0;
}

void pace_hold(struct recording *r, struct task *t)
{
	struct timer_pace *p = &t->pace;
	uint64_t now, mask;

	if (!p->due_ns || t->at_restart || agent_at_work(t))
		return;
	now = cputime_of(t->tid);
	if (now >= p->due_ns || ptrace(PTRACE_GETSIGMASK, t->tid, sizeof(p->mask), &p->mask) < 0)
		return;
	mask = p->mask | p->signals;
	if (ptrace(PTRACE_SETSIGMASK, t->tid, sizeof(mask), &mask) < 0)
		return;
	agent_set_masked(t, true);
	p->holds = true;
	r->signal_next = NULL;   /* the one that waited for the end of the last call comes later now */
	sched_wake(p->due_ns - now);
}

bool pace_let(struct task *t)
{
	struct timer_pace *p = &t->pace;
	bool woken = false;

	if (p->holds) {
		woken = sched_wake(0);
		ptrace(PTRACE_SETSIGMASK, t->tid, sizeof(p->mask), &p->mask);
		agent_set_masked(t, false);
		p->holds = false;
	}
	if (t->stop.kind != TS_INTERRUPT)
		p->due_ns = 0;
	return woken;
}
