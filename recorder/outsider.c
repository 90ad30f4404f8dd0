/*
 * Memory that recorded processes share with others: what those write to it is in no event. They are looked for when a
 * file is mapped shared, now and then, and when the last task of such a memory ends; they are named once.
 */
#include "recorder/internal.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include "common/scope.h"
#include "tracee/procfile.h"

#define AGAIN_NS 1000000000u    /* looking at all processes takes some milliseconds */

/*
 * A read lease is only given on a file that nobody has open for writing, or mapped so: fcntl(2). One that is broken in this moment
 * makes a signal, which shall be one that does not kill us.
 */
static bool nobody_can_write(int fd)
{
	if (fcntl(fd, F_SETSIG, SIGURG) < 0 || fcntl(fd, F_SETLEASE, F_RDLCK) < 0)
		return false;
	(void)fcntl(fd, F_SETLEASE, F_UNLCK);
	return true;
}

static bool is_recorded(const struct recording *r, pid_t pid)
{
	for (const struct proc *p = r->procs; p; p = p->next) {
		if (p->pid == pid)
			return true;
	}
	return false;
}

static bool maps_for_writing(pid_t pid, const struct object_entry *o)
{
	struct maps maps = { 0 };
	bool found = false;

	if (maps_read(pid, &maps))
		return false;
	for (size_t i = 0; !found && i < maps.n; i++) {
		const struct mapping *m = &maps.v[i];

		found = m->shared && m->prot & PROT_WRITE && m->ino == o->ino && m->dev == o->dev;
	}
	maps_free(&maps);
	return found;
}

static bool is_for_writing(pid_t pid, const char *fd)
{
	char file[300], text[256];

	snprintf(file, sizeof(file), "fdinfo/%s", fd);
	return procfile_read(pid, file, text, sizeof(text)) && (procfile_number(text, "flags:", 8) & O_ACCMODE) != O_RDONLY;
}

static bool has_open_for_writing(pid_t pid, const struct object_entry *o)
{
	char path[64], file[400];
	struct dirent *e;
	struct stat st;
	bool found = false;
	DIR *d;

	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	d = opendir(path);
	while (d && !found && (e = readdir(d))) {
		snprintf(file, sizeof(file), "%s/%s", path, e->d_name);
		found = isdigit((unsigned char)e->d_name[0]) && stat(file, &st) == 0 && S_ISREG(st.st_mode) &&
			st.st_ino == o->ino && (st.st_dev == o->st_dev || st.st_dev == o->dev) && is_for_writing(pid, e->d_name);
	}
	if (d)
		closedir(d);
	return found;
}

static void tell(struct recording *r, struct object_entry *o, pid_t pid, const char *how)
{
	char name[64], text[sizeof(r->result->warning)];

	o->outsider = true;
	procfile_read(pid, "comm", name, sizeof(name));
	name[strcspn(name, "\n")] = '\0';
	snprintf(text, sizeof(text), "%s is memory of recorded processes, and process %d (%s), which is not recorded, has it %s: what it writes "
		 "there is not in the trace", o->path && *o->path ? o->path : "shared memory", pid, name, how);
	(void)trace_put_note(r->w, text);
	if (!r->result->warning[0])
		snprintf(r->result->warning, sizeof(r->result->warning), "%s", text);
}

static void look_at(struct recording *r, struct object_entry *o, pid_t pid)
{
	if (maps_for_writing(pid, o))
		tell(r, o, pid, "mapped for writing");
	else if (has_open_for_writing(pid, o))
		tell(r, o, pid, "open for writing");
}

/* Those that we may not look at stay unknown. */
static void look_at_all(struct recording *r, struct object_entry *o)
{
	struct dirent *e;
	DIR *d = opendir("/proc");

	while (d && !o->outsider && (e = readdir(d))) {
		pid_t pid = (pid_t)strtol(e->d_name, NULL, 10);

		if (pid > 0 && pid != getpid() && !is_recorded(r, pid))
			look_at(r, o, pid);
	}
	if (d)
		closedir(d);
	o->outsider_ns = now_ns();
}

void outsider_look(struct recording *r, struct object_entry *o, int fd)
{
	if (o->outsider || !o->ino || (o->outsider_ns && now_ns() - o->outsider_ns < AGAIN_NS))
		return;
	if (fd < 0 || !nobody_can_write(fd))
		look_at_all(r, o);
}

void outsider_look_again(struct recording *r)
{
	for (struct object_entry *o = r->objects; o; o = o->next) {
		autoclose int fd = o->shared && o->path && *o->path == '/' ? open(o->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK) : -1;
		struct stat st;

		if (!o->shared || !o->named)
			continue;
		if (fd >= 0 && (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_ino != o->ino)) {
			close(fd);
			fd = -1;
		}
		outsider_look(r, o, fd);
	}
}
