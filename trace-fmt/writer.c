#include "trace-fmt/trace.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>
#include "common/buf.h"
#include "common/fault.h"
#include "common/hmap.h"
#include "common/scope.h"
#include "trace-fmt/event_code.h"
#include "trace-fmt/format.h"
#include "trace-fmt/packcache.h"
#include "trace-fmt/packer.h"
#include "trace-fmt/record_code.h"
#include "common/banned.h"

#define PAGES_PER_CHUNK 64u
#define PAGES_CHUNK_BYTES (PAGES_PER_CHUNK * TRACE_PAGE)
#define EVENTS_CHUNK_BYTES (256u << 10)
#define RECORDS_CHUNK_BYTES (256u << 10)
#define OBJECT_PAGES_PER_RECORD 4096u
#define FLUSH_NS UINT64_C(50000000)
#define EVENT_BYTES_MAX (32u << 20)   /* leaves room in a chunk for the events before it */

/* The ids of contents put before. Equal means equal in all 128 bits of the hash. */
struct known_bytes {
	struct hmap at;               /* low half of the hash -> place in `v` */
	struct buf v;                 /* pairs: high half, id */
};

struct trace_writer {
	struct packer *packer;
	int err;                      /* of the first failed write; latched */

	struct buf pages;             /* the last ones put */
	uint64_t n_pages;             /* the highest page id given out */
	struct known_bytes known_pages, known_groups;
	struct buf group;             /* trace_group_room() */

	struct buf objects, object_pages;
	uint32_t n_objects, n_objects_buf, n_object_pages_buf;
	uint32_t n_ckpts;

	struct buf events;
	struct code_state code;
	uint64_t n_events;            /* the number of the last event appended */
	uint64_t first_time_ns;       /* of the event that begins the chunk */
	uint32_t n_events_buf;
	struct buf ev_page_ids;       /* uint64_t: of the event that is being put */
};

static int latch(struct trace_writer *w, int err)
{
	if (err && !w->err)
		w->err = err;
	return w->err;
}

/* ---- chunks ---- */

/* What b holds becomes a chunk; b is empty then. */
static int chunk_put(struct trace_writer *w, enum chunk_type type, uint64_t first, uint32_t count, struct buf *b)
{
	struct chunk_hdr h = { .type = (uint8_t)type, .first = first, .count = count };
	int err = w->err;

	if (!err)
		err = b->err ? latch(w, b->err) : packer_put(w->packer, &h, b, NULL);
	if (err && err != -E2BIG)
		latch(w, err);
	buf_clear(b);
	return err;
}

/* The same with bytes that stay the caller's. */
static int chunk_copy(struct trace_writer *w, enum chunk_type type, uint64_t first, const void *bytes, size_t n)
{
	struct buf b = { 0 };
	int err;

	buf_put(&b, bytes, n);
	err = chunk_put(w, type, first, 1, &b);
	buf_free(&b);
	return err;
}

static int flush_pages(struct trace_writer *w)
{
	uint32_t n = (uint32_t)(w->pages.n / TRACE_PAGE);

	return n ? chunk_put(w, CH_PAGES, w->n_pages - n + 1, n, &w->pages) : w->err;
}

static int flush_objects(struct trace_writer *w)
{
	uint32_t n = w->n_objects_buf;
	int err = w->err;

	if (n)
		err = chunk_put(w, CH_OBJECTS, w->n_objects - n + 1, n, &w->objects);
	w->n_objects_buf = 0;
	return err;
}

/* Pages, then objects, then their pages: each chunk names only what stands before it. */
static int flush_content(struct trace_writer *w)
{
	uint32_t n = w->n_object_pages_buf;

	flush_pages(w);
	flush_objects(w);
	if (n)
		chunk_put(w, CH_OBJECT_PAGES, 0, n, &w->object_pages);
	w->n_object_pages_buf = 0;
	return w->err;
}

