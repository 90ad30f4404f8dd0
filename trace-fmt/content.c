#include "trace-fmt/reader.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "common/scope.h"
#include "common/banned.h"

/* ---- pages ---- */

static struct page_slot *slot_find(struct page_slot *slots, size_t n, size_t chunk)
{
	for (size_t i = 0; i < n; i++) {
		if (slots[i].used && slots[i].chunk == chunk)
			return &slots[i];
	}
	return NULL;
}

static struct page_slot *slot_oldest(struct page_slot *slots, size_t n)
{
	struct page_slot *oldest = &slots[0];

	for (size_t i = 1; i < n; i++) {
		if (slots[i].used < oldest->used)
			oldest = &slots[i];
	}
	return oldest;
}

/* The unpacked page chunk, from the given cache. */
static int slot_get(struct trace *t, struct page_slot *slots, size_t n, size_t chunk, struct page_slot **ret_slot)
{
	struct page_slot *s = slot_find(slots, n, chunk);
	int err;

	if (!s) {
		s = slot_oldest(slots, n);
		free(s->raw);
		s->raw = NULL;
		s->used = 0;
		err = chunk_unpack_new(t, &t->pages.v[chunk], &s->raw);
		if (err)
			return err;
		s->chunk = chunk;
	}
	s->used = ++t->page_clock;
	*ret_slot = s;
	return 0;
}

static int page_get(struct trace *t, struct page_slot *slots, size_t n, uint64_t id, const uint8_t **ret_page)
{
	static const uint8_t zero_page[TRACE_PAGE];
	struct page_slot *s;
	size_t chunk;
	int err;

	if (!id) {
		*ret_page = zero_page;
		return 0;
	}
	if (id > t->known.pages)
		return -ENOENT;
	chunk = chunk_find(&t->pages, id);
	err = slot_get(t, slots, n, chunk, &s);
	if (!err)
		*ret_page = s->raw + (id - t->pages.v[chunk].h.first) * TRACE_PAGE;
	return err;
}

const uint8_t *trace_page(struct trace *t, uint64_t page_id)
{
	const uint8_t *page;

	return page_get(t, t->page_slots, PAGE_SLOTS, page_id, &page) ? NULL : page;
}

int page_peek(struct trace *t, uint64_t id, const uint8_t **ret_page)
{
	return page_get(t, t->read_slots, READ_SLOTS, id, ret_page);
}

/* ---- objects ---- */

uint32_t trace_n_objects(const struct trace *t)
{
	return t->known.objects;
}

static struct object *object_of(const struct trace *t, uint32_t id)
{
	return id && id <= t->known.objects ? &t->objects[id - 1] : NULL;
}

const struct trace_object *trace_object(const struct trace *t, uint32_t id)
{
	const struct object *o = object_of(t, id);

	return o ? &o->o : NULL;
}

static int object_reserve(struct object *o, size_t n)
{
	size_t cap = o->cap ? o->cap : 16;
	struct object_page *v;

	if (o->cap - o->n >= n)
		return 0;
	while (cap < o->n + n)
		cap *= 2;
	v = realloc(o->pages, cap * sizeof(*v));
	if (!v)
		return -ENOMEM;
	o->pages = v;
	o->cap = cap;
	return 0;
}

static int load_record(struct trace *t, const struct known *k, struct cursor *c)
{
	struct object_page_state st = { 0 };
	struct object *o;
	uint32_t id;
	size_t n;
	int err = object_pages_decode(c, k, &id, &n);

	if (err)
		return err;
	o = object_of(t, id);
	err = object_reserve(o, n);
	for (size_t i = 0; i < n && !err; i++) {
		err = object_page_decode(c, k, &st, &o->pages[o->n]);
		if (!err)
			o->n++;
	}
	return err;
}

static int load_object_pages_chunk(struct trace *t, const struct chunk_ref *ref)
{
	autofree uint8_t *raw = NULL;
	struct cursor c;
	int err = chunk_unpack_new(t, ref, &raw);

	if (err)
		return err;
	c = cursor_of(raw, ref->h.raw);
	for (uint32_t i = 0; i < ref->h.count && !err; i++)
		err = load_record(t, &ref->known, &c);
	if (!err && cursor_left(&c))
		err = -RL_ECORRUPT;
	if (err == -RL_ECORRUPT)
		trace_note_damage(t, ref->offset, "a wrong list of object pages");
	return err;
}

static int load_object_pages(struct trace *t)
{
	if (t->object_pages_loaded)
		return t->object_pages_err;
	t->object_pages_loaded = true;
	for (size_t i = 0; i < t->object_pages.n && !t->object_pages_err; i++)
		t->object_pages_err = load_object_pages_chunk(t, &t->object_pages.v[i]);
	return t->object_pages_err;
}

static bool pages_sorted(const struct object_page *v, size_t n)
{
	for (size_t i = 1; i < n; i++) {
		if (v[i - 1].index >= v[i].index)
			return false;
	}
	return true;
}

struct ranked_page {
	struct object_page p;
	size_t rank;                  /* the order in which they were given */
};

static int ranked_cmp(const void *a, const void *b)
{
	const struct ranked_page *x = a, *y = b;

	if (x->p.index != y->p.index)
		return x->p.index < y->p.index ? -1 : 1;
	return x->rank < y->rank ? -1 : x->rank > y->rank;
}

