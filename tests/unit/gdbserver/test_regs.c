#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gdbserver/regs.h"

#define XCR0_AVX 7u
#define XCR0_AVX512 0xe7u
#define XCR0_ALL 0x2e7u

/* Standard-format offsets of Intel's server processors and of AMD's since Zen 4, which leave out MPX. */
static const struct regs_layout intel = {
	.xcr0 = XCR0_ALL, .offset = { [2] = 576, [5] = 1088, [6] = 1152, [7] = 1664, [9] = 2688 },
};
static const struct regs_layout amd = {
	.xcr0 = XCR0_ALL, .offset = { [2] = 576, [5] = 832, [6] = 896, [7] = 1408, [9] = 2432 },
};
static const struct regs_layout bare;

static char *xml_of(const struct regs_layout *l)
{
	struct buf b = { 0 };

	regs_xml(l, &b);
	out_char(&b, '\0');
	assert_int_equal(b.err, 0);
	return (char *)b.p;
}

/* The number that target.xml gives a register, -1 if it has none. */
static int number_of(const char *xml, const char *name)
{
	char wanted[64];
	const char *at;
	int number = -1;

	snprintf(wanted, sizeof(wanted), "<reg name=\"%s\" ", name);
	at = strstr(xml, wanted);
	if (at)
		sscanf(strstr(at, "regnum=\""), "regnum=\"%d\"", &number);
	return number;
}

static struct regs_state *state_new(uint64_t bv)
{
	struct regs_state *s = calloc(1, sizeof(*s));

	for (size_t i = 0; i < 4096; i++)
		s->xsave[i] = (uint8_t)(i * 31 + i / 256);
	memcpy(s->xsave + 512, &bv, sizeof(bv));
	s->xsave_n = 4096;
	return s;
}

static void numbers_are_those_that_gdb_has_always_used(void **state)
{
	char *xml = xml_of(&intel);

	(void)state;
	assert_int_equal(number_of(xml, "rax"), 0);
	assert_int_equal(number_of(xml, "rbp"), GDB_RBP);
	assert_int_equal(number_of(xml, "rsp"), GDB_RSP);
	assert_int_equal(number_of(xml, "rip"), GDB_RIP);
	assert_int_equal(number_of(xml, "st0"), 24);
	assert_int_equal(number_of(xml, "xmm0"), 40);
	assert_int_equal(number_of(xml, "mxcsr"), 56);
	assert_int_equal(number_of(xml, "orig_rax"), 57);
	assert_int_equal(number_of(xml, "gs_base"), 59);
	assert_int_equal(number_of(xml, "ymm0h"), 60);
	assert_int_equal(number_of(xml, "xmm16"), 76);
	assert_int_equal(number_of(xml, "k0"), 108);
	assert_int_equal(number_of(xml, "zmm31h"), 147);
	assert_int_equal(number_of(xml, "pkru"), 148);
	assert_int_equal(regs_count(&intel), 149);
	free(xml);
}

static void features_follow_xcr0(void **state)
{
	struct regs_layout l = regs_layout_here(0);
	struct regs_layout no_place = { .xcr0 = XCR0_AVX512 };

	(void)state;
	assert_int_equal(regs_count(&l), 60);
	l = regs_layout_here(XCR0_AVX);
	assert_true(regs_count(&l) == 76 || !l.offset[2]);
	assert_int_equal(regs_count(&no_place), 60);
	assert_int_equal(regs_size(&bare, 60), -EINVAL);
	assert_int_equal(regs_size(&bare, -1), -EINVAL);
}

static void expect_bytes(const struct regs_layout *l, const struct regs_state *s, int number, size_t at, int size)
{
	uint8_t got[REGS_ONE_MAX];

	assert_int_equal(regs_size(l, number), size);
	assert_true(regs_get(l, s, number, got));
	assert_memory_equal(got, s->xsave + at, size);
}

static void vector_registers_come_from_where_the_processor_puts_them(void **state)
{
	struct regs_state *s = state_new(~0ull);
	const struct regs_layout *layouts[] = { &intel, &amd };

	(void)state;
	for (int i = 0; i < 2; i++) {
		const struct regs_layout *l = layouts[i];

		expect_bytes(l, s, 24 + 3, 32 + 48, 10);                    /* st3 */
		expect_bytes(l, s, 40 + 15, 160 + 240, 16);                 /* xmm15 */
		expect_bytes(l, s, 60 + 2, 576 + 32, 16);                   /* ymm2h */
		expect_bytes(l, s, 76 + 1, l->offset[7] + 64, 16);          /* xmm17 */
		expect_bytes(l, s, 92 + 15, l->offset[7] + 15 * 64 + 16, 16);    /* ymm31h */
		expect_bytes(l, s, 108 + 7, l->offset[5] + 56, 8);          /* k7 */
		expect_bytes(l, s, 116 + 15, l->offset[6] + 480, 32);       /* zmm15h */
		expect_bytes(l, s, 132, l->offset[7] + 32, 32);             /* zmm16h */
		expect_bytes(l, s, 148, l->offset[9], 4);                   /* pkru */
	}
	free(s);
}

