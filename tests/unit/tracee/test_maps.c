#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/err.h"
#include "tracee/maps.h"

static int parse(const char *text, struct maps *ret)
{
	char *copy = strdup(text);
	int err = maps_parse(copy, strlen(copy), ret);

	if (err)
		free(copy);
	return err;
}

static const char sample[] =
	"55d0c0000000-55d0c0002000 r-xp 00001000 fe:01 1234567                    /usr/bin/x\\012y z (deleted)\n"
	"7f0000000000-7f0000001000 rw-s 00000000 00:00 0 \n"
	"7f0000001000-7f0000004000 ---p 00000000 00:00 0                          [heap]\n"
	"ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]\n";

static void maps_parse_reads_every_field(void **state)
{
	struct maps m;

	(void)state;
	assert_int_equal(parse(sample, &m), 0);
	assert_int_equal(m.n, 4);
	assert_int_equal(m.v[0].start, 0x55d0c0000000);
	assert_int_equal(m.v[0].end, 0x55d0c0002000);
	assert_int_equal(m.v[0].prot, PROT_READ | PROT_EXEC);
	assert_false(m.v[0].shared);
	assert_int_equal(m.v[0].off, 0x1000);
	assert_int_equal(m.v[0].dev, makedev(0xfe, 1));
	assert_int_equal(m.v[0].ino, 1234567);
	assert_string_equal(m.v[0].name, "/usr/bin/x\ny z (deleted)");
	assert_true(m.v[1].shared);
	assert_string_equal(m.v[1].name, "");
	assert_int_equal(m.v[2].prot, PROT_NONE);
	assert_string_equal(m.v[2].name, "[heap]");
	assert_true(m.v[3].start == 0xffffffffff600000);
	maps_free(&m);
	maps_free(&m);
}

static void maps_parse_rejects_what_is_no_maps_file(void **state)
{
	static const char *const bad[] = {
		"x", "1000-2000 rwxp 0 0:0", "1000-2000 rwxp 0 0:0 0", "2000-1000 rwxp 0 0:0 0 \n",
		"1000-2000 rwx 0 0:0 0 \n", "1000-2000 rwxq 0 0:0 0 \n", "-2000 rwxp 0 0:0 0 \n", "\n",
		"1000-3000 rwxp 0 0:0 0 \n2000-4000 rwxp 0 0:0 0 \n",
	};
	struct maps m;

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		assert_int_equal(parse(bad[i], &m), -EBADMSG);
	assert_int_equal(parse("", &m), 0);
	assert_int_equal(m.n, 0);
	maps_free(&m);
}

static void maps_find_and_covers_know_the_borders(void **state)
{
	struct maps m;

	(void)state;
	assert_int_equal(parse(sample, &m), 0);
	assert_null(maps_find(&m, 0));
	assert_ptr_equal(maps_find(&m, 0x55d0c0000000), &m.v[0]);
	assert_ptr_equal(maps_find(&m, 0x55d0c0001fff), &m.v[0]);
	assert_null(maps_find(&m, 0x55d0c0002000));
	assert_ptr_equal(maps_find_from(&m, 0x55d0c0002000), &m.v[1]);
	assert_ptr_equal(maps_find(&m, 0x7f0000001000), &m.v[2]);
	assert_null(maps_find_from(&m, 0xffffffffff601000));
	assert_true(maps_covers(&m, 0x7f0000000000, 0x7f0000004000));
	assert_false(maps_covers(&m, 0x7f0000000000, 0x7f0000004001));
	assert_true(maps_covers(&m, 5, 5));
	maps_free(&m);
}

static void maps_find_gap_finds_the_lowest_gap_that_fits(void **state)
{
	struct maps m;

	(void)state;
	assert_int_equal(parse("1000-2000 rwxp 0 0:0 0 \n3000-4000 rwxp 0 0:0 0 \n8000-9000 rwxp 0 0:0 0 \n", &m), 0);
	assert_int_equal(maps_find_gap(&m, 0x1000, 0x10000, 0x1000), 0x2000);
	assert_int_equal(maps_find_gap(&m, 0x1000, 0x10000, 0x2000), 0x4000);
	assert_int_equal(maps_find_gap(&m, 0x4001, 0x10000, 0x1000), 0x5000);
	assert_int_equal(maps_find_gap(&m, 0x1000, 0x10000, 0x5000), 0x9000);
	assert_int_equal(maps_find_gap(&m, 0x1000, 0x10000, 0x8000), 0);
	maps_free(&m);
}

