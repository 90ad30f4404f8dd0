/*
 * Whether an instruction reads or writes its ModRM memory operand, from the opcode alone (Intel SDM volume 2,
 * appendix A). The decoder's own table is wrong for many: test_insn_hw.c asks the processor.
 */
#include "tracee/insn_int.h"

enum { NONE = 0, R = INSN_ACCESS_READ, W = INSN_ACCESS_WRITE, RW = R | W };

struct opcode {
	uint8_t map;      /* 0: one byte, 1: 0F, 2: 0F38, 3: 0F3A, 5 and 6: FP16 */
	uint8_t pp;       /* 0, 1: 66, 2: F3, 3: F2 */
	uint8_t op, reg;  /* reg: ModRM's, for groups */
	bool vector;
};

static void parse_legacy(const uint8_t *b, size_t n, size_t i, struct opcode *o)
{
	if (i + 1 < n && b[i] == 0x0f) {
		o->map = b[i + 1] == 0x38 ? 2 : b[i + 1] == 0x3a ? 3 : 1;
		i += o->map == 1 ? 1 : 2;
	}
	o->op = i < n ? b[i] : 0;
	o->reg = i + 1 < n ? b[i + 1] >> 3 & 7 : 0;
}

static void parse_vector(const uint8_t *b, size_t n, size_t i, struct opcode *o)
{
	size_t at = i + (b[i] == 0xc5 ? 2 : b[i] == 0xc4 ? 3 : 4);

	if (at >= n)
		return;
	o->vector = true;
	o->map = b[i] == 0xc5 ? 1 : b[i] == 0xc4 ? b[i + 1] & 31 : b[i + 1] & 7;
	o->pp = b[i] == 0xc5 ? b[i + 1] & 3 : b[i + 2] & 3;
	o->op = b[at];
	o->reg = at + 1 < n ? b[at + 1] >> 3 & 7 : 0;
}

static struct opcode parse(const uint8_t *b, size_t n)
{
	struct opcode o = { 0 };
	size_t i = 0;

	for (; i < n; i++) {
		if (b[i] == 0x66)
			o.pp = o.pp ? o.pp : 1;
		else if (b[i] == 0xf3 || b[i] == 0xf2)
			o.pp = b[i] == 0xf3 ? 2 : 3;
		else if (b[i] != 0x26 && b[i] != 0x2e && b[i] != 0x36 && b[i] != 0x3e && b[i] != 0x64 && b[i] != 0x65 &&
			 b[i] != 0x67 && b[i] != 0xf0 && (b[i] & 0xf0) != 0x40)
			break;   /* REX may stand anywhere among them; only the last byte's place gives it meaning */
	}
	if (i < n && (b[i] == 0xc4 || b[i] == 0xc5 || b[i] == 0x62))
		parse_vector(b, n, i, &o);
	else
		parse_legacy(b, n, i, &o);
	return o;
}

/* One entry a /reg. */
static const uint8_t x87[8][8] = {
	{ R, R, R, R, R, R, R, R },
	{ R, R, W, W, R, R, W, W },   /* fld . fst fstp fldenv fldcw fnstenv fnstcw */
	{ R, R, R, R, R, R, R, R },
	{ R, W, W, W, R, R, R, W },   /* fild fisttp fist fistp . fld80 . fstp80 */
	{ R, R, R, R, R, R, R, R },
	{ R, W, W, W, R, R, W, W },   /* fld fisttp fst fstp frstor . fnsave fnstsw */
	{ R, R, R, R, R, R, R, R },
	{ R, W, W, W, R, R, W, W },   /* fild fisttp fist fistp fbld fild64 fbstp fistp64 */
};

static unsigned access_one_byte(const struct opcode *o)
{
	uint8_t op = o->op;

	if (op < 0x40)
		return (op & 7) < 2 && (op & 0x38) != 0x38 ? RW : R;
	if (op >= 0xd8 && op <= 0xdf)
		return x87[op - 0xd8][o->reg];
	switch (op) {
	case 0x80: case 0x81: case 0x82: case 0x83:
		return o->reg == 7 ? R : RW;
	case 0x86: case 0x87: case 0xc0: case 0xc1: case 0xd0: case 0xd1: case 0xd2: case 0xd3:
		return RW;
	case 0x88: case 0x89: case 0x8c: case 0x8f: case 0xc6: case 0xc7: case 0xa2: case 0xa3:
		return W;
	case 0x8d:
		return NONE;
	case 0xf6: case 0xf7:
		return o->reg == 2 || o->reg == 3 ? RW : R;
	case 0xfe: case 0xff:
		return o->reg < 2 ? RW : R;
	default:
		return R;
	}
}

