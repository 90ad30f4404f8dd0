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
#define WINDOW_WORDS 128
#define MAX_WORDS 8
#define FX_ST 32             /* places in the XSAVE image */
#define FX_ST_BYTES 10
#define FX_XMM 160
#define N_HANDS (N_GPRS + MAX_WORDS + WINDOW_WORDS + N_ST + N_XMM)

#define STEADY 0.5           /* how much its last speed may differ from that of the whole way */
#define WRONG_BY 3           /* what foretells a way so many times longer or shorter than was thought is no gauge */

/* Something that may go steadily to what it is in the wanted state. */
struct hand {
	double first, before, last;   /* its distance from there, at the first look and the last two */
	bool steady;                  /* has gone that way each time */
};

struct gauge {
	const struct event *ev;
	double way_ns;
	struct hand hand[N_HANDS];
	unsigned n_looks;
	uint64_t first_ns, before_ns, last_ns;
};

/* Everything that may be a hand, of one state. */
struct reading {
	uint64_t word[N_HANDS - N_ST];
	long double st[N_ST];
};

struct gauge *gauge_new(const struct event *ev, uint64_t way_ns)
{
	struct gauge *g = calloc(1, sizeof(*g));

	if (!g)
		return NULL;
	g->ev = ev;
	g->way_ns = (double)way_ns;
	return g;
}

void gauge_free(struct gauge *g)
{
	free(g);
}

static void read_state(struct reading *r, const struct user_regs_struct *regs, const uint8_t *window, const uint64_t *words,
		       const uint8_t *canon)
{
	uint64_t *at = r->word;

	for (int i = 0; i < N_GPRS; i++)
		*at++ = insn_reg_value(regs, (enum insn_reg)i);
	memcpy(at, window, WINDOW_WORDS * 8);
	at += WINDOW_WORDS;
	memcpy(at, words, MAX_WORDS * 8);
	at += MAX_WORDS;
	for (int i = 0; i < N_XMM; i++)
		memcpy(at++, canon + FX_XMM + 16 * i, 8);
	for (int i = 0; i < N_ST; i++) {
		r->st[i] = 0;
		memcpy(&r->st[i], canon + FX_ST + 16 * i, FX_ST_BYTES);
	}
}

static void wanted_state(const struct event *ev, struct reading *r)
{
	uint64_t window[WINDOW_WORDS] = { 0 }, words[MAX_WORDS] = { 0 };
	uint8_t canon[XSTATE_MAX] = { 0 };

	memcpy(window, ev->window, ev->n_window < sizeof(window) ? ev->n_window : sizeof(window));
	for (uint32_t i = 0; i < ev->n_writes && i < MAX_WORDS; i++)
		memcpy(&words[i], ev->writes[i].bytes, ev->writes[i].len < 8 ? ev->writes[i].len : 8);
	memcpy(canon, ev->xstate, ev->n_xstate < sizeof(canon) ? ev->n_xstate : sizeof(canon));
	read_state(r, &ev->before, (const uint8_t *)window, words, canon);
}

static int present_state(const struct event *ev, struct rtask *t, struct reading *r)
{
	uint64_t window[WINDOW_WORDS] = { 0 }, words[MAX_WORDS] = { 0 };
	static uint8_t canon[XSTATE_MAX];
	static struct xstate x;
	int err = xstate_read(t->host_tid, &x);

	if (err)
		return err;
	xstate_canon(&x, canon);
	mem_read_some(t->host->mem_fd, ev->window_addr, window, ev->n_window < sizeof(window) ? ev->n_window : sizeof(window));
	for (uint32_t i = 0; i < ev->n_writes && i < MAX_WORDS; i++)
		mem_read_some(t->host->mem_fd, ev->writes[i].addr, &words[i], ev->writes[i].len < 8 ? ev->writes[i].len : 8);
	read_state(r, &t->regs, (const uint8_t *)window, words, canon);
	return 0;
}

static void move_hand(const struct gauge *g, struct hand *h, double distance)
{
	if (!isfinite(distance))
		distance = 0;
	if (g->n_looks == 0) {
		h->first = h->last = distance;
		h->steady = distance != 0;
		return;
	}
	h->before = h->last;
	h->last = distance;
	h->steady = h->steady && (h->first > 0 ? distance < h->before : distance > h->before);
}

int gauge_look(struct gauge *g, struct rtask *t, uint64_t ran_ns)
{
	struct reading want, now;
	int err = present_state(g->ev, t, &now);

	if (err)
		return err;
	wanted_state(g->ev, &want);
	for (int i = 0; i < N_HANDS; i++) {
		double distance = i < N_HANDS - N_ST ? (double)(int64_t)(want.word[i] - now.word[i])
						     : (double)(want.st[i - (N_HANDS - N_ST)] - now.st[i - (N_HANDS - N_ST)]);

		move_hand(g, &g->hand[i], distance);
	}
	if (g->n_looks++ == 0)
		g->first_ns = ran_ns;
	g->before_ns = g->last_ns;
	g->last_ns = ran_ns;
	return 0;
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
	double least = STEADY, units, speed;

	if (g->n_looks < 3 || g->last_ns <= g->before_ns)
		return GAUGE_MUTE;
	for (int i = 0; i < N_HANDS; i++) {
		double u = unsteadiness(g, &g->hand[i]);

		if (u < least) {
			least = u;
			best = &g->hand[i];
		}
	}
	if (!best)
		return GAUGE_MUTE;
	if (best->last != 0 && (best->last > 0) != (best->first > 0))
		return GAUGE_PAST;
	/* One that counts in steps may be a step further than it says. */
	units = fabs(best->last) - (best < g->hand + N_HANDS - N_ST ? 1 : 0);
	speed = fabs(best->before - best->last) / (double)(g->last_ns - g->before_ns);
	return units > 0 ? (int64_t)(units / speed) : 0;
}
