/*
 * One task at a time. A slice ends at a synchronous point if one comes within a grace period; else the timer's handler
 * interrupts the task wherever it is.
 */
#include "recorder/internal.h"

#include <errno.h>
#include <limits.h>
#include <math.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <time.h>
#include "tracee/cputime.h"
#include "recorder/agent.h"

#define SLICE_MIN_US 200
#define SLICE_MAX_US 20000
#define SLICE_MEAN_MAX_US 500000  /* longer ones starve the other threads, whatever they save: for some 150 MB written in each */

/* Events reach the file though none follow: a recorder that is killed loses little. */
#define FLUSH_TIMER 1
#define WAKE_TIMER 2
#define FLUSH_NS 50000000l

/* What the timer's handler may touch. */
static struct {
	volatile sig_atomic_t stage;      /* 0: in its slice, 1: in the grace period, 2: over, 3: and about to end */
	volatile sig_atomic_t running;    /* the task that may be interrupted, 0: none */
	volatile sig_atomic_t preemptible;
	volatile sig_atomic_t woken;      /* it is to be interrupted, though its slice is not over */
	bool timed;                       /* the slice ends by itself: it began when there were others */
	volatile int agent;               /* memory of the running task, if it has an agent; else -1 */
	uint32_t calls;                   /* at which call from the slice's end on it stops there */
	timer_t timer, wake_timer;
	long grace_us, length_us;         /* of the slice, if a clock point is to end it */
	uint64_t cost_ns;                 /* of ending a slice by a clock point: a running mean */
} alarm_state;

#define CALLS_MAX 4      /* that a task may still make after its slice: each may be where a race shows */
#define COST_SHARE 25    /* a slice is on average so many times as long as its end takes: 4 %, */
#define GIVEN_SHARE 5    /* and if its length was given: 20 % */

void sched_cost(uint64_t ns)
{
	alarm_state.cost_ns = alarm_state.cost_ns ? (7 * alarm_state.cost_ns + ns) / 8 : ns;
}

/*
 * What slices should at least last on average, in microseconds. One who gives their length wants so many points as that makes;
 * but not to wait for ever: each page written again costs as much as writing all of it.
 */
static double least_mean_us(const struct recording *r)
{
	double us = (double)alarm_state.cost_ns / 1000 * (r->opts->slice_us ? GIVEN_SHARE : COST_SHARE);

	if (r->opts->slice_us && (r->opts->chaos || r->opts->verify_full))
		return 0;
	return us < SLICE_MEAN_MAX_US ? us : SLICE_MEAN_MAX_US;
}

static void arm(long us)
{
	struct itimerspec its = { .it_value = { us / 1000000, us % 1000000 * 1000 } };

	timer_settime(alarm_state.timer, 0, &its, NULL);
}

static void on_alarm(int sig, siginfo_t *info, void *ctx)
{
	int saved = errno;

	(void)sig;
	(void)ctx;
	if (info->si_value.sival_int == FLUSH_TIMER)
		return;   /* it has interrupted a wait: that is all */
	if (info->si_value.sival_int == WAKE_TIMER) {
		alarm_state.woken = 1;
		if (alarm_state.running)
			ptrace(PTRACE_INTERRUPT, alarm_state.running, 0, 0);
	} else if (alarm_state.stage == 0) {
		alarm_state.stage = 1;
		arm(alarm_state.grace_us);
		if (alarm_state.running && alarm_state.preemptible && alarm_state.agent >= 0)
			agent_want_stop(alarm_state.agent, alarm_state.calls);
	} else if (alarm_state.stage < 3) {
		alarm_state.stage = 2;
		if (alarm_state.running && alarm_state.preemptible)
			ptrace(PTRACE_INTERRUPT, alarm_state.running, 0, 0);
	}
	errno = saved;
}

int sched_open(struct recording *r)
{
	struct sigaction sa = { .sa_sigaction = on_alarm, .sa_flags = SA_SIGINFO };
	struct sigevent ev = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGALRM };
	struct itimerspec often = { .it_interval.tv_nsec = FLUSH_NS, .it_value.tv_nsec = FLUSH_NS };

	sigset_t alarm;

	memset((void *)&alarm_state, 0, sizeof(alarm_state));
	sigemptyset(&alarm);
	sigaddset(&alarm, SIGALRM);
	if (sigprocmask(SIG_UNBLOCK, &alarm, &r->old_mask) < 0 || sigaction(SIGALRM, &sa, &r->old_alarm) < 0 || timer_create(CLOCK_MONOTONIC, &ev, &r->timer) < 0)
		return -errno;
	alarm_state.timer = r->timer;
	ev.sigev_value.sival_int = WAKE_TIMER;
	if (timer_create(CLOCK_MONOTONIC, &ev, &alarm_state.wake_timer) < 0)
		return -errno;
	ev.sigev_value.sival_int = FLUSH_TIMER;
	if (timer_create(CLOCK_MONOTONIC, &ev, &r->flush_timer) < 0 || timer_settime(r->flush_timer, 0, &often, NULL) < 0)
		return -errno;
	return 0;
}

void sched_close(struct recording *r)
{
	timer_delete(r->timer);
	timer_delete(alarm_state.wake_timer);
	timer_delete(r->flush_timer);
}

/*
 * Log-uniform between bounds a hundredfold apart: short slices find races, long ones keep the cost down. *ret_longer is
 * how much later a slice should end if no synchronous point comes, where its end costs a clock point.
 */
