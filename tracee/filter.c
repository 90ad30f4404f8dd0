#include "tracee/filter.h"

#include <errno.h>
#include <string.h>

#include "common/err.h"

/* The first error latches; code past the end is counted, not written. */
struct stub {
	const struct filter_spec *spec;
	struct filter *f;
	size_t n;
	int err;
	bool saves_rax;     /* some test needs it */
	bool rax_changed;   /* by the tests so far */
	size_t stop_rel32;  /* offset of the jump to the match that a count takes; 0: none */
};

static void put(struct stub *s, const void *b, size_t n)
{
	if (s->n + n > FILTER_MAX_CODE)
		s->err = s->err ? s->err : -RL_EUNSUPPORTED;
	else
		memcpy(s->f->code + s->n, b, n);
	s->n += n;
}

static void put_u8(struct stub *s, unsigned b)
{
	put(s, &(uint8_t){ (uint8_t)b }, 1);
}

static void put_u32(struct stub *s, uint32_t v)
{
	put(s, &v, 4);
}

static void put_u64(struct stub *s, uint64_t v)
{
	put(s, &v, 8);
}

/* The displacement that reaches addr from the end of the instruction, tail bytes after it. */
static void put_rel32(struct stub *s, uint64_t addr)
{
	int64_t rel = (int64_t)(addr - (s->spec->stub + s->n + 4));

	if (rel != (int32_t)rel)
		s->err = s->err ? s->err : -RL_EUNSUPPORTED;
	put_u32(s, (uint32_t)rel);
}

/* mov %reg, addr(%rip) or back; reg is rax or rcx. */
static void put_save(struct stub *s, enum insn_reg reg, uint64_t addr)
{
	put(s, "\x48\x89", 2);
	put_u8(s, 0x05 | (unsigned)reg << 3);
	put_rel32(s, addr);
}

static void put_load(struct stub *s, enum insn_reg reg, uint64_t addr)
{
	put(s, "\x48\x8b", 2);
	put_u8(s, 0x05 | (unsigned)reg << 3);
	put_rel32(s, addr);
}

static uint64_t slot_of(const struct stub *s, enum insn_reg reg)
{
	return s->spec->slots + (reg == INSN_RAX ? 8 : 0);
}

static void put_restore(struct stub *s)
{
	if (s->saves_rax)
		put_load(s, INSN_RAX, slot_of(s, INSN_RAX));
	put_load(s, INSN_RCX, slot_of(s, INSN_RCX));
}

/* ModRM, SIB and disp32 for [base + disp] with a register operand. */
static void put_mem(struct stub *s, enum insn_reg reg, uint8_t base, int32_t disp)
{
	put_u8(s, 0x80 | (unsigned)reg << 3 | (base & 7));
	if ((base & 7) == 4)
		put_u8(s, 0x24);
	put_u32(s, (uint32_t)disp);
}

/* rcx = reg - want, by lea, which leaves the flags alone. */
static void put_difference(struct stub *s, uint8_t reg, uint64_t want)
{
	int64_t minus = (int64_t)-want;

	if (minus == (int32_t)minus) {
		put_u8(s, reg & 8 ? 0x49 : 0x48);   /* lea -want(%reg), %rcx */
		put_u8(s, 0x8d);
		put_mem(s, INSN_RCX, reg, (int32_t)minus);
		return;
	}
	put(s, "\x48\xb9", 2);   /* movabs $-want, %rcx */
	put_u64(s, (uint64_t)minus);
	put_u8(s, reg & 8 ? 0x49 : 0x48);   /* lea 0(%reg,%rcx), %rcx */
	put(s, "\x8d\x4c", 2);
	put_u8(s, 0x08 | (reg & 7));
	put_u8(s, 0);
}

/* A register that holds what reg held at the site: itself, or rax loaded from the slot. */
static uint8_t put_original(struct stub *s, uint8_t reg)
{
	if (reg != INSN_RCX && (reg != INSN_RAX || !s->rax_changed))
		return reg;
	s->rax_changed = true;
	put_load(s, INSN_RAX, slot_of(s, (enum insn_reg)reg));
	return INSN_RAX;
}

/* mov, movzwl or movzbl from [base + disp] to rax. */
static void put_mem_load(struct stub *s, uint8_t base, int32_t disp, uint8_t size)
{
	unsigned rex = (size == 8 ? 8u : 0) | (base & 8 ? 1u : 0);

	s->rax_changed = true;
	if (rex)
		put_u8(s, 0x40 | rex);
	if (size >= 4)
		put_u8(s, 0x8b);
	else
		put(s, size == 2 ? "\x0f\xb7" : "\x0f\xb6", 2);
	put_mem(s, INSN_RAX, base, disp);
}

