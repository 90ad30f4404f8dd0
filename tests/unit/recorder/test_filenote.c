#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cmocka.h>
#include "recorder/filenote.h"

/*
 * Notes are kept for files on disks only, as /var/tmp mostly is. A file cannot be made old, so the clock that is
 * shown to the note is ahead.
 */
#define LATER (time(NULL) + 60)
#define FILE_BYTES (70 * TRACE_PAGE + 100)

static char dir[64], file[96], trace[96];
static struct trace_writer *w;
static int fd;

static const struct trace_group first = { .mask = 0x123, .hash = { 5, 6 } }, last = { .mask = 1, .hash = { 7, 8 } };

static int setup(void **state)
{
	static const char *const empty[] = { NULL };
	struct trace_header h = { .relive_version = "", .cwd = "", .host = "", .kernel = "", .cpu_model = "", .page_tracking = "scan",
				  .argv = empty };

	(void)state;
	snprintf(dir, sizeof(dir), "/var/tmp/rlv-note-XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	snprintf(file, sizeof(file), "%s/file", dir);
	snprintf(trace, sizeof(trace), "%s/trace", dir);
	fd = open(file, O_RDWR | O_CREAT, 0644);
	if (fd < 0 || ftruncate(fd, FILE_BYTES) || trace_create(trace, &h, &w))
		return -1;
	trace_writer_cache(w, dir);
	return 0;
}

static int teardown(void **state)
{
	char command[128];

	(void)state;
	trace_finish(w, 0);
	close(fd);
	snprintf(command, sizeof(command), "rm -r %s", dir);
	return system(command);
}

static struct file_note *note(time_t now)
{
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	return file_note_open(w, fd, &st, now);
}

static void write_note(void)
{
	struct insn_site site = { .off = 77, .is_cpuid = true, .room = 5 };
	struct insn_sites sites = { .v = &site, .n = 1, .n_unsure = 3, .code_off = 4096, .code_len = 8192, .clear_end = 9000, .tsc_unsure = true };
	struct file_note *n = note(LATER);

	if (!n)
		skip();   /* not on a disk */
	assert_null(file_note_group(n, 0));
	file_note_add_group(n, 0, &first);
	file_note_add_group(n, 1, &last);
	file_note_add_sites(n, &sites, true);
	file_note_keep(w, n);
	file_note_free(n);
}

static void a_file_as_it_was_has_its_note(void **state)
{
	struct insn_sites sites;
	bool searched = false;
	struct file_note *n;

	(void)state;
	write_note();
	n = note(LATER);
	assert_non_null(n);
	assert_memory_equal(file_note_group(n, 0), &first, sizeof(first));
	assert_memory_equal(file_note_group(n, 1), &last, sizeof(last));
	assert_null(file_note_group(n, 2));
	assert_true(file_note_pages(n, 0) == UINT64_MAX);
	assert_true(file_note_pages(n, 1) == 0x7f);
	assert_true(file_note_sites(n, &sites, &searched));
	assert_true(searched && sites.n == 1 && sites.v[0].off == 77 && sites.v[0].is_cpuid && sites.v[0].room == 5);
	assert_true(sites.n_unsure == 3 && sites.tsc_unsure && sites.code_off == 4096 && sites.code_len == 8192 && sites.clear_end == 9000);
	insn_sites_free(&sites);
	file_note_free(n);
}

/* Its size and the time of its last modification are those of before, as after touch -r. */
static void change_file(int how)
{
	struct stat st;
	void *at;

	assert_int_equal(fstat(fd, &st), 0);
	if (how == 0) {
		assert_int_equal(pwrite(fd, "x", 1, 5), 1);
	} else {
		at = mmap(NULL, TRACE_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		assert_true(at != MAP_FAILED);
		memcpy(at, "y", 1);
		munmap(at, TRACE_PAGE);
	}
	assert_int_equal(futimens(fd, (const struct timespec[2]){ st.st_atim, st.st_mtim }), 0);
}

static void assert_changes(int how)
{
	struct file_note *n;
	struct stat st;

	write_note();
	n = note(LATER);
	usleep(20000);   /* more than a tick: a file that was changed just now has no note */
	change_file(how);
	assert_int_equal(fstat(fd, &st), 0);
	assert_false(file_note_holds(n, &st));
	file_note_free(n);
	n = note(LATER);
	assert_non_null(n);
	assert_null(file_note_group(n, 0));
	file_note_free(n);
}

static void a_file_that_was_written_to_has_none(void **state)
{
	(void)state;
	assert_changes(0);
}

/* Also if the page was mapped and dirty already when the note was made: it is written out first. */
static void a_file_that_was_stored_to_has_none(void **state)
{
	volatile char *at = mmap(NULL, TRACE_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	struct file_note *n;
	struct stat st;

	(void)state;
	assert_true(at != MAP_FAILED);
	at[0] = 'a';
	usleep(20000);
	write_note();
	usleep(20000);
	at[0] = 'b';
	n = note(LATER);
	assert_non_null(n);
	assert_null(file_note_group(n, 0));
	file_note_free(n);
	munmap((void *)at, TRACE_PAGE);
	assert_int_equal(fstat(fd, &st), 0);
	assert_changes(1);
}

static void a_file_that_changes_meanwhile_gets_none(void **state)
{
	struct file_note *n = note(LATER);

	(void)state;
	if (!n)
		skip();
	file_note_add_group(n, 0, &first);
	usleep(20000);
	change_file(0);
	file_note_keep(w, n);
	file_note_free(n);
	n = note(LATER);
	assert_null(file_note_group(n, 0));
	file_note_free(n);
}

static void a_young_file_has_none(void **state)
{
	(void)state;
	assert_null(note(time(NULL)));
}

int main(void)
{
#define WITH_FILE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
	const struct CMUnitTest tests[] = {
		WITH_FILE(a_file_as_it_was_has_its_note),
		WITH_FILE(a_file_that_was_written_to_has_none),
		WITH_FILE(a_file_that_was_stored_to_has_none),
		WITH_FILE(a_file_that_changes_meanwhile_gets_none),
		WITH_FILE(a_young_file_has_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