static long slice_us(struct recording *r, long *ret_longer)
{
	double lo = SLICE_MIN_US, hi = SLICE_MAX_US, longer = 1, u;

	if (r->opts->slice_us) {
		lo = (double)r->opts->slice_us / 4;
		hi = (double)r->opts->slice_us * 2;
	}
	*ret_longer = 0;
	u = (double)(rnd(r) >> 11) / (double)(1ull << 53);
	if (r->opts->chaos && rnd(r) % 4 == 0)
		return (long)(20 * exp2(log2(10) * u));
	/* The mean of a log-uniform length, and what it should be at least. */
	longer = least_mean_us(r) / ((hi - lo) / log(hi / lo));
	if (longer < 1)
		longer = 1;
	lo *= exp2(log2(hi / lo) * u);
	*ret_longer = (long)(lo * (longer - 1));
	return (long)lo;
}

static void new_slice(struct recording *r)
{
	long us, longer;

	r->slice_over = false;
	alarm_state.stage = 0;
	alarm_state.timed = r->tasks->next;
	if (!alarm_state.timed)
		return;
	r->slice_cpu_ns = cputime_of(r->current->tid);
	us = slice_us(r, &longer);
	/* Time passes between groups of calls, not in them: the first call would be the first of its group, always. */
	alarm_state.calls = 1 + (uint32_t)(rnd(r) % CALLS_MAX);
	alarm_state.grace_us = longer + 1 + (long)(rnd(r) % (uint64_t)(us / 2 + 1));
	alarm_state.length_us = us + alarm_state.grace_us;
	arm(us < 10 ? 10 : us);
}

static bool is_ready(const struct task *t)
{
	return t->state == TASK_READY && !t->holder;
}

bool sched_others_ready(const struct recording *r, const struct task *t)
{
	for (const struct task *o = r->tasks; o; o = o->next) {
		if (o != t && is_ready(o))
			return true;
	}
	return false;
}

void sched_run_begin(struct recording *r, struct task *t)
{
	alarm_state.preemptible = sched_others_ready(r, t);
	alarm_state.agent = t->mm->agent ? t->mm->mem_fd : -1;
	alarm_state.running = t->tid;
	if (alarm_state.stage == 1 && alarm_state.preemptible && alarm_state.agent >= 0)
		agent_want_stop(alarm_state.agent, alarm_state.calls);
	if (alarm_state.woken || (alarm_state.stage == 2 && alarm_state.preemptible))
		ptrace(PTRACE_INTERRUPT, t->tid, 0, 0);
}

bool sched_wake(uint64_t ns)
{
	struct itimerspec its = { .it_value = { (time_t)(ns / 1000000000), (long)(ns % 1000000000) } };
	bool woken;

	timer_settime(alarm_state.wake_timer, 0, &its, NULL);
	woken = alarm_state.woken;
	if (!ns)
		alarm_state.woken = 0;
	return woken && alarm_state.stage < 2;
}

#define PROLONGED_LEAST_US 200   /* one shorter is to be short, whatever it costs */

bool sched_prolong(const struct recording *r, const struct task *t)
{
	uint64_t now = r->slice_cpu_ns ? cputime_of(t->tid) : 0;
	long ran_us = now > r->slice_cpu_ns ? (long)((now - r->slice_cpu_ns) / 1000) : LONG_MAX;

	if (alarm_state.stage != 2 || alarm_state.length_us < PROLONGED_LEAST_US || ran_us > alarm_state.length_us / 2)
		return false;
	alarm_state.stage = 1;
	arm(alarm_state.length_us - ran_us);
	return true;
}

void sched_let_be(void)
{
	alarm_state.stage = 3;
}

void sched_run_end(void)
{
	alarm_state.running = 0;
}

void sched_recheck(struct recording *r, struct task *t)
{
	if (alarm_state.preemptible || !sched_others_ready(r, t))
		return;
	alarm_state.preemptible = 1;
	if (alarm_state.stage == 1 && alarm_state.agent >= 0)
		agent_want_stop(alarm_state.agent, alarm_state.calls);
	if (alarm_state.stage == 2)
		ptrace(PTRACE_INTERRUPT, t->tid, 0, 0);
}

static bool anyone_in_kernel(const struct recording *r)
{
	for (const struct task *t = r->tasks; t; t = t->next) {
		if (!is_ready(t))
			return true;
	}
	return false;
}

static void collect(struct recording *r, int flags)
{
	int status;
	pid_t tid = waitpid(-1, &status, __WALL | flags);

	if (tid < 0 && errno == EINTR)
		flush_events(r);
	while (tid > 0) {
		note_stop(r, tid, status);
		tid = waitpid(-1, &status, __WALL | WNOHANG);
	}
}

static struct task *pick_other(struct recording *r)
{
	struct task *choice = NULL;
	uint64_t n = 0;

	for (struct task *t = r->tasks; t; t = t->next) {
		if (t != r->current && is_ready(t) && rnd(r) % ++n == 0)
			choice = t;
	}
	return choice;
}

struct task *sched_pick(struct recording *r)
{
	struct task *t;

	for (;;) {
		if (!r->tasks)
			return NULL;
		if (anyone_in_kernel(r))
			collect(r, WNOHANG);
		if (!r->tasks)
			return NULL;
		if (alarm_state.stage)
			r->slice_over = true;
		t = r->current;
		if (t && is_ready(t) && !r->slice_over) {
			if (r->tasks->next && !alarm_state.timed)
				new_slice(r);   /* it was alone so far */
			return t;
		}
		t = pick_other(r);
		if (!t && r->current && is_ready(r->current))
			t = r->current;
		if (t)
			break;
		collect(r, 0);
	}
	/* Somebody else runs: calls still in the kernel have blocked, as far as the trace is concerned. */
	for (struct task *o = r->tasks; o; o = o->next) {
		if (o != t && o->state != TASK_DEAD)
			syscall_enter(r, o);
	}
	r->current = t;
	new_slice(r);
	return t;
}