/* By index; of several for one index the one given last stays. */
static int object_sort(struct object *o)
{
	autofree struct ranked_page *v = NULL;
	size_t n = 0;

	if (o->sorted || pages_sorted(o->pages, o->n)) {
		o->sorted = true;
		return 0;
	}
	v = malloc(o->n * sizeof(*v));
	if (!v)
		return -ENOMEM;
	for (size_t i = 0; i < o->n; i++)
		v[i] = (struct ranked_page){ o->pages[i], i };
	qsort(v, o->n, sizeof(*v), ranked_cmp);
	for (size_t i = 0; i < o->n; i++) {
		if (i + 1 == o->n || v[i].p.index != v[i + 1].p.index)
			o->pages[n++] = v[i].p;
	}
	o->n = n;
	o->sorted = true;
	return 0;
}

int trace_object_pages(struct trace *t, uint32_t id, const struct object_page **ret_pages, size_t *ret_n)
{
	struct object *o = object_of(t, id);
	int err;

	if (!o)
		return -ENOENT;
	err = load_object_pages(t);
	if (!err)
		err = object_sort(o);
	if (err)
		return err;
	*ret_pages = o->pages;
	*ret_n = o->n;
	return 0;
}

/* The page of a sorted list that holds page @index of the object: its id, or 0 if it reads as zeros. */
static uint64_t pages_lookup(const struct object_page *v, size_t n, uint64_t index)
{
	size_t lo = 0, hi = n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (v[mid].index == index)
			return v[mid].page_id;
		if (v[mid].index < index)
			lo = mid + 1;
		else
			hi = mid;
	}
	return 0;
}

int64_t trace_object_read(struct trace *t, uint32_t id, uint64_t off, void *out, size_t n)
{
	const struct object_page *v;
	const struct object *o = object_of(t, id);
	size_t n_pages, done = 0;
	int err = trace_object_pages(t, id, &v, &n_pages);

	if (err)
		return err;
	if (off >= o->o.size)
		return 0;
	if (n > o->o.size - off)
		n = (size_t)(o->o.size - off);
	while (done < n) {
		uint64_t at = off + done;
		size_t in_page = at % TRACE_PAGE, some = TRACE_PAGE - in_page;
		const uint8_t *page;

		if (some > n - done)
			some = n - done;
		err = page_peek(t, pages_lookup(v, n_pages, at / TRACE_PAGE), &page);
		if (err)
			return err;
		memcpy((uint8_t *)out + done, page + in_page, some);
		done += some;
	}
	return (int64_t)n;
}

/* ---- checkpoints ---- */

uint32_t trace_n_ckpts(const struct trace *t)
{
	return t->known.ckpts;
}

static int slot_decode(struct trace *t, uint32_t id, struct ckpt_slot *s)
{
	const struct chunk_ref *ref = &t->ckpts.v[id - 1];
	struct cursor c;
	int err = chunk_unpack_new(t, ref, &s->raw);

	if (err)
		return err;
	c = cursor_of(s->raw, ref->h.raw);
	err = ckpt_decode(&c, &ref->known, &s->c);
	if (err) {
		ckpt_free(&s->c);
		free(s->raw);
		s->raw = NULL;
		return err == -RL_ECORRUPT ? trace_note_damage(t, ref->offset, "a wrong checkpoint") : err;
	}
	s->c.id = id;
	s->decoded = true;
	return 0;
}

int trace_ckpt(struct trace *t, uint32_t id, const struct trace_ckpt **ret_c)
{
	struct ckpt_slot *s;

	if (!id || id > t->known.ckpts)
		return -ENOENT;
	if (!t->ckpt_slots)
		t->ckpt_slots = calloc(t->known.ckpts, sizeof(*t->ckpt_slots));
	if (!t->ckpt_slots)
		return -ENOMEM;
	s = &t->ckpt_slots[id - 1];
	if (!s->decoded) {
		int err = slot_decode(t, id, s);

		if (err)
			return err;
	}
	*ret_c = &s->c;
	return 0;
}

/* ---- notes ---- */

size_t trace_n_notes(const struct trace *t)
{
	return t->notes.n;
}

int trace_note(struct trace *t, size_t i, char **ret_text)
{
	char *text;
	int err;

	if (i >= t->notes.n)
		return -ENOENT;
	text = calloc(1, t->notes.v[i].h.raw + 1u);
	err = text ? chunk_unpack(t, &t->notes.v[i], (uint8_t *)text) : -ENOMEM;
	if (err)
		free(text);
	else
		*ret_text = text;
	return err;
}

void content_free(struct trace *t)
{
	for (uint32_t i = 0; t->ckpt_slots && i < t->known.ckpts; i++) {
		ckpt_free(&t->ckpt_slots[i].c);
		free(t->ckpt_slots[i].raw);
	}
	free(t->ckpt_slots);
	for (uint32_t i = 0; i < t->known.objects; i++)
		free(t->objects[i].pages);
	free(t->objects);
	for (size_t i = 0; i < t->n_object_raws; i++)
		free(t->object_raws[i]);
	free(t->object_raws);
	for (size_t i = 0; i < PAGE_SLOTS; i++)
		free(t->page_slots[i].raw);
	for (size_t i = 0; i < READ_SLOTS; i++)
		free(t->read_slots[i].raw);
}
