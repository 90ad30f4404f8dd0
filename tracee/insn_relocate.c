/* Moving instructions, and finding who jumps between them. */
#include <errno.h>
#include <string.h>

#include "common/err.h"
#include "tracee/insn.h"
#include "tracee/insn_int.h"

/* Latches when full. */
struct emit {
	uint8_t *out;
	size_t n, max;
	uint64_t to;   /* address of out[0] */
};

static void emit_bytes(struct emit *e, const void *b, size_t n)
{
	if (e->n + n <= e->max)
		memcpy(e->out + e->n, b, n);
	e->n += n;
}

static void emit_u8(struct emit *e, uint8_t b)
{
	emit_bytes(e, &b, 1);
}

static void emit_u32(struct emit *e, uint32_t v)
{
	emit_bytes(e, &v, 4);
}

static int emitted(const struct emit *e)
{
	return e->n <= e->max ? (int)e->n : -ENOSPC;
}

static bool fits_rel32(uint64_t next, uint64_t target)
{
	int64_t rel = (int64_t)(target - next);

	return rel == (int32_t)rel;
}

int insn_encode_jmp(uint64_t from, uint64_t to, uint8_t out[5])
{
	uint32_t rel = (uint32_t)(to - (from + 5));

	if (!fits_rel32(from + 5, to))
		return -RL_EUNSUPPORTED;
	out[0] = 0xe9;
	memcpy(out + 1, &rel, 4);
	return 0;
}

static void emit_jmp(struct emit *e, uint64_t target)
{
	uint8_t near_jmp[5];

	if (insn_encode_jmp(e->to + e->n, target, near_jmp) == 0) {
		emit_bytes(e, near_jmp, 5);
		return;
	}
	emit_bytes(e, "\xff\x25\x00\x00\x00\x00", 6);   /* jmp *0(%rip), and the target behind it */
	emit_bytes(e, &target, 8);
}

/* push $imm32 sign-extends, and the mov puts the upper half right: no register, no flag. */
static void emit_push64(struct emit *e, uint64_t v)
{
	emit_u8(e, 0x68);
	emit_u32(e, (uint32_t)v);
	emit_bytes(e, "\xc7\x44\x24\x04", 4);
	emit_u32(e, (uint32_t)(v >> 32));
}

/* Prefixes that mean nothing on a branch (bnd, notrack, hints). Other ones: -1. */
static int branch_prefix_bytes(const uint8_t *b, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if ((b[i] & 0xf0) == 0x40)
			continue;   /* REX, matters to indirect ones only */
		if (b[i] != 0xf2 && b[i] != 0x2e && b[i] != 0x3e)
			return b[i] == 0x66 || b[i] == 0x67 ? -1 : (int)i;
	}
	return -1;
}

static int relocate_direct(const uint8_t *b, const struct insn *insn, struct emit *e)
{
	int op = branch_prefix_bytes(b, insn->len);
	uint8_t skip[14], n_skip;

	if (op < 0)
		return -RL_EUNSUPPORTED;
	if (insn->flags & INSN_CALL) {
		emit_push64(e, insn->addr + insn->len);
		emit_jmp(e, insn->target);
		return emitted(e);
	}
	if (!(insn->flags & INSN_CONDITIONAL)) {
		emit_jmp(e, insn->target);
		return emitted(e);
	}
	uint8_t opcode = b[op] == 0x0f ? (uint8_t)(0x70 | (b[op + 1] & 15)) : b[op];

	if ((opcode & 0xf0) == 0x70 && fits_rel32(e->to + e->n + 6, insn->target)) {
		emit_u8(e, 0x0f);
		emit_u8(e, 0x80 | (opcode & 15));
		emit_u32(e, (uint32_t)(insn->target - (e->to + e->n + 4)));
		return emitted(e);
	}
	/* Everything else has a one-byte reach: over a jump past the long jump. */
	n_skip = fits_rel32(e->to + e->n + 9, insn->target) ? 5 : 14;
	skip[0] = opcode;
	skip[1] = 2;
	skip[2] = 0xeb;
	skip[3] = n_skip;
	emit_bytes(e, skip, 4);
	emit_jmp(e, insn->target);
	return emitted(e);
}

/* Copy with the 32-bit displacement at one place changed; check by decoding that it means what it meant. */
static bool try_disp_at(const uint8_t *b, const struct insn *insn, size_t at, const struct insn_mem *m, uint64_t to,
			uint8_t *out)
{
	int64_t want = m->disp + (int64_t)(insn->addr - to);
	int32_t disp = (int32_t)want, old;
	struct insn moved;

	if (want != disp || at + 4 > insn->len)
		return false;
	memcpy(&old, b + at, 4);
	if (old != m->disp)
		return false;
	memcpy(out, b, insn->len);
	memcpy(out + at, &disp, 4);
	if (insn_decode(out, insn->len, to, &moved) || moved.len != insn->len || moved.n_mem != insn->n_mem ||
	    strcmp(moved.name, insn->name) != 0)
		return false;
	for (unsigned i = 0; i < moved.n_mem; i++)
		if (moved.mem[i].base == INSN_RIP && moved.mem[i].disp != want)
			return false;
	return true;
}

static int relocate_rip_relative(const uint8_t *b, const struct insn *insn, struct emit *e)
{
	static const uint8_t immediate_bytes[] = { 0, 1, 4, 2 };
	uint8_t moved[INSN_MAX_BYTES];

	for (unsigned i = 0; i < insn->n_mem; i++) {
		if (insn->mem[i].base != INSN_RIP)
			continue;
		for (unsigned k = 0; k < sizeof immediate_bytes; k++) {
			size_t at = (size_t)insn->len - 4 - immediate_bytes[k];

			if (at >= insn->len || !try_disp_at(b, insn, at, &insn->mem[i], e->to + e->n, moved))
				continue;
			emit_bytes(e, moved, insn->len);
			return emitted(e);
		}
	}
	return -RL_EUNSUPPORTED;
}

