#include "tracee/xstate.h"

#include <assert.h>
#include <cpuid.h>
#include <elf.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>

#include "common/err.h"

/* Intel SDM volume 1, chapter 13: the legacy region, then the header, then the components. */
enum {
	FCW = 0, FSW = 2, FTW = 4, MXCSR = 24, ST = 32, XMM = 160, LEGACY_END = 416,
	XSTATE_BV = 512, HEADER_END = 576,
	BIT_X87 = 0, BIT_SSE = 1, N_COMPONENTS = 20,
	FCW_INITIAL = 0x37f, MXCSR_INITIAL = 0x1f80,
};

struct component {
	uint32_t off, size;     /* in the canonical form */
	uint32_t unit;          /* bytes a register */
	uint32_t first;         /* number of the first register */
	const char *name;
	bool aligned;           /* of this processor's: at a multiple of 64 in the compacted format */
};

/* Extended components by their XCR0 bit. APX took over the place of MPX: no processor has both. */
static const struct component components[N_COMPONENTS] = {
	[2] = { 576, 256, 16, 0, "ymm_hi " },
	[3] = { 960, 64, 16, 0, "bnd" },
	[4] = { 1024, 64, 64, 0, "bndcsr" },
	[5] = { 1088, 64, 8, 0, "k" },
	[6] = { 1152, 512, 32, 0, "zmm_hi " },
	[7] = { 1664, 1024, 64, 16, "zmm" },
	[9] = { 2688, 8, 8, 0, "pkru" },
	[17] = { 2752, 64, 64, 0, "tilecfg" },
	[18] = { 2816, 8192, 1024, 0, "tile " },
	[19] = { 960, 128, 8, 16, "r" },
};

/* Where this processor keeps an extended component in the standard format: cpuid leaf 13. Size 0: it has none. */
static struct component place_here(unsigned bit)
{
	static struct component place[N_COMPONENTS];
	static bool known;

	if (!known) {
		for (unsigned i = 2; i < N_COMPONENTS; i++) {
			unsigned size = 0, off = 0, c, d;

			if (__get_cpuid_count(13, i, &size, &off, &c, &d))
				place[i] = (struct component){ .off = off, .size = size, .aligned = c & 2 };
		}
		known = true;
	}
	return place[bit];
}

static uint64_t load64(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof v);
	return v;
}

static void store64(uint8_t *p, uint64_t v)
{
	memcpy(p, &v, sizeof v);
}

static bool is_zero(const uint8_t *p, size_t n)
{
	for (; n >= 8; p += 8, n -= 8)
		if (load64(p))
			return false;
	for (; n; p++, n--)
		if (*p)
			return false;
	return true;
}

static int regset_error(void)
{
	return errno == ESRCH ? -RL_EGONE : -errno;
}

int xstate_read(pid_t tid, struct xstate *ret)
{
	struct iovec iov = { ret->bytes, sizeof ret->bytes };

	if (ptrace(PTRACE_GETREGSET, tid, (void *)(uintptr_t)NT_X86_XSTATE, &iov) < 0)
		return regset_error();
	ret->n = iov.iov_len;
	return 0;
}

int xstate_write(pid_t tid, const struct xstate *x)
{
	struct iovec iov = { (void *)x->bytes, x->n };

	return ptrace(PTRACE_SETREGSET, tid, (void *)(uintptr_t)NT_X86_XSTATE, &iov) < 0 ? regset_error() : 0;
}

static uint64_t ask_xcr0(void)
{
	uint32_t a, b, c, d, lo, hi;

	__cpuid(1, a, b, c, d);
	if (!(c & bit_OSXSAVE))
		return 1u << BIT_X87 | 1u << BIT_SSE;
	__asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
	return (uint64_t)hi << 32 | lo;
}

uint64_t xstate_xcr0(void)
{
	static uint64_t known;   /* cpuid leaves a virtual machine, which takes longer than a stop; each xsave that traps asks */

	if (!known)
		known = ask_xcr0();
	return known;
}

static void x87_copy(const uint8_t *from, uint8_t *to)
{
	memcpy(to + FCW, from + FCW, 4);
	to[FTW] = from[FTW];
	for (int i = 0; i < 8; i++)
		memcpy(to + ST + 16 * i, from + ST + 16 * i, 10);
}

