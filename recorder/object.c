/* Contents of mapped files and of shared memory: each stored once. */
#include "recorder/internal.h"
#include "recorder/agent.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>
#include "common/scope.h"
#include "recorder/filenote.h"

uint64_t file_btime_ns(int fd, const char *path)
{
	struct statx x;

	if (statx(fd, path, AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_BTIME, &x) < 0 || !(x.stx_mask & STATX_BTIME))
		return 0;
	return (uint64_t)x.stx_btime.tv_sec * 1000000000u + x.stx_btime.tv_nsec;
}

struct object_entry *object_shared(struct recording *r, uint64_t dev, uint64_t ino, uint64_t btime_ns)
{
	for (struct object_entry *o = r->objects; o; o = o->next) {
		if (o->shared && o->ino == ino && (o->dev == dev || o->st_dev == dev) &&
		    (o->btime_ns == btime_ns || !o->btime_ns || !btime_ns))
			return o;
	}
	return NULL;
}

struct object_entry *object_by_id(struct recording *r, uint32_t id)
{
	struct object_entry *o = r->objects;

	while (o && o->id != id)
		o = o->next;
	return o;
}

bool object_was_written(const struct recording *r, const struct mapping *m)
{
	const struct object_entry *o = r->objects;

	while (o && (o->shared || !o->stale || (m && (o->dev != m->dev || o->ino != m->ino))))
		o = o->next;
	return o;
}

bool object_is_whole(const struct recording *r, const struct mapping *m)
{
	const struct object_entry *o = r->objects;

	while (o && (!o->whole || o->dev != m->dev || o->ino != m->ino))
		o = o->next;
	return o;
}

static struct object_entry *object_private(struct recording *r, const struct object_entry *want)
{
	struct object_entry *o = r->objects;

	while (o && (o->shared || o->stale || o->dev != want->dev || o->ino != want->ino || o->size != want->size ||
		     o->mtime_ns != want->mtime_ns))
		o = o->next;
	return o;
}

#define GROUP_BYTES (TRACE_GROUP * TRACE_PAGE)

/* Of the pages of a group those from page @from of the object to before @to that are not stored yet. */
static uint64_t group_missing(const struct object_entry *o, uint64_t group, uint64_t from, uint64_t to)
{
	uint64_t first = group * TRACE_GROUP, mask = UINT64_MAX;

	if (from > first)
		mask &= UINT64_MAX << (from - first);
	if (to < first + TRACE_GROUP)
		mask &= ~(UINT64_MAX << (to - first));
	return group < o->have_groups ? mask & ~o->have[group] : mask;
}

static int group_mark(struct object_entry *o, uint64_t group, uint64_t mask)
{
	if (group >= o->have_groups) {
		size_t n = (group + 1) * 2;
		uint64_t *more = realloc(o->have, n * sizeof(*more));

		if (!more)
			return -ENOMEM;
		memset(more + o->have_groups, 0, (n - o->have_groups) * sizeof(*more));
		o->have = more;
		o->have_groups = n;
	}
	o->have[group] |= mask;
	return 0;
}

/* Where an object's bytes come from: its file, or the mapping itself. */
struct source {
	int fd;              /* the file, or -1 */
	bool mapped;         /* its bytes are read from the mapping */
	int mem_fd;
	uint64_t map_addr, map_off;
	struct file_note *note;   /* on the file, as it is now; or NULL */
};

static size_t source_read(const struct source *s, uint64_t off, uint8_t *out, size_t n)
{
	size_t got;

	if (!s->mapped) {
		ssize_t k = pread(s->fd, out, n, (off_t)off);

		got = k > 0 ? (size_t)k : 0;
	} else {
		got = mem_read_some(s->mem_fd, s->map_addr + (off - s->map_off), out, n);
	}
	memset(out + got, 0, n - got);
	return got;
}

static int mark_range(struct object_entry *o, uint64_t off, uint64_t end)
{
	uint64_t from = off / TRACE_PAGE, to = (end + TRACE_PAGE - 1) / TRACE_PAGE;
	int err = 0;

	for (uint64_t g = from / TRACE_GROUP; !err && g * TRACE_GROUP < to; g++)
		err = group_mark(o, g, group_missing(o, g, from, to));
	return err;
}

/*
 * The first stretch of whole pages in *off ... end of which the file has bytes: *off is moved to it, its length is returned. What is
 * not stored reads as zero, and reading the holes of a large file takes long and, through a mapping, memory.
 */
