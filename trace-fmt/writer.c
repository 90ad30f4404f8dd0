#include "trace-fmt/trace.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>
#include <zstd.h>
#include "common/buf.h"
#include "common/fault.h"
#include "common/hmap.h"
#include "common/scope.h"
#include "trace-fmt/event_code.h"
#include "trace-fmt/format.h"
#include "trace-fmt/record_code.h"
#include "common/banned.h"

#define ZSTD_LEVEL 1                  /* keeps up with the recorder: some 500 MB/s of pages */
#define PAGES_PER_CHUNK 64u
#define EVENTS_CHUNK_BYTES (256u << 10)
#define RECORDS_CHUNK_BYTES (256u << 10)
#define OBJECT_PAGES_PER_RECORD 4096u
#define FLUSH_NS UINT64_C(50000000)
#define EVENT_BYTES_MAX (32u << 20)   /* leaves room in a chunk for the events before it */

struct trace_writer {
	int fd;
	int err;                      /* of the first failed write; latched */
	uint64_t offset;              /* end of the last complete chunk */
	ZSTD_CCtx *zstd;
	struct buf out;               /* a chunk as it goes to the file */
	struct buf index;             /* the index chunk's contents so far */
	uint32_t n_chunks;
	uint64_t kept;                /* raw bytes of chunks that readers keep in memory */

	uint8_t *page_buf;            /* PAGES_PER_CHUNK pages, the last ones put */
	uint32_t n_page_buf;
	uint64_t n_pages;             /* the highest page id given out */
	struct hmap page_ids;         /* low half of the content's hash -> page id */
	struct buf page_high;         /* high halves, by page id - 1 */

	struct buf objects, object_pages;
	uint32_t n_objects, n_objects_buf, n_object_pages_buf;
	uint32_t n_ckpts;

	struct buf events;
	struct code_state code;
	uint64_t n_events;            /* the number of the last event appended */
	uint64_t first_time_ns;       /* of the event that begins the chunk */
	uint32_t n_events_buf;
	uint64_t n_blobs;
};

static int latch(struct trace_writer *w, int err)
{
	if (err && !w->err)
		w->err = err;
	return w->err;
}

/* ---- chunks ---- */

static int write_all(int fd, const uint8_t *p, size_t n)
{
	while (n) {
		ssize_t got = FAULT("trace-write") ? -1 : write(fd, p, n);

		if (got < 0) {
			if (errno == EINTR)
				continue;
			return -errno;
		}
		p += got;
		n -= (size_t)got;
	}
	return 0;
}

/* Compress behind the header's place in w->out; fall back to plain bytes. */
static int chunk_pack(struct trace_writer *w, const void *raw, struct chunk_hdr *h)
{
	size_t bound = ZSTD_compressBound(h->raw), got;
	uint8_t *to;

	buf_clear(&w->out);
	if (buf_reserve(&w->out, CHUNK_HDR_BYTES + bound))
		return -ENOMEM;
	to = w->out.p + CHUNK_HDR_BYTES;
	if (h->type != CH_END) {
		got = ZSTD_compressCCtx(w->zstd, to, bound, raw, h->raw, ZSTD_LEVEL);
		if (!ZSTD_isError(got) && got < h->raw) {
			h->packing = PACK_ZSTD;
			h->stored = (uint32_t)got;
			return 0;
		}
	}
	h->packing = PACK_NONE;
	h->stored = h->raw;
	if (h->raw)
		memcpy(to, raw, h->raw);
	return 0;
}

static void index_add(struct trace_writer *w, const struct chunk_hdr *h)
{
	buf_u8(&w->index, h->type);
	buf_u8(&w->index, h->packing);
	buf_varint(&w->index, h->stored);
	buf_varint(&w->index, h->raw);
	buf_varint(&w->index, h->count);
	buf_varint(&w->index, h->first);
	buf_u64(&w->index, h->payload_hash);
	w->n_chunks++;
}

