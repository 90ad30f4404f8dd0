/* What happens to a trace happens to files: they are cut, flipped, filled up, and their writers killed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include "common/err.h"
#include "common/fault.h"
#include "sample.h"

/* The sample as bytes, and a file in memory that variants of it are written to. */
static uint8_t *whole;
static size_t whole_n;
static int memfd;
static char memfd_path[64];

static void read_whole(const char *path)
{
	int fd = open(path, O_RDONLY);
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	whole_n = (size_t)st.st_size;
	whole = malloc(whole_n);
	assert_int_equal(read(fd, whole, whole_n), whole_n);
	close(fd);
}

static int setup(void **state)
{
	const char *path = scratch_path();

	(void)state;
	sample_write(path);
	read_whole(path);
	unlink(path);
	memfd = memfd_create("trace", MFD_CLOEXEC);
	snprintf(memfd_path, sizeof(memfd_path), "/proc/self/fd/%d", memfd);
	return memfd < 0;
}

static int teardown(void **state)
{
	(void)state;
	free(whole);
	close(memfd);
	return 0;
}

static void store(size_t n)
{
	assert_int_equal(pwrite(memfd, whole, n, 0), n);
	assert_int_equal(ftruncate(memfd, (off_t)n), 0);
}

/* The events that can be read from the first @n bytes; -1: it does not open. Afterwards all of them have been compared. */
static int64_t check_prefix(size_t n, uint64_t events_before)
{
	struct trace *t;
	uint64_t events;
	int err;

	assert_int_equal(ftruncate(memfd, (off_t)n), 0);
	err = trace_open(memfd_path, &t);
	if (err) {
		assert_int_equal(err, -RL_ECORRUPT);
		return -1;
	}
	assert_false(trace_complete(t, NULL));
	events = trace_n_events(t);
	if (events != events_before)
		sample_assert_readable(t, events);
	else
		assert_int_equal(walk_everything(t), events);
	if (trace_damage(t)[0])
		assert_non_null(strstr(trace_damage(t), "the file ends inside the chunk that begins at byte "));
	trace_close(t);
	return (int64_t)events;
}

static void every_truncation_opens_to_its_prefix(void **state)
{
	int64_t last = SAMPLE_EVENTS;

	(void)state;
	store(whole_n);
	for (size_t n = whole_n; n-- > 0;) {
		int64_t events = check_prefix(n, (uint64_t)last);

		assert_true(events <= last);
		last = events;
	}
	assert_int_equal(last, -1);
}

static void a_cut_at_a_chunk_boundary_is_no_damage(void **state)
{
	unsigned clean = 0;

	(void)state;
	store(whole_n);
	for (size_t n = whole_n; n-- > 0;) {
		struct trace *t;

		assert_int_equal(ftruncate(memfd, (off_t)n), 0);
		if (trace_open(memfd_path, &t))
			break;
		clean += !trace_damage(t)[0];
		trace_close(t);
	}
	assert_true(clean >= 10);
}

/* After a change of any byte, what opens is a true prefix, and says that it is one. */
static void no_changed_byte_goes_unnoticed(void **state)
{
	(void)state;
	store(whole_n);
	for (size_t at = 0; at < whole_n; at++) {
		uint8_t flipped = whole[at] ^ (uint8_t)(1u << at % 8);
		struct trace *t;

		assert_int_equal(pwrite(memfd, &flipped, 1, (off_t)at), 1);
		if (!trace_open(memfd_path, &t)) {
			assert_false(trace_complete(t, NULL));
			assert_string_not_equal(trace_damage(t), "");
			if (at % 16 == 0)
				sample_assert_readable(t, trace_n_events(t));
			else
				assert_int_equal(walk_everything(t), trace_n_events(t));
			trace_close(t);
		}
		assert_int_equal(pwrite(memfd, &whole[at], 1, (off_t)at), 1);
	}
}

static void damage_names_the_byte_where_the_chunk_begins(void **state)
{
	struct trace *t;
	char want[64];
	size_t at = 0;

	(void)state;
	/* The last event chunk, of event 12 alone: found by its magic, backwards from the end. */
	for (at = whole_n - 48; memcmp(whole + at, "RLCK\7", 5) != 0; at--)
		continue;
	store(whole_n);
	assert_int_equal(pwrite(memfd, "?", 1, (off_t)at + 48), 1);
	assert_int_equal(trace_open(memfd_path, &t), 0);
	snprintf(want, sizeof(want), "the first damaged chunk begins at byte %zu", at);
	assert_string_equal(trace_damage(t), want);
	assert_int_equal(trace_n_events(t), SAMPLE_EVENTS - 1);
	sample_assert_readable(t, SAMPLE_EVENTS - 1);
	trace_close(t);
}

