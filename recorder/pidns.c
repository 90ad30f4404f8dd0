/*
 * Process namespaces: the numbers that programs in one of their own give to processes, in calls and in names in /proc, are
 * not those that we know (pid_namespaces(7)).
 */
#include "recorder/internal.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <linux/nsfs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>
#include "common/scope.h"
#include "tracee/procfile.h"

#define NUMBERS_MAX 33   /* namespaces are nested 32 deep at most */

/* A namespace's identity, by its inode; a process stays in its own for life. */
static uint64_t namespace_of(pid_t pid)
{
	char path[64];
	struct stat st;

	snprintf(path, sizeof(path), "/proc/%d/ns/pid", pid);
	return stat(path, &st) == 0 ? st.st_ino : 0;
}

/* What a task is called in each namespace that knows it, from ours to its own. How many they are. */
static int numbers_of(pid_t tid, pid_t v[NUMBERS_MAX])
{
	char text[4096], *at;
	int n = 0;

	procfile_read(tid, "status", text, sizeof(text));
	at = strstr(text, "\nNSpid:");
	for (at = at ? at + 7 : NULL; at && *at == '\t' && n < NUMBERS_MAX; )
		v[n++] = (pid_t)strtol(at, &at, 10);
	return n;
}

/* Whether a process's namespace, so many levels up, is this one. */
static bool is_below(pid_t pid, int levels, uint64_t ns)
{
	char path[64];
	struct stat st;
	int fd;
	bool same;

	snprintf(path, sizeof(path), "/proc/%d/ns/pid", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	while (fd >= 0 && levels-- > 0) {
		int up = ioctl(fd, NS_GET_PARENT);

		close(fd);
		fd = up;
	}
	same = fd >= 0 && fstat(fd, &st) == 0 && st.st_ino == ns;
	if (fd >= 0)
		close(fd);
	return same;
}

struct task *task_by_number(struct recording *r, const struct task *viewer, pid_t number)
{
	uint64_t ns = namespace_of(viewer->proc->pid);
	pid_t v[NUMBERS_MAX];
	int level;

	if (!ns || ns == namespace_of(getpid()))
		return task_by_tid(r, number);
	level = numbers_of(viewer->tid, v);
	for (struct task *t = r->tasks; level > 0 && t; t = t->next) {
		int n = t->state == TASK_DEAD ? 0 : numbers_of(t->tid, v);

		if (n >= level && v[level - 1] == number && is_below(t->proc->pid, n - level, ns))
			return t;
	}
	return NULL;
}

bool is_proc(const struct recording *r, const char *path, const struct stat *st)
{
	struct statfs fs;

	/* Each mount of it has files of another device; all of them are empty, as far as stat(2) knows. */
	return st->st_dev == r->proc_dev || (!st->st_size && statfs(path, &fs) == 0 && fs.f_type == PROC_SUPER_MAGIC);
}

struct task *task_by_proc_number(struct recording *r, const struct task *viewer, const struct stat *st, pid_t number)
{
	return st->st_dev == r->proc_dev ? task_by_tid(r, number) : task_by_number(r, viewer, number);
}