/* Where vector registers are put to look at them. */
static uint64_t image_of(const struct stub *s)
{
	return s->spec->slots + 64;
}

/* movq or vmovq %xmmN, %rax. */
static void put_xmm(struct stub *s, uint8_t n)
{
	s->rax_changed = true;
	if (n < 16) {
		put_u8(s, 0x66);
		put_u8(s, 0x48 | (n & 8 ? 4 : 0));
		put(s, "\x0f\x7e", 2);
	} else {
		put_u8(s, 0x62);
		put_u8(s, 0x61 | (n & 8 ? 0 : 0x80));
		put(s, "\xfd\x08\x7e", 3);
	}
	put_u8(s, 0xc0 | (n & 7u) << 3);
}

/* vmovdqu %ymmN, image; mov image + 16 + disp, %rax. */
static void put_ymm_hi(struct stub *s, uint8_t n, int32_t disp)
{
	s->rax_changed = true;
	put_u8(s, 0xc5);
	put_u8(s, n & 8 ? 0x7e : 0xfe);
	put_u8(s, 0x7f);
	put_u8(s, 0x05 | (n & 7u) << 3);
	put_rel32(s, image_of(s));
	put_load(s, INSN_RAX, image_of(s) + 16 + (uint64_t)disp);
}

static void put_fx(struct stub *s, int32_t disp)
{
	s->rax_changed = true;
	put(s, "\x48\x0f\xae\x05", 4);   /* fxsave64 image(%rip) */
	put_rel32(s, image_of(s));
	put_load(s, INSN_RAX, image_of(s) + (uint64_t)disp);
}

/* rcx = what is tested, minus the wanted value. */
static void put_test(struct stub *s, const struct filter_test *t)
{
	switch (t->kind) {
	case FILTER_REG:
		put_difference(s, put_original(s, t->reg), t->want);
		break;
	case FILTER_MEM:
		put_mem_load(s, put_original(s, t->reg), t->disp, t->size);
		put_difference(s, INSN_RAX, t->want);
		break;
	case FILTER_ABS:
		put(s, "\x48\xb8", 2);   /* movabs $addr, %rax */
		put_u64(s, t->addr);
		put_mem_load(s, INSN_RAX, 0, t->size);
		put_difference(s, INSN_RAX, t->want);
		break;
	case FILTER_PASS:
		s->rax_changed = true;
		put_load(s, INSN_RAX, s->spec->counter);
		put_difference(s, INSN_RAX, t->want);
		break;
	case FILTER_XMM:
		put_xmm(s, t->reg);
		put_difference(s, INSN_RAX, t->want);
		break;
	case FILTER_YMM_HI:
		put_ymm_hi(s, t->reg, t->disp);
		put_difference(s, INSN_RAX, t->want);
		break;
	case FILTER_FX:
		put_fx(s, t->disp);
		put_difference(s, INSN_RAX, t->want);
		break;
	}
}

static bool tests_change_rax(const struct filter_spec *spec)
{
	if (spec->stop_count)
		return true;
	for (size_t i = 0; i < spec->n_tests; i++)
		if (spec->tests[i].kind != FILTER_REG || spec->tests[i].reg == INSN_RCX)
			return true;
	return false;
}

static void put_entry(struct stub *s)
{
	const struct filter_spec *spec = s->spec;

	put_save(s, INSN_RCX, slot_of(s, INSN_RCX));
	if (s->saves_rax)
		put_save(s, INSN_RAX, slot_of(s, INSN_RAX));
	if (spec->counter) {
		put_load(s, INSN_RCX, spec->counter);
		put(s, "\x48\x8d\x49\x01", 4);   /* lea 1(%rcx), %rcx */
		put_save(s, INSN_RCX, spec->counter);
	}
	if (spec->stop_count) {
		s->rax_changed = true;
		put_load(s, INSN_RAX, spec->counter);
		put_difference(s, INSN_RAX, spec->stop_count);
		put(s, "\xe3\x02\xeb\x05\xe9", 5);   /* jrcxz over the next; jmp over the one after; jmp match */
		s->stop_rel32 = s->n;
		put_u32(s, 0);
	}
}

