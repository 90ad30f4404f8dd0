#include "tracee/pagetrack.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/err.h"
#include "common/log.h"
#include "tracee/pagetrack_int.h"

/* Above this only the kernel's vsyscall page is listed. */
#define USER_END (1ull << 56)

void page_list_free(struct page_list *l)
{
	free(l->v);
	*l = (struct page_list){ 0 };
}

int page_list_append(struct page_list *l, uint64_t start, uint64_t end)
{
	size_t more = (end - start) / MAPS_PAGE;

	if (l->cap - l->n < more) {
		size_t cap = l->n + more > 2 * l->cap ? l->n + more : 2 * l->cap;
		struct page_hash *v = reallocarray(l->v, cap, sizeof *v);

		if (!v)
			return -ENOMEM;
		l->v = v;
		l->cap = cap;
	}
	for (; start < end; start += MAPS_PAGE)
		l->v[l->n++] = (struct page_hash){ start, 0 };
	return 0;
}

static int by_addr(const void *a, const void *b)
{
	uint64_t x = ((const struct page_hash *)a)->addr, y = ((const struct page_hash *)b)->addr;

	return x < y ? -1 : x > y;
}

static int collect_part(struct pagetrack *p, struct collect *c, const struct mapping *m, const struct page_range *part)
{
	switch (p->tier) {
	case PAGE_TIER_SCAN:
		return scan_collect_part(p, c, m, part);
	case PAGE_TIER_SOFTDIRTY:
		return softdirty_collect_part(p, c, m, part);
	default:
		return hash_collect_part(p, c, m, part);
	}
}

/* The first part of [start, end) outside of all excluded ranges; false: there is none. */
static bool next_part(uint64_t start, uint64_t end, const struct page_range *exclude, size_t n, struct page_range *ret)
{
	for (size_t i = 0; i < n && start < end; i++) {
		if (exclude[i].start <= start && start < exclude[i].end) {
			start = exclude[i].end;
			i = (size_t)-1;   /* the new start may lie in an earlier range */
		}
	}
	if (start >= end)
		return false;
	for (size_t i = 0; i < n; i++)
		if (exclude[i].start > start && exclude[i].start < end)
			end = exclude[i].start;
	*ret = (struct page_range){ start, end };
	return true;
}

static int collect_maps(struct pagetrack *p, struct collect *c, const struct maps *maps)
{
	for (size_t i = 0; i < maps->n && maps->v[i].start < USER_END; i++) {
		const struct mapping *m = &maps->v[i];
		struct page_range part = { 0, m->start };

		while (next_part(part.end, m->end, c->exclude, c->n_exclude, &part)) {
			int err = collect_part(p, c, m, &part);

			if (err)
				return err;
			c->floor = part.end;
		}
		c->floor = m->end;
	}
	return 0;
}

int pagetrack_collect(struct pagetrack *p, const struct page_range *exclude, size_t n_exclude, struct page_list *ret)
{
	struct collect c = { .written = ret, .exclude = exclude, .n_exclude = n_exclude };
	struct maps maps;
	int err = maps_read(p->pid, &maps);

	if (err)
		return err;
	ret->n = 0;
	ret->hashed = false;
	p->n_plan = 0;
	p->planned = p->tier == PAGE_TIER_SCAN;
	err = collect_maps(p, &c, &maps);
	maps_free(&maps);
	if (!err)
		err = hash_collect_finish(p, &c);
	if (!err && p->tier == PAGE_TIER_SOFTDIRTY)
		err = softdirty_rearm(p);
	page_list_free(&c.candidates);
	if (err)
		return err;
	ret->hashed = p->tier == PAGE_TIER_HASH;
	p->n_faults = p->tier == PAGE_TIER_SCAN && ret->n > p->n_open ? ret->n - p->n_open : 0;
	p->n_listed = ret->n;
	p->n_open = 0;
	return 0;
}

void pagetrack_follow(struct pagetrack *p, pid_t tid)
{
	p->pid = tid;
}

size_t pagetrack_faults(const struct pagetrack *p)
{
	return p->n_faults;
}

int pagetrack_collect_again(struct pagetrack *p, const struct page_range *exclude, size_t n_exclude, struct page_list *ret)
{
	struct collect c = { .written = ret };

	if (!p->planned)
		return pagetrack_collect(p, exclude, n_exclude, ret);
	ret->n = 0;
	ret->hashed = false;
	return scan_collect_again(p, &c);
}

static int open_tier(struct pagetrack *p, enum page_tier tier, const struct pagetrack_host *h)
{
	p->tier = tier;
	switch (tier) {
	case PAGE_TIER_SCAN:
		return h ? scan_open(p, h) : -RL_EUNSUPPORTED;
	case PAGE_TIER_SOFTDIRTY:
		return softdirty_works() ? 0 : -RL_EUNSUPPORTED;
	default:
		return 0;
	}
}