static int flush_events(struct trace_writer *w)
{
	uint32_t n = w->n_events_buf;

	flush_content(w);
	if (n)
		chunk_put(w, CH_EVENTS, w->n_events - n + 1, n, &w->events);
	w->n_events_buf = 0;
	return w->err;
}

/* ---- opening ---- */

static void writer_free(struct trace_writer *w)
{
	buf_free(&w->pages);
	buf_free(&w->group);
	hmap_free(&w->known_pages.at);
	buf_free(&w->known_pages.v);
	hmap_free(&w->known_groups.at);
	buf_free(&w->known_groups.v);
	buf_free(&w->objects);
	buf_free(&w->object_pages);
	buf_free(&w->events);
	buf_free(&w->ev_page_ids);
	free(w);
}

/* Close the file and free all. */
static int writer_close(struct trace_writer *w)
{
	int err = packer_close(w->packer);

	writer_free(w);
	return err;
}

static int writer_new(int fd, struct trace_writer **ret_w)
{
	struct trace_writer *w = calloc(1, sizeof(*w));
	int err;

	if (!w) {
		close(fd);
		return -ENOMEM;
	}
	err = packer_open(fd, PREAMBLE_BYTES, &w->packer);
	if (!err && buf_reserve(&w->events, EVENTS_CHUNK_BYTES * 2)) {
		packer_close(w->packer);
		err = -ENOMEM;
	}
	if (err) {
		writer_free(w);
		return err;
	}
	*ret_w = w;
	return 0;
}

static int put_header(struct trace_writer *w, const struct trace_header *h)
{
	struct buf b = { 0 };
	int err;

	header_encode(&b, h);
	err = chunk_put(w, CH_HEADER, 0, 0, &b);
	buf_free(&b);
	return err;
}

static int write_preamble(int fd)
{
	uint8_t preamble[PREAMBLE_BYTES];
	ssize_t n;

	preamble_encode(preamble);
	n = FAULT("trace-write") ? -1 : write(fd, preamble, sizeof(preamble));
	return n < 0 ? -errno : n < (ssize_t)sizeof(preamble) ? -ENOSPC : 0;
}

/*
 * A new file in place of an old one: whoever reads that keeps it, its mode does not matter, and no file system takes care, at
 * closing, that one that was cut to nothing is not lost.
 */
static void unlink_old(const char *path)
{
	struct stat st;

	if (lstat(path, &st) == 0 && S_ISREG(st.st_mode) && st.st_size && st.st_nlink == 1)
		(void)unlink(path);   /* if that is not allowed, it is written over */
}

int trace_create(const char *path, const struct trace_header *h, struct trace_writer **ret_w)
{
	struct trace_writer *w;
	int fd, err;

	unlink_old(path);
	/* Like a core file, it holds the program's memory: for the owner only. */
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	err = write_preamble(fd);
	if (err) {
		close(fd);
		return err;
	}
	err = writer_new(fd, &w);
	if (err)
		return err;
	err = put_header(w, h);
	if (err) {
		writer_close(w);
		return err;
	}
	*ret_w = w;
	return 0;
}

/* ---- content ---- */

static bool page_is_zero(const uint8_t *page)
{
	return !page[0] && memcmp(page, page + 1, TRACE_PAGE - 1) == 0;
}

/* The id of equal content put before, or 0. */
static uint64_t known_get(const struct known_bytes *k, XXH128_hash_t hash)
{
	uint64_t at, pair[2];

	if (!hmap_get(&k->at, hash.low64, &at))
		return 0;
	memcpy(pair, k->v.p + at, sizeof(pair));
	return pair[0] == hash.high64 ? pair[1] : 0;
}

static int known_put(struct known_bytes *k, XXH128_hash_t hash, uint64_t id)
{
	size_t at = k->v.n;

	return buf_u64(&k->v, hash.high64) || buf_u64(&k->v, id) || hmap_put(&k->at, hash.low64, at) ? -ENOMEM : 0;
}

