/* Internal to trace-fmt: the contents of the header, object, object page and checkpoint chunks. */
#ifndef RELIVE_TRACE_RECORD_CODE_H
#define RELIVE_TRACE_RECORD_CODE_H

#include "common/buf.h"
#include "common/cursor.h"
#include "trace-fmt/trace.h"

/* Encoders append to @b, whose error latches. */
void header_encode(struct buf *b, const struct trace_header *h);
void object_encode(struct buf *b, const struct trace_object *o);
void object_pages_encode(struct buf *b, uint32_t obj, size_t n, const struct object_page *pages);
void ckpt_encode(struct buf *b, const struct trace_ckpt *c);

/** 0; -EINVAL: a mapping or page that is not made of whole pages; -E2BIG: more than CKPT_TASKS_MAX tasks. */
int ckpt_check(const struct trace_ckpt *c);
#define CKPT_TASKS_MAX 65536u

/*
 * Decoders: 0, -RL_ECORRUPT or -ENOMEM. Strings and bytes point into the cursor's memory, which must stay. Arrays are
 * allocated; free with the function that follows, also after an error.
 */
int header_decode(struct cursor *c, struct trace_header *ret_h);
void header_free(struct trace_header *h);

int object_decode(struct cursor *c, struct trace_object *ret_o);

/* What the chunks before allow a record to name. */
struct known {
	uint64_t pages, blobs;
	uint32_t objects, ckpts;
};

/**
 * Decode one record's head; its pages follow: call object_page_decode() *ret_n times, beginning with a zeroed @st.
 */
struct object_page_state {
	uint64_t index, page_id;
};
int object_pages_decode(struct cursor *c, const struct known *k, uint32_t *ret_obj, size_t *ret_n);
int object_page_decode(struct cursor *c, const struct known *k, struct object_page_state *st, struct object_page *ret_p);

int ckpt_decode(struct cursor *c, const struct known *k, struct trace_ckpt *ret_c);
void ckpt_free(struct trace_ckpt *c);

/*
 * A page id as a list has it, and back; *last is 0 before the first of a list. page_id_get() fails the cursor if there are not so many
 * pages, and gives 0.
 */
uint64_t page_id_code(uint64_t *last, uint64_t id);
uint64_t page_id_get(struct cursor *c, uint64_t n_pages, uint64_t *last);

/** The argument if it is 0 or an error of this process (-ENOMEM), else -RL_ECORRUPT: whole payloads cannot be truncated. */
int payload_err(int err);

#endif