static int relocate_plain(const uint8_t *b, const struct insn *insn, struct emit *e)
{
	if (insn->flags & INSN_RIP_RELATIVE)
		return relocate_rip_relative(b, insn, e);
	emit_bytes(e, b, insn->len);
	return emitted(e);
}

/* Push the return address, then the same instruction as a jump (FF /2 becomes FF /4). */
static int relocate_indirect_call(const uint8_t *b, const struct insn *insn, struct emit *e)
{
	uint8_t jump[INSN_MAX_BYTES];
	struct insn as_jump;
	int op = branch_prefix_bytes(b, insn->len);

	if (op < 0 || op + 1 >= insn->len || b[op] != 0xff || (b[op + 1] >> 3 & 7) != 2)
		return -RL_EUNSUPPORTED;
	/* The push has moved rsp by then. */
	for (unsigned i = 0; i < insn->n_mem; i++)
		if (!insn->mem[i].implicit && (insn->mem[i].base == INSN_RSP || insn->mem[i].segment))
			return -RL_EUNSUPPORTED;
	if (b[op + 1] == 0xd4 && !(op && (b[op - 1] & 0xf1) == 0x41))
		return -RL_EUNSUPPORTED;   /* call *%rsp */
	memcpy(jump, b, insn->len);
	jump[op + 1] = (uint8_t)((b[op + 1] & ~0x38) | 4 << 3);
	if (insn_decode(jump, insn->len, insn->addr, &as_jump) || as_jump.len != insn->len ||
	    !(as_jump.flags & INSN_BRANCH))
		return -RL_EUNSUPPORTED;
	emit_push64(e, insn->addr + insn->len);
	return relocate_plain(jump, &as_jump, e);
}

int insn_relocate(const uint8_t *b, size_t n, uint64_t from, uint64_t to, uint8_t *out, size_t max)
{
	const uint32_t immovable = INSN_SYSCALL | INSN_INT | INSN_INT3 | INSN_RDTSC | INSN_RDTSCP | INSN_CPUID |
				   INSN_RDRAND | INSN_XGETBV | INSN_RDPID | INSN_XBEGIN;
	struct emit e = { .out = out, .max = max, .to = to };
	struct insn insn;
	int err = insn_decode(b, n, from, &insn);

	if (err)
		return err;
	if (insn.flags & immovable)
		return -RL_EUNSUPPORTED;
	if (insn.target)
		return relocate_direct(b, &insn, &e);
	if (insn.flags & INSN_CALL)
		return relocate_indirect_call(b, &insn, &e);
	return relocate_plain(b, &insn, &e);
}

/* Jump targets found so far. */
struct targets {
	uint64_t lo, hi, *v;
	size_t n, max;
};

static void targets_add(struct targets *t, uint64_t target)
{
	if (target < t->lo || target >= t->hi)
		return;
	if (t->n < t->max)
		t->v[t->n] = target;
	t->n++;
}

static int decode_at(const struct insn_code *c, uint64_t addr, struct insn *ret)
{
	return insn_decode(c->bytes + (addr - c->addr), (size_t)(c->addr + c->n - addr), addr, ret);
}

static bool ends_flow(const struct insn *insn)
{
	return (insn->flags & (INSN_RET | INSN_INT | INSN_INT3)) ||
	       ((insn->flags & INSN_BRANCH) && !(insn->flags & INSN_CONDITIONAL));
}

/* Cheap test of a byte for the opcodes of direct branches, before decoding at every byte. */
static bool may_be_branch(const struct insn_code *c, uint64_t addr)
{
	uint8_t b = c->bytes[addr - c->addr];

	return (b & 0xf0) == 0x70 || (b >= 0xe0 && b <= 0xe3) || b == 0xe8 || b == 0xe9 || b == 0xeb || b == 0x0f;
}

/* Whether plain code from addr on runs across known in mid-instruction: then no instruction begins at addr. */
static bool misses_known(const struct insn_code *c, uint64_t addr)
{
	struct insn insn;

	if (addr >= c->known)
		return false;
	while (addr < c->known) {
		if (decode_at(c, addr, &insn) || ends_flow(&insn))
			return false;
		addr += insn.len;
	}
	return addr != c->known;
}

static void try_branch(const struct insn_code *c, uint64_t addr, struct targets *t)
{
	struct insn insn;

	if (!may_be_branch(c, addr) || decode_at(c, addr, &insn) || !insn.target)
		return;
	if (insn.target >= t->lo && insn.target < t->hi && !misses_known(c, addr))
		targets_add(t, insn.target);
}

size_t insn_jump_targets(const struct insn_code *code, uint64_t lo, uint64_t hi, uint64_t *ret, size_t max)
{
	struct targets t = { .lo = lo, .hi = hi, .v = ret, .max = max };
	uint64_t end = code->addr + code->n;
	struct insn insn;

	for (uint64_t addr = code->addr; addr < code->known; addr++)
		try_branch(code, addr, &t);
	for (uint64_t addr = code->known; addr < end;) {
		size_t len = may_be_branch(code, addr) ? 0 : insn_length_known(code->bytes + (addr - code->addr), end - addr);

		if (len) {
			addr += len;
			continue;
		}
		if (decode_at(code, addr, &insn)) {
			/* Data, or the end: from here on any byte may begin an instruction. */
			for (; addr < end; addr++)
				try_branch(code, addr, &t);
			break;
		}
		if (insn.target)
			targets_add(&t, insn.target);
		addr += insn.len;
	}
	return t.n;
}