/* The copies, then the way back. */
static void put_displaced(struct stub *s)
{
	const struct insn_code *c = &s->spec->code;
	struct filter *f = s->f;

	for (unsigned i = 0; i < f->n_insns; i++) {
		uint64_t from = f->site + f->insns[i].orig_off;
		uint8_t moved[INSN_MAX_RELOCATED];
		int n = insn_relocate(c->bytes + (from - c->addr), (size_t)(c->addr + c->n - from), from,
				      f->stub + s->n, moved, sizeof moved);

		if (n < 0) {
			s->err = s->err ? s->err : n;
			return;
		}
		f->insns[i].stub_off = (uint16_t)s->n;
		put(s, moved, (size_t)n);
	}
	f->back_off = (uint16_t)s->n;
	put_u8(s, 0xe9);
	put_rel32(s, f->site + f->n_displaced);
}

/* jrcxz over the code that has been put since. */
static void patch_rel8(struct stub *s, size_t at)
{
	size_t rel = s->n - (at + 1);

	if (rel > 127)
		s->err = s->err ? s->err : -RL_EUNSUPPORTED;
	else if (!s->err)
		s->f->code[at] = (uint8_t)rel;
}

/*
 * A pass that fails the first test, which is nearly every one, takes no jump on the way to the displaced instructions:
 *     save; test 1; jrcxz L;   restore; displaced instructions; jmp back
 *  L: test 2; jrcxz M; jmp restore
 *  M: ...; restore; int3
 */
static void put_stub(struct stub *s)
{
	const struct filter_spec *spec = s->spec;
	size_t miss = 0;

	put_entry(s);
	for (size_t i = 0; i < spec->n_tests; i++) {
		put_test(s, &spec->tests[i]);
		put(s, "\xe3", 1);
		size_t rel8_at = s->n;

		put_u8(s, 0);
		if (i == 0) {
			miss = s->n;
			put_restore(s);
			s->f->continue_off = (uint16_t)s->n;
			put_displaced(s);
		} else {
			put_u8(s, 0xe9);
			put_rel32(s, s->f->stub + miss);
		}
		patch_rel8(s, rel8_at);
	}
	if (s->stop_rel32 && !s->err) {
		uint32_t rel = (uint32_t)(s->n - (s->stop_rel32 + 4));

		memcpy(s->f->code + s->stop_rel32, &rel, 4);
	}
	put_restore(s);
	s->f->match_off = (uint16_t)s->n;
	put_u8(s, 0xcc);
	if (!spec->n_tests) {
		s->f->continue_off = (uint16_t)s->n;
		put_displaced(s);
	}
}

static bool leaves(const struct insn *insn)
{
	return (insn->flags & (INSN_CALL | INSN_RET)) ||
	       ((insn->flags & INSN_BRANCH) && !(insn->flags & INSN_CONDITIONAL));
}

#define JMP_BYTES 5

/* Which instructions the jump displaces. */
static int choose_displaced(const struct filter_spec *spec, struct filter *f)
{
	const struct insn_code *c = &spec->code;
	struct insn insn;

	while (f->n_displaced < JMP_BYTES) {
		uint64_t at = spec->site + f->n_displaced;

		if (at >= c->addr + c->n)
			return -RL_EUNSUPPORTED;
		int err = insn_decode(c->bytes + (at - c->addr), (size_t)(c->addr + c->n - at), at, &insn);

		if (err)
			return err;
		f->insns[f->n_insns++] = (struct filter_insn){ .orig_off = f->n_displaced };
		f->n_displaced = (uint8_t)(f->n_displaced + insn.len);
		/* A call would return into the jump; and what follows a jump belongs to somebody else. */
		if (f->n_displaced < JMP_BYTES && leaves(&insn))
			return -RL_EUNSUPPORTED;
	}
	uint64_t first;

	/* A jump to the last byte of a long instruction is no jump to an instruction, but counts all the same. */
	return f->n_insns > 1 && insn_jump_targets(c, f->site + 1, f->site + f->n_displaced, &first, 1)
		? -RL_EUNSUPPORTED : 0;
}

/* One-byte opcodes that are invalid in 64-bit mode: Intel SDM volume 2, appendix A, those marked i64. */
static bool is_invalid_opcode(uint8_t b)
{
	static const uint8_t invalid[] = { 0x06, 0x07, 0x0e, 0x16, 0x17, 0x1e, 0x1f, 0x27, 0x2f,
					   0x37, 0x3f, 0x60, 0x61, 0x82, 0x9a, 0xce, 0xd4, 0xea };

	return memchr(invalid, b, sizeof(invalid)) != NULL;
}

bool filter_midst(const struct filter *f, uint64_t rip)
{
	for (unsigned i = 1; i < f->n_insns; i++) {
		if (rip == f->site + f->insns[i].orig_off)
			return f->insns[i].orig_off < JMP_BYTES;
	}
	return false;
}

