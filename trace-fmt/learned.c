#include "trace-fmt/learned.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "common/buf.h"
#include "common/cursor.h"
#include "common/err.h"
#include "common/scope.h"

#define VERSION 1
#define HEAD_BYTES 24
#define NOTE_BYTES 32
#define HASH_BYTES 8
#define FILE_MAX (HEAD_BYTES + LEARNED_MAX * NOTE_BYTES + HASH_BYTES)

static const uint8_t magic[8] = { 0x89, 'R', 'L', 'I', '\r', '\n', 0x1a, '\n' };

static struct learned_note note_decode(struct cursor *c)
{
	struct learned_note note = { .addr = cursor_u64(c) };
	uint32_t slowness = cursor_u32(c);

	note.rest = cursor_u8(c);
	note.least_rest = cursor_u8(c);
	note.n_tests = cursor_u8(c);
	if (cursor_u8(c) || slowness > UINT16_MAX || note.rest > LEARNED_REST_MAX || note.least_rest > LEARNED_REST_MAX + 1 ||
	    note.n_tests > LEARNED_TESTS)
		cursor_fail(c, -RL_ECORRUPT);
	note.slowness = (uint16_t)slowness;
	for (int i = 0; i < LEARNED_TESTS; i++)
		note.test[i] = cursor_u32(c);
	return note;
}

int learned_decode(const void *bytes, size_t n_bytes, uint64_t trace_id, struct learned_note *out, size_t *ret_n)
{
	struct cursor c = cursor_of(bytes, n_bytes);
	const uint8_t *head = cursor_bytes(&c, sizeof(magic));
	uint32_t version = cursor_u32(&c), n = cursor_u32(&c);
	uint64_t id = cursor_u64(&c);

	*ret_n = 0;
	if (!head || memcmp(head, magic, sizeof(magic)) != 0)
		return -EEXIST;
	if (c.err)
		return c.err;
	if (version != VERSION)
		return -RL_EVERSION;
	if (n > LEARNED_MAX)
		return -RL_ECORRUPT;
	if (n_bytes != HEAD_BYTES + n * NOTE_BYTES + HASH_BYTES)
		return n_bytes < HEAD_BYTES + n * NOTE_BYTES + HASH_BYTES ? -RL_ETRUNCATED : -RL_ECORRUPT;
	for (uint32_t i = 0; i < n; i++)
		out[i] = note_decode(&c);
	if (cursor_u64(&c) != XXH3_64bits(bytes, n_bytes - HASH_BYTES))
		cursor_fail(&c, -RL_ECORRUPT);
	if (c.err)
		return c.err;
	if (id != trace_id)
		return -ESTALE;
	*ret_n = n;
	return 0;
}

int learned_read(const char *path, uint64_t trace_id, struct learned_note *out, size_t *ret_n)
{
	autoclose int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	autofree uint8_t *bytes = malloc(FILE_MAX + 1);
	struct stat st;
	ssize_t got;

	*ret_n = 0;
	if (fd < 0)
		return -errno;
	if (!bytes)
		return -ENOMEM;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EEXIST;
	got = read(fd, bytes, FILE_MAX + 1);
	return got < 0 ? -errno : learned_decode(bytes, (size_t)got, trace_id, out, ret_n);
}

static int encode(uint64_t trace_id, const struct learned_note *v, size_t n, struct buf *b)
{
	buf_put(b, magic, sizeof(magic));
	buf_u32(b, VERSION);
	buf_u32(b, (uint32_t)n);
	buf_u64(b, trace_id);
	for (size_t i = 0; i < n; i++) {
		buf_u64(b, v[i].addr);
		buf_u32(b, v[i].slowness);
		buf_u8(b, v[i].rest);
		buf_u8(b, v[i].least_rest);
		buf_u8(b, v[i].n_tests);
		buf_u8(b, 0);
		for (int k = 0; k < LEARNED_TESTS; k++)
			buf_u32(b, v[i].test[k]);
	}
	if (!b->err)
		buf_u64(b, XXH3_64bits(b->p, b->n));
	return b->err;
}

/* Into a file of another name first: whoever reads meanwhile finds the old one or the new one. */
static int replace(const char *path, const struct buf *b)
{
	size_t size = strlen(path) + sizeof(".XXXXXX");
	autofree char *name = malloc(size);
	autoclose int fd = -1;
	int err = 0;

	if (!name)
		return -ENOMEM;
	snprintf(name, size, "%s.XXXXXX", path);
	fd = mkostemp(name, O_CLOEXEC);
	if (fd < 0)
		return -errno;
	ssize_t put = write(fd, b->p, b->n);

	if (put != (ssize_t)b->n)
		err = put < 0 ? -errno : -ENOSPC;
	else if (rename(name, path) < 0)
		err = -errno;
	if (err)
		unlink(name);
	return err;
}

int learned_write(const char *path, uint64_t trace_id, const struct learned_note *v, size_t n)
{
	struct buf b = { 0 };
	int err = n > LEARNED_MAX ? -EINVAL : encode(trace_id, v, n, &b);

	if (!err)
		err = replace(path, &b);
	buf_free(&b);
	return err;
}
