#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "common/fault.h"
#include "common/hmap.h"

static void an_empty_map_holds_nothing(void **state)
{
	struct hmap m = { 0 };
	size_t at = 0;
	uint64_t key, val;

	(void)state;
	assert_false(hmap_get(&m, 0, NULL));
	assert_false(hmap_get(&m, 1, NULL));
	assert_false(hmap_del(&m, 1, NULL));
	assert_null(hmap_get_ptr(&m, 1));
	assert_false(hmap_next(&m, &at, &key, &val));
	assert_int_equal(hmap_count(&m), 0);
	hmap_clear(&m);
	hmap_free(&m);
}

static void key_zero_is_a_key_like_any_other(void **state)
{
	struct hmap m = { 0 };
	size_t at = 0;
	uint64_t key = 1, val = 1;

	(void)state;
	assert_int_equal(hmap_put(&m, 0, 7), 0);
	assert_int_equal(hmap_count(&m), 1);
	assert_true(hmap_next(&m, &at, &key, &val));
	assert_true(key == 0 && val == 7);
	assert_false(hmap_next(&m, &at, &key, &val));
	assert_true(hmap_del(&m, 0, &val));
	assert_int_equal(val, 7);
	assert_int_equal(hmap_count(&m), 0);
	hmap_free(&m);
}

static void putting_again_replaces(void **state)
{
	struct hmap m = { 0 };
	uint64_t val;

	(void)state;
	assert_int_equal(hmap_put(&m, 5, 1), 0);
	assert_int_equal(hmap_put(&m, 5, 2), 0);
	assert_int_equal(hmap_count(&m), 1);
	assert_true(hmap_get(&m, 5, &val));
	assert_int_equal(val, 2);
	hmap_free(&m);
}

static void pointers_can_be_values(void **state)
{
	struct hmap m = { 0 };
	int x;

	(void)state;
	assert_int_equal(hmap_put_ptr(&m, UINT64_MAX, &x), 0);
	assert_ptr_equal(hmap_get_ptr(&m, UINT64_MAX), &x);
	assert_ptr_equal(hmap_del_ptr(&m, UINT64_MAX), &x);
	assert_null(hmap_del_ptr(&m, UINT64_MAX));
	hmap_free(&m);
}

/* Against an array that cannot be wrong. */
static void any_series_of_changes_agrees_with_an_array(void **state)
{
	enum { KEYS = 500, STEPS = 200000 };
	static uint64_t want[KEYS];
	struct hmap m = { 0 };
	uint64_t rnd = 88172645463325252ULL;
	size_t n = 0;

	(void)state;
	for (unsigned step = 0; step < STEPS; step++) {
		uint64_t key, val = 0;

		rnd ^= rnd << 13;
		rnd ^= rnd >> 7;
		rnd ^= rnd << 17;
		key = rnd % KEYS;
		if (rnd >> 63) {
			n += !want[key];
			want[key] = step + 1;
			assert_int_equal(hmap_put(&m, key, step + 1), 0);
		} else {
			assert_int_equal(hmap_del(&m, key, &val), want[key] != 0);
			assert_int_equal(val, want[key]);
			n -= want[key] != 0;
			want[key] = 0;
		}
		assert_int_equal(hmap_count(&m), n);
	}
	for (uint64_t key = 0; key < KEYS; key++) {
		uint64_t val = 0;

		assert_int_equal(hmap_get(&m, key, &val), want[key] != 0);
		assert_int_equal(val, want[key]);
	}
	hmap_free(&m);
}

static void walking_meets_each_entry_once(void **state)
{
	struct hmap m = { 0 };
	bool met[1000] = { false };
	uint64_t key, val;
	size_t n = 0;

	(void)state;
	for (uint64_t i = 0; i < 1000; i++)
		assert_int_equal(hmap_put(&m, i * 4096, i), 0);
	for (size_t at = 0; hmap_next(&m, &at, &key, &val); n++) {
		assert_int_equal(key, val * 4096);
		assert_false(met[val]);
		met[val] = true;
	}
	assert_int_equal(n, 1000);
	hmap_clear(&m);
	assert_int_equal(hmap_count(&m), 0);
	assert_false(hmap_get(&m, 4096, NULL));
	hmap_free(&m);
}

static void no_memory_leaves_the_map_as_it_was(void **state)
{
	struct hmap m = { 0 };
	uint64_t val;

	(void)state;
	for (uint64_t i = 1; i <= 12; i++)
		assert_int_equal(hmap_put(&m, i, i), 0);
	fault_arm("hmap-grow", 0, ENOMEM);
	assert_int_equal(hmap_put(&m, 13, 13), -ENOMEM);
	assert_true(fault_disarm());
	assert_int_equal(hmap_count(&m), 12);
	for (uint64_t i = 1; i <= 12; i++)
		assert_true(hmap_get(&m, i, &val) && val == i);
	assert_false(hmap_get(&m, 13, NULL));
	assert_int_equal(hmap_put(&m, 13, 13), 0);
	hmap_free(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_empty_map_holds_nothing),
		cmocka_unit_test(key_zero_is_a_key_like_any_other),
		cmocka_unit_test(putting_again_replaces),
		cmocka_unit_test(pointers_can_be_values),
		cmocka_unit_test(any_series_of_changes_agrees_with_an_array),
		cmocka_unit_test(walking_meets_each_entry_once),
		cmocka_unit_test(no_memory_leaves_the_map_as_it_was),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
