/*
 * What /proc says of recorded processes: without the pages that relive has put there, and without their tracer. Such a file is
 * replaced, when it is opened, by a copy without these: its text arrives in pieces of any length, and what is to be shown can be
 * told only of the whole. When it is read from its beginning, the copy is made anew.
 */
#include "recorder/agent_int.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "tracee/procfile.h"

#define BYTES_MAX (64u << 20)   /* longer files stay as they are */
#define COPIES_MAX 32           /* more at once, and the oldest ones stay as they were read last */

/* A file of /proc that the program has open, as far as it knows. */
struct proc_copy {
	uint64_t dev, ino;      /* the copy's */
	int from, to;           /* both, as ours */
	const char *name;
	pid_t of;
};

struct proc_copies {
	struct proc_copy v[COPIES_MAX];
	unsigned n;             /* all that there were */
};

static int read_all(int fd, struct buf *text)
{
	ssize_t n;

	do {
		if (text->n > BYTES_MAX || buf_reserve(text, 65536 + 1))
			return -ENOMEM;
		n = pread(fd, text->p + text->n, 65536, (off_t)text->n);
		if (n > 0)
			text->n += (size_t)n;
	} while (n > 0);
	text->p[text->n] = 0;
	return n < 0 ? -errno : 0;
}

static int write_all(int fd, const struct buf *text)
{
	for (size_t done = 0; done < text->n; ) {
		ssize_t n = pwrite(fd, text->p + done, text->n - done, (off_t)done);

		if (n <= 0)
			return -EIO;
		done += (size_t)n;
	}
	return ftruncate(fd, (off_t)text->n) ? -errno : 0;
}

/* What the program is to read there now. */
static int copy_text(const struct proc_copy *c, struct proc_text *p, bool *ret_edited)
{
	int err = read_all(c->from, &p->text);

	*ret_edited = !err && proc_text_edit(p, c->name);
	return err;
}

static int64_t call_of_ours(struct task *t, long nr, uint64_t a, uint64_t b, uint64_t c)
{
	int64_t ret;
	int err = task_call(t, nr, REMOTE_ARGS(a, b, c), &ret);

	return err ? err : ret;
}

static int64_t call_with_name(struct task *t, long nr, const char *name, uint64_t arg)
{
	int err = mem_write(t->mm->mem_fd, RL_DATA, name, strlen(name) + 1);

	return err ? err : call_of_ours(t, nr, RL_DATA, arg, 0);
}

/* What /proc says of a descriptor: "" if there is none. */
static void descriptor_info(pid_t tid, uint64_t fd, char ret[256])
{
	char file[32];

	snprintf(file, sizeof(file), "fdinfo/%d", (int)fd);
	(void)procfile_read(tid, file, ret, 256);
}

static int open_of(pid_t tid, uint64_t fd, int flags)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/fd/%d", tid, (int)fd);
	return open(path, flags | O_CLOEXEC);
}

static void forget(struct proc_copy *c)
{
	close(c->from);
	close(c->to);
}

/* Our side of it is kept, so that it can be filled again. */
static void keep(struct recording *r, struct task *t, const struct proc_copy *new)
{
	struct proc_copy *c;

	if (!r->copies)
		r->copies = calloc(1, sizeof(*r->copies));
	if (!r->copies) {
		close(new->from);
		close(new->to);
		return;
	}
	c = &r->copies->v[r->copies->n++ % COPIES_MAX];
	if (r->copies->n > COPIES_MAX)
		forget(c);
	*c = *new;
	r->copy_dev = new->dev;
	agent_note_copies(r, t->mm);
}

void proc_hide_free(struct recording *r)
{
	for (unsigned i = 0; r->copies && i < COPIES_MAX && i < r->copies->n; i++)
		forget(&r->copies->v[i]);
	free(r->copies);
}

/* The copy, empty, in place of the file; read only, as that was. 0 or negative. */
static int put_in_place(struct task *t, uint64_t fd, unsigned flags, struct proc_copy *c)
{
	int64_t new = call_with_name(t, SYS_memfd_create, c->name, MFD_CLOEXEC), reader;
	char name[64];
	struct stat st;

	if (new < 0)
		return (int)new;
	c->to = open_of(t->tid, (uint64_t)new, O_RDWR);
	snprintf(name, sizeof(name), "/proc/self/fd/%d", (int)new);
	reader = call_with_name(t, SYS_open, name, O_RDONLY | O_CLOEXEC);
	if (c->to >= 0 && fstat(c->to, &st) == 0) {
		c->dev = st.st_dev;
		c->ino = st.st_ino;
		(void)call_of_ours(t, SYS_dup3, (uint64_t)(reader < 0 ? new : reader), fd, flags & O_CLOEXEC);
	}
	if (reader >= 0)
		(void)call_of_ours(t, SYS_close, (uint64_t)reader, 0, 0);
	(void)call_of_ours(t, SYS_close, (uint64_t)new, 0, 0);
	return c->to < 0 ? -EBADF : 0;
}

