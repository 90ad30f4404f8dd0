/* Internal to trace-fmt: events to bytes and back. The state of both directions starts anew with each chunk. */
#ifndef RELIVE_TRACE_EVENT_CODE_H
#define RELIVE_TRACE_EVENT_CODE_H

#include "common/buf.h"
#include "common/cursor.h"
#include "trace-fmt/event.h"
#include "trace-fmt/trace.h"

/* A task's registers are predicted to be what they last were. Tasks whose numbers are equal modulo CODE_SLOTS take the
 * slot from one another: that bounds what a hostile trace can make a reader allocate, and costs a few bytes. */
#define CODE_SLOTS 256u

struct code_state {
	uint64_t time_ns;
	uint32_t task;                    /* of the event before */
	uint64_t addr;                    /* the address named last, plus its length */
	uint64_t owner[CODE_SLOTS];       /* task number + 1; 0: the slot is free */
	struct user_regs_struct regs[CODE_SLOTS];
};

/** What a chunk starts with. */
void code_reset(struct code_state *s);

/** An upper bound of the bytes that event_encode() adds for @ev. */
uint64_t event_bound(const struct event *ev);

/**
 * Encode @ev at @p, which has room for event_bound() bytes.
 *
 * @page_ids  of the writes which are not stored inline (see write_is_inline()), one after the other: write_pages() each.
 *
 * Returns the byte after the record.
 */
uint8_t *event_encode(struct code_state *s, const struct event *ev, const uint64_t *page_ids, uint8_t *p);

/* Whether a writer puts a write's bytes into the event; *inlined counts the event's inline bytes, beginning with 0. */
bool write_is_inline(const struct ev_write *w, uint32_t *inlined);

/* How many pages hold a write's bytes, the last one padded with zeros. */
static inline uint32_t write_pages(const struct ev_write *w)
{
	return (w->len + TRACE_PAGE - 1) / TRACE_PAGE;
}

/** 0; -EINVAL if @ev breaks a rule of event.h that the format relies on; -E2BIG: writes of more than 2 GiB. */
int event_check(const struct event *ev);

/** Whether the objects and the checkpoint that @ev names are among the first so many. */
bool event_refs_ok(const struct event *ev, uint32_t n_objects, uint32_t n_ckpts);

/* Where event_decode() keeps the lists of the event decoded last. Zeroed: empty. */
struct event_lists {
	struct buf writes, asops, pages, outputs;
	/* uint64_t: for each write whose bytes do not stand in the event the number of its data chunk; or 0, and write_pages() page ids */
	struct buf sources;
};
void event_lists_free(struct event_lists *l);

/**
 * Decode one record. Bytes are not copied: they point into the cursor's memory; a write that is not inline has
 * bytes == NULL, and stands in l->sources. Pages are named up to @n_pages.
 *
 * 0, -RL_ECORRUPT or -ENOMEM. ev->no is not set.
 */
int event_decode(struct code_state *s, struct cursor *c, uint64_t n_pages, struct event_lists *l, struct event *ev);

/* Registers against a prediction: the mask of those that differ, then their differences. Also used for checkpoints. */
#define REGS_BOUND 275u
uint8_t *regs_encode(uint8_t *p, const struct user_regs_struct *r, const struct user_regs_struct *pred);
void regs_decode(struct cursor *c, struct user_regs_struct *r, const struct user_regs_struct *pred);

#endif
