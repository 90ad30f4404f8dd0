/* Notes on files that were recorded before. See filenote.h. */
#include "recorder/filenote.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/vfs.h>
#include <unistd.h>
#include <xxhash.h>
#include "common/buf.h"
#include "common/scope.h"

#define GROUP_BYTES (TRACE_GROUP * TRACE_PAGE)
#define GROUPS_MAX (1u << 16)        /* 16 GB */
#define OLD_S 30                     /* since the last change */
#define BOOT_ID_BYTES 36

/* All of it tells whether the file is as it was, and who has made the note. */
struct identity {
	uint64_t dev, ino, size, mtime[2], ctime[2];
};
struct name {
	struct identity file, relive;
	uint64_t fs_type, fs_id;
	char boot[BOOT_ID_BYTES + 4];
};

struct file_note {
	int fd;
	struct identity file;
	uint64_t name[2];
	uint32_t n_groups;
	struct trace_group *groups;
	uint8_t *have;               /* by group: it is noted */
	bool have_sites, searched;
	struct insn_sites sites;
	bool changed;                /* something was added */
};

static struct identity identity_of(const struct stat *st)
{
	return (struct identity){
		.dev = st->st_dev, .ino = st->st_ino, .size = (uint64_t)st->st_size,
		.mtime = { (uint64_t)st->st_mtim.tv_sec, (uint64_t)st->st_mtim.tv_nsec },
		.ctime = { (uint64_t)st->st_ctim.tv_sec, (uint64_t)st->st_ctim.tv_nsec },
	};
}

/* Where a store to a clean page of a mapping changes the file's times first. tmpfs has no clean pages; overlayfs has its pages elsewhere. */
static bool is_trusted(const struct statfs *fs)
{
	return fs->f_type == EXT4_SUPER_MAGIC || fs->f_type == XFS_SUPER_MAGIC || fs->f_type == BTRFS_SUPER_MAGIC;
}

/* Who we are matters because another relive may find other sites. */
static bool name_start(struct name *name)
{
	autoclose int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || read(fd, name->boot, BOOT_ID_BYTES) != BOOT_ID_BYTES || stat("/proc/self/exe", &st) < 0)
		return false;
	name->relive = identity_of(&st);
	return true;
}

static bool name_of(const struct stat *st, const struct statfs *fs, uint64_t ret[2])
{
	static struct name name;     /* without padding */
	static enum { UNKNOWN, STARTED, FAILED } state;
	XXH128_hash_t hash;

	if (state == UNKNOWN)
		state = name_start(&name) ? STARTED : FAILED;
	if (state == FAILED)
		return false;
	name.file = identity_of(st);
	name.fs_type = (uint64_t)fs->f_type;
	memcpy(&name.fs_id, &fs->f_fsid, sizeof(name.fs_id));
	hash = XXH3_128bits(&name, sizeof(name));
	ret[0] = hash.low64;
	ret[1] = hash.high64;
	return true;
}

/* ---- in the cache ---- */

/* What a note begins with; the groups, a byte for each whether it is noted, and the sites follow. Only the very relive that wrote it reads it. */
struct head {
	uint64_t n_groups, n_sites, n_unsure, code_off, code_len, clear_end;
	uint8_t have_sites, searched, tsc_unsure, zero[5];
};

static size_t note_bytes(const struct head *h)
{
	return sizeof(*h) + h->n_groups * (sizeof(struct trace_group) + 1) + h->n_sites * sizeof(struct insn_site);
}

static bool load(struct file_note *n, const struct buf *b)
{
	const uint8_t *at = b->p;
	struct head h;

	if (b->n < sizeof(h))
		return false;
	memcpy(&h, at, sizeof(h));
	at += sizeof(h);
	if (h.n_groups != n->n_groups || h.n_sites > b->n || b->n != note_bytes(&h))
		return false;
	if (h.n_sites && !(n->sites.v = malloc(h.n_sites * sizeof(*n->sites.v))))
		return false;
	memcpy(n->groups, at, n->n_groups * sizeof(*n->groups));
	at += n->n_groups * sizeof(*n->groups);
	memcpy(n->have, at, n->n_groups);
	at += n->n_groups;
	if (h.n_sites)
		memcpy(n->sites.v, at, h.n_sites * sizeof(*n->sites.v));
	n->sites.n = h.n_sites;
	n->sites.n_unsure = h.n_unsure;
	n->sites.tsc_unsure = h.tsc_unsure;
	n->sites.code_off = h.code_off;
	n->sites.code_len = h.code_len;
	n->sites.clear_end = h.clear_end;
	n->have_sites = h.have_sites;
	n->searched = h.searched;
	return true;
}

/* Equal sites are equal bytes. */
static void put_sites(struct buf *b, const struct insn_sites *s)
{
	for (size_t i = 0; i < s->n; i++) {
		struct insn_site *to = (struct insn_site *)buf_add(b, sizeof(*to));
		const struct insn_site *v = &s->v[i];
		struct insn_site clean;

		if (!to)
			return;
		memset(&clean, 0, sizeof(clean));
		clean.off = v->off;
		clean.is_cpuid = v->is_cpuid;
		clean.is_tsc = v->is_tsc;
		clean.is_xsave = v->is_xsave;
		clean.prefixes = v->prefixes;
		clean.room = v->room;
		clean.lead = v->lead;
		memcpy(to, &clean, sizeof(clean));
	}
}

