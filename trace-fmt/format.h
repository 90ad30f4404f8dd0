/* Internal to trace-fmt: the framing of chunks and the limits. docs/trace-format.md is the specification. */
#ifndef RELIVE_TRACE_FORMAT_H
#define RELIVE_TRACE_FORMAT_H

#include <stdint.h>
#include "common/cursor.h"
#include "trace-fmt/trace.h"

#define FMT_VERSION 2u
#define FMT_MIN_READER 2u            /* a reader must know at least this version to read what we write */

#define PREAMBLE_BYTES 24u
#define CHUNK_HDR_BYTES 48u
#define CHUNK_MAGIC 0x4b434c52u      /* "RLCK" */
#define CHUNK_RAW_MAX (64u << 20)
#define PAGES_PER_CHUNK_MAX 256u     /* what a reader accepts */
#define INLINE_MAX (32u << 10)       /* bytes of a write that a reader accepts in an event */
#define PAGED_MIN 1024u              /* longer writes' bytes are put as pages: what is read again is stored once */
#define EVENT_DATA_MAX (UINT64_C(1) << 31)   /* bytes of all writes of an event: no system call moves more */
#define PAGE_ID_MAX (UINT64_C(1) << 48)
#define PAGE_INDEX_END (UINT64_C(1) << 51)   /* of an object's pages: sizes are below 2^63 */
#define END_RAW_BYTES 40u
#define NOTE_MAX 4096u

enum chunk_type {
	CH_HEADER = 1,
	CH_PAGES,
	CH_OBJECTS,
	CH_OBJECT_PAGES,
	CH_CKPT,
	CH_DATA,
	CH_EVENTS,
	CH_INDEX,
	CH_END,
	CH_TYPE_MAX = CH_END,
	CH_ANCILLARY = 0x80,             /* types from here on may be skipped by a reader that does not know them */
	CH_NOTE,
};

enum chunk_packing { PACK_NONE = 0, PACK_ZSTD = 1 };

struct chunk_hdr {
	uint8_t type, packing;
	uint32_t stored, raw;            /* bytes that follow the header; bytes when unpacked */
	uint32_t count;                  /* items in it */
	uint64_t first;                  /* the first item's number */
	uint64_t payload_hash;           /* XXH3_64bits of the stored bytes */
};

/** Write the 24 bytes a trace begins with. */
void preamble_encode(uint8_t out[PREAMBLE_BYTES]);
/** 0, -RL_ECORRUPT or -RL_EVERSION. */
int preamble_check(const uint8_t in[PREAMBLE_BYTES]);

void chunk_hdr_encode(const struct chunk_hdr *h, uint8_t out[CHUNK_HDR_BYTES]);
/**
 * Decode a header and check all that can be checked without its neighbours.
 * 0; -RL_ETRUNCATED or -RL_ECORRUPT: the cursor has not moved and *ret_h is untouched.
 */
int chunk_hdr_decode(struct cursor *c, struct chunk_hdr *ret_h);

/* Chunks that readers keep in memory may not grow out of all proportion to the file: the raw bytes of all of them up to
 * and including the one at file offset o are at most KEPT_SLACK + KEPT_RATIO * o. */
#define KEPT_SLACK (UINT64_C(64) << 20)
#define KEPT_RATIO 512u
static inline bool chunk_is_kept(uint8_t type)
{
	return type == CH_OBJECTS || type == CH_OBJECT_PAGES || type == CH_CKPT;
}

struct end_record {
	int32_t exit_status;
	uint32_t n_objects, n_ckpts;
	uint64_t n_events, n_pages;
	uint64_t index_offset;           /* of the index chunk's header; 0: there is none */
};
void end_record_encode(const struct end_record *e, uint8_t out[END_RAW_BYTES]);
int end_record_decode(struct cursor *c, struct end_record *ret_e);

#endif