static void components_in_their_initial_state_hide_the_bytes_left_over(void **state)
{
	struct regs_state *s = state_new(1 << 1);        /* only SSE */
	static const uint8_t zero[64];
	uint8_t got[REGS_ONE_MAX];

	(void)state;
	assert_true(regs_get(&intel, s, 60, got));
	assert_memory_equal(got, zero, 16);
	assert_true(regs_get(&intel, s, 132, got));
	assert_memory_equal(got, zero, 32);
	assert_true(regs_get(&intel, s, 32, got));
	assert_memory_equal(got, "\x7f\x03\0", 4);          /* fctrl */
	assert_true(regs_get(&intel, s, 34, got));
	assert_memory_equal(got, "\xff\xff\0", 4);          /* ftag */
	expect_bytes(&intel, s, 40, 160, 16);
	expect_bytes(&intel, s, 56, 24, 4);                 /* mxcsr is in any case */
	free(s);
}

static void tag_word_is_rebuilt_from_the_abridged_one(void **state)
{
	struct regs_state *s = state_new(1);
	uint8_t *st = s->xsave + 32, got[REGS_ONE_MAX];

	(void)state;
	memset(st, 0, 128);
	s->xsave[2] = 0;
	s->xsave[3] = 5 << 3;             /* top is 5: st0 is physical 5, st1 is 6, st2 is 7 */
	s->xsave[4] = 0xe0;
	memcpy(st, "\0\0\0\0\0\0\0\x80\xff\x3f", 10);       /* 1.0: valid */
	memcpy(st + 16, "\0\0\0\0\0\0\0\0\0\0", 10);        /* zero */
	memcpy(st + 32, "\0\0\0\0\0\0\0\x80\xff\x7f", 10);  /* infinity: special */
	assert_true(regs_get(&intel, s, 34, got));
	assert_int_equal(got[0] | got[1] << 8, 0x3ff | 0 << 10 | 1 << 12 | 2 << 14);
	free(s);
}

static void short_area_makes_registers_unavailable_not_wrong(void **state)
{
	struct regs_state *s = state_new(~0ull);
	uint8_t got[REGS_ONE_MAX];
	struct buf b = { 0 };

	(void)state;
	s->xsave_n = 0;
	assert_false(regs_get(&intel, s, 40, got));
	regs_put(&intel, s, 56, &b);
	out_char(&b, '\0');
	assert_string_equal((char *)b.p, "xxxxxxxx");
	s->xsave_n = 512;                  /* FXSAVE only */
	assert_true(regs_get(&intel, s, 40, got));
	s->xsave_n = 1000;
	assert_false(regs_get(&intel, s, 132, got));
	for (size_t n = 0; n < 4096; n++) {
		s->xsave_n = n;
		for (int i = 0; i < regs_count(&intel); i++)
			regs_get(&intel, s, i, got);
	}
	buf_free(&b);
	free(s);
}

static void description_is_one_element_with_increasing_numbers(void **state)
{
	char *xml = xml_of(&amd), *at = xml;
	int expected = 0, number;

	(void)state;
	while ((at = strstr(at, "regnum=\""))) {
		assert_int_equal(sscanf(at, "regnum=\"%d\"", &number), 1);
		assert_int_equal(number, expected++);
		at++;
	}
	assert_int_equal(expected, regs_count(&amd));
	assert_non_null(strstr(xml, "<osabi>GNU/Linux</osabi>"));
	assert_string_equal(strstr(xml, "</target>"), "</target>\n");
	free(xml);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers_are_those_that_gdb_has_always_used),
		cmocka_unit_test(features_follow_xcr0),
		cmocka_unit_test(vector_registers_come_from_where_the_processor_puts_them),
		cmocka_unit_test(components_in_their_initial_state_hide_the_bytes_left_over),
		cmocka_unit_test(tag_word_is_rebuilt_from_the_abridged_one),
		cmocka_unit_test(short_area_makes_registers_unavailable_not_wrong),
		cmocka_unit_test(description_is_one_element_with_increasing_numbers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
