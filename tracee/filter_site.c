#include "tracee/filter_site.h"

#include <stdlib.h>
#include <string.h>
#include "common/scope.h"
#include "tracee/filter.h"
#include "tracee/remote.h"

#define NEAR_BYTES FILTER_CODE_AHEAD   /* a short jump comes from within them */
#define FAR_BYTES 32768

/*
 * A long jump into [lo, hi): wherever four bytes behind what may be such a jump's opcode point there. By chance alone
 * that is rare.
 */
static int far_jump_into(int mem_fd, uint64_t lo, uint64_t hi)
{
	autofree uint8_t *b = malloc(2 * FAR_BYTES);
	uint64_t from = lo - FAR_BYTES;
	size_t n;

	if (!b)
		return 1;
	n = mem_read_some(mem_fd, from, b, 2 * FAR_BYTES);
	if (n <= FAR_BYTES) {
		from = lo & ~0xfffull;   /* the mapping begins in between */
		n = mem_read_some(mem_fd, from, b, FAR_BYTES);
	}
	for (size_t i = 1; i + 4 <= n; i++) {
		int32_t rel;

		/* Rarely so, and foreseen by the processor: asked before what is neither. */
		memcpy(&rel, b + i, 4);
		if (from + i + 4 + (uint64_t)(int64_t)rel - lo >= hi - lo)
			continue;
		if (b[i - 1] == 0xe9 || b[i - 1] == 0xe8 || (b[i - 1] & 0xf0) == 0x80)
			return 1;
	}
	return 0;
}

enum filter_site filter_site_look(int mem_fd, uint64_t addr)
{
	uint8_t code[2 * NEAR_BYTES];
	struct insn_code c = { .bytes = code, .addr = addr, .known = addr };
	struct filter_test any = { .kind = FILTER_REG };
	struct filter_spec spec = { .site = addr, .tests = &any, .n_tests = 1 };
	struct filter f;

	/* First without what may jump in: most sites that cannot be fail here. */
	c.n = mem_read_some(mem_fd, addr, code, sizeof(code));
	spec.code = c;
	spec.stub = c.n ? filter_stub_place(&c, addr, addr + 0x100000, addr + 0x70000000) : 0;
	spec.slots = (spec.stub + 0x2000) & ~63ull;
	if (!spec.stub || filter_build(&spec, &f))
		return FILTER_SITE_NONE;
	if (f.n_insns == 1)
		return FILTER_SITE_ALONE;
	c.n = mem_read_some(mem_fd, addr - NEAR_BYTES, code, sizeof(code));
	if (c.n > NEAR_BYTES) {
		c.addr = addr - NEAR_BYTES;
		spec.code = c;
		if (filter_build(&spec, &f))
			return FILTER_SITE_NONE;
	}
	return far_jump_into(mem_fd, f.site + 1, f.site + f.n_displaced) ? FILTER_SITE_NONE : FILTER_SITE_SEVERAL;
}
