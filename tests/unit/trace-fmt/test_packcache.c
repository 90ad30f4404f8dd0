#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>
#include "trace-fmt/packcache.h"
#include "sample.h"

#define N_PAGES 40u
#define MANY UINT64_C(1000000000)

static char home[] = "/tmp/rlv-cache-XXXXXX", dir[sizeof(home) + 16];

static void in_dir(char out[512], const char *name)
{
	snprintf(out, 512, "%s/%s", dir, name);
}

/* The files in the directory; *ret_name is the last one's. */
static unsigned count(char ret_name[256])
{
	DIR *d = opendir(dir);
	unsigned n = 0;

	assert_non_null(d);
	for (const struct dirent *e; (e = readdir(d)); ) {
		if (e->d_name[0] == '.')
			continue;
		if (ret_name)
			snprintf(ret_name, 256, "%s", e->d_name);
		n++;
	}
	closedir(d);
	return n;
}

static int make_home(void **state)
{
	(void)state;
	snprintf(home, sizeof(home), "/tmp/rlv-cache-XXXXXX");
	if (!mkdtemp(home))
		return -1;
	snprintf(dir, sizeof(dir), "%s/relive", home);
	return 0;
}

static int remove_home(void **state)
{
	char file[512], name[256];

	(void)state;
	chmod(dir, 0700);
	while (access(dir, F_OK) == 0 && count(name)) {
		in_dir(file, name);
		if (unlink(file))
			return -1;
	}
	rmdir(dir);
	return rmdir(home);
}

/* Contents number n and what they are packed to: any bytes will do here. */
static XXH128_hash_t sample(unsigned n, struct chunk_hdr *h, struct buf *out)
{
	uint8_t raw[64] = { (uint8_t)n };

	*h = (struct chunk_hdr){ .type = CH_PAGES, .packing = PACK_ZSTD, .stored = 1000 + n, .raw = N_PAGES * TRACE_PAGE,
				 .count = N_PAGES, .first = n + 1 };
	buf_clear(out);
	memset(buf_add(out, CHUNK_HDR_BYTES + h->stored), (int)n + 1, CHUNK_HDR_BYTES + h->stored);
	h->payload_hash = XXH3_64bits(out->p + CHUNK_HDR_BYTES, h->stored);
	return XXH3_128bits(raw, sizeof(raw));
}

static void put(struct packcache *c, unsigned n)
{
	struct buf out = { 0 };
	struct chunk_hdr h;
	XXH128_hash_t contents = sample(n, &h, &out);

	packcache_put(c, contents, &h, &out);
	buf_free(&out);
}

static bool get(struct packcache *c, unsigned n)
{
	struct buf want = { 0 }, got = { 0 };
	struct chunk_hdr h, asked;
	XXH128_hash_t contents = sample(n, &h, &want);
	bool found;

	asked = (struct chunk_hdr){ .type = h.type, .raw = h.raw, .count = h.count, .first = 77 };
	found = packcache_get(c, contents, &asked, &got);
	if (found) {
		assert_int_equal(got.n, want.n);
		assert_memory_equal(got.p + CHUNK_HDR_BYTES, want.p + CHUNK_HDR_BYTES, h.stored);
		assert_int_equal(asked.stored, h.stored);
		assert_int_equal(asked.packing, h.packing);
		assert_true(asked.payload_hash == h.payload_hash);
		assert_int_equal(asked.first, 77);
	} else {
		assert_int_equal(asked.stored, 0);
		assert_int_equal(got.n, 0);
	}
	buf_free(&want);
	buf_free(&got);
	return found;
}

static void what_was_put_is_found_also_by_the_next_one(void **state)
{
	struct packcache *c = packcache_open(home);

	(void)state;
	assert_non_null(c);
	assert_false(get(c, 1));
	put(c, 1);
	put(c, 2);
	put(c, 2);
	assert_true(get(c, 1));
	packcache_close(c, MANY);
	c = packcache_open(home);
	assert_non_null(c);
	assert_true(get(c, 1));
	assert_true(get(c, 2));
	assert_false(get(c, 3));
	packcache_close(c, MANY);
	assert_int_equal(count(NULL), 2);
}

