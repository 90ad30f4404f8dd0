/*
 * What /proc says of recorded processes: without the pages that relive has put there, and without their tracer. A list of
 * mappings is replaced, when it is opened, by a file without these: its lines arrive in pieces of any length, and
 * whether one is to be shown can be told only of the whole. A status is put right in what was read of it.
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
#include "common/scope.h"

#define LISTS_BYTES_MAX (64u << 20)   /* longer ones stay as they are */
#define STATUS_MAX 4096

/* ---- lists of mappings ---- */

static bool is_ours(uint64_t addr, const struct agent_mm *a)
{
	if (addr >= RL_BASE && addr < RL_END)
		return true;
	for (size_t i = 0; a && i < a->n_blocks; i++) {
		if (a->blocks[i].addr == addr)
			return true;
	}
	return false;
}

/* A line that begins a mapping's entry: its address, in lower case, and `-` or a blank. */
static bool begins_entry(const char *line, uint64_t *ret_addr)
{
	char *end;

	if (!isdigit((unsigned char)*line) && !(*line >= 'a' && *line <= 'f'))
		return false;
	*ret_addr = strtoull(line, &end, 16);
	return *end == '-' || *end == ' ';
}

/* Drop our entries, in place. False: there is none, so that this is not a process that runs under relive. */
static bool drop_ours(struct buf *text, const struct agent_mm *a)
{
	char *to = (char *)text->p, *from = to, *end = to + text->n;
	bool dropping = false, ours = false;

	while (from < end) {
		char *nl = memchr(from, '\n', (size_t)(end - from));
		size_t n = (size_t)((nl ? nl + 1 : end) - from);
		uint64_t addr;

		if (begins_entry(from, &addr)) {
			dropping = is_ours(addr, a);
			ours = ours || addr == RL_BASE;
		}
		if (!dropping) {
			memmove(to, from, n);
			to += n;
		}
		from += n;
	}
	text->n = (size_t)(to - (char *)text->p);
	return ours;
}

static int read_all(const char *path, struct buf *text)
{
	autoclose int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return -errno;
	do {
		if (text->n > LISTS_BYTES_MAX || buf_reserve(text, 65536 + 1))
			return -ENOMEM;
		n = read(fd, text->p + text->n, 65536);
		if (n > 0)
			text->n += (size_t)n;
	} while (n > 0);
	text->p[text->n] = 0;
	return n < 0 ? -errno : 0;
}

static int fill(pid_t tid, int fd, const struct buf *text)
{
	char path[64];
	autoclose int own = -1;

	snprintf(path, sizeof(path), "/proc/%d/fd/%d", tid, fd);
	own = open(path, O_RDWR | O_CLOEXEC);
	for (size_t done = 0; own >= 0 && done < text->n; ) {
		ssize_t n = write(own, text->p + done, text->n - done);

		if (n <= 0)
			return -EIO;
		done += (size_t)n;
	}
	return own < 0 || fcntl(own, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) ? -errno : 0;
}

static int64_t call_of_ours(struct task *t, long nr, uint64_t a, uint64_t b, uint64_t c)
{
	int64_t ret;
	int err = task_call(t, nr, REMOTE_ARGS(a, b, c), &ret);

	return err ? err : ret;
}

static void put_in_place(struct task *t, uint64_t fd, const char *name, const struct buf *text)
{
	int64_t flags, new;

	if (mem_write(t->mm->mem_fd, RL_DATA, name, strlen(name) + 1))
		return;
	flags = call_of_ours(t, SYS_fcntl, fd, F_GETFD, 0);
	new = flags < 0 ? flags : call_of_ours(t, SYS_memfd_create, RL_DATA, MFD_CLOEXEC | MFD_ALLOW_SEALING, 0);
	if (new < 0)
		return;
	if (fill(t->tid, (int)new, text) == 0)
		(void)call_of_ours(t, SYS_dup3, (uint64_t)new, fd, flags & FD_CLOEXEC ? O_CLOEXEC : 0);
	(void)call_of_ours(t, SYS_close, (uint64_t)new, 0, 0);
}

/* The agent's memory in the process whose file in /proc this is; /proc/PID/NAME or /proc/PID/task/TID/NAME. */
static const struct agent_mm *agent_of(struct recording *r, const struct task *viewer, const struct stat *st, const char *path, const char *name)
{
	const char *p = name - 1;
	const struct task *t;

	while (p > path && isdigit((unsigned char)p[-1]))
		p--;
	t = task_by_proc_number(r, viewer, st, (pid_t)strtol(p, NULL, 10));
	return t && t->mm ? t->mm->agent : NULL;
}