static void maps_read_sees_our_own_mapping_with_its_file(void **state)
{
	struct maps m;
	struct stat st;
	int fd = open("/proc/self/exe", O_RDONLY);
	char *at;

	(void)state;
	at = mmap(NULL, 8192, PROT_READ, MAP_SHARED, fd, 4096);
	assert_ptr_not_equal(at, MAP_FAILED);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(maps_read(getpid(), &m), 0);
	const struct mapping *found = maps_find(&m, (uintptr_t)at);

	assert_non_null(found);
	assert_int_equal(found->start, (uintptr_t)at);
	assert_int_equal(found->off, 4096);
	assert_int_equal(found->ino, st.st_ino);
	assert_true(found->shared);
	assert_int_equal(found->prot, PROT_READ);
	assert_int_equal(found->name[0], '/');
	assert_non_null(maps_find(&m, (uintptr_t)&m));
	maps_free(&m);
	munmap(at, 8192);
	close(fd);
}

static void maps_read_copes_with_many_thousand_mappings(void **state)
{
	enum { N = 5000 };
	struct maps m;
	char *at = mmap(NULL, 2 * N * 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	size_t none = 0;

	(void)state;
	for (size_t i = 0; i < N; i++)
		assert_int_equal(mprotect(at + 2 * i * 4096, 4096, PROT_NONE), 0);
	assert_int_equal(maps_read(getpid(), &m), 0);
	for (size_t i = 0; i < m.n; i++)
		none += m.v[i].start >= (uintptr_t)at && m.v[i].end <= (uintptr_t)at + 2 * N * 4096 &&
			m.v[i].prot == PROT_NONE;
	assert_int_equal(none, N);
	maps_free(&m);
	munmap(at, 2 * N * 4096);
}

static void a_process_that_is_gone_gives_egone(void **state)
{
	struct maps m;
	siginfo_t info;
	pid_t child = fork();

	(void)state;
	if (!child)
		_exit(0);
	assert_int_equal(waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT), 0);
	assert_int_equal(maps_read(child, &m), -RL_EGONE);   /* a zombie */
	assert_int_equal(waitpid(child, NULL, 0), child);
	assert_int_equal(maps_read(child, &m), -RL_EGONE);
	assert_int_equal(pagemap_open(child), -RL_EGONE);
}

