/* Is this the instant? Comparing a task's state with a recorded clock point. */
#include "replayer/internal.h"
#include "replayer/lockhook.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>
#include <string.h>
#include "common/err.h"
#include "common/scope.h"
#include "tracee/cputime.h"
#include "tracee/layout.h"
#include "tracee/maps.h"
#include "tracee/pagetrack.h"
#include "tracee/remote.h"
#include "tracee/xstate.h"

#define FLAG_TF 0x100ull
#define FLAG_RF 0x10000ull

bool regs_equal(const struct user_regs_struct *a, const struct user_regs_struct *b)
{
	struct user_regs_struct x = *a, y = *b;

	x.orig_rax = y.orig_rax = 0;
	x.eflags &= ~(FLAG_TF | FLAG_RF);
	y.eflags &= ~(FLAG_TF | FLAG_RF);
	return memcmp(&x, &y, sizeof(x)) == 0;
}

static bool window_equal(struct rtask *t, const struct event *ev)
{
	uint8_t bytes[4096];

	if (ev->n_window > sizeof(bytes))
		return false;
	return mem_read(t->host->mem_fd, ev->window_addr, bytes, ev->n_window) == 0 &&
	       memcmp(bytes, ev->window, ev->n_window) == 0;
}

static int xstate_matches(struct rtask *t, const struct event *ev)
{
	static struct xstate x;
	static uint8_t canon[XSTATE_MAX];
	int err = xstate_read(t->host_tid, &x);

	if (err)
		return err;
	return xstate_canon_equal(canon, xstate_canon(&x, canon), ev->xstate, ev->n_xstate);
}

static bool page_equal(struct rtask *t, const struct ev_page *p)
{
	uint8_t bytes[TRACE_PAGE];

	if (mem_read(t->host->mem_fd, p->addr, bytes, sizeof(bytes)))
		return false;
	if (t->host->locks)
		lockhook_unpatch(t->host->locks, p->addr, bytes);
	memset(bytes, 0, p->dead_bytes);
	return page_hash_of(bytes) == p->hash;
}

#define FIRST_LOOK 64   /* pages of a state that is not the wanted one mostly differ early */

/* A page of which more must be known than the hash of what is there. */
static bool is_special(const struct rtask *t, const struct ev_page *p)
{
	return p->dead_bytes || (t->host->locks && lockhook_near(t->host->locks, p->addr));
}

/* How many of @n pages from the @i-th on differ; *ret_last is one of them. Negative: an error. */
static int64_t part_differs(struct rtask *t, const struct event *ev, uint32_t i, uint32_t n, uint32_t *ret_last)
{
	autofree struct page_hash *v = n ? calloc(n, sizeof(*v)) : NULL;
	struct page_list now = { .v = v };
	size_t at = 0;
	int64_t differ = 0;
	int err;

	if (n && !v)
		return -ENOMEM;
	for (uint32_t k = i; k < i + n; k++) {
		if (!is_special(t, &ev->pages[k]))
			v[now.n++].addr = ev->pages[k].addr;
	}
	err = pages_hash(t->host->pid, &now);
	for (uint32_t k = i; !err && k < i + n; k++) {
		const struct ev_page *p = &ev->pages[k];

		if (at < now.n && v[at].addr == p->addr ? v[at++].hash == p->hash : is_special(t, p) && page_equal(t, p))
			continue;
		differ++;
		*ret_last = k;
	}
	return err ? err : differ;
}

/* How many differ; all of them are counted only if @all. Negative: an error. */
static int64_t pages_differ(struct rtask *t, const struct event *ev, bool all, uint32_t *ret_last)
{
	uint32_t first = ev->n_pages < FIRST_LOOK ? ev->n_pages : FIRST_LOOK;
	int64_t differ = part_differs(t, ev, 0, first, ret_last), more = 0;

	if (differ >= 0 && (all || !differ) && first < ev->n_pages)
		more = part_differs(t, ev, first, ev->n_pages - first, ret_last);
	return differ < 0 ? differ : more < 0 ? more : differ + more;
}

bool pages_match(struct rtask *t, const struct event *ev)
{
	uint32_t last;

	return pages_differ(t, ev, false, &last) == 0;
}