/* A file with any byte changed, cut at any place, or that is longer, is none. */
static void damaged_files_are_not_used(void **state)
{
	struct packcache *c = packcache_open(home);
	char file[512], name[256];
	struct stat st;
	int fd;

	(void)state;
	put(c, 5);
	assert_int_equal(count(name), 1);
	in_dir(file, name);
	fd = open(file, O_RDWR);
	assert_int_equal(fstat(fd, &st), 0);
	for (off_t at = 0; at < st.st_size; at += at < 64 ? 1 : 97) {
		uint8_t was, now;

		assert_int_equal(pread(fd, &was, 1, at), 1);
		now = was ^ 4;
		assert_int_equal(pwrite(fd, &now, 1, at), 1);
		assert_false(get(c, 5));
		assert_int_equal(pwrite(fd, &was, 1, at), 1);
	}
	assert_true(get(c, 5));
	assert_int_equal(pwrite(fd, "x", 1, st.st_size), 1);
	assert_false(get(c, 5));
	for (off_t n = st.st_size - 1; n >= 0; n -= 101) {
		assert_int_equal(ftruncate(fd, n), 0);
		assert_false(get(c, 5));
	}
	put(c, 5);
	assert_true(get(c, 5));
	close(fd);
	packcache_close(c, MANY);
}

/* Under another's name, good contents are wrong ones. */
static void a_file_under_another_name_is_not_used(void **state)
{
	struct packcache *c = packcache_open(home);
	char one[512], other[512], name[256];

	(void)state;
	put(c, 5);
	assert_int_equal(count(name), 1);
	in_dir(one, name);
	put(c, 6);
	assert_true(get(c, 6));
	in_dir(other, "kept");
	assert_int_equal(rename(one, other), 0);
	assert_int_equal(count(name), 2);
	if (!strcmp(name, "kept")) {
		/* readdir(3) gives any order: the file that is left is the other's */
		assert_int_equal(unlink(other), 0);
		assert_int_equal(count(name), 1);
	}
	in_dir(other, name);
	assert_int_equal(rename(other, one), 0);
	assert_false(get(c, 5));
	packcache_close(c, MANY);
}

static void what_others_could_have_written_is_not_used(void **state)
{
	struct packcache *c = packcache_open(home);
	char file[512], name[256], elsewhere[512];

	(void)state;
	put(c, 5);
	assert_int_equal(count(name), 1);
	in_dir(file, name);
	assert_int_equal(chmod(file, 0620), 0);
	assert_false(get(c, 5));
	assert_int_equal(chmod(file, 0602), 0);
	assert_false(get(c, 5));
	assert_int_equal(chmod(file, 0600), 0);
	assert_true(get(c, 5));
	/* a link, though to a good file */
	snprintf(elsewhere, sizeof(elsewhere), "%s/file", home);
	assert_int_equal(rename(file, elsewhere), 0);
	assert_int_equal(symlink(elsewhere, file), 0);
	assert_false(get(c, 5));
	assert_int_equal(unlink(elsewhere), 0);
	if (geteuid() == 0) {
		put(c, 5);
		assert_true(get(c, 5));
		assert_int_equal(chown(file, 65534, 65534), 0);
		assert_false(get(c, 5));
	}
	packcache_close(c, MANY);
}

static void a_directory_that_is_not_the_users_alone_is_not_used(void **state)
{
	struct packcache *c = packcache_open(home);

	(void)state;
	packcache_close(c, MANY);
	assert_int_equal(chmod(dir, 0770), 0);
	assert_null(packcache_open(home));
	assert_int_equal(chmod(dir, 0707), 0);
	assert_null(packcache_open(home));
	assert_int_equal(rmdir(dir), 0);
	assert_int_equal(symlink("/tmp", dir), 0);
	assert_null(packcache_open(home));
	assert_int_equal(unlink(dir), 0);
	assert_null(packcache_open("/nonexistent"));
	if (geteuid() == 0) {
		assert_int_equal(chown(home, 65534, 65534), 0);
		assert_null(packcache_open(home));
		assert_int_equal(access(dir, F_OK), -1);
		assert_int_equal(chown(home, 0, 0), 0);
	}
}

static void what_was_not_used_for_longest_is_deleted_first(void **state)
{
	struct packcache *c = packcache_open(home);
	char file[512], names[3][256];
	XXH128_hash_t contents;
	struct buf out = { 0 };
	struct chunk_hdr h;

	(void)state;
	for (unsigned n = 0; n < 3; n++) {
		struct timespec used[2] = { { .tv_nsec = UTIME_OMIT }, { .tv_sec = 1000000 + (n == 1 ? 0 : n + 1) } };

		contents = sample(n, &h, &out);
		put(c, n);
		snprintf(names[n], sizeof(names[n]), "%016llx%016llx", (unsigned long long)contents.high64, (unsigned long long)contents.low64);
		in_dir(file, names[n]);
		assert_int_equal(utimensat(AT_FDCWD, file, used, 0), 0);
	}
	assert_true(get(c, 0));   /* used now */
	in_dir(file, "another's");
	assert_int_equal(mkdir(file, 0700), 0);
	packcache_close(c, 2 * (1000 + CHUNK_HDR_BYTES) + 10);
	assert_int_equal(rmdir(file), 0);
	c = packcache_open(home);
	assert_true(get(c, 0));
	assert_false(get(c, 1));
	assert_true(get(c, 2));
	packcache_close(c, 0);
	assert_int_equal(count(NULL), 2);   /* nothing was put: nothing is deleted */
	buf_free(&out);
}

