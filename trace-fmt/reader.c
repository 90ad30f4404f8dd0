#include "trace-fmt/reader.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>
#include "common/fault.h"
#include "common/scope.h"
#include "common/banned.h"

struct scan {
	uint64_t offset;
	uint64_t kept;                /* raw bytes of object, object page and checkpoint chunks */
	bool cut;                     /* stopped because the file ends, not because it is wrong */
	bool index_seen;
};

int trace_note_damage(struct trace *t, uint64_t offset, const char *what)
{
	if (!t->damage[0] || offset < t->damage_at) {
		t->damage_at = offset;
		snprintf(t->damage, sizeof(t->damage), "%s at byte %" PRIu64, what, offset);
	}
	return -RL_ECORRUPT;
}

/* ---- bytes ---- */

/* 0, -RL_ETRUNCATED or -errno. */
static int read_at(int fd, uint64_t offset, void *out, size_t n)
{
	uint8_t *p = out;

	while (n) {
		ssize_t got = FAULT("trace-read") ? -1 : pread(fd, p, n, (off_t)offset);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -errno;
		if (!got)
			return -RL_ETRUNCATED;
		p += got;
		n -= (size_t)got;
		offset += (uint64_t)got;
	}
	return 0;
}

/* The stored bytes, checked against their hash, into t->stored. */
static int chunk_read(struct trace *t, uint64_t offset, const struct chunk_hdr *h)
{
	int err;

	buf_clear(&t->stored);
	if (!buf_add(&t->stored, h->stored))
		return -ENOMEM;
	err = read_at(t->fd, offset + CHUNK_HDR_BYTES, t->stored.p, h->stored);
	if (err)
		return err == -RL_ETRUNCATED ? -RL_ECORRUPT : err;   /* it was long enough when opened */
	return XXH3_64bits(t->stored.p, h->stored) == h->payload_hash ? 0 : -RL_ECORRUPT;
}

/* t->stored into @out. */
static int stored_unpack(struct trace *t, const struct chunk_hdr *h, uint8_t *out)
{
	size_t got;

	if (h->packing == PACK_NONE) {
		if (h->raw)
			memcpy(out, t->stored.p, h->raw);
		return 0;
	}
	got = ZSTD_decompressDCtx(t->zstd, out, h->raw, t->stored.p, h->stored);
	return got == h->raw ? 0 : -RL_ECORRUPT;
}

int chunk_unpack(struct trace *t, const struct chunk_ref *ref, uint8_t *out)
{
	int err = chunk_read(t, ref->offset, &ref->h);

	if (!err)
		err = stored_unpack(t, &ref->h, out);
	if (err == -RL_ECORRUPT)
		trace_note_damage(t, ref->offset, "a damaged chunk");
	return err;
}

int chunk_unpack_new(struct trace *t, const struct chunk_ref *ref, uint8_t **ret_raw)
{
	autofree uint8_t *raw = malloc(ref->h.raw + 1);
	int err;

	if (!raw)
		return -ENOMEM;
	err = chunk_unpack(t, ref, raw);
	if (err)
		return err;
	*ret_raw = raw;
	raw = NULL;
	return 0;
}

size_t chunk_find(const struct chunk_list *l, uint64_t no)
{
	size_t lo = 0, hi = l->n;

	while (hi - lo > 1) {
		size_t mid = lo + (hi - lo) / 2;

		if (l->v[mid].h.first <= no)
			lo = mid;
		else
			hi = mid;
	}
	return lo;
}

/* ---- scanning ---- */

static int list_add(struct chunk_list *l, const struct chunk_ref *ref)
{
	if (l->n == l->cap) {
		size_t cap = l->cap ? l->cap * 2 : 64;
		struct chunk_ref *v = realloc(l->v, cap * sizeof(*v));

		if (!v)
			return -ENOMEM;
		l->v = v;
		l->cap = cap;
	}
	l->v[l->n++] = *ref;
	return 0;
}

static int object_add(struct trace *t, const struct trace_object *o)
{
	if (t->known.objects == t->objects_cap) {
		size_t cap = t->objects_cap ? t->objects_cap * 2 : 64;
		struct object *v = realloc(t->objects, cap * sizeof(*v));

		if (!v)
			return -ENOMEM;
		t->objects = v;
		t->objects_cap = cap;
	}
	t->objects[t->known.objects++] = (struct object){ .o = *o };
	return 0;
}

static int object_raw_keep(struct trace *t, uint8_t *raw)
{
	if (t->n_object_raws == t->object_raws_cap) {
		size_t cap = t->object_raws_cap ? t->object_raws_cap * 2 : 16;
		uint8_t **v = realloc(t->object_raws, cap * sizeof(*v));

		if (!v)
			return -ENOMEM;
		t->object_raws = v;
		t->object_raws_cap = cap;
	}
	t->object_raws[t->n_object_raws++] = raw;
	return 0;
}

