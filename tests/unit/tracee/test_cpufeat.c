#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "tracee/cpufeat.h"
#include "tracee/xstate.h"

#define AVX_STATE 0x7u
#define AVX512_STATE 0xe7u
#define LEAF_1 { 1, 0, 0, 0, 1u << 28 | 1u << 25, 0 }                /* AVX, AES */
#define LEAF_7 { 7, 0, 1, 1u << 5 | 1u << 16 | 1u << 31, 1u << 9, 0 } /* AVX2, AVX512F, AVX512VL; VAES */

static const uint32_t leaf_1[][CPUFEAT_WORDS] = { LEAF_1 };
static const uint32_t both[][CPUFEAT_WORDS] = { LEAF_1, LEAF_7 };
static const uint32_t none[][CPUFEAT_WORDS] = { { 1, 0, 0, 0, 0, 0 }, { 7, 0, 0, 0, 0, 0 } };
static const uint32_t hidden[][CPUFEAT_WORDS] = {
	{ 1, 0, 0, 0, 1u << 30, 0 }, { 7, 0, 0, 1u << 4 | 1u << 11 | 1u << 18, 0, 0 },   /* RDRAND; HLE, RTM, RDSEED */
};

static void what_is_lacking_is_named(void **state)
{
	const struct cpufeat had = { AVX512_STATE, both, 2 }, here = { AVX512_STATE, leaf_1, 1 }, nothing = { 3, none, 2 };
	char names[200];

	(void)state;
	assert_int_equal(cpufeat_missing(&had, &here, names, sizeof names), 4);
	assert_string_equal(names, "AVX2, AVX512F, AVX512VL, VAES");
	assert_int_equal(cpufeat_missing(&had, &nothing, names, sizeof names), 6);
	assert_string_equal(names, "AES, AVX, AVX2, AVX512F, AVX512VL, VAES");
}

static void more_than_was_there_is_nothing_lacking(void **state)
{
	const struct cpufeat had = { AVX_STATE, leaf_1, 1 }, here = { AVX512_STATE, both, 2 };
	char names[200] = "x";

	(void)state;
	assert_int_equal(cpufeat_missing(&had, &here, names, sizeof names), 0);
	assert_string_equal(names, "");
	assert_int_equal(cpufeat_missing(&here, &here, names, sizeof names), 0);
}

/* A processor may have instructions whose registers the system does not save: then they cannot be used. */
static void instructions_count_only_with_their_registers(void **state)
{
	const struct cpufeat had = { AVX512_STATE, both, 2 }, no_zmm = { AVX_STATE, both, 2 }, no_ymm = { 3, both, 2 };
	char names[200];

	(void)state;
	assert_int_equal(cpufeat_missing(&had, &no_zmm, names, sizeof names), 2);
	assert_string_equal(names, "AVX512F, AVX512VL");
	assert_int_equal(cpufeat_missing(&no_zmm, &no_ymm, names, sizeof names), 3);
	assert_string_equal(names, "AVX, AVX2, VAES");
	assert_int_equal(cpufeat_missing(&no_ymm, &no_zmm, names, sizeof names), 0);
}

static void what_the_program_was_not_told_of_does_not_count(void **state)
{
	const struct cpufeat had = { AVX512_STATE, hidden, 2 }, here = { 3, none, 2 };
	char names[20];

	(void)state;
	assert_int_equal(cpufeat_missing(&had, &here, names, sizeof names), 0);
}

static void names_that_do_not_fit_are_cut(void **state)
{
	const struct cpufeat had = { AVX512_STATE, both, 2 }, here = { 3, none, 2 };
	char names[10];

	(void)state;
	assert_int_equal(cpufeat_missing(&had, &here, names, sizeof names), 6);
	assert_string_equal(names, "AES, AVX,");
}

static void this_processor_lacks_nothing_of_itself(void **state)
{
	uint32_t leaves[CPUFEAT_LEAVES][CPUFEAT_WORDS];
	const struct cpufeat here = { .xcr0 = xstate_xcr0(), .leaf = leaves, .n = cpufeat_read(leaves) };
	const struct cpufeat nothing = { 3, none, 2 };
	char names[2000];

	(void)state;
	assert_in_range(here.n, 4, CPUFEAT_LEAVES);
	assert_int_equal(cpufeat_missing(&here, &here, names, sizeof names), 0);
	assert_true(cpufeat_missing(&here, &nothing, names, sizeof names) > 0);
	assert_non_null(strstr(names, "SSE3"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_lacking_is_named),
		cmocka_unit_test(more_than_was_there_is_nothing_lacking),
		cmocka_unit_test(instructions_count_only_with_their_registers),
		cmocka_unit_test(what_the_program_was_not_told_of_does_not_count),
		cmocka_unit_test(names_that_do_not_fit_are_cut),
		cmocka_unit_test(this_processor_lacks_nothing_of_itself),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