static unsigned access_group_15(const struct opcode *o)
{
	/* fxsave fxrstor ldmxcsr stmxcsr xsave xrstor xsaveopt clflush */
	static const uint8_t plain[8] = { W, R, R, W, W, R, W, NONE };

	return o->reg == 6 && o->pp == 1 ? NONE /* clwb */ : plain[o->reg];
}

static unsigned access_system(const struct opcode *o)
{
	if (o->op == 0)
		return o->reg < 2 ? W : R;                   /* sldt str */
	return o->reg < 2 || o->reg == 4 ? W : o->reg == 7 ? NONE : R;   /* sgdt sidt smsw; invlpg */
}

static unsigned access_0f(const struct opcode *o)
{
	if ((o->op & 0xf0) == 0x90)
		return o->vector ? (o->op == 0x91 ? W : R) : W;   /* kmov; setcc */
	switch (o->op) {
	case 0x00: case 0x01:
		return access_system(o);
	case 0x0d: case 0x18: case 0x19: case 0x1a: case 0x1b: case 0x1c: case 0x1d: case 0x1e: case 0x1f:
		return NONE;   /* prefetches and long nops */
	case 0x11: case 0x13: case 0x17: case 0x29: case 0x2b: case 0x7f: case 0xc3: case 0xd6: case 0xe7:
		return W;
	case 0x78: case 0x79:
		return R;
	case 0x7e:
		return o->pp == 2 ? R : W;
	case 0xa4: case 0xa5: case 0xab: case 0xac: case 0xad: case 0xb0: case 0xb1: case 0xb3: case 0xbb:
	case 0xc0: case 0xc1:
		return RW;
	case 0xae:
		return access_group_15(o);
	case 0xba:
		return o->reg == 4 ? R : RW;
	case 0xc7:
		return o->reg == 1 ? RW : o->reg == 3 || o->reg == 6 ? R : W;   /* cmpxchg8b; xrstors vmptrld */
	default:
		return R;
	}
}

static unsigned access_0f38(const struct opcode *o)
{
	if (!o->vector)
		return (o->op == 0xf1 && o->pp < 2) || o->op == 0xf9 || o->op == 0xf5 || (o->op == 0xf6 && !o->pp) ? W : R;
	if (o->pp == 2 && ((o->op >= 0x10 && o->op <= 0x15) || (o->op >= 0x20 && o->op <= 0x25) ||
			   (o->op >= 0x30 && o->op <= 0x35)))
		return W;   /* vpmov: down-converting stores */
	switch (o->op) {
	case 0x2e: case 0x2f: case 0x8e: case 0x63: case 0x8a: case 0x8b: case 0xa0: case 0xa1: case 0xa2: case 0xa3:
		return W;   /* masked, compressing and scattering stores */
	case 0x49:
		return o->pp == 1 ? W : R;   /* sttilecfg */
	case 0x4b:
		return o->pp == 2 ? W : R;   /* tilestored */
	default:
		return R;
	}
}

static unsigned access_0f3a(const struct opcode *o)
{
	switch (o->op) {
	case 0x14: case 0x15: case 0x16: case 0x17:
		return W;
	case 0x19: case 0x1b: case 0x1d: case 0x39: case 0x3b:
		return o->vector ? W : R;
	default:
		return R;
	}
}

unsigned insn_access(const uint8_t *b, size_t n)
{
	struct opcode o = parse(b, n);

	switch (o.map) {
	case 0:
		return access_one_byte(&o);
	case 1:
		return access_0f(&o);
	case 2:
		return access_0f38(&o);
	case 3:
		return access_0f3a(&o);
	case 5:
		return o.op == 0x11 || o.op == 0x7e ? W : R;
	default:
		return R;
	}
}
