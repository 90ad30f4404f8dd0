/*
 * Calls that change memory from behind: a file that recorded processes have mapped is written to, cut or grown by
 * descriptor or name, or one process writes into another's memory.
 */
#include "recorder/internal.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>
#include "common/scope.h"
#include "tracee/procfile.h"

/* What a call changed: bytes [off, off + len) of a file, or only its size. */
struct change {
	char path[64 + 4096];   /* names the file to us */
	int fd;                 /* the task's descriptor on it; -1: none */
	uint64_t off, len;
	bool zeroed;            /* these bytes are zero now */
	struct stat st;
};

static bool is_shared_or_mapped(struct recording *r, const struct stat *st)
{
	for (const struct object_entry *o = r->objects; o; o = o->next) {
		if (o->ino == st->st_ino && (o->st_dev == st->st_dev || o->dev == st->st_dev) && (o->shared || o->live))
			return true;
	}
	return false;
}

/* ---- which file, which bytes ---- */

static void by_fd(struct task *t, int fd, struct change *ch)
{
	ch->fd = fd;
	snprintf(ch->path, sizeof(ch->path), "/proc/%d/fd/%d", t->tid, fd);
}

static void by_name(struct task *t, uint64_t name, struct change *ch)
{
	char text[4096];
	bool ok = mem_read_string(t->mm->mem_fd, name, text, sizeof(text)) == 0;

	ch->fd = -1;
	snprintf(ch->path, sizeof(ch->path), "/proc/%d/%s/%s", t->tid, ok && text[0] == '/' ? "root" : "cwd", ok ? text : "");
}

/* A line of /proc/PID/fdinfo/FD. */
static uint64_t fdinfo(struct task *t, int fd, const char *key, int base)
{
	char file[32], text[512];

	snprintf(file, sizeof(file), "fdinfo/%d", fd);
	procfile_read(t->tid, file, text, sizeof(text));
	return procfile_number(text, key, base);
}

/* The bytes that a write has just put where the file's position was. */
static void at_position(struct task *t, const struct sys_call *c, struct change *ch)
{
	ch->len = (uint64_t)c->ret;
	ch->off = fdinfo(t, ch->fd, "pos:", 10) - ch->len;
}

static void at_offset(struct task *t, const struct sys_call *c, uint64_t off, struct change *ch)
{
	ch->len = (uint64_t)c->ret;
	ch->off = off;
	/* pwrite(2) BUGS: such a descriptor appends wherever it is told to write. */
	if (fdinfo(t, ch->fd, "flags:", 8) & O_APPEND && stat(ch->path, &ch->st) == 0)
		ch->off = (uint64_t)ch->st.st_size - ch->len;
}

/* The kernel has moved the offset past what it wrote. */
static void at_pointer(struct task *t, const struct sys_call *c, uint64_t pointer, struct change *ch)
{
	uint64_t after;

	if (!pointer || mem_read(t->mm->mem_fd, pointer, &after, sizeof(after))) {
		at_position(t, c, ch);
		return;
	}
	ch->len = (uint64_t)c->ret;
	ch->off = after - ch->len;
}

static void allocated(struct task *t, const struct sys_call *c, struct change *ch)
{
	uint64_t mode = c->arg[1];

	by_fd(t, (int)c->arg[0], ch);
	ch->off = c->arg[2];
	if (mode & (FALLOC_FL_COLLAPSE_RANGE | FALLOC_FL_INSERT_RANGE))
		ch->len = UINT64_MAX - ch->off;
	else if (mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE))
		ch->len = c->arg[3];
	ch->zeroed = mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE);
}

static bool truncates(struct task *t, const struct sys_call *c)
{
	struct open_how how;

	switch (c->nr) {
	case SYS_creat:
		return true;
	case SYS_open:
		return c->arg[1] & O_TRUNC;
	case SYS_openat:
		return c->arg[2] & O_TRUNC;
	case SYS_openat2:
		return mem_read(t->mm->mem_fd, c->arg[2], &how, 8) == 0 && how.flags & O_TRUNC;
	}
	return false;
}

static bool decode(struct task *t, const struct sys_call *c, struct change *ch)
{
	switch (c->nr) {
	case SYS_write:
	case SYS_writev:
		by_fd(t, (int)c->arg[0], ch);
		at_position(t, c, ch);
		return c->ret > 0;
	case SYS_pwrite64:
	case SYS_pwritev:
		by_fd(t, (int)c->arg[0], ch);
		at_offset(t, c, c->arg[3], ch);
		return c->ret > 0;
	case SYS_pwritev2:
		by_fd(t, (int)c->arg[0], ch);
		if (c->arg[3] == UINT64_MAX)
			at_position(t, c, ch);
		else
			at_offset(t, c, c->arg[3], ch);
		return c->ret > 0;
	case SYS_sendfile:
		by_fd(t, (int)c->arg[0], ch);
		at_position(t, c, ch);
		return c->ret > 0;
	case SYS_splice:
	case SYS_copy_file_range:
		by_fd(t, (int)c->arg[2], ch);
		at_pointer(t, c, c->arg[3], ch);
		return c->ret > 0;
	case SYS_ftruncate:
		by_fd(t, (int)c->arg[0], ch);
		return true;
	case SYS_truncate:
		by_name(t, c->arg[0], ch);
		return true;
	case SYS_fallocate:
		allocated(t, c, ch);
		return true;
	case SYS_open:
	case SYS_openat:
	case SYS_openat2:
	case SYS_creat:
		by_fd(t, (int)c->ret, ch);
		return truncates(t, c);
	}
	return false;
}

