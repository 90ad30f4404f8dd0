#include "replayer/gauge.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include "replayer/internal.h"
#include "tracee/insn.h"
#include "tracee/remote.h"
#include "tracee/xstate.h"

#define N_GPRS 16
#define N_ST 8
#define N_XMM 16
#define FX_ST 32             /* places in the XSAVE image */
#define FX_ST_BYTES 10
#define FX_XMM 160
#define N_HANDS (N_GPRS + GAUGE_WORDS + GAUGE_WINDOW_WORDS + N_ST + N_XMM)

#define STEADY 0.5           /* how much its last speed may differ from that of the whole way */
#define SPAN_NS 100000       /* a speed over less is that of the stops */
#define WRONG_BY 3           /* what foretells a way so many times longer or shorter than was thought is no gauge */

/* Something that may go steadily to what it is in the wanted state. */
struct hand {
	double first, before, last;   /* its distance from there, at the first look and the last two */
	bool steady;                  /* has gone that way each time */
};

/* Everything that may be a hand, of one state. */
struct reading {
	uint64_t word[N_HANDS - N_ST];
	long double st[N_ST];
};

struct gauge {
	const struct event *ev;
	struct reading want;
	double way_ns;
	struct hand hand[N_HANDS];
	unsigned n_looks;
	uint64_t first_ns, before_ns, last_ns;
};

static void read_state(struct reading *r, const struct gauge_state *from)
{
	uint64_t *at = r->word;

	for (int i = 0; i < N_GPRS; i++)
		*at++ = insn_reg_value(from->regs, (enum insn_reg)i);
	memcpy(at, from->window, sizeof(from->window));
	at += GAUGE_WINDOW_WORDS;
	memcpy(at, from->words, sizeof(from->words));
	at += GAUGE_WORDS;
	for (int i = 0; i < N_XMM; i++)
		memcpy(at++, from->canon + FX_XMM + 16 * i, 8);
	for (int i = 0; i < N_ST; i++) {
		r->st[i] = 0;
		memcpy(&r->st[i], from->canon + FX_ST + 16 * i, FX_ST_BYTES);
	}
}

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* Of a write whose words would be numbered from @at on: how many there is room for. */
static uint32_t n_words(const struct ev_write *w, uint32_t at)
{
	return (uint32_t)least(w->len / 8, GAUGE_WORDS - at);
}

static void wanted_state(const struct event *ev, struct gauge_state *ret)
{
	memset(ret, 0, sizeof(*ret));
	ret->regs = &ev->before;
	memcpy(ret->window, ev->window, least(ev->n_window, sizeof(ret->window)));
	for (uint32_t i = 0, n = 0, more; i < ev->n_writes; i++, n += more) {
		more = n_words(&ev->writes[i], n);
		memcpy(&ret->words[n], ev->writes[i].bytes, 8 * more);
	}
	memcpy(ret->canon, ev->xstate, least(ev->n_xstate, sizeof(ret->canon)));
}

static int present_state(const struct event *ev, struct rtask *t, struct gauge_state *ret)
{
	static struct xstate x;
	static uint8_t canon[XSTATE_MAX];
	int err = xstate_read(t->host_tid, &x);

	if (err)
		return err;
	memset(ret, 0, sizeof(*ret));
	ret->regs = &t->regs;
	memcpy(ret->canon, canon, least(xstate_canon(&x, canon), sizeof(ret->canon)));
	mem_read_some(t->host->mem_fd, ev->window_addr, ret->window, least(ev->n_window, sizeof(ret->window)));
	for (uint32_t i = 0, n = 0, more; i < ev->n_writes; i++, n += more) {
		more = n_words(&ev->writes[i], n);
		mem_read_some(t->host->mem_fd, ev->writes[i].addr, &ret->words[n], 8 * more);
	}
	return 0;
}

struct gauge *gauge_new(const struct event *ev, uint64_t way_ns)
{
	struct gauge *g = calloc(1, sizeof(*g));
	struct gauge_state want;

	if (!g)
		return NULL;
	g->ev = ev;
	wanted_state(ev, &want);
	read_state(&g->want, &want);
	g->way_ns = (double)way_ns;
	return g;
}

void gauge_free(struct gauge *g)
{
	free(g);
}

/* @longer: the time since the last look has been long enough to tell a speed; else it is added to the time before. */
static void move_hand(const struct gauge *g, struct hand *h, double distance, bool longer)
{
	if (!isfinite(distance))
		distance = 0;
	if (g->n_looks == 0) {
		h->first = h->last = distance;
		h->steady = distance != 0;
		return;
	}
	h->steady = h->steady && (h->first > 0 ? distance < h->last : distance > h->last);
	if (longer)
		h->before = h->last;
	h->last = distance;
}

void gauge_see(struct gauge *g, const struct gauge_state *state, uint64_t ran_ns)
{
	const struct reading *want = &g->want;
	struct reading now;
	bool longer = g->n_looks < 2 || ran_ns - g->last_ns >= SPAN_NS;

	read_state(&now, state);
	for (int i = 0; i < N_HANDS; i++) {
		double distance = i < N_HANDS - N_ST ? (double)(int64_t)(want->word[i] - now.word[i])
						     : (double)(want->st[i - (N_HANDS - N_ST)] - now.st[i - (N_HANDS - N_ST)]);

		move_hand(g, &g->hand[i], distance, longer);
	}
	if (g->n_looks++ == 0)
		g->first_ns = ran_ns;
	if (longer)
		g->before_ns = g->last_ns;
	g->last_ns = ran_ns;
}

int gauge_look(struct gauge *g, struct rtask *t, uint64_t ran_ns)
{
	struct gauge_state now;
	int err = present_state(g->ev, t, &now);

	if (!err)
		gauge_see(g, &now, ran_ns);
	return err;
}

/* How much a hand's speed has changed, to that of the whole way. */
static double unsteadiness(const struct gauge *g, const struct hand *h)
{
	double all = (h->first - h->last) / (double)(g->last_ns - g->first_ns);
	double late = (h->before - h->last) / (double)(g->last_ns - g->before_ns);
	double way_ns = h->first / all;

	if (!h->steady || way_ns > g->way_ns * WRONG_BY || way_ns < g->way_ns / WRONG_BY)
		return STEADY;
	return fabs(late / all - 1);
}

int64_t gauge_left_ns(const struct gauge *g)
{
	const struct hand *best = NULL;
	double unsteady = STEADY, grain, units, late, all;

	if (g->n_looks < 3 || g->last_ns <= g->before_ns)
		return GAUGE_MUTE;
	for (int i = 0; i < N_HANDS; i++) {
		double u = unsteadiness(g, &g->hand[i]);

		if (u < unsteady) {
			unsteady = u;
			best = &g->hand[i];
		}
	}
	if (!best)
		return GAUGE_MUTE;
	if (best->last != 0 && (best->last > 0) != (best->first > 0))
		return GAUGE_PAST;
	/*
	 * One that counts in steps may be a step further than it says, and have gone a step more meanwhile. A short stride over few
	 * steps tells little: of both speeds the faster one.
	 */
	grain = best < g->hand + N_HANDS - N_ST ? 1 : 0;
	units = fabs(best->last) - grain;
	late = (fabs(best->before - best->last) + grain) / (double)(g->last_ns - g->before_ns);
	all = fabs(best->first - best->last) / (double)(g->last_ns - g->first_ns);
	return units > 0 ? (int64_t)(units / (late > all ? late : all)) : 0;
}