int trace_put_page(struct trace_writer *w, const void *page, uint64_t *ret_id)
{
	XXH128_hash_t hash;
	uint64_t id;

	if (w->err)
		return w->err;
	if (page_is_zero(page)) {
		*ret_id = 0;
		return 0;
	}
	hash = XXH3_128bits(page, TRACE_PAGE);
	id = known_get(&w->known_pages, hash);
	if (!id) {
		if (!w->pages.n)
			buf_reserve(&w->pages, PAGES_CHUNK_BYTES);   /* at once, not by doubling */
		if (known_put(&w->known_pages, hash, w->n_pages + 1) || buf_put(&w->pages, page, TRACE_PAGE))
			return latch(w, -ENOMEM);
		id = ++w->n_pages;
	}
	*ret_id = id;
	return w->pages.n >= PAGES_CHUNK_BYTES ? flush_pages(w) : 0;
}

/* ---- groups of a file's pages ---- */

uint8_t *trace_group_room(struct trace_writer *w)
{
	buf_clear(&w->group);
	return buf_add(&w->group, TRACE_GROUP * TRACE_PAGE);
}

/* Leave in the room the pages of the mask that are not zeros. */
static void group_pack(struct trace_writer *w, struct trace_group *g)
{
	uint8_t *to = w->group.p;

	for (uint64_t left = g->mask; left; left &= left - 1) {
		unsigned i = (unsigned)__builtin_ctzll(left);
		const uint8_t *page = w->group.p + i * TRACE_PAGE;

		if (page_is_zero(page)) {
			g->mask &= ~(1ull << i);
			continue;
		}
		if (to != page)
			memmove(to, page, TRACE_PAGE);
		to += TRACE_PAGE;
	}
	w->group.n = (size_t)(to - w->group.p);
}

/* What the group's chunk will be; pages that were put before it get into one of their own. */
static int group_chunk(struct trace_writer *w, const struct trace_group *g, struct chunk_hdr *h)
{
	*h = (struct chunk_hdr){ .type = CH_PAGES, .first = w->n_pages + 1, .count = (uint32_t)__builtin_popcountll(g->mask) };
	return flush_pages(w);
}

static int group_was_put(struct trace_writer *w, const struct chunk_hdr *h, XXH128_hash_t hash, uint64_t *ret_first)
{
	w->n_pages += h->count;
	*ret_first = h->first;
	return known_put(&w->known_groups, hash, h->first) ? latch(w, -ENOMEM) : 0;
}

int trace_put_group(struct trace_writer *w, bool keep, struct trace_group *g, uint64_t *ret_first)
{
	struct chunk_hdr h;
	XXH128_hash_t hash;
	int err;

	group_pack(w, g);
	if (w->err || !g->mask)
		return w->err;
	hash = XXH3_128bits(w->group.p, w->group.n);
	g->hash[0] = hash.low64;
	g->hash[1] = hash.high64;
	*ret_first = known_get(&w->known_groups, hash);
	if (*ret_first)
		return 0;
	err = group_chunk(w, g, &h);
	if (!err)
		err = latch(w, packer_put(w->packer, &h, &w->group, keep ? &hash : NULL));
	return err ? err : group_was_put(w, &h, hash, ret_first);
}

int trace_put_kept_group(struct trace_writer *w, const struct trace_group *g, int fd, uint64_t index, uint64_t *ret_first)
{
	XXH128_hash_t hash = { .low64 = g->hash[0], .high64 = g->hash[1] };
	struct chunk_hdr h;
	int err;

	if (w->err || !g->mask)
		return w->err;
	*ret_first = known_get(&w->known_groups, hash);
	if (*ret_first)
		return 0;
	if (!packer_has(w->packer, hash))
		return -ENOENT;
	err = group_chunk(w, g, &h);
	if (!err)
		err = latch(w, packer_put_kept(w->packer, &h, hash, &(struct pack_source){ fd, index, g->mask }));
	return err ? err : group_was_put(w, &h, hash, ret_first);
}