static int fd_of(const struct sys_call *c)
{
	switch (c->nr) {
	case SYS_write:
	case SYS_writev:
	case SYS_pwrite64:
	case SYS_pwritev:
	case SYS_pwritev2:
	case SYS_sendfile:
	case SYS_ftruncate:
	case SYS_fallocate:
		return (int)c->arg[0];
	case SYS_splice:
	case SYS_copy_file_range:
		return (int)c->arg[2];
	}
	return -1;
}

/* ---- shared mappings: the object itself changes ---- */

#define COPY_BYTES 65536u

static void put_object_bytes(struct recording *r, struct object_entry *o, const struct change *ch)
{
	autoclose int fd = open(ch->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	autofree uint8_t *bytes = malloc(COPY_BYTES);
	uint64_t at = ch->off, end = ch->off + ch->len;

	while (fd >= 0 && bytes && at < end) {
		ssize_t n = pread(fd, bytes, end - at < COPY_BYTES ? (size_t)(end - at) : COPY_BYTES, (off_t)at);

		if (n <= 0)
			return;
		ev_write_bytes(r, EV_WRITE_OBJECT | o->id, at, bytes, (size_t)n);
		at += (uint64_t)n;
	}
}

/* Whole pages that became zero need no bytes. */
static void put_zeroed(struct recording *r, struct object_entry *o, struct change ch)
{
	uint64_t end = ch.off + ch.len;
	uint64_t first = (ch.off + TRACE_PAGE - 1) & ~(uint64_t)(TRACE_PAGE - 1), last = end & ~(uint64_t)(TRACE_PAGE - 1);

	if (first < last) {
		ev_asop(r, &(struct ev_asop){ .kind = AS_PUNCH, .obj = o->id, .obj_off = first, .len = last - first });
		ch.len = first - ch.off;
		put_object_bytes(r, o, &ch);
		ch.off = last;
		ch.len = end - last;
	}
	put_object_bytes(r, o, &ch);
}

static void change_shared(struct recording *r, struct object_entry *o, const struct change *ch)
{
	if (o->size != (uint64_t)ch->st.st_size) {
		o->size = (uint64_t)ch->st.st_size;
		ev_asop(r, &(struct ev_asop){ .kind = AS_RESIZE, .obj = o->id, .len = o->size });
	}
	if (ch->zeroed)
		put_zeroed(r, o, *ch);
	else
		put_object_bytes(r, o, ch);
}

/* ---- private mappings: pages that are still the file's change in each process that has them ---- */

static void put_file_pages(struct recording *r, struct task *t, uint64_t start, uint64_t end)
{
	struct page_runs runs = { 0 };
	autoclose int pagemap = pagemap_open(t->tid);
	uint64_t page = start & ~(MAPS_PAGE - 1);

	if (pagemap < 0 || pagemap_runs(pagemap, page, (end + MAPS_PAGE - 1) & ~(MAPS_PAGE - 1), &runs))
		return;
	for (size_t i = 0; i < runs.n; i++) {
		if (!page_is_anon(runs.v[i].flags))
			continue;
		if (runs.v[i].start > start)
			ev_write_memory(r, t, start, runs.v[i].start - start);
		start = runs.v[i].end;
	}
	if (start < end)
		ev_write_memory(r, t, start, end - start);
	page_runs_free(&runs);
}

#define PAGE_UP(n) (((n) + MAPS_PAGE - 1) & ~(MAPS_PAGE - 1))

/*
 * Pages past the end of a file that shrinks are lost, the process's own copies too; those that come into being by its
 * growth are new. An operation changes the memory of the event's own task only.
 */
static void resize_private_in(struct recording *r, struct task *t, struct object_entry *o, const struct mapping *m,
			      uint64_t new_size)
{
	uint64_t least = PAGE_UP(new_size < o->now_size ? new_size : o->now_size);
	uint64_t m_end = m->off + (m->end - m->start), from = least > m->off ? least : m->off;

	if (from < m_end)
		map_objects(r, t, m->start + (from - m->off), m_end - from, 0);
	if (new_size < o->now_size && new_size % MAPS_PAGE && new_size > m->off && new_size < m_end)
		put_file_pages(r, t, m->start + (new_size - m->off), m->start + (PAGE_UP(new_size) - m->off));
}

static bool change_private_in(struct recording *r, struct task *t, struct object_entry *o, const struct change *ch,
			      bool own)
{
	struct maps maps = { 0 };
	bool found = false;

	if (maps_read(t->tid, &maps))
		return false;
	for (size_t i = 0; i < maps.n; i++) {
		const struct mapping *m = &maps.v[i];
		uint64_t m_end = m->off + (m->end - m->start), end = ch->off + ch->len;
		uint64_t from = m->off > ch->off ? m->off : ch->off, to = m_end < end ? m_end : end;

		if (m->shared || m->ino != o->ino || m->dev != o->dev)
			continue;
		found = true;
		if (own && o->now_size != (uint64_t)ch->st.st_size)
			resize_private_in(r, t, o, m, (uint64_t)ch->st.st_size);
		if (from < to)
			put_file_pages(r, t, m->start + (from - m->off), m->start + (to - m->off));
	}
	maps_free(&maps);
	return found;
}

static void change_private(struct recording *r, struct task *self, struct object_entry *o, const struct change *ch)
{
	bool found = false;

	if (!o->stale)
		o->now_size = o->size;
	o->stale = true;
	for (struct task *t = r->tasks; t; t = t->next) {
		if (t->mm && t->state != TASK_DEAD && t->state != TASK_DYING && is_first_of_mm(r, t))
			found |= change_private_in(r, t, o, ch, t->mm == self->mm);
	}
	o->now_size = (uint64_t)ch->st.st_size;
	o->live = found;
}

/* ---- other processes' memory ---- */

static void put_remote_iovecs(struct recording *r, struct task *t, struct task *target, const struct sys_call *c)
{
	uint64_t left = (uint64_t)c->ret;

	for (uint64_t i = 0; left && i < c->arg[4]; i++) {
		struct iovec v;
		uint64_t n;

		if (mem_read(t->mm->mem_fd, c->arg[3] + i * sizeof(v), &v, sizeof(v)))
			return;
		n = v.iov_len < left ? v.iov_len : left;
		ev_write_memory(r, target, (uint64_t)(uintptr_t)v.iov_base, n);
		left -= n;
	}
}

/* A write to /proc/PID/mem. */
static void put_proc_mem(struct recording *r, const struct task *self, const struct change *ch)
{
	char target[256];
	ssize_t n = readlink(ch->path, target, sizeof(target) - 1);
	const char *name;
	struct task *t;
	int pid, used = 0;

	target[n > 0 ? n : 0] = '\0';
	name = strrchr(target, '/');
	while (name && name > target && isdigit((unsigned char)name[-1]))
		name--;
	if (!name || sscanf(name, "%d/mem%n", &pid, &used) != 1 || !used || name[used])
		return;
	t = task_by_proc_number(r, self, &ch->st, pid);
	if (t && t->mm)
		ev_write_memory(r, t, ch->off, ch->len);
}

/* The newest object of a file stands for all of its private mappings. */
static void change_mapped_privately(struct recording *r, struct task *t, const struct change *ch)
{
	struct object_entry *newest = NULL;

	for (struct object_entry *o = r->objects; o; o = o->next) {
		if (o->shared || !o->live || o->ino != ch->st.st_ino ||
		    (o->st_dev != ch->st.st_dev && o->dev != ch->st.st_dev))
			continue;
		if (!newest) {
			newest = o;
			continue;
		}
		o->live = false;
		o->stale = true;
	}
	if (newest)
		change_private(r, t, newest, ch);
}

static void change_objects(struct recording *r, struct task *t, const struct sys_call *c)
{
	struct change ch = { .fd = -1 };
	struct object_entry *o;

	if (!decode(t, c, &ch) || stat(ch.path, &ch.st) < 0 || !S_ISREG(ch.st.st_mode))
		return;
	if (is_proc(r, ch.path, &ch.st)) {
		put_proc_mem(r, t, &ch);
		return;
	}
	change_mapped_privately(r, t, &ch);
	o = object_shared(r, ch.st.st_dev, ch.st.st_ino, file_btime_ns(AT_FDCWD, ch.path));
	if (o)
		change_shared(r, o, &ch);
}

/* Most writes concern nobody: find that out before asking more. */
static bool may_matter(struct recording *r, struct task *t, const struct sys_call *c)
{
	char path[64];
	struct stat st;
	int fd = fd_of(c);

	if (fd < 0)
		return c->nr == SYS_truncate || truncates(t, c);
	snprintf(path, sizeof(path), "/proc/%d/fd/%d", t->tid, fd);
	return stat(path, &st) == 0 && S_ISREG(st.st_mode) &&
	       (is_shared_or_mapped(r, &st) || is_proc(r, path, &st));
}

void file_written(struct recording *r, struct task *t, const struct sys_call *c)
{
	struct task *target;

	if (sys_failed(c->ret))
		return;
	if (c->nr == SYS_process_vm_writev) {
		target = task_by_number(r, t, (pid_t)c->arg[0]);
		if (target && target->mm)
			put_remote_iovecs(r, t, target, c);
		return;
	}
	if (may_matter(r, t, c))
		change_objects(r, t, c);
}