static int chunk_write(struct trace_writer *w, enum chunk_type type, uint64_t first, uint32_t count,
		       const void *raw, size_t n)
{
	struct chunk_hdr h = { .type = (uint8_t)type, .raw = (uint32_t)n, .first = first, .count = count };
	int err;

	if (w->err)
		return w->err;
	if (n > CHUNK_RAW_MAX)
		return -E2BIG;
	if (chunk_is_kept(h.type) && w->kept + n > KEPT_SLACK + KEPT_RATIO * w->offset)
		return latch(w, -EFBIG);
	err = chunk_pack(w, raw, &h);
	if (err)
		return latch(w, err);
	h.payload_hash = XXH3_64bits(w->out.p + CHUNK_HDR_BYTES, h.stored);
	chunk_hdr_encode(&h, w->out.p);
	err = write_all(w->fd, w->out.p, CHUNK_HDR_BYTES + (size_t)h.stored);
	if (err) {
		/* Best effort: readers stop at the incomplete chunk anyhow. */
		if (ftruncate(w->fd, (off_t)w->offset)) {}
		return latch(w, err);
	}
	w->offset += CHUNK_HDR_BYTES + h.stored;
	w->kept += chunk_is_kept(h.type) ? n : 0;
	index_add(w, &h);
	return 0;
}

static int flush_pages(struct trace_writer *w)
{
	uint32_t n = w->n_page_buf;

	if (!n)
		return w->err;
	w->n_page_buf = 0;
	return chunk_write(w, CH_PAGES, w->n_pages - n + 1, n, w->page_buf, (size_t)n * TRACE_PAGE);
}

static int flush_objects(struct trace_writer *w)
{
	uint32_t n = w->n_objects_buf;
	int err = w->err;

	if (n)
		err = chunk_write(w, CH_OBJECTS, w->n_objects - n + 1, n, w->objects.p, w->objects.n);
	w->n_objects_buf = 0;
	buf_clear(&w->objects);
	return err;
}

/* Pages, then objects, then their pages: each chunk names only what stands before it. */
static int flush_content(struct trace_writer *w)
{
	uint32_t n = w->n_object_pages_buf;

	flush_pages(w);
	flush_objects(w);
	if (n)
		chunk_write(w, CH_OBJECT_PAGES, 0, n, w->object_pages.p, w->object_pages.n);
	w->n_object_pages_buf = 0;
	buf_clear(&w->object_pages);
	return w->err;
}

static int flush_events(struct trace_writer *w)
{
	uint32_t n = w->n_events_buf;

	flush_content(w);
	if (n)
		chunk_write(w, CH_EVENTS, w->n_events - n + 1, n, w->events.p, w->events.n);
	w->n_events_buf = 0;
	buf_clear(&w->events);
	return w->err;
}

/* ---- opening ---- */

static void writer_free(struct trace_writer *w)
{
	if (!w)
		return;
	if (w->fd >= 0)
		close(w->fd);
	ZSTD_freeCCtx(w->zstd);
	buf_free(&w->out);
	buf_free(&w->index);
	free(w->page_buf);
	hmap_free(&w->page_ids);
	buf_free(&w->page_high);
	buf_free(&w->objects);
	buf_free(&w->object_pages);
	buf_free(&w->events);
	free(w);
}

static int writer_new(int fd, struct trace_writer **ret_w)
{
	struct trace_writer *w = calloc(1, sizeof(*w));

	if (!w) {
		close(fd);
		return -ENOMEM;
	}
	w->fd = fd;
	w->zstd = ZSTD_createCCtx();
	w->page_buf = malloc((size_t)PAGES_PER_CHUNK * TRACE_PAGE);
	if (!w->zstd || !w->page_buf || buf_reserve(&w->events, EVENTS_CHUNK_BYTES * 2)) {
		writer_free(w);
		return -ENOMEM;
	}
	*ret_w = w;
	return 0;
}

static int write_start(struct trace_writer *w, const struct trace_header *h)
{
	uint8_t preamble[PREAMBLE_BYTES];
	struct buf b = { 0 };
	int err;

	preamble_encode(preamble);
	err = latch(w, write_all(w->fd, preamble, sizeof(preamble)));
	w->offset = sizeof(preamble);
	header_encode(&b, h);
	if (!err)
		err = b.err ? b.err : chunk_write(w, CH_HEADER, 0, 0, b.p, b.n);
	buf_free(&b);
	return err;
}

