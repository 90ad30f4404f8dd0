#include "replayer/leap.h"

#include <sys/ptrace.h>
#include <sys/wait.h>
#include <time.h>
#include "common/err.h"
#include "common/log.h"
#include "replayer/internal.h"
#include "replayer/site_int.h"
#include "tracee/cputime.h"
#include "tracee/remote.h"

#define WORTH_NS 3000000ull      /* a copy of the session costs a millisecond or so */
#define SLOW 2                   /* a way is slow if it takes more than so many times as long as recorded */
#define TRIES 3                  /* leaps that may go too far, each shorter than the one before */
#define EVENT_NS 150000ull       /* what recording a clock point cost, at least */
#define PAGE_NS 1500ull          /* and for each page */

uint64_t leap_recorded_ns(const struct session *s, const struct event *ev)
{
	uint64_t ns = ev->time_ns - s->last_time_ns, cost = EVENT_NS + ev->n_pages * PAGE_NS;
	uint64_t ran_ns = ev->status > 0 ? (uint64_t)ev->status * 1000 : ~0ull;

	if (ev->time_ns < s->last_time_ns || ns < cost)
		return 0;
	/* The slice may have begun before the last event; and others may have had the processor in between. */
	return ns - cost < ran_ns ? ns - cost : ran_ns;
}

static struct site_note *note_of(struct session *s, uint64_t addr)
{
	return s->book ? site_book_at(s->book, addr) : NULL;
}

bool leap_wanted(struct session *s, const struct run_ctl *ctl)
{
	const struct event *ev = s->ev;
	struct site_note *note;

	if (!ev || ev->kind != EV_CLOCK || s->frozen)
		return false;
	if (ctl && (ctl->n_breaks || ctl->n_watches || ctl->step_task || ctl->until || ctl->pass || ctl->interrupted))
		return false;
	note = note_of(s, ev->before.rip);
	if (!note || !note->slow || note->too_far >= TRIES || leap_recorded_ns(s, ev) < WORTH_NS)
		return false;
	/* Shared memory would have to be copied. */
	for (const struct host *h = s->hosts; h; h = h->next) {
		if (h->shared.n)
			return false;
	}
	return true;
}

void leap_learn(struct session *s, const struct event *ev, uint64_t ns, uint64_t recorded_ns)
{
	struct site_note *note = note_of(s, ev->before.rip);

	if (note && recorded_ns > WORTH_NS && ns > SLOW * recorded_ns)
		note->slow = true;
}

void leap_forget(struct session *s, const struct event *ev)
{
	struct site_note *note = note_of(s, ev->before.rip);

	if (note)
		note->too_far++;
}

/* Until it has had so much processor time, or does not run any more. */
static void sleep_while_running(pid_t tid, uint64_t start, uint64_t ns)
{
	uint64_t ran = 0, before;

	do {
		uint64_t left = ns - ran;
		struct timespec rest = { (time_t)(left / 1000000000), (long)(left % 1000000000) };

		before = ran;
		nanosleep(&rest, NULL);
		ran = start ? cputime_of(tid) - start : ns;
	} while (ran < ns && ran > before);
}

/* Run the task for a time. 1: it is still on its way; 0: it came to something that stops it. */
static int run_for(struct rtask *t, uint64_t ns)
{
	uint64_t start = cputime_of(t->host_tid);
	struct stop st;
	int err = rtask_flush(t);

	t->at_entry = false;
	if (!err)
		err = remote_resume(t->host_tid, PTRACE_SYSEMU, 0);
	if (err)
		return err;
	sleep_while_running(t->host_tid, start, ns);
	ptrace(PTRACE_INTERRUPT, t->host_tid, 0, 0);
	err = remote_wait(t->host_tid, &st);
	if (!err && st.kind == TS_DEAD)
		err = -RL_EGONE;
	if (!err)
		err = rtask_fetch(t);
	return err ? err : st.kind == TS_INTERRUPT;
}

int leap_take(struct session *s, struct session **ret_back)
{
	struct rtask *t = session_task(s, s->ev->task);
	unsigned too_far = note_of(s, s->ev->before.rip)->too_far;
	uint64_t ns = leap_recorded_ns(s, s->ev) / 8 * (7 - 2 * too_far);   /* perhaps it was a slower machine */
	int err;

	*ret_back = NULL;
	if (!t || t->dead || !t->host || t->at_entry)
		return 0;
	err = session_clone(s, true, ret_back);
	if (err)
		return err;
	/* Making the copy has moved the clock, not the task; a page that is copied at its first write costs some time. */
	return run_for(t, ns);
}

int leap_undo(struct session *s, struct session *back)
{
	struct session *fresh, old;
	int err = session_clone(back, false, &fresh);

	session_close(back);
	if (err)
		return err;
	fresh->last_time_ns = s->last_time_ns;
	fresh->as_gen = s->as_gen + 1;
	fresh->announced = s->announced;
	fresh->n_clock_tries = s->n_clock_tries;
	old = *s;
	*s = *fresh;
	*fresh = old;
	session_close(fresh);
	return 0;
}
