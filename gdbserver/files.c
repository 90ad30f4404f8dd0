/*
 * vFile: the recorded program's files, read-only. With gdb's usual `set sysroot target:` all of its symbols come
 * through here. Numbers of errors, flags and struct stat are those of gdb's File-I/O protocol, not of Linux.
 */
#include "gdbserver/session.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/scope.h"

#define FILEIO_O_ACCMODE 3
#define FILEIO_STAT_SIZE 64

static int fileio_errno(int err)
{
	switch (-err) {
	case EPERM: case ENOENT: case EINTR: case EBADF: case EACCES: case EFAULT: case EBUSY: case EEXIST: case ENODEV:
	case ENOTDIR: case EISDIR: case EINVAL: case ENFILE: case EMFILE: case EFBIG: case ENOSPC: case ESPIPE:
	case EROFS:
		return -err;       /* the same as on Linux */
	case ENAMETOOLONG:
		return 91;
	default:
		return 9999;       /* EUNKNOWN */
	}
}

static int reply_fail(struct session *s, int err)
{
	buf_clear(&s->reply);
	out_fmt(&s->reply, "F-1,%x", (unsigned int)fileio_errno(err));
	return 0;
}

static int reply_number(struct session *s, uint64_t n)
{
	out_fmt(&s->reply, "F%llx", (unsigned long long)n);
	return 0;
}

/* The low n bytes of v, the highest first; beyond eight there are only zeros. */
static void put_big(struct buf *b, uint64_t v, size_t n)
{
	while (n--)
		out_char(b, (char)(n < sizeof(v) ? v >> 8 * n : 0));
}

/* gdb's struct stat: big-endian and packed. The times are unknown; gdb compares them with those of sources if not 0. */
static int reply_stat(struct session *s, uint64_t size)
{
	struct buf st = { 0 };

	put_big(&st, 0, 4);                             /* st_dev */
	put_big(&st, 0, 4);                             /* st_ino */
	put_big(&st, S_IFREG | 0555, 4);
	put_big(&st, 1, 4);                             /* st_nlink */
	put_big(&st, 0, 12);                            /* st_uid, st_gid, st_rdev */
	put_big(&st, size, 8);
	put_big(&st, 4096, 8);                          /* st_blksize */
	put_big(&st, size / 512 + (size % 512 != 0), 8);
	put_big(&st, 0, 12);                            /* the times */
	if (st.err) {
		s->reply.err = st.err;
	} else {
		out_fmt(&s->reply, "F%x;", FILEIO_STAT_SIZE);
		wire_escape(&s->reply, st.p, st.n, WIRE_PACKET_MAX / 2);
	}
	buf_free(&st);
	return 0;
}

static struct session_file *file_get(struct session *s, struct arg *a)
{
	uint64_t fd = arg_hex(a);

	if (a->err || fd >= SESSION_FILES_MAX || !s->files[fd].used)
		return NULL;
	return &s->files[fd];
}

static int file_open(struct session *s, struct arg *a)
{
	struct arg name = arg_until(a, ',');
	char path[SESSION_PATH_MAX];
	uint64_t flags, size = 0;
	int fd = 0, err;

	arg_want(a, ',');
	flags = arg_hex(a);
	arg_want(a, ',');
	arg_hex(a);
	arg_want_end(a);
	arg_hex_text(&name, path, sizeof(path));
	if (a->err || name.err)
		return reply_fail(s, -EINVAL);
	if (flags & FILEIO_O_ACCMODE)
		return reply_fail(s, -EROFS);
	while (fd < SESSION_FILES_MAX && s->files[fd].used)
		fd++;
	if (fd == SESSION_FILES_MAX)
		return reply_fail(s, -EMFILE);
	err = s->t->ops->file_size(s->t->self, path, &size);
	if (err < 0)
		return reply_fail(s, err);
	s->files[fd].used = true;
	s->files[fd].size = size;
	strcpy(s->files[fd].path, path);
	return reply_number(s, (uint64_t)fd);
}

static int file_close(struct session *s, struct arg *a)
{
	struct session_file *f = file_get(s, a);

	if (!f || !arg_at_end(a))
		return reply_fail(s, -EBADF);
	f->used = false;
	return reply_number(s, 0);
}

