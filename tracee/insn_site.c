/* Where code has instructions that must trap. See insn_site.h. */
#include "tracee/insn_site.h"

#include <elfutils/libdw.h>
#include <emmintrin.h>
#include <errno.h>
#include <libelf.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "common/err.h"
#include "common/grow.h"
#include "common/scope.h"
#include "tracee/elfsym.h"
#include "tracee/insn_int.h"

#define TSC (INSN_RDTSC | INSN_RDTSCP)
#define WANTED (INSN_CPUID | INSN_RDRAND | INSN_RDPID | INSN_XSAVE | TSC)
#define SWEEP_BACK 96        /* bytes before a place from which decoding falls into step with the code */
#define SWEEPS 16
#define WALK_MAX (1u << 18)  /* bytes of one function */

#define LEAD_MIN 5           /* bytes: a jump's */
#define LEAD_MAX 16
#define LEAD_INSNS 3

struct code_file {
	const uint8_t *bytes;
	size_t size;
	Elf *elf;
	Dwarf_CFI *cfi;          /* NULL: none */
	struct elfsym *syms;     /* NULL: not opened */
	enum { NOT_ASKED, HAS_FUNCTIONS, HAS_NONE } symbols;
	const Elf64_Phdr *seg;   /* looked through now */
	uint64_t walk_from, walk_at;   /* an instruction begins at walk_at, as decoding from walk_from has shown, */
	uint64_t before[LEAD_INSNS];   /* and those before it at these; 0: there are fewer */
};

static void note_begin(struct code_file *f, uint64_t at)
{
	memmove(f->before + 1, f->before, sizeof(f->before) - sizeof(f->before[0]));
	f->before[0] = at;
}

/* The instruction that covers a place, decoding on from an address where one begins. */
static bool covering(struct code_file *f, uint64_t from, uint64_t at, struct insn *ret)
{
	uint64_t known = from == f->walk_from && f->walk_at <= at ? f->walk_at : from;

	if (from > at || at - from > WALK_MAX || from < f->seg->p_vaddr)
		return false;
	if (known == from)
		memset(f->before, 0, sizeof(f->before));
	f->walk_from = f->walk_at = from;
	from = known;
	while (from <= at) {
		uint64_t in_seg = from - f->seg->p_vaddr;
		const uint8_t *b = f->bytes + f->seg->p_offset + in_seg;
		size_t len = in_seg < f->seg->p_filesz ? insn_length_known(b, f->seg->p_filesz - in_seg) : 0;

		if (!len || from + len > at) {
			if (in_seg >= f->seg->p_filesz || insn_decode(b, f->seg->p_filesz - in_seg, from, ret))
				return false;
			len = ret->len;
		}
		if (from + len <= at)
			note_begin(f, from);
		from += len;
	}
	f->walk_at = ret->addr;
	return true;
}

/* The bytes of the fewest instructions before the one that was walked to which make room for a jump; 0: there are none. */
static uint8_t lead_of(const struct code_file *f)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < LEAD_INSNS && n < LEAD_MIN && f->before[i]; i++)
		n = f->walk_at - f->before[i];
	return n >= LEAD_MIN && n <= LEAD_MAX ? (uint8_t)n : 0;
}

/* Prefixes may stand before the opcode; they belong to the instruction, which then begins earlier. */
static bool is_site(const struct insn *in, const uint8_t *bytes, uint64_t at)
{
	size_t prefixes = (size_t)(at - in->addr);

	if (!(in->flags & WANTED) || prefixes > 4)
		return false;
	for (size_t i = 0; i < prefixes; i++) {
		if (bytes[i] == 0x0f)
			return false;
	}
	return true;
}

static bool known_start(struct code_file *f, uint64_t at, uint64_t *ret)
{
	Dwarf_Frame *frame = NULL;
	Dwarf_Addr start, end;
	struct elf_symbol sym;
	bool found = false;

	if (f->cfi && dwarf_cfi_addrframe(f->cfi, at, &frame) == 0) {
		found = dwarf_frame_info(frame, &start, &end, NULL) >= 0 && start <= at;
		*ret = start;
		free(frame);
	}
	if (!found && f->syms && elfsym_find_addr(f->syms, at, &sym) == 0 && sym.value <= at &&
	    (sym.type == STT_FUNC || sym.type == STT_GNU_IFUNC) && (!sym.size || at - sym.value < sym.size)) {
		*ret = sym.value;
		found = true;
	}
	return found;
}