static XXH128_hash_t note_name(const uint64_t name[2])
{
	return (XXH128_hash_t){ .low64 = name[0], .high64 = name[1] };
}

bool trace_get_note(struct trace_writer *w, const uint64_t name[2], struct buf *out)
{
	struct packcache *c = packer_cache_of(w->packer);

	return c && packcache_get_note(c, note_name(name), out);
}

void trace_keep_note(struct trace_writer *w, const uint64_t name[2], const void *bytes, size_t n)
{
	struct packcache *c = packer_cache_of(w->packer);

	if (c)
		packcache_put_note(c, note_name(name), bytes, n);
}

int trace_put_object(struct trace_writer *w, const struct trace_object *o, uint32_t *ret_id)
{
	if (w->err)
		return w->err;
	if (o->size > INT64_MAX)
		return -EINVAL;
	object_encode(&w->objects, o);
	if (w->objects.err)
		return latch(w, w->objects.err);
	w->n_objects_buf++;
	*ret_id = ++w->n_objects;
	return w->objects.n >= RECORDS_CHUNK_BYTES ? flush_objects(w) : 0;
}

int trace_put_object_pages(struct trace_writer *w, uint32_t obj, size_t n, const struct object_page *pages)
{
	if (w->err)
		return w->err;
	if (!obj || obj > w->n_objects)
		return -EINVAL;
	for (size_t i = 0; i < n; i++) {
		if (pages[i].page_id > w->n_pages || pages[i].index >= PAGE_INDEX_END)
			return -EINVAL;
	}
	while (n) {
		size_t some = n < OBJECT_PAGES_PER_RECORD ? n : OBJECT_PAGES_PER_RECORD;

		object_pages_encode(&w->object_pages, obj, some, pages);
		if (w->object_pages.err)
			return latch(w, w->object_pages.err);
		w->n_object_pages_buf++;
		pages += some;
		n -= some;
		if (w->object_pages.n >= RECORDS_CHUNK_BYTES && flush_content(w))
			return w->err;
	}
	return 0;
}

static int ckpt_refs_known(const struct trace_writer *w, const struct trace_ckpt *c)
{
	for (uint32_t i = 0; i < c->n_maps; i++) {
		if (c->maps[i].obj > w->n_objects)
			return -EINVAL;
	}
	for (uint32_t i = 0; i < c->n_pages; i++) {
		if (c->pages[i].page_id > w->n_pages)
			return -EINVAL;
	}
	return 0;
}

int trace_put_ckpt(struct trace_writer *w, const struct trace_ckpt *c, uint32_t *ret_id)
{
	struct buf b = { 0 };
	int err = w->err;

	if (!err)
		err = ckpt_check(c);
	if (!err)
		err = ckpt_refs_known(w, c);
	if (!err)
		err = flush_content(w);
	if (err)
		return err;
	ckpt_encode(&b, c);
	err = chunk_put(w, CH_CKPT, w->n_ckpts + 1, 1, &b);
	buf_free(&b);
	if (!err)
		*ret_id = ++w->n_ckpts;
	return err;
}

int trace_put_note(struct trace_writer *w, const char *text)
{
	size_t n = strnlen(text, NOTE_MAX);

	return n ? chunk_copy(w, CH_NOTE, 0, text, n) : -EINVAL;
}

/* ---- events ---- */

/* The bytes of a write as pages. */
static int put_write(struct trace_writer *w, const struct ev_write *wr)
{
	uint8_t last[TRACE_PAGE] = { 0 };

	for (uint32_t at = 0; at < wr->len; at += TRACE_PAGE) {
		const uint8_t *page = wr->bytes + at;
		uint64_t id;

		if (wr->len - at < TRACE_PAGE) {
			memcpy(last, page, wr->len - at);
			page = last;
		}
		if (trace_put_page(w, page, &id))
			return w->err;
		if (buf_u64(&w->ev_page_ids, id))
			return latch(w, -ENOMEM);
	}
	return 0;
}

