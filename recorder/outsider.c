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

#define AGAIN_NS 1000000000u    /* an object is looked at again after that time */
#define SHARE 20                /* looking at all processes takes milliseconds: at most one part in so many of the time */

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

static bool is_for_writing(pid_t pid, const char *fd)
{
	char file[300], text[256];

	snprintf(file, sizeof(file), "fdinfo/%s", fd);
	return procfile_read(pid, file, text, sizeof(text)) && (procfile_number(text, "flags:", 8) & O_ACCMODE) != O_RDONLY;
}

/* The one of those to be looked at now that is this file. */
static struct object_entry *sought(const struct recording *r, uint64_t dev, uint64_t ino)
{
	for (struct object_entry *o = r->objects; o; o = o->next) {
		if (o->outsider_due && !o->outsider && o->ino == ino && (o->dev == dev || o->st_dev == dev))
			return o;
	}
	return NULL;
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

static void look_at_maps(struct recording *r, pid_t pid)
{
	struct maps maps = { 0 };

	if (maps_read_written(pid, &maps))
		return;
	for (size_t i = 0; i < maps.n; i++) {
		const struct mapping *m = &maps.v[i];
		struct object_entry *o = m->shared && m->prot & PROT_WRITE && m->ino ? sought(r, m->dev, m->ino) : NULL;

		if (o)
			tell(r, o, pid, "mapped for writing");
	}
	maps_free(&maps);
}

static void look_at_descriptors(struct recording *r, pid_t pid)
{
	char path[64], file[400];
	struct dirent *e;
	struct stat st;
	DIR *d;

	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	d = opendir(path);
	while (d && (e = readdir(d))) {
		struct object_entry *o = NULL;

		snprintf(file, sizeof(file), "%s/%s", path, e->d_name);
		if (isdigit((unsigned char)e->d_name[0]) && stat(file, &st) == 0 && S_ISREG(st.st_mode))
			o = sought(r, st.st_dev, st.st_ino);
		if (o && is_for_writing(pid, e->d_name))
			tell(r, o, pid, "open for writing");
	}
	if (d)
		closedir(d);
}

/* Those that we may not look at stay unknown. */
static void look_at_all(struct recording *r)
{
	uint64_t began = now_ns(), ended;
	struct dirent *e;
	DIR *d = opendir("/proc");

	while (d && (e = readdir(d))) {
		pid_t pid = (pid_t)strtol(e->d_name, NULL, 10);

		if (pid <= 0 || pid == getpid() || is_recorded(r, pid))
			continue;
		look_at_maps(r, pid);
		look_at_descriptors(r, pid);
	}
	if (d)
		closedir(d);
	ended = now_ns();
	r->outsider_next_ns = ended + SHARE * (ended - began);
}

/* Whether an object is to be looked at. @fd: its file, or -1. */
static bool is_due(struct object_entry *o, int fd, uint64_t now)
{
	if (!o->named || !o->ino || o->outsider || (o->outsider_ns && now - o->outsider_ns < AGAIN_NS))
		return false;
	o->outsider_ns = now;
	return fd < 0 || !nobody_can_write(fd);
}

void outsider_look(struct recording *r, struct object_entry *o, int fd)
{
	uint64_t now = now_ns();

	if (now < r->outsider_next_ns)
		return;
	o->outsider_due = is_due(o, fd, now);
	if (o->outsider_due)
		look_at_all(r);
	o->outsider_due = false;
}

static int open_of(const struct object_entry *o)
{
	int fd = o->path && *o->path == '/' ? open(o->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK) : -1;
	struct stat st;

	if (fd >= 0 && (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_ino != o->ino)) {
		close(fd);
		fd = -1;
	}
	return fd;
}

void outsider_look_again(struct recording *r, bool last)
{
	uint64_t now = now_ns();
	bool any = false;

	if (now < r->outsider_next_ns && !last)
		return;
	for (struct object_entry *o = r->objects; o; o = o->next) {
		autoclose int fd = o->shared && o->named ? open_of(o) : -1;

		o->outsider_due = o->shared && is_due(o, fd, now);
		any |= o->outsider_due;
	}
	if (any)
		look_at_all(r);
	for (struct object_entry *o = r->objects; o; o = o->next)
		o->outsider_due = false;
}