/* Without any table: from wherever it starts, decoding falls into step with the code before long. */
static bool sweeps_agree(struct code_file *f, uint64_t at)
{
	struct insn in;

	if (at - f->seg->p_vaddr < SWEEP_BACK)
		return false;
	for (unsigned i = 0; i < SWEEPS; i++) {
		if (!covering(f, at - SWEEP_BACK + i, at, &in) ||
		    !is_site(&in, f->bytes + f->seg->p_offset + (in.addr - f->seg->p_vaddr), at))
			return false;
	}
	return true;
}

#define LINE_BACK 512        /* bytes before a place in which nothing may look like data, */
#define LINE_RUN 32          /* and the last of them, in which nothing may end a function */

/* What compiled or written code hardly has, and data decode to before long. */
static bool is_odd(const struct insn *in, const uint8_t *b)
{
	static const char *const odd[] = { "in", "insb", "insd", "out", "outsb", "outsd", "cli", "sti", "lret", "retf" };

	if (in->flags & (INSN_INT | INSN_INT3) || (!b[0] && !b[1]))
		return true;
	for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
		if (strcmp(in->name, odd[i]) == 0)
			return true;
	}
	return false;
}

/* Whether decoding from @from comes to @to by instructions that look like code. */
static bool is_line(const struct code_file *f, uint64_t from, uint64_t to)
{
	uint64_t run = to - LINE_RUN;

	while (from < to) {
		const uint8_t *b = f->bytes + f->seg->p_offset + (from - f->seg->p_vaddr);
		struct insn in;

		if (insn_decode(b, to - from, from, &in) || is_odd(&in, b))
			return false;
		if (from >= run && (in.flags & INSN_RET || (in.flags & INSN_BRANCH && !(in.flags & INSN_CONDITIONAL))))
			return false;
		from += in.len;
	}
	return from == to;
}

/*
 * Code that was written by hand often has no table. A place in it is nothing but a part of another instruction if all decoding
 * falls into step on that, as it does in a long run of code into which no data can have led.
 */
static bool is_within_another(struct code_file *f, uint64_t at)
{
	unsigned n = 0;
	uint64_t begin = 0;

	if (at - f->seg->p_vaddr < LINE_BACK + SWEEPS)
		return false;
	for (unsigned i = 0; i < SWEEPS; i++) {
		struct insn in;

		if (!covering(f, at - LINE_BACK + i, at, &in))
			continue;   /* it began within an instruction and met none */
		if (in.addr == at || (n && in.addr != begin) ||
		    is_site(&in, f->bytes + f->seg->p_offset + (in.addr - f->seg->p_vaddr), at))
			return false;
		begin = in.addr;
		n++;
	}
	if (n < SWEEPS / 2)
		return false;
	for (unsigned i = 0; i < SWEEPS; i++) {
		if (is_line(f, begin - LINE_BACK + i, begin))
			return true;
	}
	return false;
}

#define WAYS_MAX 16
#define WAYS_INSNS 96

/* Opcodes that no processor has in 64-bit mode, or not for user code: Intel SDM volume 2, appendix A. */
static bool is_invalid(const uint8_t *b, size_t n)
{
	static const uint8_t invalid[] = { 0x06, 0x07, 0x0e, 0x16, 0x17, 0x1e, 0x1f, 0x27, 0x2f, 0x37, 0x3f, 0x60, 0x61, 0x82, 0x9a,
					   0xce, 0xd4, 0xd6, 0xea, 0xf4 };
	static const uint8_t prefixes[] = { 0x66, 0x67, 0xf2, 0xf3, 0x2e, 0x36, 0x3e, 0x26, 0x64, 0x65 };
	size_t i = 0;

	while (i < n && i < 4 && memchr(prefixes, b[i], sizeof(prefixes)))
		i++;
	if (i < n && (b[i] & 0xf0) == 0x40)
		i++;
	return i < n && memchr(invalid, b[i], sizeof(invalid));
}

struct ways {
	uint64_t at[WAYS_MAX];
	unsigned n, insns;
	bool odd_ends;           /* what is_odd() is no code either */
};

/* Go on at an address, unless nobody can. False: there are too many ways. */
static bool add_way(const struct code_file *f, struct ways *w, uint64_t at)
{
	if (at - f->seg->p_vaddr >= f->seg->p_filesz)
		return true;
	if (w->n == WAYS_MAX)
		return false;
	w->at[w->n++] = at;
	return true;
}