/* Long writes go ahead of their event. What a program reads it often reads again, or a program like it does. */
static int put_long_writes(struct trace_writer *w, const struct event *ev)
{
	uint32_t inlined = 0;

	buf_clear(&w->ev_page_ids);
	for (uint32_t i = 0; i < ev->n_writes; i++) {
		if (!write_is_inline(&ev->writes[i], &inlined) && put_write(w, &ev->writes[i]))
			return w->err;
	}
	return 0;
}

static int event_put(struct trace_writer *w, struct event *ev, uint64_t bound)
{
	if (ev->n_writes && put_long_writes(w, ev))
		return w->err;
	if (buf_reserve(&w->events, bound))
		return latch(w, -ENOMEM);
	if (!w->n_events_buf) {
		code_reset(&w->code);
		w->first_time_ns = ev->time_ns;
	}
	w->events.n = (size_t)(event_encode(&w->code, ev, (const uint64_t *)w->ev_page_ids.p, w->events.p + w->events.n) - w->events.p);
	w->n_events_buf++;
	ev->no = ++w->n_events;
	return 0;
}

int trace_append(struct trace_writer *w, struct event *ev)
{
	uint64_t bound = event_bound(ev);
	int err = w->err;

	if (!err)
		err = event_check(ev);
	if (!err && !event_refs_ok(ev, w->n_objects, w->n_ckpts))
		err = -EINVAL;
	if (!err && bound > EVENT_BYTES_MAX)
		err = -E2BIG;
	if (!err)
		err = event_put(w, ev, bound);
	if (err)
		return err;
	/* A clock that went backwards wraps to a huge age: flushed, no harm. */
	if (w->events.n >= EVENTS_CHUNK_BYTES || ev->time_ns - w->first_time_ns >= FLUSH_NS)
		return flush_events(w);
	return 0;
}

int trace_flush(struct trace_writer *w)
{
	return flush_events(w);
}

/* An index too long for a chunk is left out: readers do without. */
static int put_index(struct trace_writer *w, uint64_t *ret_offset)
{
	uint32_t n_chunks;
	struct buf *index = packer_index(w->packer, &n_chunks);

	*ret_offset = 0;
	if (index->err || index->n > CHUNK_RAW_MAX)
		return 0;
	*ret_offset = packer_offset(w->packer);
	return chunk_put(w, CH_INDEX, 0, n_chunks, index);
}

static int put_end(struct trace_writer *w, int exit_status)
{
	struct end_record e = {
		.exit_status = exit_status, .n_objects = w->n_objects, .n_ckpts = w->n_ckpts,
		.n_events = w->n_events, .n_pages = w->n_pages,
	};
	uint8_t raw[END_RAW_BYTES];
	struct buf b = { 0 };
	int err = flush_events(w);

	if (!err)
		err = latch(w, packer_drain(w->packer));
	if (!err)
		err = put_index(w, &e.index_offset);
	if (err)
		return err;
	end_record_encode(&e, raw);
	buf_put(&b, raw, sizeof(raw));
	err = chunk_put(w, CH_END, 0, 0, &b);
	buf_free(&b);
	return err;
}

int trace_finish(struct trace_writer *w, int exit_status)
{
	int err = put_end(w, exit_status), closed = writer_close(w);

	return err ? err : closed;
}

uint64_t trace_writer_events(const struct trace_writer *w)
{
	return w->n_events;
}

uint64_t trace_writer_bytes(struct trace_writer *w)
{
	packer_drain(w->packer);
	return packer_offset(w->packer);
}

void trace_writer_cache(struct trace_writer *w, const char *home)
{
	packer_cache(w->packer, home);
}

int trace_writer_thread(struct trace_writer *w, const cpu_set_t *cpus)
{
	return packer_thread(w->packer, cpus);
}