static bool x87_is_initial(const uint8_t *b)
{
	return b[FCW] == (FCW_INITIAL & 0xff) && b[FCW + 1] == FCW_INITIAL >> 8 && is_zero(b + FSW, 3) &&
	       is_zero(b + ST, 128);
}

static bool sse_is_initial(const uint8_t *b)
{
	uint32_t mxcsr;

	memcpy(&mxcsr, b + MXCSR, sizeof mxcsr);
	return mxcsr == MXCSR_INITIAL && is_zero(b + XMM, LEGACY_END - XMM);
}

static void legacy_initialise(uint8_t *b)
{
	static const uint16_t fcw = FCW_INITIAL;
	static const uint32_t mxcsr = MXCSR_INITIAL;

	memcpy(b + FCW, &fcw, sizeof fcw);
	memcpy(b + MXCSR, &mxcsr, sizeof mxcsr);
}

/* The bits that the values call for. Which of two components that share a place has it, only held can tell. */
static uint64_t bv_of_values(const uint8_t *b, uint64_t held)
{
	uint64_t bv = (x87_is_initial(b) ? 0 : 1u << BIT_X87) | (sse_is_initial(b) ? 0 : 1u << BIT_SSE);

	for (unsigned i = 2; i < N_COMPONENTS; i++)
		if ((held >> i & 1) && !is_zero(b + components[i].off, components[i].size))
			bv |= 1ull << i;
	return bv;
}

static size_t cut(const uint8_t *b, size_t n)
{
	while (n >= 8 && !load64(b + n - 8))
		n -= 8;
	while (n && !b[n - 1])
		n--;
	return n;
}

size_t xstate_canon(const struct xstate *x, uint8_t *out)
{
	uint64_t held = x->n >= HEADER_END ? load64(x->bytes + XSTATE_BV) : 3;

	assert(x->n >= LEGACY_END && x->n <= XSTATE_MAX);
	memset(out, 0, XSTATE_MAX);
	legacy_initialise(out);
	if (held >> BIT_X87 & 1)
		x87_copy(x->bytes, out);
	if (held >> BIT_SSE & 1)
		memcpy(out + XMM, x->bytes + XMM, LEGACY_END - XMM);
	/* SSE or AVX in use: XSAVE wrote mxcsr. Otherwise those bytes may be anything. */
	if (held & 6)
		memcpy(out + MXCSR, x->bytes + MXCSR, 4);
	for (unsigned i = 2; i < N_COMPONENTS; i++) {
		const struct component *to = &components[i];
		struct component here = place_here(i);

		if ((held >> i & 1) && to->size && here.size && here.off + to->size <= x->n)
			memcpy(out + to->off, x->bytes + here.off, to->size);
	}
	store64(out + XSTATE_BV, bv_of_values(out, held));
	return cut(out, XSTATE_MAX);
}

int xstate_from_canon(const uint8_t *c, size_t n, size_t full_size, struct xstate *ret)
{
	static _Thread_local uint8_t full[XSTATE_MAX];
	uint64_t bv;

	if (n > XSTATE_MAX || full_size > XSTATE_MAX || full_size < HEADER_END)
		return -RL_ECORRUPT;
	memcpy(full, c, n);
	memset(full + n, 0, XSTATE_MAX - n);
	bv = load64(full + XSTATE_BV);
	if (bv >> N_COMPONENTS || bv != bv_of_values(full, bv))
		return -RL_ECORRUPT;
	for (unsigned i = 2; i < N_COMPONENTS; i++) {
		struct component here = place_here(i);

		if ((bv >> i & 1) && (!here.size || here.off + components[i].size > full_size))
			return -RL_EUNSUPPORTED;
	}

	ret->n = full_size;
	memset(ret->bytes, 0, full_size);
	x87_copy(full, ret->bytes);
	memcpy(ret->bytes + MXCSR, full + MXCSR, 4);
	memcpy(ret->bytes + XMM, full + XMM, LEGACY_END - XMM);
	for (unsigned i = 2; i < N_COMPONENTS; i++)
		if (bv >> i & 1)
			memcpy(ret->bytes + place_here(i).off, full + components[i].off, components[i].size);
	/* Always name the legacy components: without its bit, kernels that use plain XRSTOR keep an old mxcsr. */
	store64(ret->bytes + XSTATE_BV, bv | 3);
	return 0;
}