int clock_matches(struct session *s, struct rtask *t, const struct event *ev, size_t *ret_pages)
{
	uint64_t start;
	int64_t differ;
	int same;

	if (ret_pages)
		*ret_pages = 0;
	if (!regs_equal(&t->regs, &ev->before))
		return 0;
	s->tries.regs++;
	if (!window_equal(t, ev))
		return 0;
	s->tries.window++;
	same = xstate_matches(t, ev);
	if (same <= 0)
		return same;
	s->tries.xstate++;
	/* Most candidates differ in the page in which the last one did. */
	if (!ret_pages && s->clock_page < ev->n_pages && !page_equal(t, &ev->pages[s->clock_page]))
		return 0;
	start = cputime_own();
	differ = pages_differ(t, ev, ret_pages != NULL, &s->clock_page);
	s->pages_ns += cputime_own() - start;
	if (differ < 0)
		return (int)differ;
	if (ret_pages)
		*ret_pages = (size_t)differ;
	return differ == 0;
}

/* ---- instants that no event names ---- */

static bool is_stub(const struct host *h, const struct mapping *m)
{
	for (size_t i = 0; i < sizeof(h->stubs) / sizeof(h->stubs[0]); i++) {
		if (h->stubs[i] && h->stubs[i] >= m->start && h->stubs[i] < m->end)
			return true;
	}
	return false;
}

/*
 * How many of a page's bytes may be dead: below a task's red zone, and not far below. What lies there can depend on
 * what nobody records (see docs/ARCHITECTURE.md on XSAVE).
 */
#define DEAD_REACH (256u << 10)

static uint32_t maybe_dead(struct session *s, struct host *h, uint64_t page)
{
	uint32_t most = 0;

	for (struct rtask *t = s->tasks; t; t = t->next) {
		uint64_t end = t->regs.rsp - RED_ZONE;

		if (t->host != h || page >= end || page + DEAD_REACH < end)
			continue;
		if (end - page >= TRACE_PAGE)
			return TRACE_PAGE;
		if (end - page > most)
			most = (uint32_t)(end - page);
	}
	return most;
}

/* A hash over the non-zero private pages that the program has written, wherever they stand. */
static int memory_hash(struct session *s, struct rtask *t, uint64_t *ret)
{
	static const uint8_t zeros[TRACE_PAGE];
	struct maps maps = { 0 };
	struct page_runs runs = { 0 };
	uint64_t hash = 0;
	int pagemap = pagemap_open(t->host->pid);
	int err = pagemap < 0 ? pagemap : maps_read(t->host->pid, &maps);

	for (size_t i = 0; !err && i < maps.n; i++) {
		const struct mapping *m = &maps.v[i];

		/* Not by whether it can be written now: a watch may have taken that away. Code was patched and restored. */
		if (!(m->prot & PROT_EXEC) && (m->start < RL_BASE || m->start >= RL_END) && !is_stub(t->host, m))
			err = pagemap_runs(pagemap, m->start, m->end, &runs);
	}
	for (size_t i = 0; !err && i < runs.n; i++) {
		if (!page_is_anon(runs.v[i].flags))
			continue;   /* whether pages of files are there depends on what the kernel read ahead */
		for (uint64_t at = runs.v[i].start; at < runs.v[i].end; at += TRACE_PAGE) {
			uint8_t bytes[TRACE_PAGE];

			if (mem_read(t->host->mem_fd, at, bytes, sizeof(bytes)))
				continue;
			memset(bytes, 0, maybe_dead(s, t->host, at));
			if (!memcmp(bytes, zeros, sizeof(zeros)))
				continue;
			hash = (hash ^ at) * 0x9e3779b97f4a7c15ull + page_hash_of(bytes);
		}
	}
	page_runs_free(&runs);
	maps_free(&maps);
	if (pagemap >= 0)
		close(pagemap);
	*ret = hash;
	return err;
}

static uint32_t window_take(struct rtask *t, uint8_t *out, size_t max)
{
	return (uint32_t)mem_read_some(t->host->mem_fd, t->regs.rsp - RED_ZONE, out, max);
}

int run_point_take(struct session *s, struct rtask *t, struct run_point *ret)
{
	ret->event_no = s->ev_no;
	ret->task = t->no;
	ret->regs = t->regs;
	ret->n_window = window_take(t, ret->window, sizeof(ret->window));
	return memory_hash(s, t, &ret->mem_hash);
}

int point_matches(struct session *s, struct rtask *t, const struct run_point *p)
{
	uint8_t window[sizeof(p->window)];
	uint64_t hash;
	int err;

	(void)s;
	if (!regs_equal(&t->regs, &p->regs) || window_take(t, window, sizeof(window)) != p->n_window ||
	    memcmp(window, p->window, p->n_window) != 0)
		return 0;
	err = memory_hash(s, t, &hash);
	return err ? err : hash == p->mem_hash;
}
