#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <immintrin.h>
#include <signal.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/err.h"
#include "tracee/xstate.h"

enum { MXCSR = 24, XMM = 160, BV = 512, YMM = 576 };

static void set_bv(struct xstate *x, uint64_t bv)
{
	memcpy(x->bytes + BV, &bv, 8);
}

/* A regset with rubbish wherever the canonical form must not look. */
static void make_rubbish(struct xstate *x, uint64_t bv)
{
	memset(x, 0xa5, sizeof *x);
	x->n = 1088;
	memset(x->bytes + BV, 0, 64);
	set_bv(x, bv);
}

static void components_not_in_use_have_their_initial_values(void **state)
{
	static struct xstate a;
	static uint8_t canon[XSTATE_MAX];

	(void)state;
	make_rubbish(&a, 0);
	size_t n = xstate_canon(&a, canon);

	assert_int_equal(n, 26);
	assert_int_equal(canon[0] | canon[1] << 8, 0x37f);
	assert_int_equal(canon[24] | canon[25] << 8, 0x1f80);
}

static void explicit_initial_values_equal_unused_components(void **state)
{
	static struct xstate a, b;
	static uint8_t ca[XSTATE_MAX], cb[XSTATE_MAX];

	(void)state;
	make_rubbish(&a, 0);
	memset(&b, 0, sizeof b);
	b.n = 1088;
	b.bytes[0] = 0x7f;
	b.bytes[1] = 3;
	b.bytes[24] = 0x80;
	b.bytes[25] = 0x1f;
	set_bv(&b, 7);
	assert_true(xstate_canon_equal(ca, xstate_canon(&a, ca), cb, xstate_canon(&b, cb)));
}

static void x87_pointers_and_reserved_bytes_do_not_count(void **state)
{
	static struct xstate a, b;
	static uint8_t ca[XSTATE_MAX], cb[XSTATE_MAX];

	(void)state;
	make_rubbish(&a, 3);
	b = a;
	memset(b.bytes + 5, 1, 19);        /* reserved, fop, fip, fdp */
	memset(b.bytes + 28, 2, 4);        /* mxcsr_mask */
	memset(b.bytes + 32 + 10, 3, 6);   /* st0's padding */
	memset(b.bytes + 416, 4, 96);      /* reserved, software */
	assert_true(xstate_canon_equal(ca, xstate_canon(&a, ca), cb, xstate_canon(&b, cb)));
}

static void a_difference_is_named(void **state)
{
	static const struct { size_t at; uint64_t bv; const char *name; } cases[] = {
		{ 0, 1, "fcw" }, { 2, 1, "fsw" }, { 4, 1, "ftw" }, { MXCSR, 2, "mxcsr" },
		{ 32 + 3 * 16 + 9, 1, "st3" }, { XMM + 15 * 16, 2, "xmm15" }, { YMM + 5 * 16 + 1, 4, "ymm_hi 5" },
	};
	static uint8_t ca[XSTATE_MAX], cb[XSTATE_MAX];
	char name[24];

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		static struct xstate a, b;

		memset(&a, 0, sizeof a);
		a.n = 1088;
		set_bv(&a, 7);
		b = a;
		b.bytes[cases[i].at] ^= 0x11;
		size_t na = xstate_canon(&a, ca), nb = xstate_canon(&b, cb);

		assert_false(xstate_canon_equal(ca, na, cb, nb));
		assert_true(xstate_canon_diff(ca, na, cb, nb, name, sizeof name));
		assert_string_equal(name, cases[i].name);
		assert_false(xstate_canon_diff(ca, na, ca, na, name, sizeof name));
		assert_string_equal(name, "");
	}
}

static void from_canon_rejects_bytes_that_are_not_canonical(void **state)
{
	static struct xstate a, back;
	static uint8_t c[XSTATE_MAX];

	(void)state;
	make_rubbish(&a, 2);
	size_t n = xstate_canon(&a, c);

	assert_int_equal(xstate_from_canon(c, n, 1088, &back), 0);
	assert_int_equal(xstate_from_canon(c, XSTATE_MAX + 1, 1088, &back), -RL_ECORRUPT);
	assert_int_equal(xstate_from_canon(c, n, 100, &back), -RL_ECORRUPT);
	c[BV] = 6;   /* claims AVX, has only zeros there */
	assert_int_equal(xstate_from_canon(c, n, 1088, &back), -RL_ECORRUPT);
	c[BV + 7] = 0x80;
	assert_int_equal(xstate_from_canon(c, BV + 8, 1088, &back), -RL_ECORRUPT);
}

__attribute__((target("avx"))) static void load_and_stop(int clear)
{
	static const float values[8] = { 1, 2, 3, 4, 5, 6, 7, 8 };
	unsigned mxcsr = 0x9f80;

	if (clear)
		__asm__ volatile("vzeroall; fninit" ::: "memory");
	else
		__asm__ volatile("vmovups (%0), %%ymm7; fldpi; ldmxcsr %1; int3" ::"r"(values), "m"(mxcsr)
				 : "memory", "xmm7");
	__asm__ volatile("int3");
}

static pid_t start(void)
{
	pid_t child = fork();
	int status;

	if (!child) {
		ptrace(PTRACE_TRACEME, 0, 0, 0);
		raise(SIGSTOP);
		load_and_stop(0);
		load_and_stop(1);
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSTOPPED(status));
	return child;
}

