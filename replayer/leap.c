#include "replayer/leap.h"

#include "common/err.h"
#include "common/log.h"
#include "replayer/gauge.h"
#include "replayer/internal.h"
#include "replayer/site_int.h"
#include "replayer/timed.h"
#include "tracee/cputime.h"

#define COPY_NS 1500000ull       /* what a copy of the session costs, until one was made, */
#define COPIED_PAGE_NS 1500ull   /* and each page that is then written to */
#define COPIED_PART 16           /* to find out how slow a way is, a copy may cost this part of it */
#define LONG_NS 100000000ull     /* a long way; slices are shorter */
#define LEAST_NS 500000ull       /* a shorter way teaches nothing: too much of its time went elsewhere */
#define REST_OF 64               /* unit of site_note.rest, */
#define REST_FIRST 16
#define REST_LEAST 2
#define REST_LEAST_NS 150000ull  /* a sleep can take so much longer than it should */
#define SLOWNESS_OF 16           /* unit of site_note.slowness, */
#define SLOWNESS_FIRST 40        /* and what is supposed of an address that is new */
#define NOT_SLOW 20              /* a quarter more than was recorded */
#define SLOWNESS_MAX 1024        /* as slow as FXSAVE in a loop of two instructions */
#define EVENT_NS 70000ull        /* what recording a clock point cost, at least */
#define PAGE_NS 500ull           /* and for each page */
#define LOOK_NS 30000ull         /* stopping to look at a gauge */
#define LOOKING_NS 500000ull     /* all looks on a way, */
#define LOOKS_MAX 16
#define MUTE_LOOKS 4             /* so many times at a gauge that tells nothing */
#define GAUGED_REST_NS 50000ull  /* what is not leapt over by a gauge, */
#define GAUGED_PARTS 8           /* or this part of the way if it is not known yet how slow the rest is */
#define GAUGE_BAD (-2)           /* so bad that the time alone is used, */
#define GAUGE_PAUSE 4            /* for so many leaps */
#define GAUGE_GOOD 3

