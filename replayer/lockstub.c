/* The stubs' machine code: see lockstub.h. */
#include "replayer/lockstub.h"

#include <string.h>
#include "common/err.h"
#include "tracee/insn.h"

#define VAR(member) ((uint32_t)(LOCKSTUB_VARS + offsetof(struct lockstub_vars, member)))
#define BUF_END ((uint32_t)(LOCKSTUB_BUF + LOCKSTUB_RECORDS * sizeof(struct lockstub_record)))

_Static_assert(sizeof(struct lockstub_record) == 32, "as the code below has it");
_Static_assert(sizeof(struct lockstub_vars) + 8 * (LOCKSTUB_MAX + 1) <= 4096, "the addresses fit");
_Static_assert(LOCKSTUB_BASE + LOCKSTUB_ALL < RL_SCRATCH + RL_SCRATCH_BYTES * RL_SCRATCH_SLOTS, "inside the scratch memory");
_Static_assert(LOCKSTUB_BASE + LOCKSTUB_ALL < 0x7fffffff, "addresses fit into a signed displacement");
_Static_assert(LOCKSTUB_CODE + (LOCKSTUB_MAX + 1) * LOCKSTUB_BYTES <= LOCKSTUB_BUF, "the stubs fit");

struct out {
	uint8_t *code;
	size_t n;
};

static void put(struct out *o, const char *bytes, size_t n)
{
	if (o->n + n <= LOCKSTUB_BYTES)
		memcpy(o->code + o->n, bytes, n);
	o->n += n;
}

static void put32(struct out *o, uint32_t v)
{
	put(o, (const char *)&v, 4);
}

/* An instruction that ends in a 32-bit address or displacement. */
#define OP32(o, bytes, v) (put(o, bytes, sizeof(bytes) - 1), put32(o, v))

/* A jrcxz with its target still open. */
static size_t put_jrcxz(struct out *o)
{
	put(o, "\xe3\x00", 2);
	return o->n;
}

static void target_here(struct out *o, size_t jump)
{
	if (o->n <= LOCKSTUB_BYTES)
		o->code[jump - 1] = (uint8_t)(o->n - jump);
}

static void jump_back(struct out *o, size_t to)
{
	char b[2] = { '\xeb', (char)(to - (o->n + 2)) };

	put(o, b, 2);
}

/* rcx: where the record is. Returns the place of the jump that is taken when the buffer is full. */
static size_t put_end_of_record(struct out *o, uint32_t what)
{
	put(o, "\x48\x89\x61\x18", 4);                       /* mov %rsp,24(%rcx) */
	OP32(o, "\x48\xc7\x01", what);                       /* movq $what,(%rcx) */
	put(o, "\x48\x8d\x49\x20", 4);                       /* lea 32(%rcx),%rcx */
	OP32(o, "\x48\x89\x0c\x25", VAR(pos));               /* mov %rcx,pos */
	OP32(o, "\x48\x8d\x89", -BUF_END);                   /* lea -end(%rcx),%rcx */
	return put_jrcxz(o);
}

static void put_jump(struct out *o, uint64_t target)
{
	put(o, "\xff\x25\x00\x00\x00\x00", 6);               /* jmp *0(%rip) */
	put(o, (const char *)&target, 8);
}

static void put_save(struct out *o, bool with_return, size_t *ret_nested, size_t *ret_skip)
{
	OP32(o, "\x48\x89\x04\x25", VAR(rax));
	OP32(o, "\x48\x89\x0c\x25", VAR(rcx));
	put(o, "\x48\x8b\x04\x24", 4);                       /* mov (%rsp),%rax */
	OP32(o, "\x48\x8d\x88", -(uint32_t)LOCKSTUB_CODE);   /* lea -return_stub(%rax),%rcx */
	*ret_skip = put_jrcxz(o);                            /* this function's own loop, or a tail call of another's */
	*ret_nested = 0;
	if (!with_return)
		return;
	OP32(o, "\x48\x8b\x0c\x25", VAR(ret_at));
	put(o, "\xe3\x01", 2);                               /* jrcxz over the trap */
	put(o, "\xcc", 1);
	*ret_nested = o->n - 1;
}

static int move_insns(const struct insn_code *code, enum lockstub_form form, struct lockstub *s, struct out *o)
{
	const uint8_t *b = code->bytes + (s->addr - code->addr);
	size_t left = (size_t)(code->addr + code->n - s->addr);
	bool open = true;

	while (s->n_patch < (unsigned)form) {
		struct insn in;
		int n;

		if (!open || s->n_insns == sizeof(s->from) || s->n_patch >= left ||
		    insn_decode(b + s->n_patch, left - s->n_patch, s->addr + s->n_patch, &in) ||
		    in.flags & (INSN_CALL | INSN_RET | INSN_XSAVE))
			return -RL_EUNSUPPORTED;
		if (o->n + INSN_MAX_RELOCATED > LOCKSTUB_BYTES)
			return -RL_EUNSUPPORTED;
		n = insn_relocate(b + s->n_patch, in.len, in.addr, s->stub + o->n, o->code + o->n, INSN_MAX_RELOCATED);
		if (n < 0)
			return n;
		s->from[s->n_insns] = s->n_patch;
		s->to[s->n_insns++] = (uint8_t)o->n;
		o->n += (size_t)n;
		s->n_patch = (uint8_t)(s->n_patch + in.len);
		open = !(in.flags & INSN_BRANCH) || in.flags & INSN_CONDITIONAL;
	}
	if (open)
		put_jump(o, s->addr + s->n_patch);
	return 0;
}

