/*
 * Memory by which replay may tell one pass of a loop from others: the words that the next instructions store to, and what the
 * registers point to. An interpreter's loop may have the same registers and the same stack each time round, and its progress in a number
 * object that a local variable of the program it interprets points to.
 */
#include "recorder/internal.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include "tracee/insn.h"
#include "tracee/layout.h"

#define LOOK_AHEAD 16
#define VIEW_BEFORE 192     /* loops go back, mostly not far */
#define VIEW_BYTES 512
#define DECODED 1024        /* a power of two */

/* What decoding gave, for the next look at the same loop. */
struct clock_insns {
	struct {
		uint8_t code[INSN_MAX_BYTES];
		bool bad;
		struct insn insn;
	} v[DECODED];
};

/* Code that was read at once. */
struct view {
	uint64_t start;
	size_t n;
	uint8_t bytes[VIEW_BYTES];
};

static void view_read(struct task *t, struct view *v, uint64_t start, size_t n)
{
	memset(v->bytes, 0, sizeof(v->bytes));
	v->start = start;
	v->n = mem_read_some(t->mm->mem_fd, start, v->bytes, n);
}

static bool view_has(const struct view *v, uint64_t addr)
{
	return addr >= v->start && addr + INSN_MAX_BYTES <= v->start + v->n;
}

/* INSN_MAX_BYTES of code; what is behind a mapping's end is zeros. */
static const uint8_t *view_at(struct task *t, struct view *v, uint64_t addr)
{
	if (!view_has(v, addr))
		view_read(t, v, addr - VIEW_BEFORE, sizeof(v->bytes));
	if (!view_has(v, addr))
		view_read(t, v, addr, INSN_MAX_BYTES);
	return v->n ? v->bytes + (addr - v->start) : NULL;
}

static const struct insn *decoded_at(struct recording *r, const uint8_t *code, uint64_t addr)
{
	size_t i = (addr * 0x9e3779b97f4a7c15ull) >> 54 & (DECODED - 1);
	struct insn *in = &r->insns->v[i].insn;

	if (in->addr != addr || memcmp(r->insns->v[i].code, code, INSN_MAX_BYTES) != 0) {
		r->insns->v[i].bad = insn_decode(code, INSN_MAX_BYTES, addr, in) != 0;
		memcpy(r->insns->v[i].code, code, INSN_MAX_BYTES);
		in->addr = addr;
	}
	return r->insns->v[i].bad ? NULL : in;
}

/* A pointer that the loop loads before it stores through it: mov mem, %reg64. Other results are not followed. */
static void follow_load(struct task *t, const uint8_t *code, const struct insn *in, struct user_regs_struct *regs)
{
	static const uint16_t at[16] = {
		offsetof(struct user_regs_struct, rax), offsetof(struct user_regs_struct, rcx),
		offsetof(struct user_regs_struct, rdx), offsetof(struct user_regs_struct, rbx),
		offsetof(struct user_regs_struct, rsp), offsetof(struct user_regs_struct, rbp),
		offsetof(struct user_regs_struct, rsi), offsetof(struct user_regs_struct, rdi),
		offsetof(struct user_regs_struct, r8), offsetof(struct user_regs_struct, r9),
		offsetof(struct user_regs_struct, r10), offsetof(struct user_regs_struct, r11),
		offsetof(struct user_regs_struct, r12), offsetof(struct user_regs_struct, r13),
		offsetof(struct user_regs_struct, r14), offsetof(struct user_regs_struct, r15),
	};
	uint64_t ea, value;

	if ((code[0] & 0xf8) != 0x48 || code[1] != 0x8b || in->n_mem != 1 || insn_ea(in, 0, regs, &ea) ||
	    mem_read(t->mm->mem_fd, ea, &value, sizeof(value)))
		return;
	memcpy((char *)regs + at[(code[2] >> 3 & 7) | (code[0] & 4) << 1], &value, sizeof(value));
}

