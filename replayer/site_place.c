/* What kind of place a site is: whether its code can change while a filter is there, and how that is noticed. */
#include <sys/mman.h>
#include <sys/syscall.h>
#include "replayer/host.h"
#include "replayer/internal.h"
#include "replayer/site_int.h"
#include "tracee/insn.h"
#include "tracee/remote.h"

static uint64_t later(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* @bytes at @addr can be written to. False: they are more places than are watched. */
static bool add_guard(struct site *x, uint64_t addr, uint64_t bytes, int prot)
{
	if (x->n_guards == MAX_GUARDS)
		return false;
	x->guard[x->n_guards++] = (struct site_guard){ addr, bytes, prot };
	x->writable = true;
	return true;
}

/*
 * Shared memory: this process may write to it by other mappings of the same object, which are to be guarded. No other process
 * runs meanwhile. But code that is executed at two addresses cannot take a jump, which is to a distance.
 */
static bool place_shared(struct sites *ss, struct site *x, uint64_t start, uint64_t end)
{
	const struct shared_maps *all = &ss->t->host->shared;
	const struct shared_map *own = shared_find(all, x->addr);
	const struct maps *maps;

	if (!own || own->is_private || end > own->addr + own->len || site_book_maps(ss, &maps))
		return false;
	for (size_t i = 0; i < all->n; i++) {
		const struct shared_map *m = &all->v[i];
		uint64_t from = later(m->off, own->off + (start - own->addr));
		uint64_t to = earlier(m->off + m->len, own->off + (end - own->addr));
		const struct mapping *real;

		if (m->obj != own->obj || from >= to)
			continue;
		from = m->addr + (from - m->off);
		to = m->addr + (to - m->off);
		real = maps_find(maps, from);
		if (!real || to > real->end || (m != own && real->prot & PROT_EXEC))
			return false;
		if (real->prot & PROT_WRITE && !m->is_private && !add_guard(x, from, to - from, real->prot))
			return false;
	}
	return true;
}

int site_place(struct sites *ss, struct site *x)
{
	uint8_t code[INSN_MAX_BYTES];
	size_t n = mem_read_some(ss->t->host->mem_fd, x->addr, code, sizeof(code));
	uint64_t start = x->addr & -MAPS_PAGE;
	uint64_t end = start + (x->addr % MAPS_PAGE + FILTER_MAX_DISPLACED > MAPS_PAGE ? 2 * MAPS_PAGE : MAPS_PAGE);
	const struct mapping *m;
	const struct maps *maps;
	struct insn in;
	int err = site_book_maps(ss, &maps);

	if (err)
		return err;
	m = maps_find(maps, x->addr);
	if (!n || insn_decode(code, n, x->addr, &in) || in.flags & INSN_REP)
		x->no_filter = true;
	if (m && m->shared) {
		x->shared = true;
		x->no_filter |= !place_shared(ss, x, start, end);
		x->kind = SITE_DEBUG_REG;
	} else if (m && m->prot & PROT_WRITE) {
		x->no_filter |= !add_guard(x, start, end - start, m->prot) || end > m->end;
		x->kind = SITE_DEBUG_REG;
	}
	if (x->n_guards && !(ss->flags & SITES_PROTECT))
		x->no_filter = true;
	return 0;
}

int site_protect(struct sites *ss, struct site *x, bool closed)
{
	int64_t got;
	int err = 0;

	for (size_t i = 0; !err && i < x->n_guards; i++) {
		const struct site_guard *g = &x->guard[i];

		err = sites_inject(ss, SYS_mprotect, REMOTE_ARGS(g->addr, g->bytes, (uint64_t)(closed ? g->prot & ~PROT_WRITE : g->prot)), &got);
	}
	return err;
}

/* An unaligned store may begin on the page before what changes. */
bool site_guards(const struct site *x, uint64_t addr)
{
	for (size_t i = 0; i < x->n_guards; i++) {
		if (addr - x->guard[i].addr < x->guard[i].bytes)
			return true;
	}
	return false;
}
