/* Where filters' code goes: holes of the address space in reach of the site. */
#include <errno.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include "common/err.h"
#include "replayer/internal.h"
#include "replayer/site_int.h"
#include "tracee/layout.h"
#include "tracee/remote.h"

/*
 * No recorded call happens while the stub is there but what the agent's buffer holds, so any hole will do that is not mapped then;
 * but not right behind something that a program may run into the end of.
 */
#define MARGIN 0x100000ull
#define REACH 0x70000000ull        /* of a jump, with room to spare */
#define LOWEST 0x10000ull          /* vm.mmap_min_addr */
#define HIGHEST 0x7fffff000000ull  /* where the last hole ends, at the latest */

static bool overlaps(uint64_t at, uint64_t start, uint64_t end)
{
	uint64_t base = STUB_BASE(at);

	return base < end && base + STUB_BYTES > start;
}

/* The end of what takes the place already though no mapping shows it; 0: nothing does. */
static uint64_t taken_until(const struct sites *ss, uint64_t at)
{
	const struct host_ahead *ahead = &ss->t->host->ahead;

	if (overlaps(at, RL_BASE, RL_END))
		return RL_END;
	for (uint32_t i = 0; i < ahead->n; i++) {
		if (overlaps(at, ahead->mapped[i].start, ahead->mapped[i].end))
			return ahead->mapped[i].end;
	}
	for (size_t i = 0; i < ss->n; i++) {
		uint64_t base = STUB_BASE(ss->v[i].stub);

		if (ss->v[i].stub && overlaps(at, base, base + STUB_BYTES))
			return base + STUB_BYTES;
	}
	return 0;
}

static uint64_t place_in_hole(const struct sites *ss, const struct site *x, const struct insn_code *code, uint64_t lo,
			      uint64_t hi)
{
	uint64_t at, taken;

	if (hi < lo || hi - lo < 2 * MARGIN)
		return 0;
	for (lo += MARGIN, hi -= MARGIN; (at = filter_stub_place(code, x->addr, lo, hi)); lo = taken) {
		taken = taken_until(ss, at);
		if (!taken)
			break;
	}
	return at;
}

static uint64_t place_between(const struct sites *ss, const struct site *x, const struct insn_code *code,
			      const struct maps *maps, uint64_t lo, uint64_t hi)
{
	const struct mapping *next = maps_find_from(maps, lo);
	uint64_t at = 0;

	for (; !at && lo < hi; next++) {
		bool last = !next || next >= maps->v + maps->n;

		at = place_in_hole(ss, x, code, lo, last || next->start > hi ? hi : next->start);
		if (last)
			break;
		lo = next->end;
	}
	return at;
}

int site_map_stub(struct sites *ss, struct site *x, const struct insn_code *code)
{
	uint64_t page = x->addr & -MAPS_PAGE, at;
	const struct maps *maps;
	int64_t got;
	int err = site_book_maps(ss, &maps);

	if (err)
		return err;
	/* Above the code first: below a mapping's end there is mostly something else soon. */
	at = place_between(ss, x, code, maps, page, page + REACH < HIGHEST ? page + REACH : HIGHEST);
	if (!at)
		at = place_between(ss, x, code, maps, page > REACH + LOWEST ? page - REACH : LOWEST, page);
	if (!at)
		return -RL_EUNSUPPORTED;
	err = sites_inject(ss, SYS_mmap, REMOTE_ARGS(STUB_BASE(at), STUB_BYTES, PROT_READ | PROT_WRITE | PROT_EXEC,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1ull, 0), &got);
	if (err)
		return err == -ENOMEM ? err : -RL_EUNSUPPORTED;
	x->stub = at;
	ss->t->host->stubs[x - ss->v] = STUB_BASE(at);
	return 0;
}
