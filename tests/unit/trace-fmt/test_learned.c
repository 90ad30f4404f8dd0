/* The file of what replays have learned: it comes back as it was, and nothing else is taken for it. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>
#include <xxhash.h>

#include "common/err.h"
#include "trace-fmt/learned.h"

enum { ID = 7, N = 3, HEAD = 24, NOTE = 32 };

static char dir[] = "/tmp/relive-unit-XXXXXX", path[64];
static struct learned_note out[LEARNED_MAX];
static uint8_t bytes[HEAD + N * NOTE + 8];

static const struct learned_note some[N] = {
	{ .addr = 0x401000, .slowness = 65535, .rest = LEARNED_REST_MAX, .least_rest = LEARNED_REST_MAX + 1 },
	{ .addr = UINT64_MAX, .n_tests = 4, .test = { 1, 2, 3, UINT32_MAX } },
	{ .addr = 0x7fff00000000, .slowness = 1, .rest = 2, .n_tests = 1, .test = { 0x1000003 } },
};

static int setup(void **state)
{
	FILE *f;

	(void)state;
	if (!mkdtemp(dir))
		return -1;
	snprintf(path, sizeof(path), "%s/t.rlv.idx", dir);
	if (learned_write(path, ID, some, N))
		return -1;
	f = fopen(path, "rb");
	return !f || fread(bytes, 1, sizeof(bytes), f) != sizeof(bytes) || fclose(f);
}

static int teardown(void **state)
{
	(void)state;
	unlink(path);
	return rmdir(dir);   /* fails if a temporary file is left */
}

static void put(const void *p, size_t n)
{
	FILE *f = fopen(path, "wb");

	assert_non_null(f);
	assert_int_equal(fwrite(p, 1, n, f), n);
	assert_int_equal(fclose(f), 0);
}

static int read_it(size_t *ret_n)
{
	return learned_read(path, ID, out, ret_n);
}

static void rehash(uint8_t *p, size_t n)
{
	uint64_t h = XXH3_64bits(p, n - 8);

	memcpy(p + n - 8, &h, 8);
}

static void notes_come_back_as_they_were(void **state)
{
	struct stat st;
	size_t n;

	(void)state;
	put(bytes, sizeof(bytes));
	assert_int_equal(learned_write(path, ID, some, N), 0);
	assert_int_equal(read_it(&n), 0);
	assert_int_equal(n, N);
	for (size_t i = 0; i < N; i++) {
		assert_int_equal(out[i].addr, some[i].addr);
		assert_int_equal(out[i].slowness, some[i].slowness);
		assert_int_equal(out[i].rest, some[i].rest);
		assert_int_equal(out[i].least_rest, some[i].least_rest);
		assert_int_equal(out[i].n_tests, some[i].n_tests);
		assert_memory_equal(out[i].test, some[i].test, sizeof(out[i].test));
	}
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
}

static void a_full_file_comes_back(void **state)
{
	static struct learned_note many[LEARNED_MAX];
	size_t n;

	(void)state;
	for (size_t i = 0; i < LEARNED_MAX; i++)
		many[i].addr = i + 1;
	assert_int_equal(learned_write(path, ID, many, LEARNED_MAX), 0);
	assert_int_equal(read_it(&n), 0);
	assert_int_equal(n, LEARNED_MAX);
	assert_int_equal(out[LEARNED_MAX - 1].addr, LEARNED_MAX);
	assert_int_equal(learned_write(path, ID, many, LEARNED_MAX + 1), -EINVAL);
}

static void another_traces_notes_are_refused(void **state)
{
	size_t n = 9;

	(void)state;
	put(bytes, sizeof(bytes));
	assert_int_equal(learned_read(path, ID + 1, out, &n), -ESTALE);
	assert_int_equal(n, 0);
}

static void every_truncation_is_refused(void **state)
{
	size_t n;

	(void)state;
	for (size_t i = 0; i < sizeof(bytes); i++) {
		put(bytes, i);
		assert_int_equal(read_it(&n), i < 8 ? -EEXIST : -RL_ETRUNCATED);
		assert_int_equal(n, 0);
	}
}

static void every_changed_bit_is_refused(void **state)
{
	size_t n;

	(void)state;
	for (size_t i = 0; i < 8 * sizeof(bytes); i++) {
		bytes[i / 8] ^= (uint8_t)(1 << i % 8);
		assert_true(learned_decode(bytes, sizeof(bytes), ID, out, &n) < 0);
		assert_int_equal(n, 0);
		bytes[i / 8] ^= (uint8_t)(1 << i % 8);
	}
	assert_int_equal(learned_decode(bytes, sizeof(bytes), ID, out, &n), 0);
}

/* With the right hash: what each field must not be. */
static void values_out_of_range_are_refused(void **state)
{
	static const struct { size_t at; uint8_t value; int err; } wrong[] = {
		{ 8, 2, -RL_EVERSION }, { 13, 5, -RL_ECORRUPT }, { HEAD + 10, 1, -RL_ECORRUPT }, { HEAD + 12, LEARNED_REST_MAX + 1, -RL_ECORRUPT },
		{ HEAD + 13, LEARNED_REST_MAX + 2, -RL_ECORRUPT }, { HEAD + 14, LEARNED_TESTS + 1, -RL_ECORRUPT }, { HEAD + 15, 1, -RL_ECORRUPT },
	};
	size_t n;

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		uint8_t bad[sizeof(bytes)];

		memcpy(bad, bytes, sizeof(bad));
		bad[wrong[i].at] = wrong[i].value;
		rehash(bad, sizeof(bad));
		assert_int_equal(learned_decode(bad, sizeof(bad), ID, out, &n), wrong[i].err);
		assert_int_equal(n, 0);
	}
}

static void bytes_at_the_end_are_refused(void **state)
{
	uint8_t longer[sizeof(bytes) + 8] = { 0 };
	size_t n;

	(void)state;
	memcpy(longer, bytes, sizeof(bytes));
	rehash(longer, sizeof(longer));
	assert_int_equal(learned_decode(longer, sizeof(longer), ID, out, &n), -RL_ECORRUPT);
}

static void what_is_no_such_file_is_left_alone(void **state)
{
	size_t n;

	(void)state;
	put("my own notes", 12);
	assert_int_equal(read_it(&n), -EEXIST);
	assert_int_equal(learned_read(dir, ID, out, &n), -EEXIST);
	unlink(path);
	assert_int_equal(read_it(&n), -ENOENT);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(read_it(&n), -EEXIST);
	unlink(path);
}

static void a_write_that_fails_leaves_nothing(void **state)
{
	char in_none[80];

	(void)state;
	snprintf(in_none, sizeof(in_none), "%s/none/x.idx", dir);
	assert_int_equal(learned_write(in_none, ID, some, N), -ENOENT);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(learned_write(path, ID, some, N), -EISDIR);   /* teardown sees what is left */
	assert_int_equal(rmdir(path), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(notes_come_back_as_they_were),
		cmocka_unit_test(a_full_file_comes_back),
		cmocka_unit_test(another_traces_notes_are_refused),
		cmocka_unit_test(every_truncation_is_refused),
		cmocka_unit_test(every_changed_bit_is_refused),
		cmocka_unit_test(values_out_of_range_are_refused),
		cmocka_unit_test(bytes_at_the_end_are_refused),
		cmocka_unit_test(what_is_no_such_file_is_left_alone),
		cmocka_unit_test(a_write_that_fails_leaves_nothing),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