static int file_pread(struct session *s, struct arg *a)
{
	struct session_file *f = file_get(s, a);
	autofree uint8_t *data = NULL;
	struct buf escaped = { 0 };
	uint64_t n, offset;
	int64_t got;

	arg_want(a, ',');
	n = arg_hex(a);
	arg_want(a, ',');
	offset = arg_hex(a);
	arg_want_end(a);
	if (!f || a->err)
		return reply_fail(s, f ? -EINVAL : -EBADF);
	if (offset >= f->size)
		n = 0;
	else if (n > f->size - offset)
		n = f->size - offset;
	if (n > WIRE_PACKET_MAX)
		n = WIRE_PACKET_MAX;
	data = malloc(n ? n : 1);
	if (!data)
		return -ENOMEM;
	got = n ? s->t->ops->file_read(s->t->self, f->path, offset, data, n) : 0;
	if (got < 0 || got > (int64_t)n)
		return reply_fail(s, got < 0 ? (int)got : -EIO);
	/* The count in front says how many bytes there are before escaping, so escape first. */
	got = (int64_t)wire_escape(&escaped, data, (size_t)got, WIRE_PACKET_MAX - 32);
	out_fmt(&s->reply, "F%llx;", (unsigned long long)got);
	buf_put(&s->reply, escaped.p, escaped.n);
	if (escaped.err)
		s->reply.err = escaped.err;
	buf_free(&escaped);
	return 0;
}

static int file_fstat(struct session *s, struct arg *a)
{
	struct session_file *f = file_get(s, a);

	if (!f || !arg_at_end(a))
		return reply_fail(s, -EBADF);
	return reply_stat(s, f->size);
}

static int file_stat(struct session *s, struct arg *a)
{
	char path[SESSION_PATH_MAX];
	uint64_t size = 0;
	int err;

	arg_hex_text(a, path, sizeof(path));
	err = a->err ? a->err : s->t->ops->file_size(s->t->self, path, &size);
	return err < 0 ? reply_fail(s, err) : reply_stat(s, size);
}

/* The trace holds contents, not links; `info proc` asks for this one all the same. */
static bool is_exe_link(struct session *s, const char *path)
{
	char exe[64];

	snprintf(exe, sizeof(exe), "/proc/%d/exe", s->t->ops->current_pid(s->t->self));
	return !strcmp(path, exe);
}

static int file_readlink(struct session *s, struct arg *a)
{
	char path[SESSION_PATH_MAX], target[SESSION_PATH_MAX] = "";
	uint64_t size = 0;
	int err;

	arg_hex_text(a, path, sizeof(path));
	if (a->err)
		return reply_fail(s, a->err);
	if (!is_exe_link(s, path)) {
		err = s->t->ops->file_size(s->t->self, path, &size);
		return reply_fail(s, err < 0 ? err : -EINVAL);
	}
	err = s->t->ops->exec_file(s->t->self, target, sizeof(target));
	if (err < 0)
		return reply_fail(s, err);
	target[sizeof(target) - 1] = '\0';
	out_fmt(&s->reply, "F%zx;", strlen(target));
	wire_escape(&s->reply, target, strlen(target), WIRE_PACKET_MAX / 2);
	return 0;
}

/* Whose view of the file system: there is only one in a trace. */
static int file_setfs(struct session *s, struct arg *a)
{
	arg_hex(a);
	arg_want_end(a);
	return a->err ? reply_fail(s, -EINVAL) : reply_number(s, 0);
}

static int file_refuse(struct session *s, struct arg *a)
{
	(void)a;
	return reply_fail(s, -EROFS);
}

static const struct {
	const char *name;
	int (*handle)(struct session *s, struct arg *a);
} operations[] = {
	{ "setfs:", file_setfs },
	{ "open:", file_open },
	{ "pread:", file_pread },
	{ "fstat:", file_fstat },
	{ "stat:", file_stat },
	{ "lstat:", file_stat },
	{ "close:", file_close },
	{ "readlink:", file_readlink },
	{ "pwrite:", file_refuse },
	{ "unlink:", file_refuse },
};

int packet_file(struct session *s, struct arg *a)
{
	for (size_t i = 0; i < sizeof(operations) / sizeof(operations[0]); i++)
		if (arg_skip_word(a, operations[i].name))
			return operations[i].handle(s, a);
	return 0;
}
