#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <cmocka.h>
#include <xxhash.h>
#include <zstd.h>
#include "common/err.h"
#include "common/fault.h"
#include "trace-fmt/packer.h"
#include "sample.h"

#define ROUNDS 200u

static const char *path;

static struct packer *open_packer(bool threaded)
{
	struct packer *p;
	cpu_set_t cpus;

	path = scratch_path();
	assert_int_equal(packer_open(open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600), 0, &p), 0);
	assert_int_equal(sched_getaffinity(0, sizeof(cpus), &cpus), 0);
	if (threaded) {
		assert_int_equal(packer_thread(p, &cpus), 0);
		assert_int_equal(packer_thread(p, &cpus), -EALREADY);
	}
	return p;
}

/* Contents number n: of any length, some well to compress and some not. */
static void fill(struct buf *b, unsigned n)
{
	size_t len = (size_t)n * 7919 % 200000;
	uint32_t x = n + 1;
	uint8_t *to;

	buf_clear(b);
	to = buf_add(b, len);
	assert_non_null(to);
	for (size_t i = 0; i < len; i++) {
		if (n % 3 == 0 || i % 64 == 0)
			x = x * 1664525 + 1013904223;
		to[i] = (uint8_t)(x >> 24);
	}
}

static int put(struct packer *p, struct buf *b, unsigned n)
{
	struct chunk_hdr h = { .type = CH_NOTE, .first = n, .count = 1 };

	fill(b, n);
	return packer_put(p, &h, b, false);
}

/* The chunk at c is number n. */
static void assert_chunk(struct cursor *c, unsigned n)
{
	struct buf want = { 0 };
	struct chunk_hdr h;
	const uint8_t *stored;
	uint8_t *raw;

	fill(&want, n);
	assert_int_equal(chunk_hdr_decode(c, &h), 0);
	assert_int_equal(h.first, n);
	assert_int_equal(h.raw, want.n);
	stored = cursor_bytes(c, h.stored);
	assert_non_null(stored);
	assert_int_equal(XXH3_64bits(stored, h.stored), h.payload_hash);
	raw = malloc(h.raw + 1);
	if (h.packing == PACK_ZSTD)
		assert_int_equal(ZSTD_decompress(raw, h.raw, stored, h.stored), h.raw);
	else
		memcpy(raw, stored, h.raw);
	assert_memory_equal(raw, want.p, want.n);
	free(raw);
	buf_free(&want);
}

/* The file consists of the chunks 0, 1, ... n - 1. */
static void assert_file(unsigned n)
{
	int fd = open(path, O_RDONLY);
	struct cursor c = { 0 };
	uint8_t *bytes;
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	bytes = malloc((size_t)st.st_size + 1);
	assert_int_equal(read(fd, bytes, (size_t)st.st_size), st.st_size);
	c.p = bytes;
	c.end = bytes + st.st_size;
	for (unsigned i = 0; i < n; i++)
		assert_chunk(&c, i);
	assert_int_equal(cursor_left(&c), 0);
	free(bytes);
	close(fd);
	unlink(path);
}

static void without_a_thread_a_chunk_is_in_the_file_when_put_returns(void **state)
{
	struct packer *p = open_packer(false);
	struct buf b = { 0 };

	(void)state;
	for (unsigned n = 0; n < 20; n++) {
		struct stat st;

		assert_int_equal(put(p, &b, n), 0);
		assert_int_equal(b.n, 0);
		assert_int_equal(stat(path, &st), 0);
		assert_int_equal(st.st_size, packer_offset(p));
	}
	assert_int_equal(packer_close(p), 0);
	assert_file(20);
	buf_free(&b);
}

static void chunks_come_in_the_order_in_which_they_were_put(void **state)
{
	struct packer *p = open_packer(true);
	struct buf b = { 0 }, *index;
	uint32_t n_chunks;
	struct stat st;

	(void)state;
	for (unsigned n = 0; n < ROUNDS; n++)
		assert_int_equal(put(p, &b, n), 0);
	assert_int_equal(packer_drain(p), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_size, packer_offset(p));
	index = packer_index(p, &n_chunks);
	assert_int_equal(n_chunks, ROUNDS);
	assert_true(index->n > ROUNDS * 13);
	assert_int_equal(packer_close(p), 0);
	assert_file(ROUNDS);
	buf_free(&b);
}

static void closing_writes_what_is_under_way(void **state)
{
	struct buf b = { 0 };

	(void)state;
	for (unsigned round = 1; round < 30; round++) {
		struct packer *p = open_packer(true);

		for (unsigned n = 0; n < round; n++)
			assert_int_equal(put(p, &b, n), 0);
		assert_int_equal(packer_close(p), 0);
		assert_file(round);
	}
	buf_free(&b);
}

static void too_long_contents_are_refused_and_nothing_else_happens(void **state)
{
	struct packer *p = open_packer(true);
	struct chunk_hdr h = { .type = CH_NOTE, .count = 1 };
	struct buf b = { 0 };

	(void)state;
	assert_non_null(buf_add(&b, CHUNK_RAW_MAX + 1));
	assert_int_equal(packer_put(p, &h, &b, NULL), -E2BIG);
	assert_int_equal(b.n, CHUNK_RAW_MAX + 1);
	assert_int_equal(put(p, &b, 0), 0);
	assert_int_equal(packer_close(p), 0);
	assert_file(1);
	buf_free(&b);
}

