/* The checked-in files: what was written once can be read for ever, and each broken rule is found in the same way. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include "forge.h"
#include "sample.h"

static void a_complete_golden_trace_is_read(void **state)
{
	struct trace *t;
	int status;

	(void)state;
	for (int version = 1; version <= 2; version++) {
		assert_int_equal(trace_open(version == 1 ? "golden/v1-complete.rlv" : "golden/v2-complete.rlv", &t), 0);
		sample_assert_readable(t, SAMPLE_EVENTS);
		assert_true(trace_complete(t, &status));
		assert_int_equal(status, SAMPLE_EXIT_STATUS);
		trace_close(t);
	}
}

static void an_unfinished_golden_trace_is_read(void **state)
{
	struct trace *t;

	(void)state;
	for (int version = 1; version <= 2; version++) {
		assert_int_equal(trace_open(version == 1 ? "golden/v1-unfinished.rlv" : "golden/v2-unfinished.rlv", &t), 0);
		sample_assert_readable(t, SAMPLE_EVENTS);
		assert_false(trace_complete(t, NULL));
		assert_string_equal(trace_damage(t), "");
		trace_close(t);
	}
}

static void check_bad(const struct bad_file *b)
{
	char path[128];
	struct trace *t;
	int err;

	snprintf(path, sizeof(path), "golden-bad/%s.rlv", b->name);
	err = trace_open(path, &t);
	if (err != b->open_err)
		fail_msg("%s: opening gives %d, not %d", b->name, err, b->open_err);
	if (err)
		return;
	if (trace_n_events(t) != b->n_events)
		fail_msg("%s: %d events when opened", b->name, (int)trace_n_events(t));
	if (walk_everything(t) != b->n_readable || trace_n_events(t) != b->n_readable)
		fail_msg("%s: %d events after reading", b->name, (int)trace_n_events(t));
	if (!strstr(trace_damage(t), b->damage) || !trace_damage(t)[0])
		fail_msg("%s: damage is \"%s\"", b->name, trace_damage(t));
	trace_close(t);
}

static void each_broken_rule_is_found(void **state)
{
	(void)state;
	for (size_t i = 0; i < n_bad_files; i++)
		check_bad(&bad_files[i]);
}

static void the_bad_files_are_those_that_the_generator_writes(void **state)
{
	(void)state;
	for (size_t i = 0; i < n_bad_files; i++) {
		char path[128];
		static uint8_t bytes[1 << 17];
		struct forge f;
		ssize_t n;
		int fd;

		snprintf(path, sizeof(path), "golden-bad/%s.rlv", bad_files[i].name);
		fd = open(path, O_RDONLY);
		n = read(fd, bytes, sizeof(bytes));
		bad_files[i].forge(&f);
		if (n != (ssize_t)f.file.n || memcmp(bytes, f.file.p, f.file.n) != 0)
			fail_msg("%s differs", path);
		buf_free(&f.file);
		close(fd);
	}
}

/* The rules that all bad files build on: unbroken, the same pieces make a good trace. */
static void forged_chunks_that_break_no_rule_are_read(void **state)
{
	const char *path = scratch_path();
	struct forge f;
	const struct trace_ckpt *c;
	const struct object_page *pages;
	struct trace *t;
	size_t n;
	int fd = open(path, O_WRONLY);

	(void)state;
	forge_begin(&f);
	forge_header(&f);
	forge_page(&f, 1);
	forge_object(&f, 1);
	forge_chunk(&f, CH_OBJECT_PAGES, 0, 1, "\1\1\0\1", 4);
	forge_ckpt(&f, 1);
	forge_chunk(&f, 0x80, 77, 3, "?", 1);                   /* an ancillary chunk is skipped */
	forge_event(&f, 1);
	forge_chunk(&f, CH_INDEX, 0, 0, "any", 3);              /* the index binds nobody */
	assert_int_equal(write(fd, f.file.p, f.file.n), f.file.n);
	close(fd);
	assert_int_equal(trace_open(path, &t), 0);
	assert_int_equal(trace_n_events(t), 1);
	assert_int_equal(walk_everything(t), 1);
	assert_int_equal(trace_ckpt(t, 1, &c), 0);
	assert_int_equal(trace_object_pages(t, 1, &pages, &n), 0);
	assert_true(n == 1 && pages[0].page_id == 1);
	assert_string_equal(trace_damage(t), "");
	trace_close(t);
	unlink(path);
	buf_free(&f.file);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_complete_golden_trace_is_read),
		cmocka_unit_test(an_unfinished_golden_trace_is_read),
		cmocka_unit_test(each_broken_rule_is_found),
		cmocka_unit_test(the_bad_files_are_those_that_the_generator_writes),
		cmocka_unit_test(forged_chunks_that_break_no_rule_are_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