/* ---- from the writer ---- */

/* 64 pages of a file from number @first on; each fiftieth is of zeros. */
static void fill_room(uint8_t *room, uint64_t first)
{
	assert_non_null(room);
	for (uint64_t i = first; i < first + TRACE_GROUP; i++, room += TRACE_PAGE) {
		memset(room, 0, TRACE_PAGE);
		if (i % 50)
			memset(room, (int)(i * 7 + 1), TRACE_PAGE - i);
	}
}

static void write_trace(const char *path, bool cache)
{
	struct trace_writer *w;
	uint32_t obj;

	assert_int_equal(trace_create(path, &sample_header, &w), 0);
	if (cache)
		trace_writer_cache(w, home);
	assert_int_equal(trace_put_object(w, &(struct trace_object){ .size = 200 * TRACE_PAGE, .path = "/p" }, &obj), 0);
	for (uint64_t i = 0; i < 4; i++) {
		struct trace_group g = { .mask = i == 2 ? 0xffff0 : UINT64_MAX };
		uint8_t page[TRACE_PAGE] = { 0 };
		uint64_t id;

		fill_room(trace_group_room(w), i * TRACE_GROUP);
		assert_int_equal(trace_put_group(w, true, &g, &id), 0);
		memset(page, 1, i + 1);
		assert_int_equal(trace_put_page(w, page, &id), 0);   /* memory, in between */
	}
	assert_true(obj);
	assert_int_equal(trace_finish(w, 0), 0);
}

static void assert_same_bytes(const char *a, const char *b)
{
	static uint8_t x[1 << 20], y[1 << 20];
	int fd_a = open(a, O_RDONLY), fd_b = open(b, O_RDONLY);
	ssize_t n = read(fd_a, x, sizeof(x));

	assert_true(n > 0 && n < (ssize_t)sizeof(x));
	assert_int_equal(read(fd_b, y, sizeof(y)), n);
	assert_memory_equal(x, y, (size_t)n);
	close(fd_a);
	close(fd_b);
}

static void a_trace_is_the_same_with_the_cache_and_without(void **state)
{
	char without[64], first[64], again[64];

	(void)state;
	snprintf(without, sizeof(without), "%s", scratch_path());
	snprintf(first, sizeof(first), "%s", scratch_path());
	snprintf(again, sizeof(again), "%s", scratch_path());
	write_trace(without, false);
	write_trace(first, true);
	assert_true(count(NULL) > 1);
	write_trace(again, true);
	assert_same_bytes(without, first);
	assert_same_bytes(without, again);
	unlink(without);
	unlink(first);
	unlink(again);
}

/* ---- groups whose contents were kept ---- */

static uint8_t contents[TRACE_GROUP * TRACE_PAGE];

/* A file of 64 pages. */
static int make_file(char path[64])
{
	int fd;

	snprintf(path, 64, "%s", scratch_path());
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0644);
	fill_room(contents, 0);
	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, contents, sizeof(contents), 0), sizeof(contents));
	return fd;
}

static struct trace_writer *writer(const char *path)
{
	struct trace_writer *w;

	assert_int_equal(trace_create(path, &sample_header, &w), 0);
	trace_writer_cache(w, home);
	return w;
}

static struct trace_group put_first(const char *path)
{
	struct trace_writer *w = writer(path);
	struct trace_group g = { .mask = UINT64_MAX }, again = { .mask = UINT64_MAX };
	uint64_t id, other;

	memcpy(trace_group_room(w), contents, sizeof(contents));
	assert_int_equal(trace_put_group(w, true, &g, &id), 0);
	assert_true(g.mask == (UINT64_MAX & ~(1ull | 1ull << 50)));
	memcpy(trace_group_room(w), contents, sizeof(contents));
	assert_int_equal(trace_put_group(w, true, &again, &other), 0);
	assert_true(id == 1 && other == id);   /* the same contents: the same pages */
	assert_int_equal(trace_finish(w, 0), 0);
	return g;
}