static bool midst_faults(const struct filter *f)
{
	for (unsigned i = 1; i < JMP_BYTES; i++) {
		if (filter_midst(f, f->site + i) && !is_invalid_opcode(f->jmp[i]))
			return false;
	}
	return true;
}

/* The jump's distances are ordered as these numbers are. Byte i of one, counted from the lowest, is the jump's i + 1st. */
#define ORDERED(rel) ((uint32_t)(rel) ^ 0x80000000u)

static bool byte_allowed(const struct filter *f, uint32_t ordered, unsigned i)
{
	return !filter_midst(f, f->site + 1 + i) || is_invalid_opcode((uint8_t)(ORDERED(ordered) >> 8 * i));
}

/* The least allowed one from u on. False: none. */
static bool next_allowed(const struct filter *f, uint64_t u, uint32_t *ret)
{
	while (u <= UINT32_MAX) {
		unsigned i = 4;

		while (i && byte_allowed(f, (uint32_t)u, i - 1))
			i--;
		if (!i) {
			*ret = (uint32_t)u;
			return true;
		}
		u = ((u >> 8 * (i - 1)) + 1) << 8 * (i - 1);
	}
	return false;
}

uint64_t filter_stub_place(const struct insn_code *code, uint64_t site, uint64_t lo, uint64_t hi)
{
	struct filter_spec spec = { .code = *code, .site = site };
	struct filter f = { .site = site };
	uint64_t end = site + JMP_BYTES, reach = 1ull << 31;
	uint32_t ordered;

	if (choose_displaced(&spec, &f))
		return 0;
	if (end > reach && lo < end - reach)
		lo = end - reach;
	if (hi > end + reach)
		hi = end + reach;
	if (lo >= hi || !next_allowed(&f, ORDERED(lo - end), &ordered))
		return 0;
	lo = end + (uint64_t)(int64_t)(int32_t)ORDERED(ordered);
	return lo < hi ? lo : 0;
}

static bool test_is_valid(const struct filter_spec *spec, const struct filter_test *t)
{
	bool size_ok = t->size == 1 || t->size == 2 || t->size == 4 || t->size == 8;

	switch (t->kind) {
	case FILTER_REG:
		return t->reg < 16;
	case FILTER_MEM:
		return t->reg < 16 && size_ok;
	case FILTER_ABS:
		return size_ok;
	case FILTER_PASS:
		return spec->counter != 0;
	case FILTER_XMM:
		return t->reg < 32;
	case FILTER_YMM_HI:
		return t->reg < 16 && (t->disp == 0 || t->disp == 8);
	case FILTER_FX:
		return t->disp >= 0 && t->disp <= 504;
	}
	return false;
}

static bool spec_is_valid(const struct filter_spec *spec)
{
	const struct insn_code *c = &spec->code;

	if (spec->site < c->addr || spec->site >= c->addr + c->n || c->known < c->addr || c->known > spec->site ||
	    spec->n_tests > FILTER_MAX_TESTS || spec->slots % 64 || (spec->stop_count && !spec->counter))
		return false;
	for (size_t i = 0; i < spec->n_tests; i++)
		if (!test_is_valid(spec, &spec->tests[i]))
			return false;
	return true;
}

int filter_build(const struct filter_spec *spec, struct filter *ret)
{
	struct filter f = { .site = spec->site, .stub = spec->stub };
	struct stub s = { .spec = spec, .f = &f };

	if (!spec_is_valid(spec))
		return -EINVAL;
	int err = choose_displaced(spec, &f);

	if (!err)
		err = insn_encode_jmp(spec->site, spec->stub, f.jmp);
	if (!err && !midst_faults(&f))
		err = -RL_EUNSUPPORTED;
	if (err)
		return err;
	s.saves_rax = tests_change_rax(spec);
	put_stub(&s);
	if (s.err)
		return s.err;
	f.n = (uint16_t)s.n;
	*ret = f;
	return 0;
}

int filter_original_ip(const struct filter *f, uint64_t rip, uint64_t *ret)
{
	uint64_t off = rip - f->stub;

	if (off >= f->n && off != f->match_off + 1u)
		return -EINVAL;
	if (off == 0 || off == f->match_off || off == f->match_off + 1u) {
		*ret = f->site;
		return 0;
	}
	for (unsigned i = 0; i < f->n_insns; i++) {
		if (off == f->insns[i].stub_off) {
			*ret = f->site + f->insns[i].orig_off;
			return 0;
		}
	}
	if (off != f->back_off)
		return -EAGAIN;
	*ret = f->site + f->n_displaced;
	return 0;
}