static int open_best(struct pagetrack *p, const struct pagetrack_host *h)
{
	int err = -RL_EUNSUPPORTED;

	for (enum page_tier tier = PAGE_TIER_SCAN; tier <= PAGE_TIER_HASH; tier++) {
		err = open_tier(p, tier, h);
		if (!err || err == -RL_EGONE)
			break;
		log_debug("page tracking by %s: %s", page_tier_name(tier), rl_strerror(err));
	}
	return err;
}

static int open_untracked(pid_t pid, enum page_tier tier, const struct pagetrack_host *h, struct pagetrack **ret)
{
	struct pagetrack *p = calloc(1, sizeof *p);
	int err;

	if (!p)
		return -ENOMEM;
	*p = (struct pagetrack){ .pid = pid, .uffd = -1, .pagemap_fd = pagemap_open(pid) };
	err = p->pagemap_fd;
	if (err >= 0)
		err = tier == PAGE_TIER_AUTO ? open_best(p, h) : open_tier(p, tier, h);
	if (err) {
		pagetrack_close(p);
		return err;
	}
	*ret = p;
	return 0;
}

int pagetrack_open(pid_t pid, enum page_tier tier, const struct pagetrack_host *h, struct pagetrack **ret)
{
	struct page_list ignored = { 0 };
	struct pagetrack *p;
	int err = open_untracked(pid, tier, h, &p);

	if (err)
		return err;
	err = pagetrack_collect(p, NULL, 0, &ignored);
	page_list_free(&ignored);
	if (err) {
		pagetrack_close(p);
		return err;
	}
	*ret = p;
	return 0;
}

int pagetrack_fork(const struct pagetrack *p, pid_t child, const struct pagetrack_host *h, struct pagetrack **ret)
{
	struct pagetrack *copy;
	int err;

	if (p->tier != PAGE_TIER_HASH)
		return pagetrack_open(child, p->tier, h, ret);
	/* The parent's hashes are right for all that it has not written since: no need to hash all again. */
	err = open_untracked(child, p->tier, h, &copy);
	if (err)
		return err;
	copy->known.v = reallocarray(NULL, p->known.n + 1, sizeof *p->known.v);
	if (!copy->known.v) {
		pagetrack_close(copy);
		return -ENOMEM;
	}
	memcpy(copy->known.v, p->known.v, p->known.n * sizeof *p->known.v);
	copy->known.n = p->known.n;
	copy->known.cap = p->known.n + 1;
	*ret = copy;
	return 0;
}

void pagetrack_close(struct pagetrack *p)
{
	if (!p)
		return;
	if (p->uffd >= 0)
		close(p->uffd);   /* the kernel takes the protection off */
	if (p->pagemap_fd >= 0)
		close(p->pagemap_fd);
	page_list_free(&p->known);
	page_runs_free(&p->runs);
	free(p->plan);
	free(p);
}

enum page_tier pagetrack_tier(const struct pagetrack *p)
{
	return p->tier;
}

const char *page_tier_name(enum page_tier tier)
{
	static const char *const names[] = { "auto", "scan", "soft-dirty", "hash" };

	return names[tier];
}

/* Both lists are sorted; a page that is in old with the same hash was not written. */
static int append_changed(struct page_list *written, const struct page_list *old, const struct page_list *now)
{
	size_t at = 0, before = written->n;

	for (size_t i = 0; i < now->n; i++) {
		while (at < old->n && old->v[at].addr < now->v[i].addr)
			at++;
		if (at < old->n && old->v[at].addr == now->v[i].addr && old->v[at].hash == now->v[i].hash)
			continue;
		int err = page_list_append(written, now->v[i].addr, now->v[i].addr + MAPS_PAGE);

		if (err)
			return err;
		written->v[written->n - 1].hash = now->v[i].hash;
	}
	if (before && written->n > before)
		qsort(written->v, written->n, sizeof *written->v, by_addr);
	return 0;
}

int hash_collect_finish(struct pagetrack *p, struct collect *c)
{
	int err = pages_hash(p->pid, &c->candidates);
	struct page_list old = p->known;

	if (err)
		return err;
	err = append_changed(c->written, &old, &c->candidates);
	p->known = c->candidates;
	c->candidates = old;   /* freed by the caller */
	return err;
}

/* Own copies anywhere; the shared pages of mappings that can be written now. */
static bool may_be_written(const struct mapping *m, unsigned flags)
{
	if (flags & PAGE_ZERO)
		return false;
	return m->shared ? (m->prot & 2 /* PROT_WRITE */) : page_is_anon(flags);
}

int hash_collect_part(struct pagetrack *p, struct collect *c, const struct mapping *m, const struct page_range *part)
{
	int err;

	p->runs.n = 0;
	err = pagemap_runs(p->pagemap_fd, part->start, part->end, &p->runs);
	for (size_t i = 0; !err && i < p->runs.n; i++)
		if (may_be_written(m, p->runs.v[i].flags))
			err = page_list_append(&c->candidates, p->runs.v[i].start, p->runs.v[i].end);
	return err;
}
