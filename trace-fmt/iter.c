#include "trace-fmt/reader.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "trace-fmt/event_code.h"
#include "common/banned.h"

struct trace_iter {
	struct trace *t;
	uint64_t next_no;             /* the event that trace_next() gives */
	int err;                      /* latched until the next seek */

	size_t chunk;                 /* index in t->events of the unpacked chunk; SIZE_MAX: none */
	struct buf raw;
	struct cursor at;             /* stands at event at_no */
	uint64_t at_no;
	struct code_state code;

	struct event ev;
	struct event_lists lists;
	uint8_t **blobs;              /* bytes of `ev` that do not stand in it */
	size_t n_blobs;
};

static void blobs_free(struct trace_iter *it)
{
	for (size_t i = 0; i < it->n_blobs; i++)
		free(it->blobs[i]);
	free(it->blobs);
	it->blobs = NULL;
	it->n_blobs = 0;
}

static int chunk_enter(struct trace_iter *it, size_t chunk)
{
	const struct chunk_ref *ref = &it->t->events.v[chunk];
	int err;

	it->chunk = SIZE_MAX;
	it->at_no = ref->h.first;
	buf_clear(&it->raw);
	if (!buf_add(&it->raw, ref->h.raw))
		return -ENOMEM;
	err = chunk_unpack(it->t, ref, it->raw.p);
	if (err)
		return err;
	it->chunk = chunk;
	it->at = cursor_of(it->raw.p, it->raw.n);
	code_reset(&it->code);
	return 0;
}

/* Decode the event at it->at. */
static int event_step(struct trace_iter *it)
{
	const struct chunk_ref *ref = &it->t->events.v[it->chunk];
	int err = event_decode(&it->code, &it->at, ref->known.pages, &it->lists, &it->ev);
	bool last = it->at_no == ref->h.first + ref->h.count - 1;

	if (!err && ((last && cursor_left(&it->at)) ||
		     !event_refs_ok(&it->ev, ref->known.objects, ref->known.ckpts)))
		err = -RL_ECORRUPT;
	if (err) {
		it->chunk = SIZE_MAX;
		return err == -RL_ECORRUPT ? trace_note_damage(it->t, ref->offset, "a wrong event in the chunk") : err;
	}
	it->ev.no = it->at_no++;
	return 0;
}

/* A write's bytes from its data chunk. */
static int data_load(struct trace_iter *it, const struct known *k, uint64_t no, uint32_t len, uint8_t *out)
{
	const struct chunk_ref *ref;

	if (no > k->blobs)
		return -RL_ECORRUPT;
	ref = &it->t->data.v[no - 1];
	if (ref->h.raw != len)
		return trace_note_damage(it->t, ref->offset, "data of a wrong length");
	return chunk_unpack(it->t, ref, out);
}

static int pages_load(struct trace_iter *it, const uint64_t *ids, uint32_t len, uint8_t *out)
{
	for (uint32_t at = 0; at < len; at += TRACE_PAGE) {
		const uint8_t *page;
		int err = page_peek(it->t, *ids++, &page);

		if (err)
			return err;
		memcpy(out + at, page, len - at < TRACE_PAGE ? len - at : TRACE_PAGE);
	}
	return 0;
}

/* Fetch what stands at *source, and go on to the next one. */
static int write_load(struct trace_iter *it, const struct known *k, const uint64_t **source, struct ev_write *w)
{
	uint8_t *out = malloc(w->len + 1u);
	uint64_t no = *(*source)++;
	int err;

	if (!out)
		return -ENOMEM;
	it->blobs[it->n_blobs++] = out;
	if (no) {
		err = data_load(it, k, no, w->len, out);
	} else {
		err = pages_load(it, *source, w->len, out);
		*source += write_pages(w);
	}
	w->bytes = out;
	return err;
}

/* Fetch the bytes of writes that do not stand in the event. */
static int writes_load(struct trace_iter *it, size_t chunk)
{
	const struct chunk_ref *ref = &it->t->events.v[chunk];
	const uint64_t *source = (const uint64_t *)it->lists.sources.p;
	struct ev_write *w = (struct ev_write *)it->lists.writes.p;
	uint64_t n = 0, bytes = 0;
	int err = 0;

	for (uint32_t i = 0; i < it->ev.n_writes; i++) {
		n += !w[i].bytes;
		bytes += w[i].bytes ? 0 : w[i].len;
	}
	it->blobs = bytes > EVENT_DATA_MAX ? NULL : calloc(n, sizeof(*it->blobs));
	if (!it->blobs)
		err = bytes > EVENT_DATA_MAX ? -RL_ECORRUPT : -ENOMEM;
	for (uint32_t i = 0; i < it->ev.n_writes && !err; i++)
		err = w[i].bytes ? 0 : write_load(it, &ref->known, &source, &w[i]);
	if (err == -RL_ECORRUPT)
		trace_note_damage(it->t, ref->offset, "an event with wrong data in the chunk");
	return err;
}

static int event_fetch(struct trace_iter *it)
{
	size_t chunk;
	int err = 0;

	blobs_free(it);
	if (it->chunk == SIZE_MAX || it->next_no < it->at_no ||
	    it->next_no - it->t->events.v[it->chunk].h.first >= it->t->events.v[it->chunk].h.count)
		err = chunk_enter(it, chunk_find(&it->t->events, it->next_no));
	chunk = it->chunk;
	do {
		if (!err)
			err = event_step(it);
	} while (!err && it->ev.no != it->next_no);
	if (!err && it->lists.sources.n)
		err = writes_load(it, chunk);
	/* What stands before damage stays readable, what follows does not count. */
	if (err == -RL_ECORRUPT && it->next_no <= it->t->n_events)
		it->t->n_events = it->at_no < it->next_no ? it->at_no - 1 : it->next_no - 1;
	return err;
}

int trace_next(struct trace_iter *it, const struct event **ret_ev)
{
	if (it->err)
		return it->err;
	if (it->next_no > it->t->n_events)
		return 0;
	it->err = event_fetch(it);
	if (it->err)
		return it->err;
	it->next_no++;
	*ret_ev = &it->ev;
	return 1;
}

int trace_seek(struct trace_iter *it, uint64_t no)
{
	if (!no || no > it->t->n_events)
		return -ENOENT;
	it->next_no = no;
	it->err = 0;
	return 0;
}

int trace_iter_open(struct trace *t, uint64_t first_event, struct trace_iter **ret_it)
{
	struct trace_iter *it;

	/* One past the last is allowed: how else would one open an empty trace? */
	if (!first_event || first_event > t->n_events + 1)
		return -ENOENT;
	it = calloc(1, sizeof(*it));
	if (!it)
		return -ENOMEM;
	it->t = t;
	it->next_no = first_event;
	it->chunk = SIZE_MAX;
	*ret_it = it;
	return 0;
}

void trace_iter_close(struct trace_iter *it)
{
	if (!it)
		return;
	blobs_free(it);
	event_lists_free(&it->lists);
	buf_free(&it->raw);
	free(it);
}
