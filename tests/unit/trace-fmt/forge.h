/* Files put together chunk by chunk, hashes right and contents as wrong as wanted. */
#ifndef RELIVE_TEST_FORGE_H
#define RELIVE_TEST_FORGE_H

#include "common/buf.h"
#include "trace-fmt/format.h"

struct forge {
	struct buf file;
	uint64_t last;      /* offset of the chunk added last */
};

/** The preamble. */
void forge_begin(struct forge *f);
/** A stored chunk of these bytes. */
void forge_chunk(struct forge *f, enum chunk_type type, uint64_t first, uint32_t count, const void *raw, size_t n);
/** The same from a buffer, which is freed. */
void forge_chunk_buf(struct forge *f, enum chunk_type type, uint64_t first, uint32_t count, struct buf *raw);
/** A chunk whose header is given, hashes apart. */
void forge_chunk_hdr(struct forge *f, struct chunk_hdr h, const void *stored, size_t n);

/* Right chunks, to begin with and to build on. */
void forge_header(struct forge *f);                         /* all strings empty */
void forge_page(struct forge *f, uint64_t id);
void forge_object(struct forge *f, uint32_t id);
void forge_ckpt(struct forge *f, uint32_t id);              /* no mappings, no tasks */
void forge_event(struct forge *f, uint64_t no);             /* EV_INSN of task 1 */
void forge_end(struct forge *f, uint64_t n_events, uint64_t n_pages);

/* Files that each break one rule. */
struct bad_file {
	const char *name;
	void (*forge)(struct forge *f);
	int open_err;               /* what trace_open() gives */
	uint64_t n_events;          /* trace_n_events() */
	uint64_t n_readable;        /* events that trace_next() gives before an error */
	const char *damage;         /* trace_damage() after reading all contains this */
};
extern const struct bad_file bad_files[];
extern const size_t n_bad_files;

#endif