/* One way's straight stretch. True: it ends where the program would, or its branches are ways to go yet. */
static bool way_ends(const struct code_file *f, struct ways *w, uint64_t at)
{
	for (; w->insns < WAYS_INSNS; w->insns++) {
		uint64_t in_seg = at - f->seg->p_vaddr;
		const uint8_t *b = f->bytes + f->seg->p_offset + in_seg;
		struct insn in;

		if (in_seg >= f->seg->p_filesz || is_invalid(b, f->seg->p_filesz - in_seg))
			return true;
		if (insn_decode(b, f->seg->p_filesz - in_seg, at, &in))
			return false;
		if (w->odd_ends && is_odd(&in, b))
			return true;
		if (in.flags & (INSN_RET | INSN_INDIRECT | INSN_SYSCALL | INSN_INT | INSN_INT3 | INSN_XBEGIN))
			return false;
		if (in.flags & INSN_CALL)
			return in.target - f->seg->p_vaddr >= f->seg->p_filesz;
		if (in.flags & INSN_BRANCH)
			return add_way(f, w, in.target) && (!(in.flags & INSN_CONDITIONAL) || add_way(f, w, at + in.len));
		at += in.len;
	}
	return false;
}

/*
 * Tables in the midst of code, as libcrypto has: were it an instruction, no way from it would lead anywhere but to a fault. What
 * code hardly has counts as that, too, if there is no code right before.
 */
static bool is_data(const struct code_file *f, uint64_t at)
{
	struct ways w = { .at = { at }, .n = 1, .odd_ends = at - f->seg->p_vaddr >= LINE_BACK };

	for (unsigned i = 0; w.odd_ends && i < SWEEPS; i++)
		w.odd_ends = !is_line(f, at - LINE_BACK / 2 + i, at);
	while (w.n) {
		if (!way_ends(f, &w, w.at[--w.n]))
			return false;
	}
	return true;
}

static int any_function(void *ctx, const struct elf_symbol *s)
{
	*(bool *)ctx = s->type == STT_FUNC;
	return *(bool *)ctx;
}

/* Asked late: there may be hundreds of thousands of symbols, and mostly the call frame information is enough. */
static bool has_functions(struct code_file *f)
{
	bool any = false;

	if (f->symbols == NOT_ASKED) {
		elfsym_each(f->syms, any_function, &any);
		f->symbols = any ? HAS_FUNCTIONS : HAS_NONE;
	}
	return f->symbols == HAS_FUNCTIONS;
}

enum certainty { IS_NONE, IS_ONE, UNSURE };

/* In code whose beginning is known, bytes within an instruction are nothing but that. */
static enum certainty look(struct code_file *f, uint64_t at, struct insn_site *s)
{
	uint64_t start;
	struct insn in;

	if (!known_start(f, at, &start)) {
		if (s->is_tsc && (is_within_another(f, at) || is_data(f, at)))
			return IS_NONE;
		return !f->cfi && !has_functions(f) && sweeps_agree(f, at) ? IS_ONE : UNSURE;
	}
	if (!covering(f, start, at, &in))
		return UNSURE;
	s->prefixes = (uint8_t)(at - in.addr);
	s->lead = lead_of(f);
	return is_site(&in, f->bytes + f->seg->p_offset + (in.addr - f->seg->p_vaddr), at) ? IS_ONE : IS_NONE;
}

/* xsave and xsaveopt (0f ae /4 and /6), xsavec (0f c7 /4), to memory. */
static bool looks_like_xsave(const uint8_t *p, size_t n)
{
	unsigned reg = n >= 3 ? p[2] >> 3 & 7 : 0;

	return n >= 3 && p[2] < 0xc0 && ((p[1] == 0xae && (reg == 4 || reg == 6)) || (p[1] == 0xc7 && reg == 4));
}

static bool looks_like_tsc(const uint8_t *p, size_t n)
{
	return n >= 2 && (p[1] == 0x31 || (n >= 3 && p[1] == 0x01 && p[2] == 0xf9));
}

/* Or cpuid; or 0f c7 with a register operand, /6 and /7: rdrand, rdseed, and with f3 rdpid. */
static bool looks_like_one(const uint8_t *p, size_t n)
{
	return looks_like_xsave(p, n) || looks_like_tsc(p, n) ||
	       (n >= 2 && (p[1] == 0xa2 || (n >= 3 && p[1] == 0xc7 && p[2] >= 0xf0)));
}

