#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <errno.h>
#include <string.h>
#include <cmocka.h>
#include "common/buf.h"
#include "common/cursor.h"
#include "common/fault.h"

static const uint64_t numbers[] = {
	0, 1, 0x7f, 0x80, 0x3fff, 0x4000, UINT32_MAX, (uint64_t)1 << 62, ((uint64_t)1 << 63) - 1,
	(uint64_t)1 << 63, UINT64_MAX,
};
#define N_NUMBERS (sizeof(numbers) / sizeof(numbers[0]))

static void what_is_put_comes_back(void **state)
{
	struct buf b = { 0 };
	struct cursor c;

	(void)state;
	for (size_t i = 0; i < N_NUMBERS; i++) {
		buf_varint(&b, numbers[i]);
		buf_zigzag(&b, (int64_t)numbers[i]);
		buf_u64(&b, numbers[i]);
		buf_u32(&b, (uint32_t)numbers[i]);
		buf_u8(&b, (uint8_t)numbers[i]);
		buf_str(&b, "some text");
	}
	buf_str(&b, NULL);
	buf_put(&b, "end", 3);
	assert_int_equal(b.err, 0);
	c = cursor_of(b.p, b.n);
	for (size_t i = 0; i < N_NUMBERS; i++) {
		assert_int_equal(cursor_varint(&c), numbers[i]);
		assert_int_equal(cursor_zigzag(&c), (int64_t)numbers[i]);
		assert_int_equal(cursor_u64(&c), numbers[i]);
		assert_int_equal(cursor_u32(&c), (uint32_t)numbers[i]);
		assert_int_equal(cursor_u8(&c), (uint8_t)numbers[i]);
		assert_string_equal(cursor_str(&c), "some text");
	}
	assert_string_equal(cursor_str(&c), "");
	assert_memory_equal(cursor_bytes(&c, 3), "end", 3);
	assert_int_equal(cursor_left(&c), 0);
	assert_int_equal(c.err, 0);
	buf_free(&b);
}

static void small_numbers_of_either_sign_take_one_byte(void **state)
{
	(void)state;
	for (int64_t v = -64; v < 64; v++) {
		struct buf b = { 0 };

		buf_zigzag(&b, v);
		assert_int_equal(b.n, 1);
		buf_free(&b);
	}
}

static void no_memory_latches_and_keeps_the_bytes(void **state)
{
	struct buf b = { 0 };

	(void)state;
	buf_put(&b, "kept", 4);
	fault_arm("buf-grow", 0, ENOMEM);
	assert_null(buf_add(&b, 1000));
	assert_true(fault_disarm());
	assert_int_equal(b.err, -ENOMEM);
	assert_int_equal(buf_u8(&b, 1), -ENOMEM);
	assert_int_equal(buf_varint(&b, 1), -ENOMEM);
	assert_int_equal(b.n, 4);
	assert_memory_equal(b.p, "kept", 4);
	buf_clear(&b);
	assert_int_equal(buf_u8(&b, 1), 0);
	assert_int_equal(b.n, 1);
	buf_free(&b);
}

static void absurd_sizes_are_refused(void **state)
{
	struct buf b = { 0 };

	(void)state;
	assert_int_equal(buf_reserve(&b, SIZE_MAX), -ENOMEM);
	buf_free(&b);
}

static void adding_nothing_is_no_error(void **state)
{
	struct buf b = { 0 };

	(void)state;
	assert_non_null(buf_add(&b, 0));
	assert_int_equal(buf_put(&b, NULL, 0), 0);
	assert_int_equal(b.n, 0);
	buf_free(&b);
}

static void the_first_error_of_a_cursor_latches(void **state)
{
	struct cursor c = cursor_of("\1\2", 2);

	(void)state;
	assert_int_equal(cursor_u32(&c), 0);
	assert_int_equal(c.err, -RL_ETRUNCATED);
	assert_int_equal(cursor_u8(&c), 0);
	assert_int_equal(cursor_left(&c), 0);
	cursor_fail(&c, -RL_ECORRUPT);
	assert_int_equal(c.err, -RL_ETRUNCATED);
	assert_null(cursor_bytes(&c, 0));
}

static void a_cursor_stops_at_the_end(void **state)
{
	struct cursor c = cursor_of("", 0);

	(void)state;
	assert_int_equal(cursor_varint(&c), 0);
	assert_int_equal(c.err, -RL_ETRUNCATED);
	c = cursor_of("abc", 3);
	assert_null(cursor_bytes(&c, UINT64_MAX));
	assert_int_equal(c.err, -RL_ETRUNCATED);
	c = cursor_of(NULL, 0);
	assert_int_equal(cursor_u8(&c), 0);
}

static void assert_varint_err(const char *bytes, size_t n, int err)
{
	struct cursor c = cursor_of(bytes, n);

	assert_int_equal(cursor_varint(&c), 0);
	assert_int_equal(c.err, err);
}

static void numbers_have_one_form_only(void **state)
{
	(void)state;
	assert_varint_err("\x80\x00", 2, -RL_ECORRUPT);
	assert_varint_err("\xff\x80\x00", 3, -RL_ECORRUPT);
	assert_varint_err("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 10, -RL_ECORRUPT);
	assert_varint_err("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11, -RL_ECORRUPT);
	assert_varint_err("\xff\xff\xff\xff\xff\xff\xff\xff\xff", 9, -RL_ETRUNCATED);
}

static void strings_end_where_they_say(void **state)
{
	struct cursor c = cursor_of("\2ab", 3);

	(void)state;
	assert_null(cursor_str(&c));
	assert_int_equal(c.err, -RL_ETRUNCATED);
	c = cursor_of("\2abc", 4);
	assert_null(cursor_str(&c));
	assert_int_equal(c.err, -RL_ECORRUPT);
	c = cursor_of("\2a\0\0", 4);
	assert_null(cursor_str(&c));
	assert_int_equal(c.err, -RL_ECORRUPT);
	c = cursor_of("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01x", 11);
	assert_null(cursor_str(&c));
	assert_int_equal(c.err, -RL_ECORRUPT);
}

static void a_number_beyond_its_bound_is_corrupt(void **state)
{
	struct cursor c = cursor_of("\5\6", 2);

	(void)state;
	assert_int_equal(cursor_varint_max(&c, 5), 5);
	assert_int_equal(cursor_varint_max(&c, 5), 0);
	assert_int_equal(c.err, -RL_ECORRUPT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_put_comes_back),
		cmocka_unit_test(small_numbers_of_either_sign_take_one_byte),
		cmocka_unit_test(no_memory_latches_and_keeps_the_bytes),
		cmocka_unit_test(absurd_sizes_are_refused),
		cmocka_unit_test(adding_nothing_is_no_error),
		cmocka_unit_test(the_first_error_of_a_cursor_latches),
		cmocka_unit_test(a_cursor_stops_at_the_end),
		cmocka_unit_test(numbers_have_one_form_only),
		cmocka_unit_test(strings_end_where_they_say),
		cmocka_unit_test(a_number_beyond_its_bound_is_corrupt),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