/* A part by itself is what the whole says of it: protections, a file by an odd name, a hole, nothing beyond. */
static void maps_read_range_agrees_with_maps_read(void **state)
{
	static const char name[] = "/tmp/test-maps\nx";
	int fd = open(name, O_RDWR | O_CREAT | O_TRUNC, 0600);
	char *at = mmap(NULL, 16 * 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct maps all, part;
	const struct mapping *m;

	(void)state;
	assert_true(fd >= 0 && at != MAP_FAILED && ftruncate(fd, 8 * 4096) == 0);
	mmap(at + 4096, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	mmap(at + 3 * 4096, 2 * 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 4096);
	mmap(at + 5 * 4096, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_FIXED, fd, 0);
	munmap(at + 7 * 4096, 4096);
	assert_int_equal(maps_read_range(getpid(), (uintptr_t)at + 4096, (uintptr_t)at + 9 * 4096, &part), 0);
	assert_int_equal(maps_read(getpid(), &all), 0);
	m = maps_find(&all, (uintptr_t)at + 4096);
	/* Kernels that cannot tell of a part tell of all. */
	for (const struct mapping *p = maps_find(&part, (uintptr_t)at + 4096); p->start < (uintptr_t)at + 9 * 4096; p++, m++) {
		assert_true(p->start == m->start && p->end == m->end && p->prot == m->prot && p->shared == m->shared);
		assert_true(p->off == m->off && p->dev == m->dev && p->ino == m->ino);
		assert_string_equal(p->name, p->ino ? name : m->name);
		if (p + 1 == part.v + part.n)
			break;
	}
	assert_true(m->start == (uintptr_t)at + 8 * 4096);
	maps_free(&all);
	maps_free(&part);
	assert_int_equal(maps_read_range(getpid(), (uintptr_t)at + 7 * 4096, (uintptr_t)at + 8 * 4096, &part), 0);
	assert_null(maps_find(&part, (uintptr_t)at + 7 * 4096));
	maps_free(&part);
	/* Of those the shared ones that can be written to are found. */
	assert_int_equal(maps_read_written(getpid(), &part), 0);
	m = maps_find(&part, (uintptr_t)at + 3 * 4096);
	assert_non_null(m);
	assert_true(m->shared && m->prot & PROT_WRITE && m->ino && m->end == (uintptr_t)at + 5 * 4096);
	maps_free(&part);
	munmap(at, 16 * 4096);
	unlink(name);
	close(fd);
}

/* 16 pages: 0..3 written, 4 read, 8 written, the rest untouched. */
static char *make_sparse(void)
{
	char *at = mmap(NULL, 16 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	static volatile char sink;

	madvise(at, 16 * 4096, MADV_NOHUGEPAGE);
	memset(at, 1, 4 * 4096);
	at[8 * 4096] = 1;
	sink = at[4 * 4096];
	(void)sink;
	return at;
}

static void pagemap_read_tells_what_is_present(void **state)
{
	char *at = make_sparse();
	uint8_t flags[16];
	int fd = pagemap_open(getpid());

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(pagemap_read(fd, (uintptr_t)at, 16, flags), 0);
	for (int i = 0; i < 4; i++)
		assert_true(page_is_anon(flags[i]));
	assert_true(page_is_anon(flags[8]));
	assert_false(page_is_anon(flags[5]));
	assert_int_equal(flags[9] & (PAGE_PRESENT | PAGE_SWAPPED), 0);
	close(fd);
	munmap(at, 16 * 4096);
}

static void pagemap_runs_joins_neighbours_and_skips_holes(void **state)
{
	char *at = make_sparse();
	uintptr_t base = (uintptr_t)at;
	struct page_runs runs = { 0 };
	uint64_t anon = 0;
	int fd = pagemap_open(getpid());

	(void)state;
	assert_int_equal(pagemap_runs(fd, base, base + 16 * 4096, &runs), 0);
	assert_true(runs.n >= 2);
	assert_int_equal(runs.v[0].start, base);
	for (size_t i = 0; i < runs.n; i++)
		if (!(runs.v[i].flags & PAGE_ZERO))
			anon += (runs.v[i].end - runs.v[i].start) / 4096;
	assert_in_range(anon, 5, 6);   /* without PAGEMAP_SCAN the zero page looks anonymous */
	assert_int_equal(runs.v[runs.n - 1].end, base + 9 * 4096);
	page_runs_free(&runs);
	close(fd);
	munmap(at, 16 * 4096);
}

static void a_private_file_page_is_anonymous_once_written(void **state)
{
	int exe = open("/proc/self/exe", O_RDONLY), fd = pagemap_open(getpid());
	volatile char *at = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE, exe, 0);
	uint8_t flags[2];

	(void)state;
	at[0] = at[0];
	(void)at[4096];
	assert_int_equal(pagemap_read(fd, (uintptr_t)at, 2, flags), 0);
	assert_true(page_is_anon(flags[0]));
	assert_true(flags[1] & PAGE_FILE);
	assert_false(page_is_anon(flags[1]));
	munmap((void *)at, 8192);
	close(exe);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(maps_parse_reads_every_field),
		cmocka_unit_test(maps_parse_rejects_what_is_no_maps_file),
		cmocka_unit_test(maps_find_and_covers_know_the_borders),
		cmocka_unit_test(maps_find_gap_finds_the_lowest_gap_that_fits),
		cmocka_unit_test(maps_read_sees_our_own_mapping_with_its_file),
		cmocka_unit_test(maps_read_copes_with_many_thousand_mappings),
		cmocka_unit_test(maps_read_range_agrees_with_maps_read),
		cmocka_unit_test(a_process_that_is_gone_gives_egone),
		cmocka_unit_test(pagemap_read_tells_what_is_present),
		cmocka_unit_test(pagemap_runs_joins_neighbours_and_skips_holes),
		cmocka_unit_test(a_private_file_page_is_anonymous_once_written),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
