/*
 * Private mappings of files that are also mapped shared, for writing. What is stored through the shared one shows in the
 * pages of a private one of which the process has no copy of its own yet. So at replay both are mappings of one object: the
 * shared one. Of programs and libraries, whose code is looked for in objects of their own, that is not done.
 */
#include "recorder/internal.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "common/err.h"
#include "common/scope.h"
#include "tracee/procfile.h"

bool is_first_of_mm(const struct recording *r, const struct task *t)
{
	for (const struct task *o = r->tasks; o != t; o = o->next) {
		if (o->mm == t->mm && o->state != TASK_DEAD)
			return false;
	}
	return true;
}

static bool has_memory(const struct recording *r, const struct task *t)
{
	return t->mm && t->state != TASK_DEAD && t->state != TASK_DYING && is_first_of_mm(r, t);
}

static bool is_of(const struct mapping *m, const struct object_entry *o)
{
	return m->ino == o->ino && m->dev == o->dev;
}

static bool maps_shared(const struct task *t, const struct object_entry *o)
{
	struct maps maps = { 0 };
	bool found = false;

	if (!t->mm->has_shared || maps_read(t->tid, &maps))
		return false;
	for (size_t i = 0; !found && i < maps.n; i++)
		found = maps.v[i].shared && is_of(&maps.v[i], o);
	maps_free(&maps);
	return found;
}

struct object_entry *private_shows(struct recording *r, const struct mapping *m, uint64_t btime_ns)
{
	struct object_entry *o = object_shared(r, m->dev, m->ino, btime_ns);

	if (!o || !o->stored_to || object_is_whole(r, m))
		return NULL;
	for (struct task *t = r->tasks; t; t = t->next) {
		if (has_memory(r, t) && maps_shared(t, o))
			return o;
	}
	return NULL;
}

/* Whether stores can go through a mapping that a call has just made: also later, by mprotect(2). */
static bool for_writing(const struct task *t, const struct mapping *m)
{
	char file[32], text[512];

	if (m->prot & PROT_WRITE || t->call.nr != SYS_mmap)
		return m->prot & PROT_WRITE;
	snprintf(file, sizeof(file), "fdinfo/%d", (int)t->call.arg[4]);
	procfile_read(t->tid, file, text, sizeof(text));
	return (procfile_number(text, "flags:", 8) & O_ACCMODE) == O_RDWR;
}

void private_meets(struct recording *r, const struct task *t, const struct mapping *m, struct object_entry *o)
{
	if (!for_writing(t, m))
		return;
	o->stored_to = true;
	for (struct object_entry *p = r->objects; p; p = p->next) {
		if (!p->shared && p->live && !p->whole && p->ino == o->ino && p->dev == o->dev)
			r->meets = o;
	}
}

/* The pages of a mapping that are the file's become the object's. */
static int join(struct recording *r, struct task *t, struct object_entry *o, const struct mapping *m, int fd)
{
	struct page_runs runs = { 0 };
	autoclose int pagemap = pagemap_open(t->tid);
	uint64_t at = m->start;
	int err = pagemap < 0 ? pagemap : pagemap_runs(pagemap, m->start, m->end, &runs);

	if (!err)
		err = object_add(r, o, fd, m->off, m->off + (m->end - m->start));
	for (size_t i = 0; !err && i <= runs.n; i++) {
		struct ev_asop op = { .kind = AS_MAP, .prot = (uint8_t)m->prot, .addr = at, .obj = o->id, .obj_off = m->off + (at - m->start) };

		if (i < runs.n && !page_is_anon(runs.v[i].flags))
			continue;
		op.len = (i < runs.n ? runs.v[i].start : m->end) - at;
		if (op.len)
			ev_asop(r, &op);
		at = i < runs.n ? runs.v[i].end : at;
	}
	page_runs_free(&runs);
	return err;
}

static int join_all(struct recording *r, struct task *t, struct object_entry *o, int fd)
{
	struct maps maps = { 0 };
	int err = maps_read(t->tid, &maps);

	ev_begin(r, t, EV_PATCH);
	for (size_t i = 0; !err && i < maps.n; i++) {
		if (!maps.v[i].shared && is_of(&maps.v[i], o))
			err = join(r, t, o, &maps.v[i], fd);
	}
	if (r->n_asops)
		ev_end(r);
	maps_free(&maps);
	return err == -RL_EGONE ? 0 : err;
}

void private_join(struct recording *r, struct task *t)
{
	struct object_entry *o = r->meets;
	char path[64];
	autoclose int fd = -1;

	r->meets = NULL;
	if (!o)
		return;
	snprintf(path, sizeof(path), "/proc/%d/fd/%d", t->tid, (int)t->call.arg[4]);
	fd = t->call.nr == SYS_mmap ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	for (struct task *x = r->tasks; fd >= 0 && x; x = x->next) {
		int err = has_memory(r, x) ? join_all(r, x, o, fd) : 0;

		if (err && !r->err)
			r->err = err;
	}
	for (struct object_entry *p = r->objects; fd >= 0 && p; p = p->next) {
		if (!p->shared && !p->whole && p->ino == o->ino && p->dev == o->dev) {
			p->live = false;
			p->stale = true;
		}
	}
}