static int objects_decode(struct trace *t, const struct chunk_hdr *h, const uint8_t *raw)
{
	struct cursor c = cursor_of(raw, h->raw);
	struct trace_object o;

	for (uint32_t i = 0; i < h->count; i++) {
		int err = object_decode(&c, &o);

		if (!err) {
			o.id = t->known.objects + 1;
			err = object_add(t, &o);
		}
		if (err)
			return err;
	}
	return cursor_left(&c) ? -RL_ECORRUPT : 0;
}

/* All of a chunk's objects or none. */
static int scan_objects(struct trace *t, const struct chunk_hdr *h)
{
	uint32_t before = t->known.objects;
	uint8_t *raw;
	int err;

	if (h->first != (uint64_t)before + 1 || h->count > UINT32_MAX - 1 - before)
		return -RL_ECORRUPT;
	raw = malloc(h->raw + 1);
	if (!raw)
		return -ENOMEM;
	err = stored_unpack(t, h, raw);
	if (!err)
		err = objects_decode(t, h, raw);
	if (!err)
		err = object_raw_keep(t, raw);
	if (err) {
		t->known.objects = before;
		free(raw);
	}
	return err;
}

static int scan_header(struct trace *t, const struct chunk_hdr *h)
{
	struct cursor c;
	int err;

	if (t->header_raw)
		return -RL_ECORRUPT;
	t->header_raw = malloc(h->raw + 1);
	if (!t->header_raw)
		return -ENOMEM;
	err = stored_unpack(t, h, t->header_raw);
	if (err)
		return err;
	t->id = XXH3_64bits(t->header_raw, h->raw);
	c = cursor_of(t->header_raw, h->raw);
	return header_decode(&c, &t->header);
}

static int scan_end(struct trace *t)
{
	struct cursor c = cursor_of(t->stored.p, t->stored.n);
	struct end_record e;
	int err = end_record_decode(&c, &e);

	if (err)
		return err;
	if (e.n_events != t->n_events || e.n_pages != t->known.pages || e.n_objects != t->known.objects ||
	    e.n_ckpts != t->known.ckpts)
		return -RL_ECORRUPT;
	t->complete = true;
	t->exit_status = e.exit_status;
	return 0;
}

/* Items are numbered on from where the chunks before stopped. */
static int scan_numbered(struct chunk_list *l, const struct chunk_ref *ref, uint64_t *total)
{
	int err;

	if (ref->h.first != *total + 1 || ref->h.count > UINT64_MAX - 1 - *total)
		return -RL_ECORRUPT;
	err = list_add(l, ref);
	if (!err)
		*total += ref->h.count;
	return err;
}

static int scan_ckpt(struct trace *t, const struct chunk_ref *ref)
{
	uint64_t total = t->known.ckpts;
	int err = total < UINT32_MAX - 1 ? scan_numbered(&t->ckpts, ref, &total) : -RL_ECORRUPT;

	t->known.ckpts = (uint32_t)total;
	return err;
}

/* The chunk whose stored bytes are in t->stored. */
static int scan_accept(struct trace *t, struct scan *s, const struct chunk_ref *ref)
{
	const struct chunk_hdr *h = &ref->h;

	if ((h->type == CH_HEADER) == (t->header_raw != NULL) || t->complete ||
	    (s->index_seen && h->type != CH_END))
		return -RL_ECORRUPT;
	if (chunk_is_kept(h->type)) {
		s->kept += h->raw;
		if (s->kept > KEPT_SLACK + KEPT_RATIO * s->offset)
			return -RL_ECORRUPT;
	}
	switch (h->type) {
	case CH_HEADER: return scan_header(t, h);
	case CH_PAGES: return scan_numbered(&t->pages, ref, &t->known.pages);
	case CH_OBJECTS: return scan_objects(t, h);
	case CH_OBJECT_PAGES: return list_add(&t->object_pages, ref);
	case CH_CKPT: return scan_ckpt(t, ref);
	case CH_DATA: return scan_numbered(&t->data, ref, &t->known.blobs);
	case CH_EVENTS: return scan_numbered(&t->events, ref, &t->n_events);
	case CH_INDEX: s->index_seen = true; return 0;
	case CH_END: return scan_end(t);
	case CH_NOTE: return h->raw <= NOTE_MAX && t->notes.n < NOTES_MAX ? list_add(&t->notes, ref) : 0;
	}
	return 0;   /* ancillary: chunk_hdr_decode() lets no other type through */
}

