#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/err.h"
#include "tracee/insn.h"
#include "tracee/insn_int.h"
#include "tracee/maps.h"

/* Assembled bytes: code_NAME .. code_NAME_end. */
#define CODE(name, text)                                                                           \
	__asm__(".pushsection .text\ncode_" #name ":\n" text "\ncode_" #name "_end:\n.popsection"); \
	extern const uint8_t code_##name[], code_##name##_end[]
#define LEN(name) ((size_t)(code_##name##_end - code_##name))

static struct insn decode_text(const uint8_t *b, size_t n)
{
	struct insn insn;

	assert_int_equal(insn_decode(b, n, 0x1000, &insn), 0);
	assert_int_equal(insn.len, n);
	return insn;
}

#define DECODE(name) decode_text(code_##name, LEN(name))

CODE(rep, "rep stosb");
CODE(movsq, "movsq");
CODE(movsd_sse, "movsd (%rax), %xmm1");
CODE(jcc, "jne . + 0x40");
CODE(jmp_far_rel, "jmp . + 0x12345");
CODE(call_rel, "call . + 0x100");
CODE(call_mem, "call *8(%rax)");
CODE(jmp_reg, "jmp *%r11");
CODE(ret, "ret");
CODE(sys, "syscall");
CODE(tsc, "rdtsc");
CODE(tscp, "rdtscp");
CODE(cpuid, "cpuid");
CODE(rand, "rdrand %rax");
CODE(seed, "rdseed %r9d");
CODE(pid, "rdpid %r12");
CODE(trap, "int3");
CODE(ud, "ud2");
CODE(int80, "int $0x80");
CODE(xbegin, "xbegin . + 100");
CODE(xgetbv, "xgetbv");
CODE(xsavec, "xsavec 0x40(%rsp)");
CODE(loop, "loop . - 10");
CODE(lock, "lock incl (%rdi)");
CODE(endbr, "endbr64");

static void decode_tells_what_kind_of_instruction_it_is(void **state)
{
	(void)state;
	assert_int_equal(DECODE(rep).flags & (INSN_STRING | INSN_REP | INSN_WRITES),
			 INSN_STRING | INSN_REP | INSN_WRITES);
	assert_int_equal(DECODE(movsq).flags & (INSN_STRING | INSN_REP), INSN_STRING);
	assert_int_equal(DECODE(movsd_sse).flags & (INSN_STRING | INSN_READS | INSN_WRITES), INSN_READS);
	assert_int_equal(DECODE(jcc).flags, INSN_BRANCH | INSN_CONDITIONAL);
	assert_int_equal(DECODE(jmp_far_rel).flags, INSN_BRANCH);
	assert_int_equal(DECODE(loop).flags, INSN_BRANCH | INSN_CONDITIONAL);
	assert_int_equal(DECODE(call_rel).flags, INSN_CALL | INSN_WRITES);
	assert_int_equal(DECODE(call_mem).flags, INSN_CALL | INSN_INDIRECT | INSN_READS | INSN_WRITES);
	assert_int_equal(DECODE(jmp_reg).flags, INSN_BRANCH | INSN_INDIRECT);
	assert_int_equal(DECODE(ret).flags, INSN_RET | INSN_READS);
	assert_int_equal(DECODE(sys).flags, INSN_SYSCALL);
	assert_int_equal(DECODE(tsc).flags, INSN_RDTSC);
	assert_int_equal(DECODE(tscp).flags, INSN_RDTSCP);
	assert_int_equal(DECODE(cpuid).flags, INSN_CPUID);
	assert_int_equal(DECODE(rand).flags, INSN_RDRAND);
	assert_int_equal(DECODE(seed).flags, INSN_RDRAND);
	assert_int_equal(DECODE(pid).flags, INSN_RDPID);
	assert_int_equal(DECODE(trap).flags, INSN_INT3);
	assert_int_equal(DECODE(ud).flags, INSN_INT);
	assert_int_equal(DECODE(int80).flags, INSN_INT);
	assert_true(DECODE(xbegin).flags & INSN_XBEGIN);
	assert_int_equal(DECODE(xgetbv).flags, INSN_XGETBV);
	assert_int_equal(DECODE(xsavec).flags, INSN_XSAVE | INSN_WRITES);
	assert_int_equal(DECODE(lock).flags, INSN_LOCK | INSN_READS | INSN_WRITES);
	assert_int_equal(DECODE(endbr).flags, 0);
	assert_string_equal(DECODE(sys).name, "syscall");
}

static void direct_targets_are_absolute(void **state)
{
	(void)state;
	assert_int_equal(DECODE(jcc).target, 0x1040);
	assert_int_equal(DECODE(jmp_far_rel).target, 0x13345);
	assert_int_equal(DECODE(call_rel).target, 0x1100);
	assert_int_equal(DECODE(loop).target, 0x1000 - 10);
	assert_int_equal(DECODE(jmp_reg).target, 0);
}

static void decode_refuses_what_is_cut_off_or_no_instruction(void **state)
{
	struct insn insn;

	(void)state;
	assert_int_equal(insn_decode(code_call_rel, 4, 0, &insn), -RL_EUNSUPPORTED);
	assert_int_equal(insn_decode(code_call_rel, 0, 0, &insn), -RL_EUNSUPPORTED);
	assert_int_equal(insn_decode((const uint8_t *)"\x06\x06\x06", 3, 0, &insn), -RL_EUNSUPPORTED);
}

CODE(ea_index, "movl %ecx, -8(%rsi,%r9,4)");
CODE(ea_fs, "movq %fs:0x28, %rax");
CODE(ea_gs, "addq $1, %gs:(%rbx)");
CODE(ea_rip, "movb $7, 0x100(%rip)");
CODE(ea_a32, "movl 4(%eax), %edx");
CODE(ea_push, "pushq 16(%rsp)");
CODE(ea_pop, "pop %rbx");
CODE(ea_movs, "movsl");
CODE(ea_lea, "leaq 8(%rax), %rbx");
CODE(ea_gather, "vpgatherdd %ymm1, (%rax,%ymm2,4), %ymm3");
CODE(ea_evex, "vmovups 0x80(%rax), %zmm1");
CODE(ea_cmpxchg, "lock cmpxchg16b (%rdi)");
CODE(ea_store, "vmovdqu %ymm3, 32(%rdx)");
CODE(ea_fstp, "fstpt (%rcx)");
CODE(ea_bt, "testb $1, 3(%r10)");

static const struct user_regs_struct regs = {
	.rax = 0x111110000, .rbx = 0x200000, .rcx = 0x300000, .rdx = 0x400000, .rsi = 0x500000, .rdi = 0x600000,
	.rsp = 0x700000, .rbp = 0x800000, .r9 = 3, .r10 = 0xa00000, .fs_base = 0x7f0000000000,
	.gs_base = 0x10000000000, .rip = 0xdead,
};

static void check_ea(const struct insn *insn, unsigned operand, uint64_t want, uint32_t size, bool read, bool write)
{
	uint64_t ea;

	assert_int_equal(insn_ea(insn, operand, &regs, &ea), 0);
	assert_true(ea == want);
	assert_int_equal(insn->mem[operand].size, size);
	assert_int_equal(insn->mem[operand].read, read);
	assert_int_equal(insn->mem[operand].write, write);
}

#define CHECK_EA(name, operand, ...)                       \
	do {                                               \
		struct insn insn_ = DECODE(name);          \
		check_ea(&insn_, operand, __VA_ARGS__);    \
	} while (0)

static void memory_operands_have_address_size_and_direction(void **state)
{
	uint64_t ea;

	(void)state;
	CHECK_EA(ea_index, 0, 0x500000 + 12 - 8, 4, false, true);
	CHECK_EA(ea_fs, 0, 0x7f0000000028, 8, true, false);
	CHECK_EA(ea_gs, 0, 0x10000200000, 8, true, true);
	CHECK_EA(ea_rip, 0, 0x1000 + LEN(ea_rip) + 0x100, 1, false, true);
	CHECK_EA(ea_a32, 0, 0x11110004, 4, true, false);
	CHECK_EA(ea_push, 0, 0x700010, 8, true, false);
	CHECK_EA(ea_push, 1, 0x6ffff8, 8, false, true);
	CHECK_EA(ea_pop, 0, 0x700000, 8, true, false);
	CHECK_EA(ea_movs, 0, 0x600000, 4, false, true);
	CHECK_EA(ea_movs, 1, 0x500000, 4, true, false);
	CHECK_EA(ea_lea, 0, 0x111110008, 8, false, false);
	CHECK_EA(ea_evex, 0, 0x111110080, 64, true, false);
	CHECK_EA(ea_cmpxchg, 0, 0x600000, 16, true, true);
	CHECK_EA(ea_store, 0, 0x400020, 32, false, true);
	CHECK_EA(ea_fstp, 0, 0x300000, 10, false, true);
	CHECK_EA(ea_bt, 0, 0xa00003, 1, true, false);
	CHECK_EA(call_rel, 0, 0x6ffff8, 8, false, true);
	struct insn gather = DECODE(ea_gather), ret = DECODE(ret);

	assert_true(gather.mem[0].no_ea);
	assert_int_equal(insn_ea(&gather, 0, &regs, &ea), -RL_EUNSUPPORTED);
	assert_int_equal(insn_ea(&ret, 1, &regs, &ea), -EINVAL);
}

/* Relocation, by running it: code at `home` does something, its moved copy must do the same. */

static uint8_t *exec_pages(size_t n)
{
	uint8_t *at = mmap(NULL, n * 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	assert_ptr_not_equal(at, MAP_FAILED);
	memset(at, 0xcc, n * 4096);
	return at;
}

static uint64_t slot = 41;

CODE(run_rip, "incq slot(%rip)");
CODE(run_rip_imm, "movl $0x12345678, slot(%rip)");
CODE(run_rip_imm8, "addw $0x55, slot(%rip)");
CODE(run_rip_imm16, "movw $0x1234, slot(%rip)");
CODE(run_rip_load, "movq slot(%rip), %rax");

static uint64_t run_moved(const uint8_t *b, size_t n, uint64_t start_value)
{
	uint8_t *page = exec_pages(1);
	int len = insn_relocate(b, n, (uintptr_t)b, (uintptr_t)page + 100, page + 100, INSN_MAX_RELOCATED);

	assert_true(len > 0);
	page[100 + len] = 0xc3;
	slot = start_value;
	uint64_t result = ((uint64_t(*)(void))(uintptr_t)(page + 100))();

	munmap(page, 4096);
	return result;
}

static bool in_reach(void)
{
	uint8_t *page = exec_pages(1);
	int64_t distance = (int64_t)((uintptr_t)page - (uintptr_t)&slot);

	munmap(page, 4096);
	return distance == (int32_t)distance;
}

static void near_exec_area(uint8_t **ret)
{
	struct maps m;

	assert_int_equal(maps_read(getpid(), &m), 0);
	uint64_t at = maps_find_gap(&m, (uintptr_t)&slot & -4096ul, ((uintptr_t)&slot & -4096ul) + (1ul << 30), 8192);

	maps_free(&m);
	assert_true(at);
	*ret = mmap((void *)at, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	assert_ptr_equal(*ret, (void *)at);
	memset(*ret, 0xcc, 4096);
}

static uint64_t run_moved_near(const uint8_t *b, size_t n, uint64_t start_value)
{
	uint8_t *page;

	near_exec_area(&page);
	int len = insn_relocate(b, n, (uintptr_t)b, (uintptr_t)page + 100, page + 100, INSN_MAX_RELOCATED);

	assert_true(len > 0);
	page[100 + len] = 0xc3;
	slot = start_value;
	uint64_t result = ((uint64_t(*)(void))(uintptr_t)(page + 100))();

	munmap(page, 4096);
	return result;
}

static void a_moved_rip_relative_instruction_reaches_the_same_memory(void **state)
{
	(void)state;
	run_moved_near(code_run_rip, LEN(run_rip), 41);
	assert_int_equal(slot, 42);
	run_moved_near(code_run_rip_imm, LEN(run_rip_imm), 0);
	assert_int_equal(slot, 0x12345678);
	run_moved_near(code_run_rip_imm8, LEN(run_rip_imm8), 1);
	assert_int_equal(slot, 0x56);
	run_moved_near(code_run_rip_imm16, LEN(run_rip_imm16), 0);
	assert_int_equal(slot, 0x1234);
	assert_int_equal(run_moved_near(code_run_rip_load, LEN(run_rip_load), 77), 77);
}

static void out_of_reach_is_refused(void **state)
{
	uint8_t out[INSN_MAX_RELOCATED];

	(void)state;
	assert_int_equal(insn_relocate(code_run_rip, LEN(run_rip), 0x1000, 0x7f0000000000, out, sizeof out),
			 -RL_EUNSUPPORTED);
	assert_int_equal(insn_encode_jmp(0x1000, 0x1000 + (1ul << 31) + 4, out), 0);
	assert_int_equal(insn_encode_jmp(0x1000, 0x1000 + (1ul << 31) + 5, out), -RL_EUNSUPPORTED);
}

/* Return addresses: the called function returns its own return address. */
CODE(callee, "movq (%rsp), %rax; ret");
CODE(caller, "call code_callee");
CODE(caller_reg, "call *%rdx");
CODE(caller_mem, "call *8(%rdx)");
CODE(caller_rip, "call *callee_pointer(%rip)");
extern uint64_t callee_pointer;
uint64_t callee_pointer = (uintptr_t)code_callee;

/* Call the moved code with rdx set; when the callee "returns" to the original return address we would run on there,
 * so a pretended original is made: bytes copied to a page, with a ret behind. */
static void check_moved_call(const uint8_t *b, size_t n, uint64_t rdx)
{
	uint8_t *home = NULL, *away = exec_pages(1);
	uint8_t copy[INSN_MAX_BYTES];
	uint64_t got = 0;
	int len;

	near_exec_area(&home);
	/* First to home, which is then the original. */
	memcpy(copy, b, n);
	if (b[0] == 0xe8 || (b[0] == 0xff && b[1] == 0x15)) {
		struct insn i;
		int32_t rel;
		size_t at = b[0] == 0xe8 ? 1 : 2;

		assert_int_equal(insn_decode(b, n, (uintptr_t)b, &i), 0);
		memcpy(&rel, b + at, 4);
		rel += (int32_t)((int64_t)(uintptr_t)b - (int64_t)(uintptr_t)home);
		memcpy(copy + at, &rel, 4);
	}
	memcpy(home, copy, n);
	home[n] = 0xc3;
	uint8_t *to = b[0] == 0xff && b[1] == 0x15 ? home + 2048 : away;

	len = insn_relocate(home, n, (uintptr_t)home, (uintptr_t)to, to, INSN_MAX_RELOCATED);
	assert_true(len > 0);
	uint64_t flags_before, flags_after;

	__asm__ volatile("stc; pushfq; popq %2\n"
			 "call *%3\n"
			 "pushfq; popq %1\n"
			 : "=a"(got), "=&r"(flags_after), "=&r"(flags_before)
			 : "r"(to), "d"(rdx)
			 : "memory", "cc");
	assert_int_equal(got, (uintptr_t)home + n);
	assert_int_equal(flags_before, flags_after);
	munmap(home, 4096);
	munmap(away, 4096);
}

static void a_moved_call_pushes_the_original_return_address(void **state)
{
	uint64_t table[2] = { 0, (uintptr_t)code_callee };

	(void)state;
	check_moved_call(code_caller, LEN(caller), 0);
	check_moved_call(code_caller_reg, LEN(caller_reg), (uintptr_t)code_callee);
	check_moved_call(code_caller_mem, LEN(caller_mem), (uintptr_t)table);
	check_moved_call(code_caller_rip, LEN(caller_rip), 0);
}

/* A conditional branch moved far away must take the same way for every condition and every flag. */
static uint64_t run_branch(const uint8_t *at, uint64_t flags, uint64_t rcx)
{
	uint64_t result;

	__asm__ volatile("pushq %2; popfq\n"
			 "call *%1\n"
			 : "=a"(result), "+r"(at), "+r"(flags), "+c"(rcx)
			 :
			 : "memory", "cc");
	return result;
}

/* At 64 returns 1, at 0 (insn) falls through to return 2. */
static void make_branch(uint8_t *home, const uint8_t *insn, size_t n)
{
	static const uint8_t returns_1[] = { 0xb8, 1, 0, 0, 0, 0xc3 }, returns_2[] = { 0xb8, 2, 0, 0, 0, 0xc3 };

	memcpy(home, insn, n);
	memcpy(home + n, returns_2, sizeof returns_2);
	memcpy(home + 64, returns_1, sizeof returns_1);
}

static void check_branch(const uint8_t *insn, size_t n, bool far)
{
	static const uint8_t returns_2[] = { 0xb8, 2, 0, 0, 0, 0xc3 };
	uint8_t *home, *away = exec_pages(1);

	near_exec_area(&home);
	uint8_t *to = far ? away : home + 2048;

	make_branch(home, insn, n);
	int len = insn_relocate(home, n, (uintptr_t)home, (uintptr_t)to, to, INSN_MAX_RELOCATED);

	assert_true(len > 0);
	memcpy(to + len, returns_2, sizeof returns_2);
	for (unsigned f = 0; f < 32; f++) {
		uint64_t flags = 0x202 | (f & 1) | (f & 2 ? 4 : 0) | (f & 4 ? 0x40 : 0) | (f & 8 ? 0x80 : 0) |
				 (f & 16 ? 0x800 : 0);

		for (uint64_t rcx = 0; rcx < 3; rcx++)
			assert_int_equal(run_branch(home, flags, rcx), run_branch(to, flags, rcx));
	}
	munmap(home, 4096);
	munmap(away, 4096);
}

static void a_moved_branch_goes_where_it_went(void **state)
{
	(void)state;
	for (uint8_t far = 0; far < 2; far++) {
		for (uint8_t cc = 0; cc < 16; cc++) {
			check_branch((uint8_t[]){ 0x70 | cc, 62 }, 2, far);
			check_branch((uint8_t[]){ 0x0f, 0x80 | cc, 58, 0, 0, 0 }, 6, far);
		}
		for (uint8_t op = 0xe0; op <= 0xe3; op++)
			check_branch((uint8_t[]){ op, 62 }, 2, far);
		check_branch((uint8_t[]){ 0xeb, 62 }, 2, far);
		check_branch((uint8_t[]){ 0xe9, 59, 0, 0, 0 }, 5, far);
		check_branch((uint8_t[]){ 0xf2, 0xe9, 58, 0, 0, 0 }, 6, far);
	}
	assert_false(in_reach() && run_moved(code_run_rip_load, LEN(run_rip_load), 5) != 5);
}

static void what_the_supervisor_emulates_is_not_moved(void **state)
{
	uint8_t out[INSN_MAX_RELOCATED];

	(void)state;
#define REFUSED(name) \
	assert_int_equal(insn_relocate(code_##name, LEN(name), 0x1000, 0x2000, out, sizeof out), -RL_EUNSUPPORTED)
	REFUSED(sys);
	REFUSED(tsc);
	REFUSED(tscp);
	REFUSED(cpuid);
	REFUSED(rand);
	REFUSED(pid);
	REFUSED(trap);
	REFUSED(ud);
	REFUSED(xbegin);
	assert_int_equal(insn_relocate(code_caller, LEN(caller), 0x1000, 0x2000, out, 8), -ENOSPC);
}

/* Every instruction of libc: the decoder's view is consistent, and relocation by a gigabyte works. */
static void all_of_libc_can_be_decoded_and_moved(void **state)
{
	struct maps m;
	size_t n_insns = 0, n_unknown = 0, n_refused = 0, n_rip = 0, n_known = 0;
	uint8_t out[INSN_MAX_RELOCATED];

	(void)state;
	assert_int_equal(maps_read(getpid(), &m), 0);
	const struct mapping *text = maps_find(&m, (uintptr_t)strtol);

	for (uint64_t at = text->start; at < text->end && n_insns < 400000;) {
		struct insn i;

		if (insn_decode((const uint8_t *)at, (size_t)(text->end - at), at, &i)) {
			n_unknown++;
			at++;
			continue;
		}
		int len = insn_relocate((const uint8_t *)at, i.len, at, at + (1ul << 30), out, sizeof out);

		size_t known = insn_length_known((const uint8_t *)at, (size_t)(text->end - at));

		n_insns++;
		n_known += known > 0;
		if (known)
			assert_int_equal(known, i.len);
		if (i.flags & INSN_RIP_RELATIVE) {
			n_rip++;
			assert_true(len > 0);
		}
		n_refused += len < 0;
		at += i.len;
	}
	print_message("%zu instructions, %zu rip-relative, %zu immovable, %zu of known length, %zu unknown bytes\n", n_insns,
		      n_rip, n_refused, n_known, n_unknown);
	assert_true(n_known > n_insns / 2);
	assert_true(n_insns > 100000);
	assert_true(n_unknown < n_insns / 100);
	assert_true(n_refused < n_insns / 100);
	maps_free(&m);
}

/* jump_site: 5 bytes of displaced instructions at code_site; the loop below jumps to its second instruction. */
CODE(with_jump, "nop; code_site: inc %rax; code_inner: inc %rbx; nop; dec %rcx; jnz code_inner; ret");
extern const uint8_t code_site[], code_inner[];
CODE(with_jump_before, "jmp code_inner2; nop; nop; code_site2: inc %rax; code_inner2: inc %rbx; ret");
extern const uint8_t code_site2[], code_inner2[];
CODE(without_jump, "nop; code_site3: inc %rax; inc %rbx; jnz code_site3; ret");
extern const uint8_t code_site3[];
/* The bytes EB 02 inside of an immediate look like a jump to code_site4 + 1, but run across code_site4. */
CODE(look_alike, "movabs $0x909002eb90909090, %rdx; code_site4: inc %rax; inc %rbx; ret");
extern const uint8_t code_site4[];

static size_t inner_targets(const uint8_t *b, size_t n, const uint8_t *site, uint64_t *ret)
{
	struct insn_code code = { b, n, (uintptr_t)b, (uintptr_t)site };

	return insn_jump_targets(&code, (uintptr_t)site + 1, (uintptr_t)site + 5, ret, 1);
}

static void jumps_between_displaced_instructions_are_found(void **state)
{
	uint64_t target = 0;

	(void)state;
	assert_int_equal(inner_targets(code_with_jump, LEN(with_jump), code_site, &target), 1);
	assert_int_equal(target, (uintptr_t)code_inner);
	assert_int_equal(inner_targets(code_with_jump_before, LEN(with_jump_before), code_site2, &target), 1);
	assert_int_equal(target, (uintptr_t)code_inner2);
	assert_int_equal(inner_targets(code_without_jump, LEN(without_jump), code_site3, &target), 0);
}

static void a_jump_look_alike_inside_an_instruction_is_not_believed(void **state)
{
	uint64_t target;
	size_t n = inner_targets(code_look_alike, LEN(look_alike), code_site4, &target);
	struct insn_code from_start = { code_look_alike, LEN(look_alike), (uintptr_t)code_look_alike,
					(uintptr_t)code_look_alike };

	(void)state;
	assert_in_range(n, 0, 1);   /* before the site one may err on the safe side */
	assert_int_equal(insn_jump_targets(&from_start, (uintptr_t)code_site4 + 1, (uintptr_t)code_site4 + 5, &target,
					   1), 0);
}

CODE(run_of_insns,
     "push %rbp\nmov %rsp, %rbp\nsub $0x20, %rsp\nmov %edi, -0x14(%rbp)\nmovl $0x90a20f, -4(%rbp)\nmov -4(%rbp), %eax\n"
     "add -0x14(%rbp), %eax\nlea 0x10(%rax, %rax, 8), %rdx\nimul %rdx, %rax\nmov %rax, 0x1234(%rip)\n"
     "addq $1, 0x55(%rbx)\nmov %rax, (%rdi)");

static void test_the_instruction_before(void **state)
{
	struct insn in, before;
	size_t n = LEN(run_of_insns), last = 0;

	(void)state;
	for (size_t at = 0; at < n; at += in.len) {
		assert_int_equal(insn_decode(code_run_of_insns + at, n - at, 0x1000 + at, &in), 0);
		if (at >= 40) {
			assert_int_equal(insn_before(code_run_of_insns, at, 0x1000 + at, &before), 0);
			assert_int_equal(before.addr, 0x1000 + last);
		}
		last = at;
	}
	assert_true(last > 40);
	assert_int_equal(insn_before(code_run_of_insns, 20, 0x1014, &before), -RL_EUNSUPPORTED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_instruction_before),
		cmocka_unit_test(decode_tells_what_kind_of_instruction_it_is),
		cmocka_unit_test(direct_targets_are_absolute),
		cmocka_unit_test(decode_refuses_what_is_cut_off_or_no_instruction),
		cmocka_unit_test(memory_operands_have_address_size_and_direction),
		cmocka_unit_test(a_moved_rip_relative_instruction_reaches_the_same_memory),
		cmocka_unit_test(out_of_reach_is_refused),
		cmocka_unit_test(a_moved_call_pushes_the_original_return_address),
		cmocka_unit_test(a_moved_branch_goes_where_it_went),
		cmocka_unit_test(what_the_supervisor_emulates_is_not_moved),
		cmocka_unit_test(all_of_libc_can_be_decoded_and_moved),
		cmocka_unit_test(jumps_between_displaced_instructions_are_found),
		cmocka_unit_test(a_jump_look_alike_inside_an_instruction_is_not_believed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