static uint64_t next_data(const struct source *s, uint64_t *off, uint64_t end)
{
	const uint64_t in_page = TRACE_PAGE - 1;
	off_t data = s->fd < 0 ? -1 : lseek(s->fd, (off_t)*off, SEEK_DATA), hole;

	if (data < 0) {
		if (s->fd >= 0 && errno == ENXIO)
			*off = end;
		return end - *off;
	}
	hole = lseek(s->fd, data, SEEK_HOLE);
	if (((uint64_t)data & ~in_page) > *off)
		*off = (uint64_t)data < end ? (uint64_t)data & ~in_page : end;
	if (hole >= 0 && (((uint64_t)hole + in_page) & ~in_page) < end)
		end = ((uint64_t)hole + in_page) & ~in_page;
	return end > *off ? end - *off : 0;
}

/* The group's pages get ids from @first on. */
static int put_pages(struct recording *r, struct object_entry *o, uint64_t group, const struct trace_group *g, uint64_t first)
{
	struct object_page pages[TRACE_GROUP];
	size_t n = 0;

	for (uint64_t left = g->mask; left; left &= left - 1, n++) {
		pages[n].index = group * TRACE_GROUP + (uint64_t)__builtin_ctzll(left);
		pages[n].page_id = first + n;
	}
	return n ? trace_put_object_pages(r->w, o->id, n, pages) : 0;
}

static int read_group(struct recording *r, const struct source *s, uint64_t group, struct trace_group *g)
{
	unsigned from = (unsigned)__builtin_ctzll(g->mask), to = TRACE_GROUP - (unsigned)__builtin_clzll(g->mask);
	uint8_t *room = trace_group_room(r->w);

	if (!room)
		return -ENOMEM;
	source_read(s, group * GROUP_BYTES + from * TRACE_PAGE, room + from * TRACE_PAGE, (to - from) * TRACE_PAGE);
	return 0;
}

static int store_group(struct recording *r, struct object_entry *o, const struct source *s, uint64_t group, uint64_t want)
{
	bool whole = s->note && want == file_note_pages(s->note, group);
	const struct trace_group *noted = whole ? file_note_group(s->note, group) : NULL;
	struct trace_group g = { .mask = want };
	uint64_t first = 0;
	int err = noted ? trace_put_kept_group(r->w, noted, file_note_fd(s->note), group * TRACE_GROUP, &first) : -ENOENT;

	if (noted && !err)
		g = *noted;
	if (err == -ENOENT) {
		err = read_group(r, s, group, &g);
		if (!err)
			err = trace_put_group(r->w, o->public, &g, &first);
		if (!err && whole)
			file_note_add_group(s->note, group, &g);
	}
	if (!err)
		err = group_mark(o, group, want);
	return err ? err : put_pages(r, o, group, &g, first);
}

static bool is_noted(const struct source *s, uint64_t off)
{
	return s->note && off % GROUP_BYTES == 0 && file_note_group(s->note, off / GROUP_BYTES);
}

/* To the next bytes that are stored; *ret_end is the end of those. A group of which there is to be a note is read as a whole. */
static int skip_hole(struct object_entry *o, const struct source *s, uint64_t *off, uint64_t end, uint64_t *ret_end)
{
	uint64_t from = *off, left = next_data(s, off, end), group = *off - *off % GROUP_BYTES;

	*ret_end = *off + left;
	if (s->note && left) {
		*off = group > from ? group : from;
		*ret_end = end;
	}
	return mark_range(o, from, *off);
}

static int store_range(struct recording *r, struct object_entry *o, const struct source *s, uint64_t off, uint64_t end)
{
	int err = 0;

	while (!err && off < end) {
		uint64_t to = end, group, group_end, want;

		if (!is_noted(s, off))
			err = skip_hole(o, s, &off, end, &to);
		group = off / GROUP_BYTES;
		group_end = (group + 1) * GROUP_BYTES;
		if (err || off >= to)
			continue;
		to = to < group_end ? to : group_end;
		want = group_missing(o, group, off / TRACE_PAGE, (to + TRACE_PAGE - 1) / TRACE_PAGE);
		if (want)
			err = store_group(r, o, s, group, want);
		off = to;
	}
	return err;
}

