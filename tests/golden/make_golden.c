/* Write the golden files and the fuzzers' seed: make_golden GOOD-DIRECTORY BAD-DIRECTORY FUZZ-DIRECTORY.
 *
 * Existing good files are never written again: that today's code reads what yesterday's wrote is their point.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zstd.h>
#include <cmocka.h>
#include "forge.h"
#include "sample.h"

/* As today's version writes them. Those of earlier versions stay. */
#define COMPLETE "v2-complete"
#define UNFINISHED "v2-unfinished"

static const char *good_dir, *bad_dir, *fuzz_dir;

static const char *path_of(const char *dir, const char *name)
{
	static char path[4096];

	snprintf(path, sizeof(path), "%s/%s%s", dir, name, strchr(name, '/') ? "" : ".rlv");
	return path;
}

static void write_complete(void **state)
{
	(void)state;
	if (access(path_of(good_dir, COMPLETE), F_OK))
		sample_write(path_of(good_dir, COMPLETE));
}

static void write_unfinished(void **state)
{
	struct trace_writer *w;

	(void)state;
	if (access(path_of(good_dir, UNFINISHED), F_OK)) {
		assert_int_equal(trace_create(path_of(good_dir, UNFINISHED), &sample_header, &w), 0);
		sample_write_to(w);
		assert_int_equal(trace_flush(w), 0);
		_exit(0);      /* as a killed recorder would */
	}
}

/* One chunk in the form that fuzz_trace_chunks.c takes. */
static void write_seed_chunk(const char *name, const struct chunk_hdr *h, const uint8_t *stored)
{
	static uint8_t raw[1 << 20];
	FILE *out = fopen(path_of(fuzz_dir, name), "ab");
	uint32_t data_len = h->raw;
	size_t n = h->raw < 0xffff ? h->raw : 0xffff;
	uint8_t head[4] = { h->type == CH_HEADER ? 0 : h->type, (uint8_t)h->count, (uint8_t)n, (uint8_t)(n >> 8) };

	assert_non_null(out);
	if (h->packing == PACK_ZSTD)
		assert_int_equal(ZSTD_decompress(raw, sizeof(raw), stored, h->stored), h->raw);
	else
		memcpy(raw, stored, h->stored);
	if (h->type == CH_PAGES)
		n = head[2] = head[3] = 0;
	if (h->type == CH_DATA) {
		memcpy(raw, &data_len, 4);
		n = head[2] = 4;
		head[3] = 0;
	}
	assert_int_equal(fwrite(head, 1, 4, out), 4);
	assert_int_equal(fwrite(raw, 1, n, out), n);
	assert_int_equal(fclose(out), 0);
}

static void write_seeds_of(const char *good, const char *all_name, const char *some_name)
{
	static uint8_t file[1 << 20];
	FILE *in = fopen(path_of(good_dir, good), "rb");
	struct chunk_hdr h;
	struct cursor c;
	size_t n;

	assert_non_null(in);
	n = fread(file, 1, sizeof(file), in);
	fclose(in);
	unlink(path_of(fuzz_dir, all_name));
	unlink(path_of(fuzz_dir, some_name));
	c = cursor_of(file + PREAMBLE_BYTES, n - PREAMBLE_BYTES);
	while (cursor_left(&c)) {
		assert_int_equal(chunk_hdr_decode(&c, &h), 0);
		write_seed_chunk(all_name, &h, cursor_bytes(&c, h.stored));
		/* Without what can hardly go wrong: mutations hit the rest oftener. */
		if (h.type == CH_EVENTS || h.type == CH_DATA || h.type == CH_PAGES || h.type == CH_OBJECTS ||
		    h.type == CH_CKPT)
			write_seed_chunk(some_name, &h, c.p - h.stored);
	}
}

static void write_seeds(void **state)
{
	(void)state;
	write_seeds_of("v1-complete", "corpus-chunks/sample", "corpus-chunks/events");
	write_seeds_of("v2-complete", "corpus-chunks/sample-v2", "corpus-chunks/events-v2");
}

static void write_bad(void **state)
{
	(void)state;
	for (size_t i = 0; i < n_bad_files; i++) {
		FILE *out = fopen(path_of(bad_dir, bad_files[i].name), "wb");
		struct forge f;

		assert_non_null(out);
		bad_files[i].forge(&f);
		assert_int_equal(fwrite(f.file.p, 1, f.file.n, out), f.file.n);
		assert_int_equal(fclose(out), 0);
		buf_free(&f.file);
	}
}

int main(int argc, char **argv)
{
	const struct CMUnitTest steps[] = {
		cmocka_unit_test(write_bad), cmocka_unit_test(write_complete), cmocka_unit_test(write_seeds),
		cmocka_unit_test(write_unfinished),
	};

	if (argc != 4) {
		fprintf(stderr, "usage: make_golden GOOD-DIRECTORY BAD-DIRECTORY FUZZ-DIRECTORY\n");
		return 2;
	}
	good_dir = argv[1];
	bad_dir = argv[2];
	fuzz_dir = argv[3];
	return cmocka_run_group_tests(steps, NULL, NULL);
}