static void go_on(pid_t child)
{
	int status;

	assert_int_equal(ptrace(PTRACE_CONT, child, 0, 0), 0);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSTOPPED(status) && WSTOPSIG(status) == SIGTRAP);
}

static void a_live_thread_gets_back_exactly_what_was_read(void **state)
{
	static struct xstate first, second, back, again;
	static uint8_t c1[XSTATE_MAX], c2[XSTATE_MAX];
	pid_t child = start();
	char name[24];

	(void)state;
	go_on(child);
	assert_int_equal(xstate_read(child, &first), 0);
	size_t n1 = xstate_canon(&first, c1);

	assert_int_equal(c1[MXCSR + 1], 0x9f);
	assert_memory_equal(c1 + XMM + 7 * 16, ((float[]){ 1, 2, 3, 4 }), 16);
	assert_memory_equal(c1 + YMM + 7 * 16, ((float[]){ 5, 6, 7, 8 }), 16);

	go_on(child);
	go_on(child);
	assert_int_equal(xstate_read(child, &second), 0);
	size_t n2 = xstate_canon(&second, c2);

	assert_true(xstate_canon_diff(c1, n1, c2, n2, name, sizeof name));
	assert_int_equal(xstate_from_canon(c1, n1, second.n, &back), 0);
	assert_int_equal(xstate_write(child, &back), 0);
	assert_int_equal(xstate_read(child, &again), 0);
	n2 = xstate_canon(&again, c2);
	xstate_canon_diff(c1, n1, c2, n2, name, sizeof name);
	assert_string_equal(name, "");
	assert_true(xstate_canon_equal(c1, n1, c2, n2));

	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	assert_int_equal(xstate_read(child, &again), -RL_EGONE);
}

static void an_initial_state_overwrites_everything(void **state)
{
	static struct xstate now, back;
	static uint8_t c1[XSTATE_MAX], c2[XSTATE_MAX];
	pid_t child = start();
	static struct xstate empty;

	(void)state;
	go_on(child);
	assert_int_equal(xstate_read(child, &now), 0);
	make_rubbish(&empty, 0);
	size_t n1 = xstate_canon(&empty, c1);

	assert_int_equal(xstate_from_canon(c1, n1, now.n, &back), 0);
	assert_int_equal(xstate_write(child, &back), 0);
	assert_int_equal(xstate_read(child, &now), 0);
	assert_true(xstate_canon_equal(c1, n1, c2, xstate_canon(&now, c2)));
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
}

#define ALL_SAVED 0xeeu   /* without x87, as ld.so asks for it */

static void check_area(const uint8_t *real, const uint8_t *made, const struct xstate_part *parts, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		if (parts[i].off == 512)
			continue;   /* XSTATE_BV: what is in use may differ */
		assert_memory_equal(real + parts[i].off, made + parts[i].off, parts[i].len);
	}
}

/* What the processor itself writes, with all vector registers in use. */
__attribute__((target("avx,xsave,xsavec"))) static void a_saved_area_is_what_the_processor_writes(void **state)
{
	static uint8_t real[XSTATE_MAX] __attribute__((aligned(64))), compact[XSTATE_MAX] __attribute__((aligned(64)));
	static uint8_t canon[XSTATE_MAX], made[XSTATE_MAX];
	static struct xstate x;
	struct xstate_part parts[XSTATE_PARTS];
	uint64_t request, bv;
	unsigned n;

	(void)state;
	if (!__builtin_cpu_supports("avx") || !__builtin_cpu_supports("xsavec"))
		skip();
	request = xstate_xcr0() & ALL_SAVED & 7;
	__asm__ volatile("vcmpeqps %%ymm0, %%ymm0, %%ymm0\n\tvmovaps %%ymm0, %%ymm13\n\txsave %0\n\txsavec %1"
			 : "+m"(real), "+m"(compact) : "a"((uint32_t)request), "d"(0) : "xmm0", "xmm13");
	memcpy(&bv, real + 512, 8);
	assert_int_equal(bv, request);

	x.n = sizeof(x.bytes);
	memcpy(x.bytes, real, sizeof(real));
	xstate_canon(&x, canon);
	n = xstate_save_area(canon, request, false, 0x200, made, parts);
	assert_int_equal(n, 4);
	check_area(real, made, parts, n);
	memcpy(&bv, made + 512, 8);
	assert_int_equal(bv, request | 0x200);
	n = xstate_save_area(canon, request, true, 0, made, parts);
	assert_int_equal(n, 4);
	check_area(compact, made, parts, n);
	assert_memory_equal(compact + 512, made + 512, 16);
	assert_int_equal(xstate_save_area(canon, 1ull << 40, true, 0, made, parts), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(components_not_in_use_have_their_initial_values),
		cmocka_unit_test(explicit_initial_values_equal_unused_components),
		cmocka_unit_test(x87_pointers_and_reserved_bytes_do_not_count),
		cmocka_unit_test(a_difference_is_named),
		cmocka_unit_test(from_canon_rejects_bytes_that_are_not_canonical),
		cmocka_unit_test(a_live_thread_gets_back_exactly_what_was_read),
		cmocka_unit_test(an_initial_state_overwrites_everything),
		cmocka_unit_test(a_saved_area_is_what_the_processor_writes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
