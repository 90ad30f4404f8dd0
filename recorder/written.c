/*
 * Which pages of an address space were written: asked by clock points, since the last one, and by calls whose outputs are
 * not known, since they began. There is one tracker for both, so what one of them takes is kept for the other.
 */
#include "recorder/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "common/err.h"
#include "common/grow.h"
#include "tracee/layout.h"

static const struct page_range ours = { RL_BASE, RL_END };

/* Of a mapping: the process's own pages, and of a shared one all that are there if they are asked for. */
static int list_mapping(const struct mapping *m, const struct page_runs *runs, bool shared, struct page_list *l)
{
	for (size_t i = 0; i < runs->n; i++) {
		const struct page_run *p = &runs->v[i];

		if (p->flags & PAGE_ZERO || !(page_is_anon(p->flags) || (shared && m->shared)))
			continue;
		for (uint64_t at = p->start; at < p->end; at += TRACE_PAGE) {
			struct page_hash *h = GROW(l->v, l->n, l->cap);

			if (!h)
				return -ENOMEM;
			*h = (struct page_hash){ at, 0 };
			l->n++;
		}
	}
	return 0;
}

int written_ever(struct task *t, bool shared, struct page_list *l)
{
	struct maps maps = { 0 };
	struct page_runs runs = { 0 };
	int pagemap = pagemap_open(t->tid);
	int err = pagemap < 0 ? pagemap : maps_read(t->tid, &maps);

	for (size_t i = 0; !err && i < maps.n; i++) {
		const struct mapping *m = &maps.v[i];

		if (!(m->prot & PROT_WRITE) || (m->start >= ours.start && m->start < ours.end))
			continue;
		runs.n = 0;
		err = pagemap_runs(pagemap, m->start, m->end, &runs);
		if (!err)
			err = list_mapping(m, &runs, shared, l);
	}
	page_runs_free(&runs);
	maps_free(&maps);
	if (pagemap >= 0)
		close(pagemap);
	return err;
}

static int64_t host_call(void *ctx, long nr, const uint64_t arg[6])
{
	int64_t result = 0;
	int err = task_call(ctx, nr, arg, &result);

	return err ? -ESRCH : result;
}

int written_track(struct recording *r, struct task *t)
{
	struct pagetrack_host host = { .syscall = host_call, .scratch = RL_DATA, .ctx = t };
	struct page_list none = { 0 };
	int err;

	if (t->mm->pages)
		return 0;
	err = pagetrack_open(t->tid, (enum page_tier)r->opts->page_tier, &host, &t->mm->pages);
	if (!err)
		err = pagetrack_collect(t->mm->pages, &ours, 1, &none);   /* arms it */
	page_list_free(&none);
	return err;
}

static int by_addr(const void *a, const void *b)
{
	const struct page_hash *x = a, *y = b;

	return x->addr < y->addr ? -1 : x->addr > y->addr;
}

/* Add a list's pages to another one. Hashes are lost. */
static int join(struct page_list *to, const struct page_list *more)
{
	size_t n = 0;

	for (size_t i = 0; i < more->n; i++) {
		struct page_hash *h = GROW(to->v, to->n, to->cap);

		if (!h)
			return -ENOMEM;
		*h = (struct page_hash){ more->v[i].addr, 0 };
		to->n++;
	}
	if (to->n)
		qsort(to->v, to->n, sizeof(*to->v), by_addr);
	for (size_t i = 0; i < to->n; i++) {
		if (!n || to->v[n - 1].addr != to->v[i].addr)
			to->v[n++] = to->v[i];
	}
	to->n = n;
	to->hashed = false;
	return 0;
}

/* What changes mappings is recorded: so without such an event they are as they were. */
static int collect(struct recording *r, struct task *t, struct page_list *l)
{
	struct mm *mm = t->mm;
	bool same = mm->pages_at == r->maps_gen + 1;
	int err;

	pagetrack_follow(mm->pages, t->tid);
	err = same ? pagetrack_collect_again(mm->pages, &ours, 1, l) : pagetrack_collect(mm->pages, &ours, 1, l);
	mm->pages_at = err ? 0 : r->maps_gen + 1;
	return err;
}

int written_for_clock(struct recording *r, struct task *t, struct page_list *l)
{
	struct mm *mm = t->mm;
	int err;

	/* The first clock point of an address space: everything that was ever written counts. */
	if (!mm->clocked) {
		struct page_list none = { 0 };

		err = written_ever(t, true, l);
		if (!err && mm->pages)
			err = collect(r, t, &none);
		if (!err)
			err = written_track(r, t);
		page_list_free(&none);
		mm->clocked = !err;
		return err;
	}
	err = collect(r, t, l);
	if (!err && mm->kept.n)
		err = join(l, &mm->kept);
	mm->kept.n = 0;
	return err;
}

int written_now(struct task *t, struct page_list *l)
{
	int err;

	pagetrack_follow(t->mm->pages, t->tid);
	err = pagetrack_collect(t->mm->pages, &ours, 1, l);
	t->mm->pages_at = 0;   /* nobody knows whether such a call changes mappings */
	return err || !t->mm->clocked ? err : join(&t->mm->kept, l);
}