static bool is_list(const char *name)
{
	return !strcmp(name, "maps") || !strcmp(name, "smaps") || !strcmp(name, "numa_maps");
}

/* The file behind a descriptor, if it is one of /proc. */
static const char *proc_file(const struct recording *r, pid_t tid, uint64_t fd, char path[64], char target[256], struct stat *st)
{
	const char *slash;
	ssize_t n;

	snprintf(path, 64, "/proc/%d/fd/%d", tid, (int)fd);
	n = readlink(path, target, 255);
	if (n <= 0)
		return NULL;
	target[n] = 0;
	slash = strrchr(target, '/');
	return slash && slash > target && stat(path, st) == 0 && is_proc(r, path, st) ? slash + 1 : NULL;
}

void proc_hide_maps(struct recording *r, struct task *t)
{
	char path[64], target[256];
	const char *name;
	struct buf text = { 0 };
	struct stat st;
	int nr = t->call.nr;

	if ((nr != SYS_open && nr != SYS_openat && nr != SYS_openat2) || t->call.ret < 0)
		return;
	name = proc_file(r, t->tid, (uint64_t)t->call.ret, path, target, &st);
	if (name && is_list(name) && read_all(path, &text) == 0 && drop_ours(&text, agent_of(r, t, &st, target, name)))
		put_in_place(t, (uint64_t)t->call.ret, name, &text);
	buf_free(&text);
}

/* ---- status ---- */

/* The line that begins with a name, whole, and its number; NULL: it is not there. */
static char *line_of(char *text, const char *name, char **ret_value, char **ret_end)
{
	char *at = strstr(text, name);

	if (!at || (at > text && at[-1] != '\n'))
		return NULL;
	*ret_value = at + strlen(name);
	*ret_end = strchr(at, '\n');
	return *ret_end ? at : NULL;
}

static void set_value(char *value, char *end, unsigned long v)
{
	char digits[24];
	size_t n = (size_t)snprintf(digits, sizeof(digits), "%lu", v);

	if (n > (size_t)(end - value))
		return;
	memcpy(value, digits, n);
	memmove(value + n, end, strlen(end) + 1);
}

/* The recorder is the tracer only of what it records; in a process namespace of the program's nobody sees it. */
static bool edit_status(struct recording *r, const struct task *viewer, const struct stat *st, char *text)
{
	const struct task *of = NULL;
	char *value, *end;
	pid_t tracer;

	if (line_of(text, "Pid:\t", &value, &end))
		of = task_by_proc_number(r, viewer, st, (pid_t)strtol(value, NULL, 10));
	if (!line_of(text, "TracerPid:\t", &value, &end))
		return false;
	tracer = (pid_t)strtol(value, NULL, 10);
	if (tracer != getpid() && (tracer || !of))
		return false;
	set_value(value, end, 0);
	if (r->outer_filter || !of)
		return true;
	if (line_of(text, "Seccomp:\t", &value, &end))
		set_value(value, end, of->filters ? 2 : of->sec_strict);
	if (line_of(text, "Seccomp_filters:\t", &value, &end))
		set_value(value, end, seccomp_n_filters(of));
	return true;
}

/* In what a read has just brought; it becomes shorter, and the file's position knows nothing of it. */
void proc_hide_tracer(struct recording *r, struct task *t, struct user_regs_struct *regs)
{
	uint64_t at = t->have_plan ? t->plan.arg[1] : t->call.arg[1];
	int64_t n = (int64_t)regs->rax;
	char text[STATUS_MAX + 1], path[64], target[256];
	struct stat st;
	const char *name;

	t->hidden_bytes = 0;
	if ((t->call.nr != SYS_read && t->call.nr != SYS_pread64) || n <= 0 || n > STATUS_MAX || t->skipped ||
	    mem_read(t->mm->mem_fd, at, text, (size_t)n))
		return;
	text[n] = 0;
	if (!strstr(text, "TracerPid:\t"))
		return;
	name = proc_file(r, t->tid, t->call.arg[0], path, target, &st);
	if (!name || strcmp(name, "status") != 0 || !edit_status(r, t, &st, text) ||
	    mem_write(t->mm->mem_fd, at, text, strlen(text)))
		return;
	regs->rax = strlen(text);
	t->hidden_bytes = (uint64_t)n - regs->rax;
}
