#include "trace-fmt/packcache.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "common/grow.h"
#include "common/scope.h"
#include "common/banned.h"

#define TYPE 255                     /* of a file's one chunk; no trace has such */
#define NAME "relive"
#define HASH_DIGITS 32
#define NAME_MAX_BYTES 64
#define TEMPORARY "new-"             /* a name begins so until the file is whole */
#define AGAIN_S 600                  /* so exactly it is known when a file was used last */

struct packcache {
	int dir_fd;
	atomic_uint n_put;
	atomic_bool broken;          /* putting has failed: the disk may be full */
};

static bool is_own(int fd, mode_t type, mode_t others)
{
	struct stat st;

	return fstat(fd, &st) == 0 && (st.st_mode & S_IFMT) == type && st.st_uid == geteuid() && !(st.st_mode & others);
}

struct packcache *packcache_open(const char *home)
{
	autoclose int home_fd = open(home, O_PATH | O_DIRECTORY | O_CLOEXEC), fd = -1;
	struct packcache *c;

	/* In somebody else's we would leave a directory that its owner cannot use. */
	if (home_fd < 0 || !is_own(home_fd, S_IFDIR, 0) || (mkdirat(home_fd, NAME, 0700) < 0 && errno != EEXIST))
		return NULL;
	fd = openat(home_fd, NAME, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || !is_own(fd, S_IFDIR, S_IWGRP | S_IWOTH))
		return NULL;
	c = calloc(1, sizeof(*c));
	if (c)
		c->dir_fd = take_fd(&fd);
	return c;
}

static void name_of(XXH128_hash_t contents, char out[NAME_MAX_BYTES])
{
	snprintf(out, NAME_MAX_BYTES, "%016llx%016llx", (unsigned long long)contents.high64, (unsigned long long)contents.low64);
}

static bool read_whole(int fd, size_t max, struct buf *out)
{
	struct stat st;
	uint8_t *to;

	if (fstat(fd, &st) || st.st_size < CHUNK_HDR_BYTES || (uint64_t)st.st_size > max)
		return false;
	to = buf_add(out, (size_t)st.st_size);
	return to && read(fd, to, (size_t)st.st_size) == st.st_size;
}

/* Whether out is that chunk; then its header is put into *h. */
static bool is_chunk(const struct buf *out, XXH128_hash_t name, struct chunk_hdr *h)
{
	struct cursor c = { .p = out->p, .end = out->p + out->n };

	return chunk_hdr_decode(&c, h) == 0 && h->type == TYPE && h->first == name.low64 && h->stored == out->n - CHUNK_HDR_BYTES &&
	       h->payload_hash == XXH3_64bits(out->p + CHUNK_HDR_BYTES, h->stored);
}

static void note_used(int fd)
{
	const struct timespec now[2] = { { .tv_nsec = UTIME_OMIT }, { .tv_nsec = UTIME_NOW } };
	struct stat st;

	if (fstat(fd, &st) == 0 && time(NULL) - st.st_mtim.tv_sec > AGAIN_S)
		(void)futimens(fd, now);
}