static size_t add(uint64_t addr, uint64_t *words, size_t n)
{
	if (n == CLOCK_WORDS_MAX || (addr >= RL_BASE && addr < RL_END))
		return n;
	for (size_t i = 0; i < n; i++) {
		if (words[i] == addr)
			return n;
	}
	words[n] = addr;
	return n + 1;
}

size_t clock_words_find(struct recording *r, struct task *t, const struct user_regs_struct *regs, uint64_t words[CLOCK_WORDS_MAX])
{
	struct user_regs_struct now = *regs;
	struct view view = { .n = 0 };
	uint64_t at = regs->rip;
	size_t n = 0;

	if (!r->insns)
		r->insns = calloc(1, sizeof(*r->insns));
	for (int i = 0; r->insns && at && i < LOOK_AHEAD; i++) {
		const uint8_t *code = view_at(t, &view, at);
		const struct insn *in = code ? decoded_at(r, code, at) : NULL;
		uint64_t ea;

		if (!in)
			break;
		for (unsigned k = 0; k < in->n_mem; k++) {
			if (in->mem[k].write && !in->mem[k].implicit && insn_ea(in, k, &now, &ea) == 0)
				n = add(ea, words, n);
		}
		follow_load(t, code, in, &now);
		at = clock_next_insn(in);
		if (at == regs->rip)
			break;
	}
	return n;
}

static int by_addr(const void *key, const void *of)
{
	const uint64_t *addr = key;
	const struct ev_page *p = of;

	return *addr < p->addr ? -1 : *addr >= p->addr + TRACE_PAGE;
}

/* Bytes of a page that was written to, as far as they are in it; not those that are there already. */
static size_t add_chunk(struct task *t, uint64_t pointer, size_t before, size_t bytes, const struct ev_page *pages, size_t n_pages,
			struct clock_words_chunk *v, size_t n)
{
	uint64_t page = pointer & ~(uint64_t)(TRACE_PAGE - 1), start = pointer - before < page || pointer < before ? page : pointer - before;

	if (n == CLOCK_CHUNKS_MAX || (page >= RL_BASE && page < RL_END) || !bsearch(&page, pages, n_pages, sizeof(*pages), by_addr))
		return n;
	for (size_t i = 0; i < n; i++) {
		if (pointer - v[i].addr < v[i].n)
			return n;
	}
	v[n].addr = start;
	v[n].n = page + TRACE_PAGE - start < bytes ? page + TRACE_PAGE - start : bytes;
	return mem_read(t->mm->mem_fd, start, v[n].bytes, v[n].n) ? n : n + 1;
}

#define BEFORE_BYTES 64   /* a register that points to the top of an interpreter's stack has the variables below */
#define BEHIND_BYTES 32
#define DEPTH 3           /* an interpreter's state, its stack or variables, and the number */

size_t clock_words_behind(struct task *t, const struct user_regs_struct *regs, const struct ev_page *pages, size_t n_pages,
			  struct clock_words_chunk v[CLOCK_CHUNKS_MAX])
{
	size_t n = 0, from = 0;

	for (int reg = 0; n_pages && reg < 16; reg++) {
		if (reg != INSN_RSP)
			n = add_chunk(t, insn_reg_value(regs, (enum insn_reg)reg) & ~7ull, BEFORE_BYTES, CLOCK_CHUNK_BYTES, pages, n_pages, v, n);
	}
	for (int depth = 1; depth < DEPTH; depth++) {
		size_t to = n;

		for (; from < to; from++) {
			for (size_t at = 0; at + 8 <= v[from].n; at += 8) {
				uint64_t pointer;

				memcpy(&pointer, v[from].bytes + at, sizeof(pointer));
				if (pointer % 8 == 0)
					n = add_chunk(t, pointer, 0, BEHIND_BYTES, pages, n_pages, v, n);
			}
		}
	}
	return n;
}