/* The next place where 0x0f and the second byte of an opcode that looks_like_one() follow each other; NULL: none. */
static const uint8_t *next_candidate(const uint8_t *at, const uint8_t *end)
{
	static const uint8_t second[] = { 0xa2, 0x31, 0x01, 0xae, 0xc7 };
	const __m128i first = _mm_set1_epi8(0x0f);

	for (; end - at > 16; at += 16) {
		__m128i here = _mm_loadu_si128((const __m128i *)at), next = _mm_loadu_si128((const __m128i *)(at + 1));
		__m128i any = _mm_setzero_si128();
		int found;

		for (size_t i = 0; i < sizeof(second); i++)
			any = _mm_or_si128(any, _mm_cmpeq_epi8(next, _mm_set1_epi8((char)second[i])));
		found = _mm_movemask_epi8(_mm_and_si128(any, _mm_cmpeq_epi8(here, first)));
		if (found)
			return at + __builtin_ctz((unsigned)found);
	}
	return at < end ? memchr(at, 0x0f, (size_t)(end - at)) : NULL;
}

static int scan_segment(struct code_file *f, struct insn_sites *ret, size_t *cap)
{
	const uint8_t *at = f->bytes + f->seg->p_offset, *end = at + f->seg->p_filesz;

	while ((at = next_candidate(at, end))) {
		struct insn_site s = { .off = (uint64_t)(at - f->bytes) };
		enum certainty c = IS_NONE;

		s.is_tsc = looks_like_tsc(at, (size_t)(end - at));
		if (looks_like_one(at, (size_t)(end - at)))
			c = look(f, f->seg->p_vaddr + s.off - f->seg->p_offset, &s);
		if (c == UNSURE) {
			ret->n_unsure++;
			ret->tsc_unsure |= s.is_tsc;
		} else if (c == IS_ONE) {
			struct insn_site *to = GROW(ret->v, ret->n, *cap);

			if (!to)
				return -ENOMEM;
			s.is_cpuid = at[1] == 0xa2;
			s.is_xsave = looks_like_xsave(at, (size_t)(end - at));
			*to = s;
			ret->n++;
		}
		at++;
	}
	return 0;
}

#define ROOM_MAX 16
#define ROOM_CODE_MAX (4u << 20)   /* bytes of code: a compiler's tens of millions take longer than its few cpuid ever will */

/* A jump's target: which sites have it among their next bytes, or in the midst of those before them? */
static void note_target(struct insn_sites *s, uint64_t off)
{
	for (size_t i = 0; i < s->n; i++) {
		struct insn_site *at = &s->v[i];
		uint64_t d = off - at->off;

		if (d && d < at->room)
			at->room = (uint8_t)d;
		if (d && 0 - d < at->lead)
			at->lead = 0;
	}
}

static bool is_short_jump(uint8_t opcode)
{
	return (opcode & 0xf0) == 0x70 || opcode == 0xeb || (opcode >= 0xe0 && opcode <= 0xe3);
}

static bool is_near_jump(const uint8_t *b, uint64_t i)
{
	return b[i] == 0xe8 || b[i] == 0xe9 || (i && b[i - 1] == 0x0f && (b[i] & 0xf0) == 0x80);
}

/*
 * Whatever may be a direct jump's opcode is taken for one, as nobody knows here where instructions begin: by chance alone
 * few of them lead to a site. So the target is looked at first.
 */
static void find_room(const struct code_file *f, struct insn_sites *s, bool known)
{
	const uint8_t *b = f->bytes + f->seg->p_offset;
	uint64_t lo = UINT64_MAX, hi = 0;

	for (size_t i = 0; i < s->n; i++) {
		if (!s->v[i].is_cpuid || !known) {
			s->v[i].lead = 0;
			continue;
		}
		s->v[i].room = ROOM_MAX;
		lo = s->v[i].off - s->v[i].lead < lo ? s->v[i].off - s->v[i].lead : lo;
		hi = s->v[i].off + ROOM_MAX > hi ? s->v[i].off + ROOM_MAX : hi;
	}
	for (uint64_t i = 0; lo < hi && i + 2 <= f->seg->p_filesz; i++) {
		uint64_t at = f->seg->p_offset + i, to = at + 2 + (uint64_t)(int64_t)(int8_t)b[i + 1];
		int32_t rel;

		if (to - lo < hi - lo && is_short_jump(b[i]))
			note_target(s, to);
		if (i + 5 > f->seg->p_filesz)
			continue;
		memcpy(&rel, b + i + 1, 4);
		to = at + 5 + (uint64_t)(int64_t)rel;
		if (to - lo < hi - lo && is_near_jump(b, i))
			note_target(s, to);
	}
}