static void a_file_damaged_after_opening_is_noticed(void **state)
{
	struct trace *t;
	struct trace_iter *it;
	const struct event *ev;
	uint8_t zero[256] = { 0 };

	(void)state;
	store(whole_n);
	assert_int_equal(trace_open(memfd_path, &t), 0);
	for (size_t at = whole_n / 8; at + sizeof(zero) < whole_n; at += sizeof(zero))
		assert_int_equal(pwrite(memfd, zero, sizeof(zero), (off_t)at), sizeof(zero));
	walk_everything(t);
	assert_string_not_equal(trace_damage(t), "");
	assert_int_equal(ftruncate(memfd, 100), 0);
	assert_int_equal(trace_iter_open(t, 1, &it), 0);
	assert_true(trace_next(it, &ev) <= 0);
	trace_iter_close(it);
	assert_null(trace_page(t, 1));
	trace_close(t);
}

static void what_follows_the_end_is_not_read(void **state)
{
	struct trace *t;

	(void)state;
	store(whole_n);
	assert_int_equal(pwrite(memfd, whole, whole_n, (off_t)whole_n), whole_n);
	assert_int_equal(trace_open(memfd_path, &t), 0);
	assert_true(trace_complete(t, NULL));
	assert_non_null(strstr(trace_damage(t), "something follows the trace's end"));
	sample_assert_readable(t, SAMPLE_EVENTS);
	trace_close(t);
}

static void what_is_no_file_of_ours_does_not_open(void **state)
{
	struct trace *t;

	(void)state;
	assert_int_equal(trace_open("/nonexistent/x.rlv", &t), -ENOENT);
	assert_int_equal(trace_open("/", &t), -EISDIR);
	assert_int_equal(trace_open("/dev/zero", &t), -RL_ECORRUPT);
	assert_int_equal(trace_open("/proc/self/exe", &t), -RL_ECORRUPT);
	assert_int_equal(ftruncate(memfd, 0), 0);
	assert_int_equal(trace_open(memfd_path, &t), -RL_ECORRUPT);
}

static void a_full_disk_is_reported_from_the_first_write_on(void **state)
{
	struct trace_writer *w;

	(void)state;
	assert_int_equal(trace_create("/dev/full", &sample_header, &w), -ENOSPC);
	assert_int_equal(trace_create("/nonexistent/x.rlv", &sample_header, &w), -ENOENT);
}

static void the_first_error_latches_and_the_prefix_stays(void **state)
{
	bool ran_through = false;
	unsigned opened = 0;

	(void)state;
	/* The fault strikes at each write in turn. */
	for (unsigned nth = 2; !ran_through; nth++) {
		const char *path = scratch_path();
		struct trace_writer *w;
		struct trace *t;
		uint64_t id;
		uint32_t obj;
		struct event ev = { .kind = EV_INSN, .task = 1 };

		assert_int_equal(trace_create(path, &sample_header, &w), 0);
		fault_arm("trace-write", nth - 2, ENOSPC);
		for (unsigned i = 0; i < 5 && !trace_append(w, &ev); i++) {
			uint8_t page[TRACE_PAGE] = { (uint8_t)(i + 1) };

			trace_put_page(w, page, &id);
			trace_put_object(w, &(struct trace_object){ .size = 1, .path = "p" }, &obj);
			trace_flush(w);
		}
		ran_through = !fault_disarm();
		if (!ran_through) {
			assert_int_equal(trace_append(w, &ev), -ENOSPC);
			assert_int_equal(trace_put_page(w, sample_page(1), &id), -ENOSPC);
			assert_int_equal(trace_flush(w), -ENOSPC);
		}
		assert_int_equal(trace_finish(w, 0), ran_through ? 0 : -ENOSPC);
		assert_int_equal(trace_open(path, &t), 0);
		assert_string_equal(trace_damage(t), "");
		assert_true(trace_n_events(t) <= 5);
		assert_int_equal(walk_everything(t), trace_n_events(t));
		assert_int_equal(trace_complete(t, NULL), ran_through);
		opened++;
		trace_close(t);
		unlink(path);
	}
	assert_true(opened > 10);
}