static int make_patch(const struct insn_code *code, enum lockstub_form form, struct lockstub *s, unsigned index)
{
	struct out o = { .code = form == LOCKSTUB_FAR ? s->patch : s->cave_patch };
	int64_t rel = (int64_t)(s->cave - (s->addr + LOCKSTUB_SHORT));

	memset(s->patch, 0xcc, sizeof(s->patch));
	memcpy(s->orig, code->bytes + (s->addr - code->addr), s->n_patch);
	OP32(&o, "\xff\x24\x25", (uint32_t)(LOCKSTUB_VARS + sizeof(struct lockstub_vars) + 8 * index));
	if (form == LOCKSTUB_NEAR)
		return insn_encode_jmp(s->addr, s->cave, s->patch);
	if (form == LOCKSTUB_SHORT) {
		s->patch[0] = 0xeb;
		s->patch[1] = (uint8_t)rel;
		return rel == (int8_t)rel ? 0 : -RL_EUNSUPPORTED;
	}
	return 0;
}

static bool is_padding(const struct insn *in)
{
	return !strcmp(in->name, "nop") || in->flags & INSN_INT3;
}

/* Whether enough padding is at a place, and nothing runs into it. */
static bool is_cave(const struct insn_code *code, uint64_t addr)
{
	size_t at = (size_t)(addr - code->addr), n = 0;
	struct insn in;

	while (n < LOCKSTUB_CAVE) {
		if (at + n >= code->n || insn_decode(code->bytes + at + n, code->n - at - n, addr + n, &in) || !is_padding(&in))
			return false;
		n += in.len;
	}
	return !insn_before(code->bytes, at, addr, &in) &&
	       (in.flags & INSN_RET || (in.flags & INSN_BRANCH && !(in.flags & INSN_CONDITIONAL)));
}

uint64_t lockstub_find_cave(const struct insn_code *code, uint64_t lo, uint64_t hi, bool (*taken)(const void *arg, uint64_t addr),
			    const void *arg)
{
	static const uint8_t first[] = { 0x66, 0x0f, 0x90, 0x2e, 0xcc };
	uint64_t end = code->addr + code->n;

	for (uint64_t at = lo; at < hi && at + LOCKSTUB_CAVE <= end; at++) {
		if (memchr(first, code->bytes[at - code->addr], sizeof(first)) && is_cave(code, at) && !taken(arg, at))
			return at;
	}
	return 0;
}

int lockstub_build(const struct insn_code *code, enum lockstub_form form, uint64_t cave, unsigned index, bool with_return,
		   struct lockstub *ret)
{
	uint64_t addr = code->known;
	struct out o = { .code = ret->code };
	size_t nested, skip, full, resume;
	uint64_t target;
	int err;

	memset(ret, 0, sizeof(*ret));
	ret->addr = addr;
	ret->cave = cave;
	ret->stub = LOCKSTUB_CODE + (index + 1) * LOCKSTUB_BYTES;
	if (index >= LOCKSTUB_MAX || addr < code->addr || addr >= code->addr + code->n)
		return -RL_EUNSUPPORTED;
	put_save(&o, with_return, &nested, &skip);
	OP32(&o, "\x48\x8b\x0c\x25", VAR(pos));
	put(&o, "\x48\x89\x41\x10", 4);                      /* mov %rax,16(%rcx) */
	put(&o, "\x48\x89\x79\x08", 4);                      /* mov %rdi,8(%rcx) */
	if (with_return) {
		OP32(&o, "\x48\x89\x04\x25", VAR(ret));
		OP32(&o, "\x48\x89\x24\x25", VAR(ret_at));
		OP32(&o, "\x48\xc7\x04\x24", (uint32_t)LOCKSTUB_CODE);   /* movq $return_stub,(%rsp) */
	}
	full = put_end_of_record(&o, index);
	target_here(&o, skip);
	resume = o.n;
	OP32(&o, "\x48\x8b\x04\x25", VAR(rax));
	OP32(&o, "\x48\x8b\x0c\x25", VAR(rcx));
	err = move_insns(code, form, ret, &o);
	if (err)
		return err;
	target_here(&o, full);
	ret->full = (uint8_t)o.n;
	ret->nested = (uint8_t)nested;
	put(&o, "\xcc", 1);
	jump_back(&o, resume);
	if (o.n > LOCKSTUB_BYTES || ret->full - full > 127 || o.n - resume > 127)
		return -RL_EUNSUPPORTED;
	ret->n = (uint16_t)o.n;
	if (insn_jump_targets(code, addr + 1, addr + ret->n_patch, &target, 1))
		return -RL_EUNSUPPORTED;
	return make_patch(code, form, ret, index);
}

size_t lockstub_build_return(uint8_t code[LOCKSTUB_BYTES], uint8_t *ret_full)
{
	struct out o = { .code = code };
	size_t full, resume;

	OP32(&o, "\x48\x89\x0c\x25", VAR(rcx));
	OP32(&o, "\x48\x8b\x0c\x25", VAR(ret));
	put(&o, "\x48\x89\x4c\x24\xf8", 5);                  /* mov %rcx,-8(%rsp) */
	OP32(&o, "\x48\x8b\x0c\x25", VAR(pos));
	put(&o, "\x48\x89\x41\x08", 4);                      /* mov %rax,8(%rcx) */
	OP32(&o, "\x48\xc7\x04\x25", VAR(ret_at));           /* movq $0,ret_at */
	put32(&o, 0);
	full = put_end_of_record(&o, LOCKSTUB_RETURNED);
	resume = o.n;
	OP32(&o, "\x48\x8b\x0c\x25", VAR(rcx));
	OP32(&o, "\xff\x24\x25", VAR(ret));                  /* jmp *ret */
	target_here(&o, full);
	*ret_full = (uint8_t)o.n;
	put(&o, "\xcc", 1);
	jump_back(&o, resume);
	return o.n;
}