/* The note on a file that everybody may read, if it can be used now. */
static struct file_note *note_on(struct recording *r, struct object_entry *o, int fd, const struct stat *st)
{
	if (!o->public || fd < 0)
		return NULL;
	if (!o->note_sought) {
		o->note = file_note_open(r->w, fd, st, time(NULL));
		o->note_sought = true;
	}
	return o->note && file_note_holds(o->note, st) ? o->note : NULL;
}

int object_add(struct recording *r, struct object_entry *o, int fd, uint64_t off, uint64_t end)
{
	uint64_t size = (o->size + TRACE_PAGE - 1) & ~(uint64_t)(TRACE_PAGE - 1);

	if (end > size)
		end = size;
	return off < end ? store_range(r, o, &(struct source){ .fd = fd }, off, end) : 0;
}

static bool source_is(int fd, const struct mapping *m)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && (uint64_t)st.st_ino == m->ino;
}

/* A descriptor on the mapped file itself, or -1. Its name may by now mean another file: the inode decides. */
static int source_open(struct task *t, const struct mapping *m)
{
	char path[128];
	int fd;

	if (t->where != AT_USER) {
		bool maps = t->call.nr == SYS_mmap;

		snprintf(path, sizeof(path), "/proc/%d/fd/%d", t->tid, (int)t->call.arg[maps ? 4 : 0]);
		fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
		if (fd >= 0 && source_is(fd, m))
			return fd;
		if (fd >= 0)
			close(fd);
	}
	snprintf(path, sizeof(path), "/proc/%d/exe", t->tid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0 && source_is(fd, m))
		return fd;
	if (fd >= 0)
		close(fd);
	if (m->name[0] != '/')
		return -1;
	fd = open(m->name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd >= 0 && source_is(fd, m))
		return fd;
	if (fd >= 0)
		close(fd);
	return -1;
}

/* New memory without a name is zero: reading it would only make it real. */
static bool is_new_anonymous(const struct task *t, const struct mapping *m)
{
	return t->call.nr == SYS_mmap && t->call.arg[3] & MAP_ANONYMOUS && (uint64_t)t->call.ret == m->start;
}

static int object_new(struct recording *r, const struct mapping *m, const struct object_entry *want, uint64_t size,
		      bool elf, struct object_entry **ret)
{
	struct trace_object to = { .size = size, .dev = m->dev, .ino = m->ino, .path = m->name };
	struct object_entry *o = calloc(1, sizeof(*o));
	int err;

	if (!o)
		return -ENOMEM;
	*o = *want;
	o->whole = elf && !want->shared;
	to.flags = (o->whole ? OBJ_ELF : 0) | (want->shared ? OBJ_SHARED_MEM : 0);
	err = trace_put_object(r->w, &to, &o->id);
	if (err) {
		free(o);
		return err;
	}
	o->next = r->objects;
	r->objects = o;
	agent_watch_file(r, o->ino);
	*ret = o;
	return 0;
}

static uint64_t mtime_of(const struct stat *st)
{
	return (uint64_t)st->st_mtim.tv_sec * 1000000000u + (uint64_t)st->st_mtim.tv_nsec;
}

static int find_sites(struct object_entry *o, const struct source *s)
{
	int found;

	if (s->note && file_note_sites(s->note, &o->sites, &o->searched))
		return 0;
	found = insn_sites_find(s->fd, &o->sites);
	o->searched = !found;   /* a file that cannot be looked through has none */
	if (s->note && found != -ENOMEM)
		file_note_add_sites(s->note, &o->sites, o->searched);
	return found == -ENOMEM ? found : 0;
}

static int private_object(struct recording *r, const struct mapping *m, struct source *s, const struct stat *st,
			  uint32_t *ret_id)
{
	struct object_entry want = { .dev = m->dev, .ino = m->ino, .st_dev = m->dev };
	uint64_t end = m->off + (m->end - m->start);
	uint8_t magic[SELFMAG] = { 0 };
	struct object_entry *o;
	int err = 0;

	if (st) {
		want.st_dev = st->st_dev;
		want.size = (uint64_t)st->st_size;
		want.mtime_ns = mtime_of(st);
		want.public = st->st_mode & S_IROTH;
		(void)!pread(s->fd, magic, sizeof(magic), 0);
	}
	o = object_private(r, &want);
	if (!o) {
		err = object_new(r, m, &want, st ? want.size : end, memcmp(magic, ELFMAG, SELFMAG) == 0, &o);
		if (!err && st)
			s->note = note_on(r, o, s->fd, st);
		if (!err && o->whole)
			err = store_range(r, o, s, 0, want.size);
		if (!err && o->whole)
			err = find_sites(o, s);
		if (err)
			return err;
	} else if (st && !o->whole) {
		s->note = note_on(r, o, s->fd, st);
	}
	o->live = true;
	*ret_id = o->id;
	if (o->whole)
		return 0;
	if (st && end > want.size)
		end = want.size;
	return m->off < end ? store_range(r, o, s, m->off, end) : 0;
}

