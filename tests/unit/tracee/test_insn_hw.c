/*
 * The decoder against the processor: for each kind of instruction with a memory operand that occurs in the libraries
 * at hand, run it with the operand on an inaccessible page, and at the end of an accessible one. The page fault tells
 * the address, the direction, and the size.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dlfcn.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>
#include <xxhash.h>

#include "tracee/insn.h"
#include "tracee/maps.h"

enum { PF = 14, GREGS = NGREG };

struct outcome {
	int signal;         /* SIGTRAP: it ran */
	bool page_fault, write;
	uint64_t address;
};

static struct {
	bool running;
	gregset_t before, with;
	struct outcome outcome;
} probe;

static uint8_t *code, *rw_page, *none_page, *stack;

static void on_signal(int sig, siginfo_t *info, void *uc_)
{
	ucontext_t *uc = uc_;
	greg_t *g = uc->uc_mcontext.gregs;

	(void)info;
	if (!probe.running) {
		memcpy(probe.before, g, sizeof probe.before);
		for (int i = 0; i < REG_EFL; i++)
			g[i] = probe.with[i];
		probe.running = true;
		return;
	}
	probe.running = false;
	probe.outcome = (struct outcome){
		.signal = sig, .page_fault = sig == SIGSEGV && g[REG_TRAPNO] == PF,
		.write = g[REG_ERR] & 2, .address = (uint64_t)g[REG_CR2],
	};
	memcpy(g, probe.before, sizeof probe.before);
}

__attribute__((target("avx2"))) static void go_avx2(void)
{
	static const unsigned mxcsr = 0x1f80;

	__asm__ volatile("vpcmpeqd %%ymm0,%%ymm0,%%ymm0; vmovdqa %%ymm0,%%ymm1; vmovdqa %%ymm0,%%ymm2\n"
			 "vmovdqa %%ymm0,%%ymm3; vmovdqa %%ymm0,%%ymm4; vmovdqa %%ymm0,%%ymm5; vmovdqa %%ymm0,%%ymm6\n"
			 "vmovdqa %%ymm0,%%ymm7; vmovdqa %%ymm0,%%ymm8; vmovdqa %%ymm0,%%ymm9; vmovdqa %%ymm0,%%ymm10\n"
			 "vmovdqa %%ymm0,%%ymm11; vmovdqa %%ymm0,%%ymm12; vmovdqa %%ymm0,%%ymm13\n"
			 "vmovdqa %%ymm0,%%ymm14; vmovdqa %%ymm0,%%ymm15\n"
			 "fninit; int3; vzeroall; fninit; ldmxcsr %0\n"
			 : : "m"(mxcsr)
			 : "memory", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9",
			   "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15", "cc");
}

__attribute__((target("avx512bw"))) static void set_masks(void)
{
	__asm__ volatile("kxnorq %%k1,%%k1,%%k1; kmovq %%k1,%%k2; kmovq %%k1,%%k3; kmovq %%k1,%%k4\n"
			 "kmovq %%k1,%%k5; kmovq %%k1,%%k6; kmovq %%k1,%%k7" ::: "k1", "k2", "k3", "k4", "k5", "k6",
			 "k7");
}

static struct outcome run(const uint8_t *b, const struct insn *i, const struct insn_mem *m, uint64_t ea)
{
	static const int greg_of[16] = { REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
					 REG_R8, REG_R9, REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15 };

	memcpy(code, b, i->len);
	code[i->len] = 0xcc;
	for (int r = 0; r < 16; r++)
		probe.with[greg_of[r]] = 1;
	probe.with[REG_RDX] = 0;   /* div's upper half */
	probe.with[REG_RSP] = (greg_t)(uintptr_t)stack;
	if (m->index != INSN_NO_REG)
		probe.with[greg_of[m->index]] = 0;
	probe.with[greg_of[m->base]] = (greg_t)(ea - (uint64_t)m->disp);
	probe.with[REG_RIP] = (greg_t)(uintptr_t)code;
	if (__builtin_cpu_supports("avx512bw"))
		set_masks();
	go_avx2();
	return probe.outcome;
}

static bool is_dangerous(const uint8_t *b, const struct insn *i)
{
	for (size_t k = 0; k < i->len; k++)
		if (b[k] == 0x8e)
			return true;   /* loads a segment register, perhaps */
	return strcmp(i->name, "lfs") == 0 || strcmp(i->name, "lgs") == 0 || strcmp(i->name, "lss") == 0;
}