uint64_t leap_spent_ns(struct session *s)
{
	const struct rtask *t = s->ev ? session_task(s, s->ev->task) : NULL;

	return cputime_own() - s->pages_ns + (t && t->host ? cputime_of(t->host_tid) : 0);
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

static uint64_t at_least(uint64_t ns, uint64_t least)
{
	return ns > least ? ns : least;
}

/* The part of the way that is not leapt over if only the time is known, */
static uint64_t timed_rest_ns(const struct site_note *note, uint64_t recorded)
{
	return at_least(recorded / REST_OF * (note->rest ? note->rest : REST_FIRST), REST_LEAST_NS);
}

/* by a gauge, */
static uint64_t gauged_rest_ns(const struct site_note *note, uint64_t recorded)
{
	return note->slowness ? GAUGED_REST_NS : at_least(recorded / GAUGED_PARTS, GAUGED_REST_NS);
}

/* and as is to be expected. */
static uint64_t rest_ns(const struct site_note *note, uint64_t recorded)
{
	return note->gauge > 0 ? gauged_rest_ns(note, recorded) : timed_rest_ns(note, recorded);
}

static unsigned slowness_of(const struct site_note *note)
{
	return note->slowness ? note->slowness : SLOWNESS_FIRST;
}

/* What the leaping task loses to pages that it shares with the copy. */
static uint64_t copied_ns(const struct event *ev)
{
	return ev->n_pages * COPIED_PAGE_NS;
}

static bool is_worth(struct session *s, const struct site_note *note, uint64_t recorded)
{
	uint64_t rest = rest_ns(note, recorded), copy = *site_book_copy_ns(s->book);
	uint64_t cost = (copy ? copy : COPY_NS) + copied_ns(s->ev) + LOOKING_NS;

	if (!note->slowness && copied_ns(s->ev) > recorded / COPIED_PART)
		return false;
	/* To find out how slow a long way is costs most of it: not where the last one, to another place of the program, was not slow. */
	if (!note->slowness && recorded > LONG_NS && *site_book_long_slowness(s->book) && *site_book_long_slowness(s->book) <= NOT_SLOW)
		return false;
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

/*
 * How long a part of the way took without a leap. Where that is not known but guessed, it may have been much longer: then
 * only less than was thought is news.
 */
static void note_slowness(struct site_note *note, uint64_t ns, uint64_t part_ns, bool known)
{
	uint64_t slowness = ns / (part_ns / SLOWNESS_OF);

	slowness = slowness == 0 ? 1 : slowness < SLOWNESS_MAX ? slowness : SLOWNESS_MAX;
	if (known || !note->slowness || slowness < note->slowness)
		note->slowness = (uint16_t)slowness;
}

void leap_learn(struct session *s, const struct event *ev, uint64_t ns, uint64_t recorded_ns)
{
	struct site_note *note = note_of(s, ev->before.rip);

	log_debug("event %llu: %llu us to %llx, recorded %llu us", (unsigned long long)ev->no, (unsigned long long)ns / 1000,
		  (unsigned long long)ev->before.rip, (unsigned long long)recorded_ns / 1000);
	/* Of a task that has died the time is not known any more. */
	if (!note || recorded_ns < LEAST_NS || ns > INT64_MAX)
		return;
	note_slowness(note, ns, recorded_ns, true);
	if (recorded_ns > LONG_NS)
		*site_book_long_slowness(s->book) = note->slowness;
	/* Leaps were given up there; but perhaps only because the machine had other things to do. */
	if (note->rest == REST_OF)
		note->rest = note->least_rest = REST_OF / 2;
}

/* Whether gauges are of use there. */
static void note_gauge(struct site_note *note, bool hit)
{
	if (hit)
		note->gauge = note->gauge < 0 ? 1 : note->gauge < GAUGE_GOOD ? (int8_t)(note->gauge + 1) : GAUGE_GOOD;
	else if (--note->gauge <= GAUGE_BAD)
		note->gauge = GAUGE_BAD - GAUGE_PAUSE;
}

void leap_hit(struct session *s, const struct event *ev, const struct leap *l, uint64_t rest_took_ns)
{
	struct site_note *note = note_of(s, ev->before.rip);

	log_debug("event %llu: leapt %s to %llx, and %llu us for the last %llu us of %llu", (unsigned long long)ev->no,
		  l->gauged ? "by a gauge" : "by time", (unsigned long long)ev->before.rip, (unsigned long long)rest_took_ns / 1000,
		  (unsigned long long)l->rest_ns / 1000, (unsigned long long)leap_recorded_ns(s, ev) / 1000);
	/* Copying pages has taken from the leap's time, and what it had not come to was left for the rest. */
	rest_took_ns -= rest_took_ns < copied_ns(ev) ? rest_took_ns : copied_ns(ev);
	if (l->rest_ns >= REST_LEAST_NS)
		note_slowness(note, rest_took_ns, l->rest_ns, false);
	if (l->gauged) {
		note_gauge(note, true);
		return;
	}
	if (note->rest == 0)
		note->rest = REST_FIRST;
	if (note->rest > REST_LEAST && note->rest > note->least_rest)
		note->rest = (uint8_t)(note->rest * 3 / 4);
}

void leap_missed(struct session *s, const struct event *ev, const struct leap *l)
{
	struct site_note *note = note_of(s, ev->before.rip);
	unsigned rest = note->rest ? note->rest : REST_FIRST;

	log_debug("leapt too far %s before event %llu", l->gauged ? "by a gauge" : "by time", (unsigned long long)ev->no);
	if (l->gauged) {
		/* One that has led there before knows; only we came too late to look. */
		if (!l->past || note->gauge <= 0)
			note_gauge(note, false);
		return;
	}
	note->least_rest = (uint8_t)(rest + 1);
	note->rest = (uint8_t)(2 * rest < REST_OF ? 2 * rest : REST_OF);
	/* To find out costs several times the way: not twice where it is not even known whether that is slow without a leap. */
	if (!note->slowness && leap_recorded_ns(s, ev) > LONG_NS)
		note->rest = REST_OF;
}

/*
 * How much of a way to believe in. First looks tell of too long ones: the first strides are short, and of a copy, whose pages and
 * caches are cold. What was recorded knows that better; but not how much of it the recorder and others had.
 */
static uint64_t careful(uint64_t left, uint64_t recorded_left)
{
	return recorded_left >= left ? left : at_least(recorded_left, left / 2);
}

/*
 * Run by a gauge: a part of what is left, as long as that is much. 1: it is near now; 0: it went too far, or to something
 * else; 2: nothing tells the way.
 */
static int run_by_gauge(struct rtask *t, struct gauge *g, uint64_t recorded, struct leap *l)
{
	uint64_t ran = 0, near_ns = l->rest_ns, there = 0, step = recorded / GAUGED_PARTS, more;
	int err = gauge_look(g, t, 0);

	for (int looks = 1; !err && looks <= LOOKS_MAX; looks++) {
		int64_t left;
		int got = run_for(t, step, &more);

		if (got <= 0)
			return got;
		ran += more;
		err = gauge_look(g, t, ran);
		if (err || looks < 2)
			continue;
		left = gauge_left_ns(g);
		if (left == GAUGE_PAST) {
			l->gauged = l->past = true;
			return 0;
		}
		if (left == GAUGE_MUTE && !there && looks < MUTE_LOOKS)
			continue;
		if (left == GAUGE_MUTE && !there)
			return 2;
		/* What told the way from afar may be too coarse for the last of it. */
		if (left == GAUGE_MUTE)
			left = there > ran ? (int64_t)(there - ran) : 0;
		l->gauged = true;
		there = ran + (uint64_t)left;
		l->rest_ns = at_least((uint64_t)left, LOOK_NS);
		if (l->rest_ns < near_ns + 2 * LOOK_NS)
			return 1;
		step = looks == 2 ? careful(l->rest_ns, ran < recorded ? recorded - ran : 0) : l->rest_ns;
		step = (at_least(step, near_ns + LOOK_NS) - near_ns) / 8 * 7;
	}
	return err ? err : 2;
}

static int run_there(struct session *s, struct rtask *t, struct site_note *note, uint64_t recorded, struct leap *l)
{
	uint64_t start = cputime_of(t->host_tid), ran = 0;
	struct gauge *g = note->gauge > GAUGE_BAD ? gauge_new(s->ev, recorded) : NULL;
	int got;

	if (g) {
		l->rest_ns = gauged_rest_ns(note, recorded);
		got = run_by_gauge(t, g, recorded, l);
		gauge_free(g);
		if (got != 2)
			return got;
		ran = cputime_of(t->host_tid) - start;
		note_gauge(note, false);
	} else {
		note->gauge++;
	}
	l->gauged = false;
	/* A long way that nothing tells, and which may be no slower without a leap. */
	if (recorded > LONG_NS && !note->slowness)
		return 0;
	l->rest_ns = timed_rest_ns(note, recorded);
	return ran + l->rest_ns < recorded ? run_for(t, recorded - l->rest_ns - ran, &ran) : 1;
}

int leap_take(struct session *s, struct leap *ret)
{
	struct rtask *t = session_task(s, s->ev->task);
	struct site_note *note = note_of(s, s->ev->before.rip);
	uint64_t recorded = leap_recorded_ns(s, s->ev), start;
	uint64_t *copy_ns = site_book_copy_ns(s->book);
	int got;

	*ret = (struct leap){ 0 };
	if (!t || t->dead || !t->host || t->at_entry)
		return 0;
	start = leap_spent_ns(s);
	got = session_clone(s, true, &ret->back);
	if (got)
		return got;
	*copy_ns = *copy_ns ? (3 * *copy_ns + leap_spent_ns(s) - start) / 4 : leap_spent_ns(s) - start;
	got = run_there(s, t, note, recorded, ret);
	/* Making the copy has moved the clock, not the task; a page that is copied at its first write costs some time. */
	ret->patience_ns = 1000000 + 2 * (ret->gauged ? ret->rest_ns : recorded) + 3 * ret->rest_ns / SLOWNESS_OF * slowness_of(note);
	return got;
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
	fresh->pages_ns = s->pages_ns;
	old = *s;
	*s = *fresh;
	*fresh = old;
	session_close(fresh);
	return 0;
}
