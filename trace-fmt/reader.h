/* Internal to trace-fmt: an opened trace. reader.c opens and scans, content.c gives out pages, objects and
 * checkpoints, iter.c events. */
#ifndef RELIVE_TRACE_READER_H
#define RELIVE_TRACE_READER_H

#include <zstd.h>
#include "common/buf.h"
#include "trace-fmt/format.h"
#include "trace-fmt/record_code.h"

struct chunk_ref {
	uint64_t offset;              /* of the chunk's header */
	struct chunk_hdr h;
	struct known known;           /* what the chunks before it declare */
};

/* An array of chunks of one type. */
struct chunk_list {
	struct chunk_ref *v;
	size_t n, cap;
};

struct object {
	struct trace_object o;
	struct object_page *pages;
	size_t n, cap;
	bool sorted;
};

struct ckpt_slot {
	bool decoded;
	uint8_t *raw;                 /* strings and xstates of `c` point into it */
	struct trace_ckpt c;
};

/* Unpacked page chunks, least recently used out first. */
#define PAGE_SLOTS 72u                /* more than the 64 calls that trace_page() promises */
#define READ_SLOTS 32u
struct page_slot {
	size_t chunk;                 /* index in trace.pages */
	uint64_t used;                /* trace.page_clock when used last; 0: free */
	uint8_t *raw;
};

#define NOTES_MAX 256u                /* further ones are not shown */

struct trace {
	int fd;
	uint64_t bytes;
	ZSTD_DCtx *zstd;
	struct buf stored;            /* scratch: a chunk as it is in the file */
	char damage[160];
	uint64_t damage_at;

	uint8_t *header_raw;
	uint64_t id;                  /* hash of the header's contents */
	struct trace_header header;
	struct known known;           /* totals */
	uint64_t n_events;
	bool complete;
	int exit_status;
	struct trace_stat stats[CH_TYPE_MAX + 1];

	struct chunk_list pages, object_pages, ckpts, data, events, notes;

	struct object *objects;       /* known.objects of them */
	size_t objects_cap;
	uint8_t **object_raws;        /* unpacked object chunks: the paths point into them */
	size_t n_object_raws, object_raws_cap;
	bool object_pages_loaded;
	int object_pages_err;

	struct ckpt_slot *ckpt_slots; /* one a checkpoint; NULL until one is asked for */

	uint64_t page_clock;
	struct page_slot page_slots[PAGE_SLOTS];
	struct page_slot read_slots[READ_SLOTS];   /* for page_peek(), so that it evicts no page given out */
};

/**
 * Read, check and unpack a chunk into @out, which has room for ref->h.raw bytes.
 * 0, -RL_ECORRUPT (noted as damage), -ENOMEM or another -errno.
 */
int chunk_unpack(struct trace *t, const struct chunk_ref *ref, uint8_t *out);

/** The same into new memory. */
int chunk_unpack_new(struct trace *t, const struct chunk_ref *ref, uint8_t **ret_raw);

/** The chunk of a list that holds item number @no; the list must cover it. */
size_t chunk_find(const struct chunk_list *l, uint64_t no);

/** Note damage for trace_damage(), unless some was noted nearer to the file's start. Returns -RL_ECORRUPT. */
int trace_note_damage(struct trace *t, uint64_t offset, const char *what);

/** A page's content, valid until the next call. 0, -ENOENT, -RL_ECORRUPT, -ENOMEM or another -errno. */
int page_peek(struct trace *t, uint64_t id, const uint8_t **ret_page);

/** Free what content.c keeps. */
void content_free(struct trace *t);

#endif
