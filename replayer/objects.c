/* The trace's file contents and shared memory, as memory files that host processes map. */
#include "replayer/objects.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include "common/err.h"

struct objects {
	struct trace *trace;
	uint32_t n;
	int *fd;               /* by object id - 1; -1: not made yet */
	struct objects *base;  /* who holds the private contents; NULL: we do */
	int refs;              /* of a base: itself and its copies */
};

static int objects_new(struct trace *t, struct objects **ret)
{
	struct objects *o = calloc(1, sizeof(*o));

	if (!o)
		return -ENOMEM;
	o->trace = t;
	o->n = trace_n_objects(t);
	o->fd = malloc((o->n + 1) * sizeof(*o->fd));
	o->refs = 1;
	if (!o->fd) {
		free(o);
		return -ENOMEM;
	}
	for (uint32_t i = 0; i < o->n; i++)
		o->fd[i] = -1;
	*ret = o;
	return 0;
}

int objects_open(struct trace *t, struct objects **ret)
{
	return objects_new(t, ret);
}

void objects_close(struct objects *o)
{
	if (!o || --o->refs > 0)
		return;
	for (uint32_t i = 0; i < o->n; i++) {
		if (o->fd[i] >= 0)
			close(o->fd[i]);
	}
	objects_close(o->base);
	free(o->fd);
	free(o);
}

/* How many pages of the list, from the first, follow each other in the object and in memory, where they stand at @bytes. */
static size_t run_of(struct trace *t, const struct object_page *p, size_t n, const uint8_t *bytes)
{
	size_t k = 1;

	while (k < n && p[k].index == p[0].index + k && p[k].page_id == p[0].page_id + k &&
	       trace_page(t, p[k].page_id) == bytes + k * TRACE_PAGE)
		k++;
	return k;
}

static int fill(struct objects *o, uint32_t id, int fd)
{
	const struct object_page *pages;
	size_t n, run;
	int err = trace_object_pages(o->trace, id, &pages, &n);

	for (size_t i = 0; !err && i < n; i += run) {
		const uint8_t *bytes = pages[i].page_id ? trace_page(o->trace, pages[i].page_id) : NULL;
		ssize_t put;

		run = 1;
		if (!pages[i].page_id)
			continue;
		if (!bytes)
			return -RL_ECORRUPT;
		run = run_of(o->trace, pages + i, n - i, bytes);
		put = pwrite(fd, bytes, run * TRACE_PAGE, (off_t)(pages[i].index * TRACE_PAGE));
		if (put != (ssize_t)(run * TRACE_PAGE))
			return put < 0 ? -errno : -ENOSPC;
	}
	return err;
}

/* A file beyond its last page faults, within it reads as zeros: so the size matters to the page only. */
static uint64_t whole_pages(uint64_t size)
{
	return (size + TRACE_PAGE - 1) & ~(uint64_t)(TRACE_PAGE - 1);
}

int objects_fd(struct objects *o, uint32_t id)
{
	const struct trace_object *to = trace_object(o->trace, id);
	int fd, err;

	if (!to || id > o->n)
		return -RL_ECORRUPT;
	if (o->base && !(to->flags & OBJ_SHARED_MEM))
		return objects_fd(o->base, id);
	if (o->fd[id - 1] >= 0)
		return o->fd[id - 1];
	fd = memfd_create("relive-object", MFD_CLOEXEC);
	if (fd < 0)
		return -errno;
	err = ftruncate(fd, (off_t)whole_pages(to->size)) < 0 ? -errno : fill(o, id, fd);
	if (err) {
		close(fd);
		return err;
	}
	o->fd[id - 1] = fd;
	return fd;
}

uint32_t objects_find(const struct objects *o, uint64_t ino)
{
	struct stat st;

	for (uint32_t i = 0; i < o->n; i++) {
		if (o->fd[i] >= 0 && fstat(o->fd[i], &st) == 0 && st.st_ino == ino)
			return i + 1;
	}
	return o->base ? objects_find(o->base, ino) : 0;
}

/* Only shared memory changes: the contents of other objects are common to all copies of a session. */
bool objects_change(const struct objects *o, uint32_t id)
{
	const struct trace_object *to = trace_object(o->trace, id);

	return to && to->flags & OBJ_SHARED_MEM;
}

static int shared_fd(struct objects *o, uint32_t id)
{
	return objects_change(o, id) ? objects_fd(o, id) : -RL_ECORRUPT;
}

int objects_write(struct objects *o, uint32_t id, uint64_t off, const void *bytes, size_t n)
{
	int fd = shared_fd(o, id);

	if (fd < 0)
		return fd;
	while (n) {
		ssize_t put = pwrite(fd, bytes, n, (off_t)off);

		if (put <= 0)
			return put < 0 ? -errno : -EIO;
		bytes = (const char *)bytes + put;
		off += (uint64_t)put;
		n -= (size_t)put;
	}
	return 0;
}

int objects_resize(struct objects *o, uint32_t id, uint64_t size)
{
	int fd = shared_fd(o, id);
	struct stat st;

	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0)
		return -errno;
	/* Cutting at the very byte zeroes the rest of its page. */
	if (size < (uint64_t)st.st_size && ftruncate(fd, (off_t)size) < 0)
		return -errno;
	return ftruncate(fd, (off_t)whole_pages(size)) < 0 ? -errno : 0;
}

int objects_punch(struct objects *o, uint32_t id, uint64_t off, uint64_t len)
{
	int fd = shared_fd(o, id);

	if (fd < 0 || !len)
		return fd < 0 ? fd : 0;
	return fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)off, (off_t)len) < 0 ? -errno : 0;
}

static int copy_file(int from, int *ret_fd)
{
	static uint8_t bytes[1 << 20];
	struct stat st;
	off_t at = 0;
	int fd = memfd_create("relive-object", MFD_CLOEXEC);

	if (fd < 0)
		return -errno;
	if (fstat(from, &st) < 0 || ftruncate(fd, st.st_size) < 0)
		goto failed;
	while (at < st.st_size) {
		ssize_t n;

		at = lseek(from, at, SEEK_DATA);
		if (at < 0)
			break;   /* nothing but holes follows */
		n = pread(from, bytes, sizeof(bytes), at);
		if (n <= 0 || pwrite(fd, bytes, (size_t)n, at) != n)
			goto failed;
		at += n;
	}
	*ret_fd = fd;
	return 0;
failed:
	close(fd);
	return errno ? -errno : -EIO;
}

int objects_clone(struct objects *o, struct objects **ret)
{
	struct objects *c;
	int err = objects_new(o->trace, &c);

	if (!err) {
		c->base = o->base ? o->base : o;
		c->base->refs++;
	}
	for (uint32_t i = 0; !err && i < o->n; i++) {
		const struct trace_object *to = trace_object(o->trace, i + 1);

		if (o->fd[i] >= 0 && to && to->flags & OBJ_SHARED_MEM)
			err = copy_file(o->fd[i], &c->fd[i]);
	}
	if (err) {
		objects_close(c);
		return err;
	}
	*ret = c;
	return 0;
}