/* 0: a chunk was read. -RL_ETRUNCATED: the file ends in it. */
static int scan_chunk(struct trace *t, struct scan *s)
{
	struct chunk_ref ref = { .offset = s->offset, .known = t->known };
	uint8_t bytes[CHUNK_HDR_BYTES];
	struct cursor c = cursor_of(bytes, sizeof(bytes));
	int err;

	if (t->bytes - s->offset < CHUNK_HDR_BYTES)
		return -RL_ETRUNCATED;
	err = read_at(t->fd, s->offset, bytes, sizeof(bytes));
	if (!err)
		err = chunk_hdr_decode(&c, &ref.h);
	if (err)
		return err;
	if (ref.h.stored > t->bytes - s->offset - CHUNK_HDR_BYTES)
		return -RL_ETRUNCATED;
	err = chunk_read(t, s->offset, &ref.h);
	if (!err)
		err = scan_accept(t, s, &ref);
	if (err)
		return err;
	if (ref.h.type <= CH_TYPE_MAX) {
		t->stats[ref.h.type].chunks++;
		t->stats[ref.h.type].stored_bytes += CHUNK_HDR_BYTES + ref.h.stored;
		t->stats[ref.h.type].raw_bytes += ref.h.raw;
	}
	s->offset += CHUNK_HDR_BYTES + ref.h.stored;
	return 0;
}

static void note_stop(struct trace *t, const struct scan *s, int err)
{
	if (err == -RL_ETRUNCATED)
		trace_note_damage(t, s->offset, "the file ends inside the chunk that begins");
	else if (t->complete)
		trace_note_damage(t, s->offset, "something follows the trace's end");
	else
		trace_note_damage(t, s->offset, "the first damaged chunk begins");
}

/* Take in all chunks up to the first that is not right. 0, -errno, or -RL_ECORRUPT: nothing usable. */
static int scan(struct trace *t)
{
	struct scan s = { .offset = PREAMBLE_BYTES };
	int err = 0;

	while (!err && s.offset < t->bytes)
		err = scan_chunk(t, &s);
	if (err && err != -RL_ECORRUPT && err != -RL_ETRUNCATED)
		return err;
	if (err)
		note_stop(t, &s, err);
	/* When decoding the header failed, no chunk was accepted. */
	if (!t->stats[CH_HEADER].chunks)
		return -RL_ECORRUPT;
	return err == -RL_ECORRUPT && !t->n_events ? -RL_ECORRUPT : 0;
}

/* ---- opening ---- */

static int check_file(struct trace *t)
{
	uint8_t preamble[PREAMBLE_BYTES];
	struct stat st;
	int err;

	if (fstat(t->fd, &st))
		return -errno;
	if (S_ISDIR(st.st_mode))
		return -EISDIR;
	if (!S_ISREG(st.st_mode) || st.st_size < (off_t)PREAMBLE_BYTES)
		return -RL_ECORRUPT;
	t->bytes = (uint64_t)st.st_size;
	err = read_at(t->fd, 0, preamble, sizeof(preamble));
	return err ? err : preamble_check(preamble);
}

static void name_stats(struct trace *t)
{
	static const char *const names[CH_TYPE_MAX + 1] = {
		[CH_HEADER] = "header", [CH_PAGES] = "pages", [CH_OBJECTS] = "objects",
		[CH_OBJECT_PAGES] = "object pages", [CH_CKPT] = "checkpoints", [CH_DATA] = "data",
		[CH_EVENTS] = "events", [CH_INDEX] = "index", [CH_END] = "end",
	};

	for (size_t i = 1; i <= CH_TYPE_MAX; i++)
		t->stats[i].what = names[i];
}

int trace_open(const char *path, struct trace **ret_t)
{
	struct trace *t = calloc(1, sizeof(*t));
	int err;

	if (!t)
		return -ENOMEM;
	name_stats(t);
	t->zstd = ZSTD_createDCtx();
	/* O_NONBLOCK: opening a FIFO must not wait for a writer. */
	t->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (t->fd < 0)
		err = -errno;
	else
		err = t->zstd ? check_file(t) : -ENOMEM;
	if (!err)
		err = scan(t);
	if (err) {
		trace_close(t);
		return err;
	}
	*ret_t = t;
	return 0;
}

void trace_close(struct trace *t)
{
	if (!t)
		return;
	if (t->fd >= 0)
		close(t->fd);
	ZSTD_freeDCtx(t->zstd);
	buf_free(&t->stored);
	header_free(&t->header);
	free(t->header_raw);
	content_free(t);
	free(t->pages.v);
	free(t->object_pages.v);
	free(t->ckpts.v);
	free(t->data.v);
	free(t->events.v);
	free(t->notes.v);
	free(t);
}

uint64_t trace_id(const struct trace *t)
{
	return t->id;
}

const struct trace_header *trace_header(const struct trace *t)
{
	return &t->header;
}

bool trace_complete(const struct trace *t, int *ret_exit_status)
{
	if (t->complete && ret_exit_status)
		*ret_exit_status = t->exit_status;
	return t->complete;
}

const char *trace_damage(const struct trace *t)
{
	return t->damage;
}

uint64_t trace_n_events(const struct trace *t)
{
	return t->n_events;
}

uint64_t trace_file_bytes(const struct trace *t)
{
	return t->bytes;
}

size_t trace_stats(const struct trace *t, struct trace_stat *out, size_t max)
{
	size_t n = 0;

	for (size_t i = 1; i <= CH_TYPE_MAX && n < max; i++) {
		if (t->stats[i].chunks)
			out[n++] = t->stats[i];
	}
	return n;
}