/* The task whose file in /proc this is; /proc/PID/NAME or /proc/PID/task/TID/NAME. NULL: it is not recorded. */
static struct task *owner(struct recording *r, const struct task *viewer, const struct stat *st, const char *path, const char *name)
{
	const char *p = name - 1;

	while (p > path && isdigit((unsigned char)p[-1]))
		p--;
	return isdigit((unsigned char)*p) ? task_by_proc_number(r, viewer, st, (pid_t)strtol(p, NULL, 10)) : NULL;
}

/* The file behind a descriptor, if it is one of /proc: its last name. */
static const char *proc_file(const struct recording *r, pid_t tid, uint64_t fd, char target[256], struct stat *st)
{
	char path[64];
	const char *slash;
	ssize_t n;

	snprintf(path, 64, "/proc/%d/fd/%d", tid, (int)fd);
	n = readlink(path, target, 255);
	if (n <= 0)
		return NULL;
	target[n] = 0;
	slash = strrchr(target, '/');
	return slash && slash > target && proc_text_known(slash + 1) && stat(path, st) == 0 && is_proc(r, path, st) ? slash + 1 : NULL;
}

void proc_hide_opened(struct recording *r, struct task *t)
{
	struct proc_copy c = { .from = -1, .to = -1 };
	struct proc_text p = { .r = r, .viewer = t };
	uint64_t fd = (uint64_t)t->call.ret;
	char target[256], info[256];
	const char *name;
	struct stat st;
	unsigned flags;
	int nr = t->call.nr;
	bool edited;

	if ((nr != SYS_open && nr != SYS_openat && nr != SYS_openat2) || t->call.ret < 0)
		return;
	name = proc_file(r, t->tid, fd, target, &st);
	if (!name)
		return;
	descriptor_info(t->tid, fd, info);
	flags = (unsigned)procfile_number(info, "\nflags:", 8);
	if (flags & O_PATH)
		return;
	c.name = proc_text_known(name);
	p.of = owner(r, t, &st, target, name);
	c.of = p.of ? p.of->tid : 0;
	c.from = open_of(t->tid, fd, O_RDONLY);
	if (c.from >= 0 && copy_text(&c, &p, &edited) == 0 && edited && put_in_place(t, fd, flags, &c) == 0 && write_all(c.to, &p.text) == 0)
		keep(r, t, &c);
	else if (c.from >= 0)
		forget(&c);
	buf_free(&p.text);
}

static const struct proc_copy *copy_of(const struct recording *r, uint64_t dev, uint64_t ino)
{
	for (unsigned i = 0; r->copies && i < COPIES_MAX && i < r->copies->n; i++) {
		if (r->copies->v[i].ino == ino && r->copies->v[i].dev == dev)
			return &r->copies->v[i];
	}
	return NULL;
}

bool proc_is_copy(const struct recording *r, const struct stat *st)
{
	return copy_of(r, st->st_dev, st->st_ino);
}

/* A call that reads from the beginning of what a descriptor stands for. */
static bool reads_from_start(const struct task *t)
{
	char info[256];

	switch (t->call.nr) {
	case SYS_pread64:
	case SYS_preadv:
		return !t->call.arg[3];
	case SYS_preadv2:
		if (t->call.arg[3] != -1ull)
			return !t->call.arg[3];
	/* fallthrough */
	case SYS_read:
	case SYS_readv:
		descriptor_info(t->tid, t->call.arg[0], info);
		return !procfile_number(info, "pos:", 10);
	}
	return false;
}

static bool is_read(int nr)
{
	return nr == SYS_read || nr == SYS_pread64 || nr == SYS_readv || nr == SYS_preadv || nr == SYS_preadv2;
}

void proc_hide_read(struct recording *r, struct task *t)
{
	const struct proc_copy *c;
	struct proc_text p = { .r = r, .viewer = t };
	char path[64];
	struct stat st;
	bool edited;
	int err;

	if (!r->copies || !is_read(t->call.nr))
		return;
	snprintf(path, sizeof(path), "/proc/%d/fd/%d", t->tid, (int)t->call.arg[0]);
	c = stat(path, &st) ? NULL : copy_of(r, st.st_dev, st.st_ino);
	if (!c || !reads_from_start(t))
		return;
	p.of = task_by_tid(r, c->of);
	err = copy_text(c, &p, &edited);
	if (err) {   /* such as that there is no such process any more */
		t->skipped = true;
		t->forced = err;
	} else {
		(void)write_all(c->to, &p.text);
	}
	buf_free(&p.text);
}