static void save_part(struct xstate_part *parts, unsigned *n, uint32_t off, uint32_t len, uint8_t *out, const uint8_t *from)
{
	memcpy(out + off, from, len);
	parts[(*n)++] = (struct xstate_part){ off, len };
}

/* Intel SDM volume 1, sections 13.7 (XSAVE) and 13.10 (XSAVEC). */
unsigned xstate_save_area(const uint8_t *canon, uint64_t request, bool compact, uint64_t old_bv, uint8_t *out,
			  struct xstate_part *parts)
{
	uint64_t header[2] = { compact ? request : (old_bv & ~request) | request, request | 1ull << 63 };
	uint32_t next = HEADER_END;
	unsigned n = 0;

	if (request >> N_COMPONENTS)
		return 0;
	if (request >> BIT_X87 & 1) {
		save_part(parts, &n, 0, MXCSR, out, canon);
		save_part(parts, &n, ST, XMM - ST, out, canon + ST);
	}
	if (request & (compact ? 2 : 6))
		save_part(parts, &n, MXCSR, 4, out, canon + MXCSR);
	if (request >> BIT_SSE & 1)
		save_part(parts, &n, XMM, LEGACY_END - XMM, out, canon + XMM);
	save_part(parts, &n, XSTATE_BV, compact ? 16 : 8, out, (const uint8_t *)header);
	for (unsigned i = 2; i < N_COMPONENTS; i++) {
		struct component here = place_here(i);

		if (!(request >> i & 1))
			continue;
		if (compact)
			here.off = here.aligned ? (next + 63) & ~63u : next;
		next = here.off + here.size;
		if (!here.size || here.size > components[i].size || next > XSTATE_MAX)
			return 0;
		save_part(parts, &n, here.off, here.size, out, canon + components[i].off);
	}
	return n;
}

bool xstate_canon_equal(const uint8_t *a, size_t na, const uint8_t *b, size_t nb)
{
	return na == nb && memcmp(a, b, na) == 0;
}

static void name_legacy(size_t at, char *name, size_t size)
{
	if (at < FSW)
		snprintf(name, size, "fcw");
	else if (at < FTW)
		snprintf(name, size, "fsw");
	else if (at < MXCSR)
		snprintf(name, size, "ftw");
	else if (at < ST)
		snprintf(name, size, "mxcsr");
	else if (at < XMM)
		snprintf(name, size, "st%zu", (at - ST) / 16);
	else
		snprintf(name, size, "xmm%zu", (at - XMM) / 16);
}

static void name_extended(size_t at, uint64_t bv, char *name, size_t size)
{
	for (unsigned i = 2; i < N_COMPONENTS; i++) {
		const struct component *c = &components[i];

		if (!(bv >> i & 1) || at < c->off || at >= c->off + c->size)
			continue;
		if (c->size == c->unit)
			snprintf(name, size, "%s", c->name);
		else
			snprintf(name, size, "%s%zu", c->name, c->first + (at - c->off) / c->unit);
		return;
	}
	snprintf(name, size, "xsave byte %zu", at);
}

static uint8_t byte_at(const uint8_t *b, size_t n, size_t at)
{
	return at < n ? b[at] : 0;
}

static uint64_t bv_at(const uint8_t *b, size_t n)
{
	uint64_t bv = 0;

	for (size_t i = 0; i < 8; i++)
		bv |= (uint64_t)byte_at(b, n, XSTATE_BV + i) << 8 * i;
	return bv;
}

bool xstate_canon_diff(const uint8_t *a, size_t na, const uint8_t *b, size_t nb, char *name, size_t size)
{
	size_t n = na > nb ? na : nb;

	for (size_t at = 0; at < n; at++) {
		/* The header only repeats what the registers say. */
		if ((at >= XSTATE_BV && at < HEADER_END) || byte_at(a, na, at) == byte_at(b, nb, at))
			continue;
		if (at < LEGACY_END)
			name_legacy(at, name, size);
		else
			name_extended(at, bv_at(a, na) | bv_at(b, nb), name, size);
		return true;
	}
	name[0] = 0;
	return false;
}