/* Whatever number of chunks is in the file when writing fails, these are whole, and the error comes to whoever asks. */
static void an_error_of_the_thread_is_given_at_the_latest_at_the_end(void **state)
{
	struct buf b = { 0 };

	(void)state;
	for (unsigned good = 0; good < 12; good++) {
		struct packer *p = open_packer(true);
		int err = 0;

		fault_arm("trace-write", good, ENOSPC);
		for (unsigned n = 0; n < 40; n++) {
			int now = put(p, &b, n);

			assert_true(now == -ENOSPC || (now == 0 && err == 0));   /* once given, it stays */
			err = now;
		}
		assert_int_equal(packer_drain(p), -ENOSPC);
		assert_true(fault_disarm());
		assert_int_equal(put(p, &b, 1), -ENOSPC);
		assert_int_equal(packer_close(p), -ENOSPC);
		assert_file(good);
	}
	buf_free(&b);
}

static void readers_need_not_keep_more_than_the_format_allows(void **state)
{
	struct packer *p = open_packer(true);
	struct chunk_hdr h = { .type = CH_CKPT, .count = 1 };
	struct buf b = { 0 };
	int err = 0;

	(void)state;
	for (unsigned n = 0; n < 3 && !err; n++) {
		uint8_t *to = buf_add(&b, 48u << 20);

		assert_non_null(to);
		memset(to, 0, 48u << 20);
		err = packer_put(p, &h, &b, NULL);
		buf_clear(&b);
	}
	assert_int_equal(packer_close(p), -EFBIG);
	unlink(path);
	buf_free(&b);
}

/* ---- what is under way is bounded ---- */

#define LARGE (1u << 20)
#define N_LARGE 60u
#define UNDER_WAY_MAX (16u << 20)
#define PIPE_BYTES 65536u

static atomic_uint n_put;

static void *put_large_ones(void *arg)
{
	struct packer *p = arg;
	struct buf b = { 0 };
	uint32_t x = 1;

	for (unsigned n = 0; n < N_LARGE; n++) {
		struct chunk_hdr h = { .type = CH_NOTE, .first = n, .count = 1 };
		uint8_t *to;

		buf_clear(&b);
		to = buf_add(&b, LARGE);
		for (size_t i = 0; to && i < LARGE; i++) {
			x = x * 1664525 + 1013904223;
			to[i] = (uint8_t)(x >> 24);   /* cannot be compressed: as long in the file */
		}
		if (!to || packer_put(p, &h, &b, NULL))
			break;
		n_put++;
	}
	buf_free(&b);
	return NULL;
}

static void whoever_puts_more_than_can_be_written_has_to_wait(void **state)
{
	size_t got = 0;
	pthread_t putting;
	struct packer *p;
	cpu_set_t cpus;
	int ends[2];

	(void)state;
	n_put = 0;
	assert_int_equal(pipe(ends), 0);
	assert_int_equal(packer_open(ends[1], 0, &p), 0);
	assert_int_equal(sched_getaffinity(0, sizeof(cpus), &cpus), 0);
	assert_int_equal(packer_thread(p, &cpus), 0);
	assert_int_equal(pthread_create(&putting, NULL, put_large_ones, p), 0);
	while (got < N_LARGE * (size_t)(CHUNK_HDR_BYTES + LARGE)) {
		static uint8_t bytes[PIPE_BYTES];
		ssize_t n = read(ends[0], bytes, sizeof(bytes));

		assert_true(n > 0);
		got += (size_t)n;
		/* What was put and is neither read nor in the pipe, whose one chunk may be half written. */
		assert_true((size_t)n_put * LARGE <= got + PIPE_BYTES + LARGE + UNDER_WAY_MAX);
	}
	assert_int_equal(pthread_join(putting, NULL), 0);
	assert_int_equal(n_put, N_LARGE);
	assert_int_equal(packer_close(p), 0);
	close(ends[0]);
}

/* ---- signals ---- */

static volatile sig_atomic_t n_signals, elsewhere;

static void on_signal(int sig)
{
	(void)sig;
	n_signals++;
	elsewhere |= syscall(SYS_gettid) != getpid();
}

static void signals_are_never_delivered_to_the_thread(void **state)
{
	struct packer *p = open_packer(true);
	struct buf b = { 0 };

	(void)state;
	signal(SIGUSR1, on_signal);
	for (unsigned n = 0; n < ROUNDS; n++) {
		assert_int_equal(kill(getpid(), SIGUSR1), 0);
		assert_int_equal(put(p, &b, n), 0);
	}
	assert_int_equal(packer_close(p), 0);
	assert_int_equal(n_signals, ROUNDS);
	assert_false(elsewhere);
	assert_file(ROUNDS);
	buf_free(&b);
	signal(SIGUSR1, SIG_DFL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_a_thread_a_chunk_is_in_the_file_when_put_returns),
		cmocka_unit_test(chunks_come_in_the_order_in_which_they_were_put),
		cmocka_unit_test(closing_writes_what_is_under_way),
		cmocka_unit_test(too_long_contents_are_refused_and_nothing_else_happens),
		cmocka_unit_test(an_error_of_the_thread_is_given_at_the_latest_at_the_end),
		cmocka_unit_test(readers_need_not_keep_more_than_the_format_allows),
		cmocka_unit_test(whoever_puts_more_than_can_be_written_has_to_wait),
		cmocka_unit_test(signals_are_never_delivered_to_the_thread),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