/* The file of that name, at most @max bytes, into *out, and its header into *h. */
static bool get(struct packcache *c, XXH128_hash_t contents, size_t max, struct chunk_hdr *h, struct buf *out)
{
	char name[NAME_MAX_BYTES];
	autoclose int fd = -1;

	name_of(contents, name);
	fd = openat(c->dir_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	buf_clear(out);
	if (fd < 0 || !is_own(fd, S_IFREG, S_IWGRP | S_IWOTH))
		return false;
	if (!read_whole(fd, max, out) || !is_chunk(out, contents, h)) {
		buf_clear(out);
		return false;
	}
	note_used(fd);
	return true;
}

bool packcache_get(struct packcache *c, XXH128_hash_t contents, struct chunk_hdr *h, struct buf *out)
{
	struct chunk_hdr got;

	if (!get(c, contents, CHUNK_HDR_BYTES + (size_t)h->raw, &got, out) || got.raw != h->raw) {
		buf_clear(out);
		return false;
	}
	h->packing = got.packing;
	h->stored = got.stored;
	h->payload_hash = got.payload_hash;
	return true;
}

bool packcache_has(struct packcache *c, XXH128_hash_t contents)
{
	char name[NAME_MAX_BYTES];

	name_of(contents, name);
	return faccessat(c->dir_fd, name, F_OK, 0) == 0;
}

bool packcache_get_note(struct packcache *c, XXH128_hash_t name, struct buf *out)
{
	struct chunk_hdr got;

	if (!get(c, name, CHUNK_RAW_MAX, &got, out) || got.packing != PACK_NONE) {
		buf_clear(out);
		return false;
	}
	out->n -= CHUNK_HDR_BYTES;
	memmove(out->p, out->p + CHUNK_HDR_BYTES, out->n);
	return true;
}

void packcache_put_note(struct packcache *c, XXH128_hash_t name, const void *bytes, size_t n)
{
	struct chunk_hdr h = { .packing = PACK_NONE, .stored = (uint32_t)n, .raw = (uint32_t)n, .count = 1 };
	struct buf out = { 0 };

	h.payload_hash = XXH3_64bits(bytes, n);
	if (n && n <= CHUNK_RAW_MAX - CHUNK_HDR_BYTES && buf_add(&out, CHUNK_HDR_BYTES) && buf_put(&out, bytes, n) == 0)
		packcache_put(c, name, &h, &out);
	buf_free(&out);
}

static bool write_whole(int fd, const uint8_t *at, size_t n)
{
	while (n) {
		ssize_t put = write(fd, at, n);

		if (put <= 0)
			return false;
		at += put;
		n -= (size_t)put;
	}
	return true;
}

void packcache_put(struct packcache *c, XXH128_hash_t contents, const struct chunk_hdr *h, const struct buf *out)
{
	char name[NAME_MAX_BYTES], temporary[NAME_MAX_BYTES];
	uint8_t hdr[CHUNK_HDR_BYTES];
	struct chunk_hdr own = *h;
	autoclose int fd = -1;

	if (c->broken)
		return;
	own.type = TYPE;
	own.first = contents.low64;
	chunk_hdr_encode(&own, hdr);
	name_of(contents, name);
	snprintf(temporary, sizeof(temporary), TEMPORARY "%d-%u", (int)getpid(), c->n_put++);
	fd = openat(c->dir_fd, temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0 || !write_whole(fd, hdr, sizeof(hdr)) ||
	    !write_whole(fd, out->p + CHUNK_HDR_BYTES, out->n - CHUNK_HDR_BYTES) || renameat(c->dir_fd, temporary, c->dir_fd, name)) {
		c->broken = true;
		if (fd >= 0)
			unlinkat(c->dir_fd, temporary, 0);
	}
}

/* ---- keeping it small ---- */

struct entry {
	char name[NAME_MAX_BYTES];
	uint64_t bytes;
	struct timespec used;
};

struct entries {
	struct entry *v;
	size_t n, cap;
	uint64_t bytes;
};

static bool is_ours(const char *name)
{
	return strncmp(name, TEMPORARY, strlen(TEMPORARY)) == 0 ||
	       (strlen(name) == HASH_DIGITS && strspn(name, "0123456789abcdef") == HASH_DIGITS);
}

static void list_entries(int dir_fd, struct entries *l)
{
	int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *found;

	if (!d && fd >= 0)
		close(fd);
	while (d && (found = readdir(d))) {
		struct stat st;
		struct entry *e;

		if (!is_ours(found->d_name) || strlen(found->d_name) >= NAME_MAX_BYTES ||
		    fstatat(dir_fd, found->d_name, &st, AT_SYMLINK_NOFOLLOW) || !S_ISREG(st.st_mode))
			continue;
		e = GROW(l->v, l->n, l->cap);
		if (!e)
			break;
		*e = (struct entry){ .bytes = (uint64_t)st.st_size, .used = st.st_mtim };
		snprintf(e->name, sizeof(e->name), "%s", found->d_name);
		l->bytes += e->bytes;
		l->n++;
	}
	if (d)
		closedir(d);
}

static int by_use(const void *a_, const void *b_)
{
	const struct timespec *a = &((const struct entry *)a_)->used, *b = &((const struct entry *)b_)->used;

	if (a->tv_sec != b->tv_sec)
		return a->tv_sec < b->tv_sec ? -1 : 1;
	return (a->tv_nsec > b->tv_nsec) - (a->tv_nsec < b->tv_nsec);
}

static void delete_oldest(int dir_fd, uint64_t limit)
{
	struct entries l = { 0 };

	list_entries(dir_fd, &l);
	if (l.bytes > limit)
		qsort(l.v, l.n, sizeof(*l.v), by_use);
	for (size_t i = 0; i < l.n && l.bytes > limit; i++) {
		if (unlinkat(dir_fd, l.v[i].name, 0) == 0)
			l.bytes -= l.v[i].bytes;
	}
	free(l.v);
}

void packcache_close(struct packcache *c, uint64_t limit)
{
	if (!c)
		return;
	if (c->n_put)
		delete_oldest(c->dir_fd, limit);
	close(c->dir_fd);
	free(c);
}