void file_note_keep(struct trace_writer *w, struct file_note *n)
{
	struct head h = {
		.n_groups = n->n_groups, .n_sites = n->sites.n, .n_unsure = n->sites.n_unsure, .code_off = n->sites.code_off,
		.code_len = n->sites.code_len, .clear_end = n->sites.clear_end, .have_sites = n->have_sites, .searched = n->searched, .tsc_unsure = n->sites.tsc_unsure,
	};
	struct buf b = { 0 };
	struct stat st;

	if (!n->changed || fstat(n->fd, &st) || !file_note_holds(n, &st))
		return;
	buf_put(&b, &h, sizeof(h));
	buf_put(&b, n->groups, n->n_groups * sizeof(*n->groups));
	buf_put(&b, n->have, n->n_groups);
	put_sites(&b, &n->sites);
	if (!b.err)
		trace_keep_note(w, n->name, b.p, b.n);
	buf_free(&b);
}

/* ---- opening ---- */

/* A copy, while there are many descriptors left: a recording needs some, too. */
static int spare_copy(int fd)
{
	struct rlimit limit;
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);

	if (copy >= 0 && (getrlimit(RLIMIT_NOFILE, &limit) < 0 || (rlim_t)copy >= limit.rlim_cur / 2)) {
		close(copy);
		return -1;
	}
	return copy;
}

static struct file_note *note_new(int fd, const struct stat *st, const uint64_t name[2])
{
	struct file_note *n = calloc(1, sizeof(*n));

	if (!n)
		return NULL;
	n->fd = spare_copy(fd);
	n->file = identity_of(st);
	memcpy(n->name, name, sizeof(n->name));
	n->n_groups = (uint32_t)(((uint64_t)st->st_size + GROUP_BYTES - 1) / GROUP_BYTES);
	n->groups = calloc(n->n_groups, sizeof(*n->groups));
	n->have = calloc(n->n_groups, 1);
	if (n->fd < 0 || !n->groups || !n->have) {
		file_note_free(n);
		return NULL;
	}
	return n;
}

struct file_note *file_note_open(struct trace_writer *w, int fd, const struct stat *st, time_t now)
{
	struct file_note *n;
	struct statfs fs;
	struct buf b = { 0 };
	uint64_t name[2];
	bool found;

	if (!S_ISREG(st->st_mode) || !st->st_size || (uint64_t)st->st_size > (uint64_t)GROUPS_MAX * GROUP_BYTES ||
	    st->st_ctim.tv_sec >= now - OLD_S || fstatfs(fd, &fs) || !is_trusted(&fs) || !name_of(st, &fs, name))
		return NULL;
	n = note_new(fd, st, name);
	if (!n)
		return NULL;
	found = trace_get_note(w, name, &b) && load(n, &b);
	buf_free(&b);
	if (!found && sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER)) {
		file_note_free(n);
		return NULL;
	}
	return n;
}

void file_note_free(struct file_note *n)
{
	if (!n)
		return;
	if (n->fd >= 0)
		close(n->fd);
	free(n->groups);
	free(n->have);
	insn_sites_free(&n->sites);
	free(n);
}

/* ---- asking and adding ---- */

bool file_note_holds(const struct file_note *n, const struct stat *st)
{
	struct identity now = identity_of(st);

	return memcmp(&now, &n->file, sizeof(now)) == 0;
}

const struct trace_group *file_note_group(const struct file_note *n, uint64_t i)
{
	return i < n->n_groups && n->have[i] ? &n->groups[i] : NULL;
}

uint64_t file_note_pages(const struct file_note *n, uint64_t i)
{
	uint64_t pages = (n->file.size + TRACE_PAGE - 1) / TRACE_PAGE - i * TRACE_GROUP;

	return pages < TRACE_GROUP ? ~(UINT64_MAX << pages) : UINT64_MAX;
}

void file_note_add_group(struct file_note *n, uint64_t i, const struct trace_group *g)
{
	if (i >= n->n_groups || n->have[i])
		return;
	n->groups[i] = *g;
	n->have[i] = 1;
	n->changed = true;
}

int file_note_fd(const struct file_note *n)
{
	return n->fd;
}

static bool copy_sites(const struct insn_sites *s, struct insn_sites *ret)
{
	struct insn_site *v = NULL;

	if (s->n) {
		v = malloc(s->n * sizeof(*v));
		if (!v)
			return false;
		memcpy(v, s->v, s->n * sizeof(*v));
	}
	*ret = *s;
	ret->v = v;
	return true;
}

bool file_note_sites(const struct file_note *n, struct insn_sites *ret, bool *ret_searched)
{
	if (!n->have_sites || !copy_sites(&n->sites, ret))
		return false;
	*ret_searched = n->searched;
	return true;
}

void file_note_add_sites(struct file_note *n, const struct insn_sites *s, bool searched)
{
	insn_sites_free(&n->sites);
	n->have_sites = copy_sites(s, &n->sites);
	n->searched = searched;
	n->changed |= n->have_sites;
}
