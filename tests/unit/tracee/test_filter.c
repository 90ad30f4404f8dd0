/* Filters are built for little programs in a traced child, which is then run with and without them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <elf.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/err.h"
#include "tracee/filter.h"

/*
 * A shared area, so that the parent can write the child's code and see its memory. Mostly never touched: a stub may have
 * to be far from the site.
 */
static uint8_t *area;
enum { CODE_AT = 0, STACK_AT = 4096, COUNTER_AT = 5 * 4096, STUB_FROM = 8 * 4096, AREA = 0x1f000000 };
static pid_t child;

static int make_child(void **state)
{
	(void)state;
	area = mmap((void *)0x60000000, AREA, PROT_READ | PROT_WRITE | PROT_EXEC,
		    MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
	if (area == MAP_FAILED)
		return -1;
	child = fork();
	if (!child) {
		ptrace(PTRACE_TRACEME, 0, 0, 0);
		raise(SIGSTOP);
		_exit(0);
	}
	waitpid(child, NULL, 0);
	return 0;
}

static int end_child(void **state)
{
	(void)state;
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	munmap(area, AREA);
	return 0;
}

#define CODE(name, text)                                                                           \
	__asm__(".pushsection .text\ncode_" #name ":\n" text "\ncode_" #name "_end:\n.popsection"); \
	extern const uint8_t code_##name[], code_##name##_end[]
#define LEN(name) ((size_t)(code_##name##_end - code_##name))

/* Programs: each begins with the site, ends with int3. */
CODE(adds, "add %rax, %rbx; adc %rcx, %rdx; nop; int3");
CODE(long_insn, "lea 0x12345(%rcx,%rax,4), %rsi; int3");
CODE(pushes, "push %rcx; push %rax; mov %rcx, -64(%rsp); int3");
CODE(branches, "jc 1f; inc %r8; nop; nop; int3; 1: dec %r9; int3");
CODE(rip, "mov 1f(%rip), %rax; int3; 1: .quad 0x1122334455667788");
CODE(stack, "mov (%rsp), %r15; add 8(%rsp), %r15; int3");
CODE(calls, "call 1f; int3; 1: pop %r14; push %r14; ret");
CODE(rel_jmp, ".byte 0xe9; .long 3; int3; int3; int3; 1: xor %eax, %ecx; int3");
CODE(short_jump, "jmp 1f; int3; int3; int3; 1: int3");
CODE(loop_inside, "inc %rax; 1: inc %rbx; dec %rcx; jnz 1b; int3");
CODE(loop_to_site, "1: add %rdx, %rax; dec %rcx; jnz 1b; int3");
CODE(ones, "push %rbx; pop %rbx; push %rbp; pop %rbx; push %rcx; pop %rsi; int3");
CODE(has_syscall, "mov %rax, %rbx; syscall; int3");
CODE(cut_call, "call *%rax; nop; nop; nop; int3");

static struct filter_spec spec_for(const uint8_t *b, size_t n, const struct filter_test *tests, size_t n_tests)
{
	struct filter_spec spec = {
		.site = (uintptr_t)area + CODE_AT, .stub = (uintptr_t)area + STUB_FROM, .tests = tests, .n_tests = n_tests,
		.code = { b, n, (uintptr_t)area + CODE_AT, (uintptr_t)area + CODE_AT },
	};
	uint64_t at = filter_stub_place(&spec.code, spec.site, spec.stub, (uintptr_t)area + AREA - 4 * 4096);

	if (at)
		spec.stub = at;
	spec.slots = (spec.stub & -4096ull) + 2 * 4096;
	memset(area, 0xcc, 4096);
	memcpy(area + CODE_AT, b, n);
	return spec;
}

static void install(const struct filter *f)
{
	memcpy(area + (f->site - (uintptr_t)area), f->jmp, 5);
	memcpy(area + (f->stub - (uintptr_t)area), f->code, f->n);
}

static uint64_t rnd(void)
{
	static uint64_t x = 88172645463325252ull;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return x;
}

static struct user_regs_struct random_regs(void)
{
	struct user_regs_struct r;

	assert_int_equal(ptrace(PTRACE_GETREGS, child, 0, &r), 0);
	unsigned long long *gpr[] = { &r.rax, &r.rbx, &r.rcx, &r.rdx, &r.rsi, &r.rdi, &r.rbp, &r.r8, &r.r9, &r.r10, &r.r11,
				 &r.r12, &r.r13, &r.r14, &r.r15 };

	for (size_t i = 0; i < sizeof gpr / sizeof gpr[0]; i++)
		*gpr[i] = rnd() >> rnd() % 64;
	r.rsp = (uintptr_t)area + STACK_AT + 4096 + 8 * (rnd() % 16);
	r.rip = (uintptr_t)area + CODE_AT;
	r.orig_rax = -1ul;
	r.eflags = 0x202 | (rnd() & 0xcd5);
	return r;
}

/* Run from these registers to the next trap. */
static struct user_regs_struct run(const struct user_regs_struct *from)
{
	struct user_regs_struct r;
	int status;

	assert_int_equal(ptrace(PTRACE_SETREGS, child, 0, from), 0);
	assert_int_equal(ptrace(PTRACE_CONT, child, 0, 0), 0);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSTOPPED(status) && WSTOPSIG(status) == SIGTRAP);
	assert_int_equal(ptrace(PTRACE_GETREGS, child, 0, &r), 0);
	return r;
}

static void assert_same_regs(const struct user_regs_struct *a, const struct user_regs_struct *b)
{
	assert_memory_equal(a, b, sizeof *a);
}

static void fill_stack(void)
{
	for (size_t i = 0; i < 3 * 4096; i++)
		area[STACK_AT + i] = (uint8_t)rnd();
}

/* Everything that the program can see is the same with the filter, which never matches, and without. */
static void check_transparent(const uint8_t *b, size_t n, const struct filter_test *tests, size_t n_tests,
			      bool count)
{
	static uint8_t stack_before[3 * 4096], stack_plain[3 * 4096];

	for (int round = 0; round < 20; round++) {
		struct filter_spec spec = spec_for(b, n, tests, n_tests);
		struct filter f;

		spec.counter = count ? (uintptr_t)area + COUNTER_AT : 0;
		fill_stack();
		memcpy(stack_before, area + STACK_AT, sizeof stack_before);
		struct user_regs_struct start = random_regs(), plain = run(&start);

		memcpy(stack_plain, area + STACK_AT, sizeof stack_plain);
		memcpy(area + STACK_AT, stack_before, sizeof stack_before);
		assert_int_equal(filter_build(&spec, &f), 0);
		install(&f);
		struct user_regs_struct filtered = run(&start);

		assert_same_regs(&plain, &filtered);
		assert_memory_equal(stack_plain, area + STACK_AT, sizeof stack_plain);
	}
}

/* Values that random registers never have (their chance is nil). */
#define NEVER 0x5ca1ab1e0ddba115ull

static const struct filter_test never[] = {
	{ .kind = FILTER_REG, .reg = INSN_RDX, .want = NEVER },
	{ .kind = FILTER_REG, .reg = INSN_RAX, .want = NEVER },
	{ .kind = FILTER_REG, .reg = INSN_RCX, .want = NEVER },
	{ .kind = FILTER_REG, .reg = INSN_RSP, .want = 77 },
	{ .kind = FILTER_REG, .reg = INSN_R15, .want = 0x7eadbeef12345678 },
	{ .kind = FILTER_MEM, .reg = INSN_RSP, .disp = 8, .size = 8, .want = NEVER },
	{ .kind = FILTER_PASS, .want = NEVER },
};

static void check_all_filters(const uint8_t *b, size_t n)
{
	check_transparent(b, n, never, 0 + 1, false);
	for (size_t i = 0; i < sizeof never / sizeof never[0]; i++)
		check_transparent(b, n, &never[i], 1, true);
	check_transparent(b, n, never, sizeof never / sizeof never[0], true);
}

static void a_filter_that_does_not_match_changes_nothing(void **state)
{
	(void)state;
	check_all_filters(code_adds, LEN(adds));
	check_all_filters(code_long_insn, LEN(long_insn));
	check_all_filters(code_pushes, LEN(pushes));
	check_all_filters(code_branches, LEN(branches));
	check_all_filters(code_rip, LEN(rip));
	check_all_filters(code_stack, LEN(stack));
	check_all_filters(code_calls, LEN(calls));
	check_all_filters(code_rel_jmp, LEN(rel_jmp));
}

/* It stops with the registers of the site, and goes on as if nothing had been. */
static void check_match(const struct user_regs_struct *start, const struct filter_test *tests, size_t n_tests)
{
	struct filter_spec spec = spec_for(code_adds, LEN(adds), tests, n_tests);
	struct filter f;
	uint64_t ip;

	spec.counter = (uintptr_t)area + COUNTER_AT;
	memset(area + COUNTER_AT, 0, 8);
	struct user_regs_struct plain = run(start);

	assert_int_equal(filter_build(&spec, &f), 0);
	install(&f);
	struct user_regs_struct at = run(start);

	assert_int_equal(at.rip, f.stub + f.match_off + 1);
	assert_int_equal(filter_original_ip(&f, at.rip, &ip), 0);
	assert_int_equal(ip, f.site);
	at.rip = f.site;
	assert_same_regs(start, &at);
	at.rip = f.stub + f.continue_off;
	assert_int_equal(filter_original_ip(&f, at.rip, &ip), 0);
	assert_int_equal(ip, f.site);
	at = run(&at);
	assert_same_regs(&plain, &at);
}

static void a_match_stops_with_the_registers_of_the_site(void **state)
{
	(void)state;
	for (int round = 0; round < 30; round++) {
		struct user_regs_struct r = random_regs();
		uint64_t word;

		r.rbp = (uintptr_t)area + STACK_AT + 512;
		fill_stack();
		memcpy(&word, (void *)r.rsp, 8);
		for (unsigned reg = 0; reg < 16; reg++) {
			struct filter_test t = { .kind = FILTER_REG, .reg = (uint8_t)reg,
						 .want = insn_reg_value(&r, (enum insn_reg)reg) };

			check_match(&r, &t, 1);
		}
		struct filter_test all[] = {
			{ .kind = FILTER_MEM, .reg = INSN_RSP, .size = 8, .want = word },
			{ .kind = FILTER_REG, .reg = INSN_RAX, .want = r.rax },
			{ .kind = FILTER_REG, .reg = INSN_RCX, .want = r.rcx },
			{ .kind = FILTER_MEM, .reg = INSN_RSP, .size = 1, .want = word & 0xff },
			{ .kind = FILTER_MEM, .reg = INSN_RSP, .disp = 1, .size = 2, .want = word >> 8 & 0xffff },
			{ .kind = FILTER_ABS, .addr = r.rsp + 4, .size = 4, .want = word >> 32 },
			{ .kind = FILTER_MEM, .reg = INSN_RBP, .disp = (int32_t)(r.rsp - r.rbp), .size = 8, .want = word },
			{ .kind = FILTER_PASS, .want = 1 },
		};

		check_match(&r, all, 8);
		for (size_t i = 0; i < 8; i++)
			check_match(&r, &all[i], 1);
	}
	struct user_regs_struct r = random_regs();

	check_match(&r, NULL, 0);
}

/* ---- vector and x87 registers ---- */

#define XSAVE_MAX 16384
enum { XS_ST = 32, XS_XMM = 160, XS_XMM_END = 416, XS_HEADER = 512, XS_YMM = 576, XS_YMM_END = 832 };

static size_t get_xsave(uint8_t *image)
{
	struct iovec v = { image, XSAVE_MAX };

	memset(image, 0, XSAVE_MAX);
	assert_int_equal(ptrace(PTRACE_GETREGSET, child, NT_X86_XSTATE, &v), 0);
	return v.iov_len;
}

/* Random values, in registers that are in use: x87, SSE and AVX. */
static void random_vectors(uint8_t *image)
{
	struct iovec v = { image, get_xsave(image) };
	uint64_t in_use = __builtin_cpu_supports("avx") ? 7 : 3;

	for (size_t i = XS_XMM; i < XS_XMM_END; i++)
		image[i] = (uint8_t)rnd();
	for (size_t i = XS_YMM; in_use & 4 && i < XS_YMM_END; i++)
		image[i] = (uint8_t)rnd();
	for (size_t i = XS_ST; i < XS_XMM; i += 16)
		memset(image + i, (int)(rnd() & 0x7f), 10);   /* ten bytes are the value, the others must be zero */
	image[4] = 0xff;                                      /* none is empty */
	memcpy(image + XS_HEADER, &in_use, sizeof(in_use));
	assert_int_equal(ptrace(PTRACE_SETREGSET, child, NT_X86_XSTATE, &v), 0);
	get_xsave(image);
}

static uint64_t image_word(const uint8_t *image, size_t at)
{
	uint64_t word;

	memcpy(&word, image + at, sizeof(word));
	return word;
}

/* Vector registers are as they were. */
static void assert_same_vectors(const uint8_t *before)
{
	static uint8_t now[XSAVE_MAX];

	get_xsave(now);
	assert_memory_equal(before, now, 6);   /* control and status word, which is empty, last opcode */
	assert_memory_equal(before + XS_ST, now + XS_ST, XS_XMM_END - XS_ST);
	assert_memory_equal(before + XS_YMM, now + XS_YMM, XS_YMM_END - XS_YMM);
}

/* As check_match, the vector registers too; and with another value wanted there is no match. */
static void check_vector(const uint8_t *image, struct filter_test t)
{
	struct user_regs_struct start = random_regs();

	check_match(&start, &t, 1);
	assert_same_vectors(image);
	t.want ^= 1ull << (rnd() % 64);
	struct filter_spec spec = spec_for(code_adds, LEN(adds), &t, 1);
	struct filter f;
	struct user_regs_struct plain = run(&start);

	assert_int_equal(filter_build(&spec, &f), 0);
	install(&f);
	struct user_regs_struct filtered = run(&start);

	assert_same_regs(&plain, &filtered);
	assert_same_vectors(image);
}

static void vector_registers_are_told_apart_and_kept(void **state)
{
	static uint8_t image[XSAVE_MAX];

	(void)state;
	for (int round = 0; round < 5; round++) {
		random_vectors(image);
		for (uint8_t n = 0; n < 16; n++) {
			size_t xmm = XS_XMM + 16u * n, ymm = XS_YMM + 16u * n;

			check_vector(image, (struct filter_test){ .kind = FILTER_XMM, .reg = n, .want = image_word(image, xmm) });
			check_vector(image, (struct filter_test){ .kind = FILTER_FX, .disp = (int32_t)xmm + 8,
								  .want = image_word(image, xmm + 8) });
			for (int32_t half = 0; __builtin_cpu_supports("avx") && half < 16; half += 8)
				check_vector(image, (struct filter_test){ .kind = FILTER_YMM_HI, .reg = n, .disp = half,
									  .want = image_word(image, ymm + (size_t)half) });
		}
		for (int32_t at = XS_ST; at < XS_XMM; at += 16)
			check_vector(image, (struct filter_test){ .kind = FILTER_FX, .disp = at,
								  .want = image_word(image, (size_t)at) });
	}
}

static void each_test_must_hold(void **state)
{
	struct user_regs_struct r = random_regs();

	(void)state;
	for (unsigned wrong = 0; wrong < 4; wrong++) {
		struct filter_test t[4] = {
			{ .kind = FILTER_REG, .reg = INSN_RBX, .want = r.rbx },
			{ .kind = FILTER_REG, .reg = INSN_RCX, .want = r.rcx },
			{ .kind = FILTER_MEM, .reg = INSN_RSP, .size = 8, .want = *(uint64_t *)r.rsp },
			{ .kind = FILTER_REG, .reg = INSN_RAX, .want = r.rax },
		};
		struct filter f;

		t[wrong].want ^= 1ull << (wrong * 20);
		struct filter_spec spec = spec_for(code_adds, LEN(adds), t, 4);

		assert_int_equal(filter_build(&spec, &f), 0);
		install(&f);
		struct user_regs_struct at = run(&r);

		assert_int_equal(at.rip, (uintptr_t)area + LEN(adds));
	}
}

static void the_pass_counter_finds_the_nth_pass(void **state)
{
	struct filter_test nth = { .kind = FILTER_PASS, .want = 777 };
	struct filter_spec spec = spec_for(code_loop_to_site, LEN(loop_to_site), &nth, 1);
	struct user_regs_struct r = random_regs();
	struct filter f;

	(void)state;
	r.rax = 0;
	r.rdx = 1;
	r.rcx = 1000;
	spec.counter = (uintptr_t)area + COUNTER_AT;
	memset(area + COUNTER_AT, 0, 8);
	assert_int_equal(filter_build(&spec, &f), 0);
	install(&f);
	r = run(&r);
	assert_int_equal(r.rip, f.stub + f.match_off + 1);
	assert_int_equal(r.rax, 776);
	r.rip = f.stub + f.continue_off;
	r = run(&r);
	assert_int_equal(r.rax, 1000);
	assert_int_equal(*(uint64_t *)(area + COUNTER_AT), 1000);
}

static void sites_that_cannot_take_a_jump_are_refused(void **state)
{
	struct filter f;
	struct filter_test t = { .kind = FILTER_REG, .reg = INSN_RBX };
	struct filter_spec spec;

	(void)state;
#define REFUSED(name)                                            \
	spec = spec_for(code_##name, LEN(name), &t, 1);          \
	assert_int_equal(filter_build(&spec, &f), -RL_EUNSUPPORTED)
	REFUSED(short_jump);
	REFUSED(loop_inside);
	REFUSED(has_syscall);
	REFUSED(cut_call);
	spec = spec_for(code_adds, 5, &t, 1);   /* too few bytes known */
	assert_int_equal(filter_build(&spec, &f), -RL_EUNSUPPORTED);
	spec = spec_for(code_adds, LEN(adds), &t, 1);
	spec.stub += 1ull << 32;
	assert_int_equal(filter_build(&spec, &f), -RL_EUNSUPPORTED);
	spec = spec_for(code_adds, LEN(adds), &t, 1);
	spec.slots += 1ull << 32;
	assert_int_equal(filter_build(&spec, &f), -RL_EUNSUPPORTED);
}

/* From rip to the next stop of any kind, but for jumps into the midst of the filter's, which go on in the copy. */
static struct user_regs_struct run_past_midst(const struct filter *f, struct user_regs_struct r, int *ret_midst)
{
	int status;

	for (;;) {
		unsigned i = 0;

		assert_int_equal(ptrace(PTRACE_SETREGS, child, 0, &r), 0);
		assert_int_equal(ptrace(PTRACE_CONT, child, 0, 0), 0);
		assert_int_equal(waitpid(child, &status, 0), child);
		assert_true(WIFSTOPPED(status));
		assert_int_equal(ptrace(PTRACE_GETREGS, child, 0, &r), 0);
		if (WSTOPSIG(status) == SIGTRAP)
			return r;
		assert_int_equal(WSTOPSIG(status), SIGILL);
		assert_true(filter_midst(f, r.rip));
		while (f->site + f->insns[i].orig_off != r.rip)
			i++;
		r.rip = f->stub + f->insns[i].stub_off;
		++*ret_midst;
	}
}

/* A table's entry among the displaced instructions is nothing that the code shows. */
static void a_jump_into_the_midst_goes_on_in_the_copy(void **state)
{
	static const struct { const uint8_t *code; size_t n; uint8_t entry[4]; } cases[] = {
		{ code_adds, 0, { 3 } }, { code_pushes, 0, { 1, 2 } }, { code_ones, 0, { 1, 2, 3, 4 } },
		{ code_stack, 0, { 4 } },
	};
	const size_t sizes[] = { LEN(adds), LEN(pushes), LEN(ones), LEN(stack) };
	static uint8_t stack[3 * 4096];

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		for (size_t k = 0; k < 4 && cases[i].entry[k]; k++) {
			struct filter_spec spec = spec_for(cases[i].code, sizes[i], never, 1);
			struct user_regs_struct start = random_regs(), plain, filtered;
			struct filter f;
			int midst = 0;

			start.rip += cases[i].entry[k];
			fill_stack();
			memcpy(stack, area + STACK_AT, sizeof stack);
			plain = run(&start);
			memcpy(area + STACK_AT, stack, sizeof stack);
			assert_int_equal(filter_build(&spec, &f), 0);
			install(&f);
			filtered = run_past_midst(&f, start, &midst);
			assert_same_regs(&plain, &filtered);
			assert_int_equal(midst, 1);
		}
	}
}

static void a_stub_whose_jump_would_run_in_its_midst_is_refused(void **state)
{
	struct filter_spec spec = spec_for(code_adds, LEN(adds), never, 1);
	uint64_t first = spec.stub;
	struct filter f;

	(void)state;
	spec.stub += 0x20000;   /* 08 where adc began */
	assert_int_equal(filter_build(&spec, &f), -RL_EUNSUPPORTED);
	assert_true(filter_stub_place(&spec.code, spec.site, first + 0x20000, (uintptr_t)area + AREA) > first + 0x20000);
	assert_int_equal(filter_stub_place(&spec.code, spec.site, first + 0x20000, first + 0x20001), 0);
	/* One instruction: any place will do. */
	spec = spec_for(code_long_insn, LEN(long_insn), never, 1);
	assert_int_equal(filter_stub_place(&spec.code, spec.site, 0x12345, UINT64_MAX), 0x12345);
	assert_int_equal(filter_stub_place(&spec.code, spec.site, 1ull << 40, UINT64_MAX), 0);
}

/* An interpreter's handler; 48 bytes of it end in the midst of an address whose first bytes are, as an instruction, a jump to test. */
CODE(cut_address, "mov -0x28(%rbp), %rax; test %rax, %rax; .byte 0x0f, 0x84, 0x12, 0, 0, 0; addq $1, 0x18(%rax); sbbq $0, 0x18(%rax);"
		  "add $0x20, %rax; mov %rax, -0x28(%rbp); movzbl 3(%r13), %ebx; add $3, %r13; movabs $0x7f8cf3f5d6e0, %r10;"
		  "jmp *(%r10,%rbx,8); .fill 120, 1, 0xcc");

static void what_is_cut_off_at_the_end_of_enough_code_is_no_jump_into_the_site(void **state)
{
	struct filter_spec spec = spec_for(code_cut_address, LEN(cut_address), never, 1);

	(void)state;
	assert_true(LEN(cut_address) > FILTER_CODE_AHEAD);
	assert_int_equal(spec.code.bytes[42], 0xe0);   /* loopne */
	spec.code.n = 48;
	assert_int_equal(filter_stub_place(&spec.code, spec.site, spec.site + 0x100000, UINT64_MAX), 0);
	spec.code.n = FILTER_CODE_AHEAD;
	assert_true(filter_stub_place(&spec.code, spec.site, spec.site + 0x100000, UINT64_MAX) > spec.site);
}

static void wrong_tests_are_refused(void **state)
{
	struct filter f;
	const struct filter_test bad[] = {
		{ .kind = FILTER_REG, .reg = INSN_RIP },
		{ .kind = FILTER_MEM, .reg = INSN_RSP, .size = 3 },
		{ .kind = FILTER_ABS, .size = 0 },
		{ .kind = FILTER_PASS },   /* without a counter */
		{ .kind = 17 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		struct filter_spec spec = spec_for(code_adds, LEN(adds), &bad[i], 1);

		assert_int_equal(filter_build(&spec, &f), -EINVAL);
	}
}

/* Single-stepping through a filtered pass: wherever original_ip answers, the registers are the original ones. */
static void the_original_position_is_known_at_instruction_borders(void **state)
{
	struct filter_spec spec = spec_for(code_adds, LEN(adds), never, 3);
	struct user_regs_struct r = random_regs(), now = r;
	struct filter f;
	uint64_t ip, seen[8];
	size_t n_seen = 0;
	int status;

	(void)state;
	assert_int_equal(filter_build(&spec, &f), 0);
	install(&f);
	now.rip = f.stub;
	assert_int_equal(ptrace(PTRACE_SETREGS, child, 0, &now), 0);
	while (now.rip >= f.stub && now.rip < f.stub + f.n) {
		if (filter_original_ip(&f, now.rip, &ip) == 0) {
			assert_true(n_seen < 8);
			seen[n_seen++] = ip;
			if (ip == f.site) {
				now.rip = r.rip;
				assert_same_regs(&now, &r);
			}
		}
		assert_int_equal(ptrace(PTRACE_SINGLESTEP, child, 0, 0), 0);
		waitpid(child, &status, 0);
		assert_int_equal(ptrace(PTRACE_GETREGS, child, 0, &now), 0);
	}
	assert_int_equal(n_seen, 4);   /* entry, add, adc, jump back */
	assert_int_equal(seen[0], f.site);
	assert_int_equal(seen[1], f.site);
	assert_int_equal(seen[2], f.site + 3);
	assert_int_equal(seen[3], f.site + 6);
	assert_int_equal(now.rip, f.site + 6);
	assert_int_equal(filter_original_ip(&f, f.stub + 3, &ip), -EAGAIN);
	assert_int_equal(filter_original_ip(&f, f.site, &ip), -EINVAL);
}

static double time_passes(const struct filter *f, uint64_t n)
{
	struct user_regs_struct r = random_regs();
	struct timespec a, b;

	if (f)
		install(f);
	r.rax = 0;
	r.rdx = 1;
	r.rcx = n;
	r.rbx = 0;
	clock_gettime(CLOCK_MONOTONIC, &a);
	r = run(&r);
	clock_gettime(CLOCK_MONOTONIC, &b);
	assert_int_equal(r.rax, n);
	return ((double)(b.tv_sec - a.tv_sec) * 1e9 + (double)(b.tv_nsec - a.tv_nsec)) / (double)n;
}

static void a_pass_costs_about_a_nanosecond(void **state)
{
	static const struct { const char *what; struct filter_test t; bool count; } cases[] = {
		{ "a register, 32-bit value", { .kind = FILTER_REG, .reg = INSN_RDX, .want = 5 }, false },
		{ "a register, 64-bit value", { .kind = FILTER_REG, .reg = INSN_RDX, .want = NEVER }, false },
		{ "rcx, which the loop counts", { .kind = FILTER_REG, .reg = INSN_RCX, .want = NEVER }, false },
		{ "a stack word", { .kind = FILTER_MEM, .reg = INSN_RSP, .size = 8, .want = NEVER }, false },
		{ "a register, counting", { .kind = FILTER_REG, .reg = INSN_RDX, .want = 5 }, true },
		{ "the pass number", { .kind = FILTER_PASS, .want = NEVER }, true },
	};
	const uint64_t n = 5000000;
	double plain, worst = 0;

	(void)state;
	spec_for(code_loop_to_site, LEN(loop_to_site), NULL, 0);
	plain = time_passes(NULL, n);
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct filter_spec spec = spec_for(code_loop_to_site, LEN(loop_to_site), &cases[i].t, 1);
		struct filter f;

		spec.counter = cases[i].count ? (uintptr_t)area + COUNTER_AT : 0;
		assert_int_equal(filter_build(&spec, &f), 0);
		double ns = time_passes(&f, n);

		print_message("%-28s %.2f ns a pass (%.2f without)\n", cases[i].what, ns, plain);
		worst = ns > worst ? ns : worst;
	}
	assert_true(worst < 200);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_filter_that_does_not_match_changes_nothing),
		cmocka_unit_test(a_match_stops_with_the_registers_of_the_site),
		cmocka_unit_test(vector_registers_are_told_apart_and_kept),
		cmocka_unit_test(each_test_must_hold),
		cmocka_unit_test(the_pass_counter_finds_the_nth_pass),
		cmocka_unit_test(sites_that_cannot_take_a_jump_are_refused),
		cmocka_unit_test(a_jump_into_the_midst_goes_on_in_the_copy),
		cmocka_unit_test(a_stub_whose_jump_would_run_in_its_midst_is_refused),
		cmocka_unit_test(what_is_cut_off_at_the_end_of_enough_code_is_no_jump_into_the_site),
		cmocka_unit_test(wrong_tests_are_refused),
		cmocka_unit_test(the_original_position_is_known_at_instruction_borders),
		cmocka_unit_test(a_pass_costs_about_a_nanosecond),
	};

	return cmocka_run_group_tests(tests, make_child, end_child);
}