/* Programs of one segment for code and constants are first mapped as if all were code, the data and what is behind them, too. */
static uint64_t clear_end(const struct code_file *f, uint64_t from)
{
	const uint8_t *at = f->bytes + (from > 2 ? from - 2 : from), *end = f->bytes + f->size;

	while (at < end && (at = next_candidate(at, end))) {
		if (looks_like_tsc(at, (size_t)(end - at)))
			return (uint64_t)(at - f->bytes);
		at++;
	}
	return UINT64_MAX;
}

static int scan(struct code_file *f, struct insn_sites *ret)
{
	size_t n, cap = 0, n_code = 0;
	const Elf64_Phdr *seg;
	int err = elfsym_open_memory(f->bytes, f->size, &f->syms);

	if (err)
		return err;
	elf_version(EV_CURRENT);
	f->elf = elf_memory((char *)f->bytes, f->size);
	f->cfi = f->elf ? dwarf_getcfi_elf(f->elf) : NULL;
	seg = elfsym_segments(f->syms, &n);
	for (size_t i = 0; !err && i < n; i++) {
		f->seg = &seg[i];
		if (seg[i].p_type != PT_LOAD || !(seg[i].p_flags & PF_X))
			continue;
		if (ret->code_len || seg[i].p_offset > f->size || seg[i].p_filesz > f->size - seg[i].p_offset)
			ret->tsc_unsure = true;
		ret->code_off = seg[i].p_offset;
		ret->code_len = seg[i].p_filesz;
		if (seg[i].p_offset <= f->size && seg[i].p_filesz <= f->size - seg[i].p_offset) {
			err = scan_segment(f, ret, &cap);
			ret->clear_end = clear_end(f, seg[i].p_offset + seg[i].p_filesz);
		}
		n_code++;
	}
	for (size_t i = 0; !err && i < n; i++) {
		f->seg = &seg[i];
		if (seg[i].p_type == PT_LOAD && seg[i].p_flags & PF_X && ret->n)
			find_room(f, ret, n_code == 1 && seg[i].p_filesz <= ROOM_CODE_MAX);
	}
	if (f->cfi)
		dwarf_cfi_end(f->cfi);
	elf_end(f->elf);
	elfsym_close(f->syms);
	return err;
}

int insn_sites_find(int fd, struct insn_sites *ret)
{
	struct code_file f = { 0 };
	struct stat st;
	void *at;
	int err;

	memset(ret, 0, sizeof(*ret));
	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || st.st_size < (off_t)sizeof(Elf64_Ehdr))
		return -RL_EUNSUPPORTED;
	f.size = (size_t)st.st_size;
	at = mmap(NULL, f.size, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	if (at == MAP_FAILED)
		return -errno;
	f.bytes = at;
	err = elf_is(at, f.size) ? scan(&f, ret) : -RL_EUNSUPPORTED;
	munmap(at, f.size);
	if (err)
		insn_sites_free(ret);
	return err;
}

void insn_sites_free(struct insn_sites *s)
{
	free(s->v);
	memset(s, 0, sizeof(*s));
}

static bool is_prefix(uint8_t b)
{
	return b == 0x66 || b == 0xf2 || b == 0xf3 || (b & 0xf0) == 0x40;
}

int insn_site_decode(const uint8_t *b, size_t n, uint64_t addr, struct insn *ret)
{
	uint8_t code[INSN_MAX_BYTES];
	size_t i = 0;

	if (n > sizeof(code))
		n = sizeof(code);
	memcpy(code, b, n);
	while (i < n && is_prefix(code[i]))
		i++;
	if (i >= n || code[i] != INSN_SITE_TRAP)
		return -RL_EUNSUPPORTED;
	code[i] = 0x0f;
	if (!looks_like_one(code + i, n - i) || insn_decode(code, n, addr, ret) || !(ret->flags & WANTED))
		return -RL_EUNSUPPORTED;
	return 0;
}