struct object_entry *object_of_file(struct recording *r, struct task *t, int fd)
{
	char path[64];
	struct stat st;

	snprintf(path, sizeof(path), "/proc/%d/fd/%d", t->tid, fd);
	if (stat(path, &st) < 0 || !S_ISREG(st.st_mode))
		return NULL;
	for (struct object_entry *o = r->objects; o; o = o->next) {
		if (!o->whole || o->stale || o->ino != (uint64_t)st.st_ino || o->st_dev != (uint64_t)st.st_dev ||
		    o->size != (uint64_t)st.st_size || o->mtime_ns != mtime_of(&st))
			continue;
		o->live = true;
		return o;
	}
	return NULL;
}

/* Where read(2) and all mappings show the same pages, whoever writes to them. */
static bool is_coherent(int fd)
{
	static const uint32_t known[] = { EXT4_SUPER_MAGIC, XFS_SUPER_MAGIC, BTRFS_SUPER_MAGIC, F2FS_SUPER_MAGIC, TMPFS_MAGIC,
					  OVERLAYFS_SUPER_MAGIC };
	struct statfs fs;

	if (fstatfs(fd, &fs))
		return false;
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		if ((uint32_t)fs.f_type == known[i])
			return true;
	}
	return false;
}

/*
 * Its size and times change while it is mapped; it stays one object. Its bytes are those of the mapping, which takes several times
 * as long to read as a file.
 */
static int shared_object(struct recording *r, struct task *t, const struct mapping *m, const struct source *s,
			 const struct stat *st, uint32_t *ret_id)
{
	struct object_entry want = { .dev = m->dev, .ino = m->ino, .st_dev = m->dev, .shared = true };
	struct source from = *s;
	uint64_t end = m->off + (m->end - m->start);
	struct object_entry *o;
	int err;

	want.size = end;
	if (st) {
		want.st_dev = st->st_dev;
		want.size = (uint64_t)st->st_size;
		want.btime_ns = file_btime_ns(s->fd, "");
		want.public = st->st_mode & S_IROTH;
		from.mapped = m->prot & PROT_WRITE || !is_coherent(s->fd);
	}
	o = object_shared(r, m->dev, m->ino, want.btime_ns);
	if (!o) {
		err = object_new(r, m, &want, want.size, false, &o);
		if (err)
			return err;
	}
	t->mm->has_shared = true;
	private_meets(r, t, m, o);
	*ret_id = o->id;
	if (is_new_anonymous(t, m))
		return mark_range(o, m->off, end);
	if (!o->path)
		o->path = strdup(m->name);
	o->named = true;
	outsider_look(r, o, s->fd);
	if (st && !from.mapped)
		from.note = note_on(r, o, s->fd, st);
	if (end > o->size)
		end = (o->size + TRACE_PAGE - 1) & ~(uint64_t)(TRACE_PAGE - 1);
	return m->off < end ? store_range(r, o, &from, m->off, end) : 0;
}

int object_of_mapping(struct recording *r, struct task *t, const struct mapping *m, uint32_t *ret_id)
{
	autoclose int fd = source_open(t, m);
	struct source s = { .fd = fd, .mapped = fd < 0, .mem_fd = t->mm->mem_fd, .map_addr = m->start, .map_off = m->off };
	struct object_entry *o;
	struct stat st;
	bool known = fd >= 0 && fstat(fd, &st) == 0;

	if (m->shared)
		return shared_object(r, t, m, &s, known ? &st : NULL, ret_id);
	o = known ? private_shows(r, m, file_btime_ns(fd, "")) : NULL;
	if (o) {
		*ret_id = o->id;
		return object_add(r, o, fd, m->off, m->off + (m->end - m->start));
	}
	return private_object(r, m, &s, known ? &st : NULL, ret_id);
}