static int put_kept(const char *path, const struct trace_group *g, int fd)
{
	struct trace_writer *w = writer(path);
	uint64_t id = 0;
	int err = trace_put_kept_group(w, g, fd, 0, &id), finished;

	finished = trace_finish(w, 0);
	assert_true(err || id == 1);
	return err ? err : finished;
}

static void assert_holds(const char *path, const struct trace_group *g)
{
	struct trace *t;
	uint64_t id = 1;

	assert_int_equal(trace_open(path, &t), 0);
	for (uint64_t left = g->mask; left; left &= left - 1, id++)
		assert_memory_equal(trace_page(t, id), contents + (size_t)__builtin_ctzll(left) * TRACE_PAGE, TRACE_PAGE);
	trace_close(t);
}

static void spoil_all(bool delete)
{
	char file[512], name[256];

	while (delete && count(name)) {
		in_dir(file, name);
		assert_int_equal(unlink(file), 0);
	}
	if (delete)
		return;
	assert_int_equal(count(name), 1);
	in_dir(file, name);
	assert_int_equal(truncate(file, 100), 0);
}

static void a_kept_group_needs_no_bytes(void **state)
{
	char trace[64], file[64];
	int fd = make_file(file);
	struct trace_group g;

	(void)state;
	snprintf(trace, sizeof(trace), "%s", scratch_path());
	g = put_first(trace);
	assert_int_equal(ftruncate(fd, 0), 0);   /* nobody reads it */
	assert_int_equal(put_kept(trace, &g, fd), 0);
	assert_holds(trace, &g);
	spoil_all(true);
	assert_int_equal(put_kept(trace, &g, fd), -ENOENT);
	close(fd);
	unlink(trace);
	unlink(file);
}

static void a_kept_group_that_is_damaged_is_read_from_its_file(void **state)
{
	char trace[64], file[64];
	int fd = make_file(file);
	struct trace_group g;

	(void)state;
	snprintf(trace, sizeof(trace), "%s", scratch_path());
	g = put_first(trace);
	spoil_all(false);
	assert_int_equal(put_kept(trace, &g, fd), 0);
	assert_holds(trace, &g);
	assert_int_equal(put_kept(trace, &g, -1), 0);   /* it was kept anew */
	spoil_all(false);
	assert_int_equal(pwrite(fd, "other", 5, 3 * TRACE_PAGE), 5);
	assert_int_equal(put_kept(trace, &g, fd), -ESTALE);
	close(fd);
	unlink(trace);
	unlink(file);
}

static void notes_are_found_by_their_name(void **state)
{
	static const uint64_t name[2] = { 3, 4 }, other[2] = { 3, 5 };
	char trace[64];
	struct trace_writer *w;
	struct buf b = { 0 };

	(void)state;
	snprintf(trace, sizeof(trace), "%s", scratch_path());
	w = writer(trace);
	assert_false(trace_get_note(w, name, &b));
	trace_keep_note(w, name, "a note", 7);
	assert_true(trace_get_note(w, name, &b));
	assert_int_equal(b.n, 7);
	assert_string_equal((const char *)b.p, "a note");
	assert_false(trace_get_note(w, other, &b));
	assert_int_equal(b.n, 0);
	trace_keep_note(w, name, "changed", 8);
	spoil_all(false);
	assert_false(trace_get_note(w, name, &b));
	assert_int_equal(trace_finish(w, 0), 0);
	assert_int_equal(trace_create(trace, &sample_header, &w), 0);
	trace_keep_note(w, name, "a note", 7);   /* no cache */
	assert_false(trace_get_note(w, name, &b));
	assert_int_equal(trace_finish(w, 0), 0);
	buf_free(&b);
	unlink(trace);
}

int main(void)
{
#define IN_A_HOME(test) cmocka_unit_test_setup_teardown(test, make_home, remove_home)
	const struct CMUnitTest tests[] = {
		IN_A_HOME(what_was_put_is_found_also_by_the_next_one),
		IN_A_HOME(damaged_files_are_not_used),
		IN_A_HOME(a_file_under_another_name_is_not_used),
		IN_A_HOME(what_others_could_have_written_is_not_used),
		IN_A_HOME(a_directory_that_is_not_the_users_alone_is_not_used),
		IN_A_HOME(what_was_not_used_for_longest_is_deleted_first),
		IN_A_HOME(a_trace_is_the_same_with_the_cache_and_without),
		IN_A_HOME(a_kept_group_needs_no_bytes),
		IN_A_HOME(a_kept_group_that_is_damaged_is_read_from_its_file),
		IN_A_HOME(notes_are_found_by_their_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