static bool can_probe(const uint8_t *b, const struct insn *i)
{
	const struct insn_mem *m = &i->mem[0];
	const uint32_t not_plain = INSN_STRING | INSN_BRANCH | INSN_CALL | INSN_RET | INSN_RIP_RELATIVE | INSN_INT |
				   INSN_XSAVE;

	return i->n_mem && !(i->flags & not_plain) && (m->read || m->write) && m->size && !m->implicit &&
	       !m->no_ea && !m->segment && m->base < 16 && m->base != INSN_RSP && m->base != m->index &&
	       i->addr_size == 8 && !(i->n_mem > 1 && !i->mem[1].implicit) && !is_dangerous(b, i);
}

static uint64_t kind_of(const struct insn *i)
{
	struct { char name[16]; uint64_t v[4]; } key = { .v = { i->flags, i->mem[0].size, i->len, i->n_mem } };

	memcpy(key.name, i->name, sizeof key.name);
	return XXH3_64bits(&key, sizeof key);
}

static size_t n_run, n_wrong;

static void complain(const uint8_t *b, const struct insn *i, const char *what, struct outcome o)
{
	n_wrong++;
	if (n_wrong > 60)
		return;
	printf("%s (size %u%s%s): %s; signal %d, address rw end%+ld:", i->name, i->mem[0].size,
	       i->mem[0].read ? " read" : "", i->mem[0].write ? " write" : "", what, o.signal,
	       (long)(o.address - (uintptr_t)none_page));
	for (size_t k = 0; k < i->len; k++)
		printf(" %02x", b[k]);
	printf("\n");
}

static void check(const uint8_t *b, const struct insn *i)
{
	const struct insn_mem *m = &i->mem[0];
	uint64_t inside = (uintptr_t)none_page + 0x800, end = (uintptr_t)none_page;
	struct outcome o = run(b, i, m, inside);

	if (!o.page_fault)
		return;   /* unknown to this processor, or another kind of fault comes first */
	n_run++;
	if (o.address < inside || o.address >= inside + m->size)
		complain(b, i, "another address", o);
	if (o.write != m->write)
		complain(b, i, o.write ? "it writes" : "it only reads", o);
	o = run(b, i, m, end - m->size);
	if (o.page_fault)
		complain(b, i, "accesses more", o);
	o = run(b, i, m, end - m->size + 1);
	if (o.signal == SIGTRAP)
		complain(b, i, "accesses less", o);
}

static void sweep(const struct mapping *text)
{
	static uint64_t seen[1 << 16];

	for (uint64_t at = text->start; at < text->end;) {
		const uint8_t *b = (const uint8_t *)at;
		struct insn i;

		if (insn_decode(b, (size_t)(text->end - at), at, &i)) {
			at++;
			continue;
		}
		at += i.len;
		if (!can_probe(b, &i))
			continue;
		uint64_t kind = kind_of(&i), slot = kind & 0xffff;

		while (seen[slot] && seen[slot] != kind)
			slot = (slot + 1) & 0xffff;
		if (seen[slot])
			continue;
		seen[slot] = kind;
		check(b, &i);
	}
}

static void operands_are_what_the_processor_accesses(void **state)
{
	static uint8_t alternate[1 << 16];
	struct sigaction sa = { .sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER };
	stack_t ss = { .ss_sp = alternate, .ss_size = sizeof alternate };
	struct maps m;

	(void)state;
	if (!__builtin_cpu_supports("avx2"))
		skip();
	dlopen("libcrypto.so.3", RTLD_NOW);
	dlopen("libm.so.6", RTLD_NOW);
	dlopen("libgmp.so.10", RTLD_NOW);
	code = mmap(NULL, 16 * 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	rw_page = code + 4096;
	none_page = code + 2 * 4096;
	stack = code + 12 * 4096;
	mprotect(none_page, 4096, PROT_NONE);
	sigaltstack(&ss, NULL);
	sigaction(SIGTRAP, &sa, NULL);
	sigaction(SIGSEGV, &sa, NULL);
	sigaction(SIGILL, &sa, NULL);
	sigaction(SIGBUS, &sa, NULL);
	sigaction(SIGFPE, &sa, NULL);
	assert_int_equal(maps_read(getpid(), &m), 0);
	for (size_t i = 0; i < m.n; i++)
		if ((m.v[i].prot & PROT_EXEC) && (m.v[i].prot & PROT_READ) && m.v[i].name[0] == '/')
			sweep(&m.v[i]);
	maps_free(&m);
	printf("%zu kinds of instructions probed, %zu wrong\n", n_run, n_wrong);
	assert_int_equal(n_wrong, 0);
	assert_true(n_run > 300);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(operands_are_what_the_processor_accesses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
