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

#define COPY_NS 1500000ull       /* what a copy of the session costs, until one was made, */
#define COPIED_PAGE_NS 1000ull   /* and each page that is then written to */
#define LEAST_NS 500000ull       /* a shorter way teaches nothing: too much of its time went elsewhere */
#define REST_OF 64               /* unit of site_note.rest, */
#define REST_FIRST 16
#define REST_LEAST 2
#define REST_LEAST_NS 150000ull  /* a sleep can take so much longer than it should */
#define SLOWNESS_OF 16           /* unit of site_note.slowness, */
#define SLOWNESS_FIRST 40        /* and what is supposed of an address that is new */
#define EVENT_NS 150000ull       /* what recording a clock point cost, at least */
#define PAGE_NS 1500ull          /* and for each page */

uint64_t leap_spent_ns(struct session *s)
{
	const struct rtask *t = s->ev ? session_task(s, s->ev->task) : NULL;
	struct timespec own;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &own);
	return (uint64_t)own.tv_sec * 1000000000u + (uint64_t)own.tv_nsec + (t && t->host ? cputime_of(t->host_tid) : 0);
}

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
	if (!s->book)
		s->book = site_book_new();
	return s->book ? site_book_at(s->book, addr) : NULL;
}

/* The part of the way that is not leapt over. */
static uint64_t rest_ns(const struct site_note *note, uint64_t recorded)
{
	uint64_t ns = recorded / REST_OF * (note->rest ? note->rest : REST_FIRST);

	return ns > REST_LEAST_NS ? ns : REST_LEAST_NS;
}

static unsigned slowness_of(const struct site_note *note)
{
	return note->slowness ? note->slowness : SLOWNESS_FIRST;
}

static bool is_worth(struct session *s, const struct site_note *note, uint64_t recorded)
{
	uint64_t rest = rest_ns(note, recorded), copy = *site_book_copy_ns(s->book);
	uint64_t cost = (copy ? copy : COPY_NS) + s->ev->n_pages * COPIED_PAGE_NS;

	return slowness_of(note) > SLOWNESS_OF && rest < recorded &&
	       (recorded - rest) / SLOWNESS_OF * (slowness_of(note) - SLOWNESS_OF) > cost;
}

bool leap_wanted(struct session *s, const struct run_ctl *ctl)
{
	const struct event *ev = s->ev;
	struct site_note *note;

	if (!ev || ev->kind != EV_CLOCK || s->frozen || s->locks)
		return false;
	if (ctl && (ctl->n_breaks || ctl->n_watches || ctl->step_task || ctl->until || ctl->pass || ctl->interrupted))
		return false;
	note = note_of(s, ev->before.rip);
	if (!note || !is_worth(s, note, leap_recorded_ns(s, ev)))
		return false;
	/* Shared memory would have to be copied. */
	for (const struct host *h = s->hosts; h; h = h->next) {
		if (h->shared.n)
			return false;
	}
	return true;
}

static void note_slowness(struct site_note *note, uint64_t ns, uint64_t recorded)
{
	uint64_t slowness = ns / (recorded / SLOWNESS_OF);

	note->slowness = slowness == 0 ? 1 : slowness < UINT16_MAX ? (uint16_t)slowness : UINT16_MAX;
}

void leap_learn(struct session *s, const struct event *ev, uint64_t ns, uint64_t recorded_ns)
{
	struct site_note *note = note_of(s, ev->before.rip);

	log_debug("event %llu: %llu us to %llx, recorded %llu us", (unsigned long long)ev->no, (unsigned long long)ns / 1000,
		  (unsigned long long)ev->before.rip, (unsigned long long)recorded_ns / 1000);
	if (!note || recorded_ns < LEAST_NS)
		return;
	note_slowness(note, ns, recorded_ns);
	/* Leaps were given up there; but perhaps only because the machine had other things to do. */
	if (note->rest == REST_OF)
		note->rest = note->least_rest = REST_OF / 2;
}

void leap_hit(struct session *s, const struct event *ev, uint64_t rest_took_ns)
{
	struct site_note *note = note_of(s, ev->before.rip);
	uint64_t recorded = leap_recorded_ns(s, ev), rest = rest_ns(note, recorded);

	log_debug("event %llu: leapt %llu us to %llx, and %llu us for the last %llu us", (unsigned long long)ev->no,
		  (unsigned long long)(recorded - rest) / 1000, (unsigned long long)ev->before.rip,
		  (unsigned long long)rest_took_ns / 1000, (unsigned long long)rest / 1000);
	if (!note->slowness)
		note_slowness(note, rest_took_ns, rest);
	if (note->rest == 0)
		note->rest = REST_FIRST;
	if (note->rest > REST_LEAST && note->rest > note->least_rest)
		note->rest = (uint8_t)(note->rest * 3 / 4);
}

void leap_missed(struct session *s, const struct event *ev)
{
	struct site_note *note = note_of(s, ev->before.rip);
	unsigned rest = note->rest ? note->rest : REST_FIRST;

	note->least_rest = (uint8_t)(rest + 1);
	note->rest = (uint8_t)(2 * rest < REST_OF ? 2 * rest : REST_OF);
	log_debug("leapt too far before event %llu", (unsigned long long)ev->no);
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

int leap_take(struct session *s, struct session **ret_back, uint64_t *ret_patience_ns)
{
	struct rtask *t = session_task(s, s->ev->task);
	const struct site_note *note = note_of(s, s->ev->before.rip);
	uint64_t recorded = leap_recorded_ns(s, s->ev), rest = rest_ns(note, recorded), start;
	uint64_t *copy_ns = site_book_copy_ns(s->book);
	int err;

	*ret_back = NULL;
	if (!t || t->dead || !t->host || t->at_entry)
		return 0;
	start = leap_spent_ns(s);
	err = session_clone(s, true, ret_back);
	if (err)
		return err;
	*copy_ns = *copy_ns ? (3 * *copy_ns + leap_spent_ns(s) - start) / 4 : leap_spent_ns(s) - start;
	/* Making the copy has moved the clock, not the task; a page that is copied at its first write costs some time. */
	*ret_patience_ns = 1000000 + 2 * recorded + 3 * rest / SLOWNESS_OF * slowness_of(note);
	return run_for(t, recorded - rest);
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
	fresh->tries = s->tries;
	old = *s;
	*s = *fresh;
	*fresh = old;
	session_close(fresh);
	return 0;
}