static void write_until_killed(const char *path, bool threaded)
{
	struct trace_writer *w;
	uint8_t page[TRACE_PAGE] = { 1 };
	cpu_set_t cpus;
	uint64_t id;

	if (trace_create(path, &sample_header, &w) || sched_getaffinity(0, sizeof(cpus), &cpus) ||
	    (threaded && trace_writer_thread(w, &cpus)))
		_exit(1);
	for (uint64_t i = 1;; i++) {
		struct event ev = { .kind = EV_INSN, .task = 1, .time_ns = i * 10000, .flags = EVF_BEFORE };

		ev.before.rip = i;
		memcpy(page, &i, sizeof(i));
		if (i % 100 == 0 && trace_put_page(w, page, &id))
			_exit(1);
		if (trace_append(w, &ev))
			_exit(1);
	}
}

static bool has_events(const char *path)
{
	struct trace *t;
	bool any;

	if (trace_open(path, &t))
		return false;
	any = trace_n_events(t) > 0;
	trace_close(t);
	return any;
}

static void a_killed_writer_leaves_a_trace(void **state)
{
	(void)state;
	for (unsigned round = 0; round < 10; round++) {
		const char *path = scratch_path();
		struct trace *t;
		struct trace_iter *it;
		const struct event *ev;
		pid_t child = fork();

		if (!child)
			write_until_killed(path, round % 2);
		usleep(50000 + round * 7777);
		while (!has_events(path))
			usleep(1000);
		kill(child, SIGKILL);
		assert_int_equal(waitpid(child, NULL, 0), child);
		assert_int_equal(trace_open(path, &t), 0);
		assert_false(trace_complete(t, NULL));
		assert_true(trace_n_events(t) > 0);
		assert_int_equal(trace_iter_open(t, 1, &it), 0);
		for (uint64_t no = 1; no <= trace_n_events(t); no++) {
			assert_int_equal(trace_next(it, &ev), 1);
			assert_true(ev->no == no && ev->before.rip == no);
		}
		trace_iter_close(it);
		trace_close(t);
		unlink(path);
	}
}

static void only_the_owner_may_read_a_trace(void **state)
{
	const char *path = scratch_path();
	struct stat st;

	(void)state;
	unlink(path);
	sample_write(path);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777 & ~0600, 0);
	unlink(path);
}

static void an_old_file_is_replaced_and_not_written_over(void **state)
{
	const char *path = scratch_path();
	char was[4] = "", link[64];
	struct trace *t;
	struct stat st;
	int fd;

	(void)state;
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
	assert_int_equal(write(fd, "old", 3), 3);
	assert_int_equal(fchmod(fd, 0644), 0);
	sample_write(path);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777 & ~0600, 0);
	assert_int_equal(pread(fd, was, sizeof(was), 0), 3);
	assert_string_equal(was, "old");
	close(fd);
	/* Through a link it is the link's file that the user means. */
	snprintf(link, sizeof(link), "%s.link", path);
	assert_int_equal(symlink(path, link), 0);
	sample_write(link);
	assert_int_equal(lstat(link, &st), 0);
	assert_true(S_ISLNK(st.st_mode));
	assert_int_equal(unlink(link), 0);
	assert_int_equal(trace_open(path, &t), 0);
	assert_true(trace_complete(t, NULL));
	trace_close(t);
	unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_truncation_opens_to_its_prefix),
		cmocka_unit_test(a_cut_at_a_chunk_boundary_is_no_damage),
		cmocka_unit_test(no_changed_byte_goes_unnoticed),
		cmocka_unit_test(damage_names_the_byte_where_the_chunk_begins),
		cmocka_unit_test(a_file_damaged_after_opening_is_noticed),
		cmocka_unit_test(what_follows_the_end_is_not_read),
		cmocka_unit_test(what_is_no_file_of_ours_does_not_open),
		cmocka_unit_test(a_full_disk_is_reported_from_the_first_write_on),
		cmocka_unit_test(the_first_error_latches_and_the_prefix_stays),
		cmocka_unit_test(a_killed_writer_leaves_a_trace),
		cmocka_unit_test(only_the_owner_may_read_a_trace),
		cmocka_unit_test(an_old_file_is_replaced_and_not_written_over),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