int trace_create(const char *path, const struct trace_header *h, struct trace_writer **ret_w)
{
	struct trace_writer *w;
	int fd, err;

	/* Like a core file, it holds the program's memory: for the owner only. */
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	err = writer_new(fd, &w);
	if (err)
		return err;
	err = write_start(w, h);
	if (err) {
		writer_free(w);
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

/* The id of equal content put before, or 0. Equal means equal in all 128 bits of the hash. */
static uint64_t page_known(const struct trace_writer *w, XXH128_hash_t hash)
{
	uint64_t id, high;

	if (!hmap_get(&w->page_ids, hash.low64, &id))
		return 0;
	memcpy(&high, w->page_high.p + (id - 1) * 8, 8);
	return high == hash.high64 ? id : 0;
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
	id = page_known(w, hash);
	if (!id) {
		if (buf_u64(&w->page_high, hash.high64) || hmap_put(&w->page_ids, hash.low64, w->n_pages + 1))
			return latch(w, -ENOMEM);
		id = ++w->n_pages;
		memcpy(w->page_buf + (size_t)w->n_page_buf++ * TRACE_PAGE, page, TRACE_PAGE);
		if (w->n_page_buf == PAGES_PER_CHUNK && flush_pages(w))
			return w->err;
	}
	*ret_id = id;
	return 0;
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
	err = b.err ? latch(w, b.err) : chunk_write(w, CH_CKPT, w->n_ckpts + 1, 1, b.p, b.n);
	buf_free(&b);
	if (!err)
		*ret_id = ++w->n_ckpts;
	return err;
}

int trace_put_note(struct trace_writer *w, const char *text)
{
	size_t n = strnlen(text, NOTE_MAX);

	return n ? chunk_write(w, CH_NOTE, 0, 1, text, n) : -EINVAL;
}

/* ---- events ---- */

/* Long writes go ahead of their event, each as a data chunk. */
static int put_blobs(struct trace_writer *w, const struct event *ev)
{
	uint32_t inlined = 0;

	for (uint32_t i = 0; i < ev->n_writes; i++) {
		const struct ev_write *wr = &ev->writes[i];

		if (write_is_inline(wr, &inlined))
			continue;
		if (chunk_write(w, CH_DATA, w->n_blobs + 1, 1, wr->bytes, wr->len))
			return w->err;
		w->n_blobs++;
	}
	return 0;
}

static int event_put(struct trace_writer *w, struct event *ev, uint64_t bound)
{
	uint64_t first_blob = w->n_blobs + 1;

	if (ev->n_writes && put_blobs(w, ev))
		return w->err;
	if (buf_reserve(&w->events, bound))
		return latch(w, -ENOMEM);
	if (!w->n_events_buf) {
		code_reset(&w->code);
		w->first_time_ns = ev->time_ns;
	}
	w->events.n = (size_t)(event_encode(&w->code, ev, first_blob, w->events.p + w->events.n) - w->events.p);
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

static int write_end(struct trace_writer *w, int exit_status)
{
	struct end_record e = {
		.exit_status = exit_status, .n_objects = w->n_objects, .n_ckpts = w->n_ckpts,
		.n_events = w->n_events, .n_pages = w->n_pages,
	};
	uint8_t raw[END_RAW_BYTES];

	if (flush_events(w))
		return w->err;
	/* An index too long for a chunk is left out: readers do without. */
	if (!w->index.err && w->index.n <= CHUNK_RAW_MAX) {
		e.index_offset = w->offset;
		if (chunk_write(w, CH_INDEX, 0, w->n_chunks, w->index.p, w->index.n))
			return w->err;
	}
	end_record_encode(&e, raw);
	return chunk_write(w, CH_END, 0, 0, raw, sizeof(raw));
}

int trace_finish(struct trace_writer *w, int exit_status)
{
	int err = write_end(w, exit_status);

	if (close(w->fd) && !err)
		err = -errno;
	w->fd = -1;
	writer_free(w);
	return err;
}

uint64_t trace_writer_events(const struct trace_writer *w)
{
	return w->n_events;
}

uint64_t trace_writer_bytes(const struct trace_writer *w)
{
	return w->offset;
}
