#include "trace-fmt/event_code.h"

#include <errno.h>
#include <string.h>
#include "trace-fmt/format.h"
#include "trace-fmt/record_code.h"
#include "common/banned.h"

#define N_REGS 27u
_Static_assert(sizeof(struct user_regs_struct) == N_REGS * 8, "registers are coded as an array of words");

/* Which parts a record has; the order of the bits is the order of the parts. */
enum part {
	PART_TASK = 1u << 0,
	PART_NR = 1u << 1,
	PART_SIGNO = 1u << 2,
	PART_STATUS = 1u << 3,
	PART_CKPT = 1u << 4,
	PART_INSN_LEN = 1u << 5,
	PART_WRITES = 1u << 6,
	PART_ASOPS = 1u << 7,
	PART_PAGES = 1u << 8,
	PART_OUTPUTS = 1u << 9,
	PART_XSTATE = 1u << 10,
	PART_WINDOW = 1u << 11,
	PART_SIGINFO = 1u << 12,
	PART_NEW_TASK = 1u << 13,
	PART_ALL = (1u << 14) - 1,
};

#define INLINE_TOTAL_MAX (1u << 20)   /* inline bytes of one event */

enum write_bits { WB_OTHER_TASK = 1u << 0, WB_ELSEWHERE = 1u << 1, WB_SHIFT = 2 };

static const struct user_regs_struct zero_regs;

void code_reset(struct code_state *s)
{
	s->time_ns = 0;
	s->task = 0;
	s->addr = 0;
	memset(s->owner, 0, sizeof(s->owner));
}

/* What @task's registers are predicted to be. */
static const struct user_regs_struct *state_regs(const struct code_state *s, uint32_t task)
{
	uint32_t i = task % CODE_SLOTS;

	return s->owner[i] == (uint64_t)task + 1 ? &s->regs[i] : &zero_regs;
}

static void state_set_regs(struct code_state *s, uint32_t task, const struct user_regs_struct *r)
{
	uint32_t i = task % CODE_SLOTS;

	s->owner[i] = (uint64_t)task + 1;
	s->regs[i] = *r;
}

static bool new_task_given(const struct ev_new_task *n)
{
	return n->task != 0;
}

static bool fits_inline(const struct ev_write *w, uint32_t *inlined, uint32_t max)
{
	if (w->len > max || *inlined + w->len > INLINE_TOTAL_MAX)
		return false;
	*inlined += w->len;
	return true;
}

bool write_is_inline(const struct ev_write *w, uint32_t *inlined)
{
	return fits_inline(w, inlined, PAGED_MIN - 1);
}

/* ---- encoding ---- */

static uint8_t *put_zigzag(uint8_t *p, uint64_t v)
{
	return varint_put(p, zigzag_of((int64_t)v));
}

static uint8_t *put_bytes(uint8_t *p, const void *bytes, size_t n)
{
	if (n)
		memcpy(p, bytes, n);
	return p + n;
}

/* An address relative to the end of the last one. */
static uint8_t *put_addr(struct code_state *s, uint8_t *p, uint64_t addr, uint64_t len)
{
	p = put_zigzag(p, addr - s->addr);
	s->addr = addr + len;
	return p;
}

uint8_t *regs_encode(uint8_t *p, const struct user_regs_struct *r, const struct user_regs_struct *pred)
{
	const unsigned long long *a = (const unsigned long long *)r;
	const unsigned long long *b = (const unsigned long long *)pred;
	uint32_t mask = 0;

	for (unsigned i = 0; i < N_REGS; i++)
		mask |= (uint32_t)(a[i] != b[i]) << i;
	p = varint_put(p, mask);
	for (; mask; mask &= mask - 1) {
		unsigned i = (unsigned)__builtin_ctz(mask);

		p = put_zigzag(p, a[i] - b[i]);
	}
	return p;
}

static uint32_t event_parts(const struct event *ev, uint32_t last_task)
{
	return (ev->task != last_task ? PART_TASK : 0) | (ev->nr ? PART_NR : 0) |
	       (ev->signo ? PART_SIGNO : 0) | (ev->status ? PART_STATUS : 0) |
	       (ev->ckpt ? PART_CKPT : 0) | (ev->insn_len ? PART_INSN_LEN : 0) |
	       (ev->n_writes ? PART_WRITES : 0) | (ev->n_asops ? PART_ASOPS : 0) |
	       (ev->n_pages ? PART_PAGES : 0) | (ev->n_outputs ? PART_OUTPUTS : 0) |
	       (ev->n_xstate ? PART_XSTATE : 0) | (ev->n_window || ev->window_addr ? PART_WINDOW : 0) |
	       (ev->n_siginfo ? PART_SIGINFO : 0) | (new_task_given(&ev->new_task) ? PART_NEW_TASK : 0);
}

/* 0 instead of a data chunk's number: pages. */
static uint8_t *put_page_ids(uint8_t *p, const uint64_t *ids, uint32_t n)
{
	uint64_t last = 0;

	*p++ = 0;
	for (uint32_t i = 0; i < n; i++)
		p = varint_put(p, page_id_code(&last, ids[i]));
	return p;
}

static uint8_t *put_writes(struct code_state *s, const struct event *ev, const uint64_t *ids, uint8_t *p)
{
	uint32_t inlined = 0;

	p = varint_put(p, ev->n_writes);
	for (uint32_t i = 0; i < ev->n_writes; i++) {
		const struct ev_write *w = &ev->writes[i];
		bool is_inline = write_is_inline(w, &inlined);
		bool other = w->task != ev->task;

		p = varint_put(p, (uint64_t)w->len << WB_SHIFT | (other ? WB_OTHER_TASK : 0) |
				  (is_inline ? 0 : WB_ELSEWHERE));
		if (other)
			p = varint_put(p, w->task);
		p = put_addr(s, p, w->addr, w->len);
		if (is_inline) {
			p = put_bytes(p, w->bytes, w->len);
		} else {
			p = put_page_ids(p, ids, write_pages(w));
			ids += write_pages(w);
		}
	}
	return p;
}

static uint8_t *put_asops(struct code_state *s, const struct event *ev, uint8_t *p)
{
	p = varint_put(p, ev->n_asops);
	for (uint32_t i = 0; i < ev->n_asops; i++) {
		const struct ev_asop *o = &ev->asops[i];

		*p++ = o->kind;
		*p++ = o->prot;
		p = varint_put(p, o->flags);
		p = varint_put(p, o->obj);
		p = put_addr(s, p, o->addr, o->len);
		p = varint_put(p, o->len);
		p = varint_put(p, o->obj_off);
		p = varint_put(p, o->new_addr);
		p = varint_put(p, o->new_len);
	}
	return p;
}

static uint8_t *put_pages(struct code_state *s, const struct event *ev, uint8_t *p)
{
	p = varint_put(p, ev->n_pages);
	for (uint32_t i = 0; i < ev->n_pages; i++) {
		const struct ev_page *g = &ev->pages[i];

		p = put_addr(s, p, g->addr, TRACE_PAGE);
		p = varint_put(p, g->dead_bytes);
		p = put_bytes(p, &g->hash, 8);
	}
	return p;
}

static uint8_t *put_outputs(struct code_state *s, const struct event *ev, uint8_t *p)
{
	p = varint_put(p, ev->n_outputs);
	for (uint32_t i = 0; i < ev->n_outputs; i++) {
		const struct ev_output *o = &ev->outputs[i];

		*p++ = o->stream;
		p = put_addr(s, p, o->addr, o->len);
		p = varint_put(p, o->len);
	}
	return p;
}

/* The child's registers resemble its parent's. */
static uint8_t *put_new_task(struct code_state *s, const struct event *ev, uint8_t *p)
{
	const struct ev_new_task *n = &ev->new_task;

	p = varint_put(p, n->task);
	p = varint_put(p, n->proc);
	p = put_zigzag(p, (uint64_t)(int64_t)n->tid);
	p = put_zigzag(p, (uint64_t)(int64_t)n->pid);
	p = varint_put(p, n->flags);
	p = regs_encode(p, &n->regs, state_regs(s, ev->task));
	state_set_regs(s, n->task, &n->regs);
	return p;
}

static uint8_t *put_event_regs(struct code_state *s, const struct event *ev, uint8_t *p)
{
	const struct user_regs_struct *pred = state_regs(s, ev->task);
	uint32_t given = ev->flags & (EVF_BEFORE | EVF_AFTER);

	if (!given)
		return p;
	if (given & EVF_BEFORE) {
		p = regs_encode(p, &ev->before, pred);
		pred = &ev->before;
	}
	if (given & EVF_AFTER) {
		p = regs_encode(p, &ev->after, pred);
		pred = &ev->after;
	}
	state_set_regs(s, ev->task, pred);
	return p;
}

uint64_t event_bound(const struct event *ev)
{
	uint64_t inline_bytes = (uint64_t)ev->n_writes * PAGED_MIN, ids = 0;

	if (inline_bytes > INLINE_TOTAL_MAX)
		inline_bytes = INLINE_TOTAL_MAX;
	for (uint32_t i = 0; i < ev->n_writes; i++)
		ids += write_pages(&ev->writes[i]);
	return 192 + 3 * REGS_BOUND + inline_bytes + 32 * (uint64_t)ev->n_writes + VARINT_MAX_BYTES * ids + 80 * (uint64_t)ev->n_asops +
	       24 * (uint64_t)ev->n_pages + 24 * (uint64_t)ev->n_outputs +
	       (uint64_t)ev->n_xstate + ev->n_window + ev->n_siginfo;
}

uint8_t *event_encode(struct code_state *s, const struct event *ev, const uint64_t *page_ids, uint8_t *p)
{
	uint32_t parts = event_parts(ev, s->task);

	*p++ = ev->kind;
	p = varint_put(p, parts);
	p = varint_put(p, ev->flags);
	p = put_zigzag(p, ev->time_ns - s->time_ns);
	s->time_ns = ev->time_ns;
	if (parts & PART_TASK)
		p = varint_put(p, ev->task);
	s->task = ev->task;
	if (parts & PART_NR)
		p = put_zigzag(p, (uint64_t)(int64_t)ev->nr);
	if (parts & PART_SIGNO)
		p = put_zigzag(p, (uint64_t)(int64_t)ev->signo);
	if (parts & PART_STATUS)
		p = put_zigzag(p, (uint64_t)(int64_t)ev->status);
	if (parts & PART_CKPT)
		p = varint_put(p, ev->ckpt);
	if (parts & PART_INSN_LEN)
		*p++ = ev->insn_len;
	p = put_event_regs(s, ev, p);
	if (!(parts & ~(PART_WRITES - 1)))
		return p;
	if (parts & PART_WRITES)
		p = put_writes(s, ev, page_ids, p);
	if (parts & PART_ASOPS)
		p = put_asops(s, ev, p);
	if (parts & PART_PAGES)
		p = put_pages(s, ev, p);
	if (parts & PART_OUTPUTS)
		p = put_outputs(s, ev, p);
	if (parts & PART_XSTATE)
		p = put_bytes(varint_put(p, ev->n_xstate), ev->xstate, ev->n_xstate);
	if (parts & PART_WINDOW) {
		p = put_addr(s, p, ev->window_addr, 0);
		p = put_bytes(varint_put(p, ev->n_window), ev->window, ev->n_window);
	}
	if (parts & PART_SIGINFO)
		p = put_bytes(varint_put(p, ev->n_siginfo), ev->siginfo, ev->n_siginfo);
	if (parts & PART_NEW_TASK)
		p = put_new_task(s, ev, p);
	return p;
}

static bool asop_ok(const struct ev_asop *o)
{
	return o->kind >= 1 && o->kind <= AS_KIND_MAX && o->obj_off % TRACE_PAGE == 0;
}

static bool page_ok(const struct ev_page *g)
{
	return g->addr % TRACE_PAGE == 0 && g->dead_bytes < TRACE_PAGE;
}

int event_check(const struct event *ev)
{
	uint64_t bytes = 0;

	if (ev->kind < 1 || ev->kind > EV_KIND_MAX)
		return -EINVAL;
	for (uint32_t i = 0; i < ev->n_writes; i++) {
		if (ev->writes[i].len > EV_WRITE_MAX)
			return -EINVAL;
		bytes += ev->writes[i].len;
	}
	if (bytes > EVENT_DATA_MAX)
		return -E2BIG;
	for (uint32_t i = 0; i < ev->n_asops; i++) {
		if (!asop_ok(&ev->asops[i]))
			return -EINVAL;
	}
	for (uint32_t i = 0; i < ev->n_pages; i++) {
		if (!page_ok(&ev->pages[i]))
			return -EINVAL;
	}
	return 0;
}

bool event_refs_ok(const struct event *ev, uint32_t n_objects, uint32_t n_ckpts)
{
	if (ev->ckpt > n_ckpts)
		return false;
	for (uint32_t i = 0; i < ev->n_asops; i++) {
		if (ev->asops[i].obj > n_objects)
			return false;
	}
	for (uint32_t i = 0; i < ev->n_writes; i++) {
		uint32_t obj = ev->writes[i].task - EV_WRITE_OBJECT;

		if (ev->writes[i].task & EV_WRITE_OBJECT && (!obj || obj > n_objects))
			return false;
	}
	return true;
}

/* ---- decoding ---- */

static uint64_t get_addr(struct code_state *s, struct cursor *c)
{
	return s->addr + (uint64_t)cursor_zigzag(c);
}

static uint32_t get_u32v(struct cursor *c)
{
	return (uint32_t)cursor_varint_max(c, UINT32_MAX);
}

static int32_t get_i32(struct cursor *c)
{
	int64_t v = cursor_zigzag(c);

	if (v < INT32_MIN || v > INT32_MAX) {
		cursor_fail(c, -RL_ECORRUPT);
		return 0;
	}
	return (int32_t)v;
}

/* A list's length: never zero, and no longer than the bytes left allow. */
static uint32_t get_count(struct cursor *c, size_t min_item_bytes)
{
	uint64_t n = cursor_varint_max(c, cursor_left(c) / min_item_bytes);

	if (!n)
		cursor_fail(c, -RL_ECORRUPT);
	return (uint32_t)n;
}

static const uint8_t *get_blob(struct cursor *c, uint32_t *ret_n, uint32_t min)
{
	uint32_t n = get_u32v(c);
	const uint8_t *at = cursor_bytes(c, n);

	if (n < min)
		cursor_fail(c, -RL_ECORRUPT);
	*ret_n = n;
	return at;
}

void regs_decode(struct cursor *c, struct user_regs_struct *r, const struct user_regs_struct *pred)
{
	unsigned long long *a = (unsigned long long *)r;
	uint32_t mask = (uint32_t)cursor_varint_max(c, (1u << N_REGS) - 1);

	*r = *pred;
	for (; mask; mask &= mask - 1) {
		int64_t d = cursor_zigzag(c);

		if (!d)
			cursor_fail(c, -RL_ECORRUPT);
		a[__builtin_ctz(mask)] += (unsigned long long)d;
	}
}

/* @n items for the event's list, or NULL with the cursor failed. */
static void *list_of(struct buf *list, struct cursor *c, uint32_t n, size_t item_bytes)
{
	void *items;

	if (c->err)
		return NULL;
	buf_clear(list);
	items = buf_add(list, n * item_bytes);
	if (!items)
		cursor_fail(c, -ENOMEM);
	return items;
}

static void add_source(struct cursor *c, struct buf *sources, uint64_t v)
{
	if (!c->err && buf_u64(sources, v))
		cursor_fail(c, -ENOMEM);
}

/* Where a write's bytes stand, if not in the event: in the pages given here; or in a data chunk, if they are too many for the event. */
static void get_source(struct cursor *c, uint64_t n_pages, const struct ev_write *w, bool short_one, struct buf *sources, uint64_t *next_blob)
{
	uint64_t blob = cursor_varint(c), last = 0;

	add_source(c, sources, blob);
	if (blob) {
		if (short_one || (*next_blob && blob != *next_blob))
			cursor_fail(c, -RL_ECORRUPT);
		*next_blob = blob + 1;
		return;
	}
	if (!w->len)
		cursor_fail(c, -RL_ECORRUPT);
	for (uint32_t i = 0; i < write_pages(w) && !c->err; i++)
		add_source(c, sources, page_id_get(c, n_pages, &last));
}

static void get_writes(struct code_state *s, struct cursor *c, uint64_t n_pages, struct event_lists *l, struct event *ev)
{
	uint32_t n = get_count(c, 2), inlined = 0;   /* an empty write: head and address */
	struct ev_write *w = list_of(&l->writes, c, n, sizeof(*w));
	uint64_t next_blob = 0;

	if (!w)
		return;
	for (uint32_t i = 0; i < n && !c->err; i++) {
		uint64_t head = cursor_varint_max(c, (uint64_t)EV_WRITE_MAX << WB_SHIFT | WB_OTHER_TASK | WB_ELSEWHERE);
		uint32_t before = inlined;
		bool fits;

		w[i].len = (uint32_t)(head >> WB_SHIFT);
		w[i].task = head & WB_OTHER_TASK ? get_u32v(c) : ev->task;
		w[i].addr = get_addr(s, c);
		s->addr = w[i].addr + w[i].len;
		w[i].bytes = NULL;
		fits = fits_inline(&w[i], &inlined, INLINE_MAX);
		if (w[i].len > EV_WRITE_MAX || (!fits && !(head & WB_ELSEWHERE)))
			cursor_fail(c, -RL_ECORRUPT);
		if (head & WB_ELSEWHERE) {
			inlined = before;
			get_source(c, n_pages, &w[i], fits, &l->sources, &next_blob);
		} else {
			w[i].bytes = cursor_bytes(c, w[i].len);
		}
	}
	ev->writes = w;
	ev->n_writes = n;
}

static void get_asops(struct code_state *s, struct cursor *c, struct buf *list, struct event *ev)
{
	uint32_t n = get_count(c, 9);
	struct ev_asop *o = list_of(list, c, n, sizeof(*o));

	if (!o)
		return;
	for (uint32_t i = 0; i < n && !c->err; i++) {
		o[i].kind = cursor_u8(c);
		o[i].prot = cursor_u8(c);
		o[i].flags = (uint16_t)cursor_varint_max(c, UINT16_MAX);
		o[i].obj = get_u32v(c);
		o[i].addr = get_addr(s, c);
		o[i].len = cursor_varint(c);
		s->addr = o[i].addr + o[i].len;
		o[i].obj_off = cursor_varint(c);
		o[i].new_addr = cursor_varint(c);
		o[i].new_len = cursor_varint(c);
		if (!asop_ok(&o[i]))
			cursor_fail(c, -RL_ECORRUPT);
	}
	ev->asops = o;
	ev->n_asops = n;
}

static void get_pages(struct code_state *s, struct cursor *c, struct buf *list, struct event *ev)
{
	uint32_t n = get_count(c, 10);
	struct ev_page *g = list_of(list, c, n, sizeof(*g));

	if (!g)
		return;
	for (uint32_t i = 0; i < n && !c->err; i++) {
		g[i].addr = get_addr(s, c);
		s->addr = g[i].addr + TRACE_PAGE;
		g[i].dead_bytes = get_u32v(c);
		g[i].hash = cursor_u64(c);
		if (!page_ok(&g[i]))
			cursor_fail(c, -RL_ECORRUPT);
	}
	ev->pages = g;
	ev->n_pages = n;
}

static void get_outputs(struct code_state *s, struct cursor *c, struct buf *list, struct event *ev)
{
	uint32_t n = get_count(c, 3);
	struct ev_output *o = list_of(list, c, n, sizeof(*o));

	if (!o)
		return;
	for (uint32_t i = 0; i < n && !c->err; i++) {
		o[i].stream = cursor_u8(c);
		o[i].addr = get_addr(s, c);
		o[i].len = get_u32v(c);
		s->addr = o[i].addr + o[i].len;
	}
	ev->outputs = o;
	ev->n_outputs = n;
}

static void get_new_task(struct code_state *s, struct cursor *c, struct event *ev)
{
	struct ev_new_task *n = &ev->new_task;

	n->task = get_u32v(c);
	n->proc = get_u32v(c);
	n->tid = get_i32(c);
	n->pid = get_i32(c);
	n->flags = get_u32v(c);
	regs_decode(c, &n->regs, state_regs(s, ev->task));
	if (!n->task)
		cursor_fail(c, -RL_ECORRUPT);
	state_set_regs(s, n->task, &n->regs);
}

static void get_event_regs(struct code_state *s, struct cursor *c, struct event *ev)
{
	const struct user_regs_struct *pred = state_regs(s, ev->task);
	uint32_t given = ev->flags & (EVF_BEFORE | EVF_AFTER);

	if (!given)
		return;
	if (given & EVF_BEFORE) {
		regs_decode(c, &ev->before, pred);
		pred = &ev->before;
	}
	if (given & EVF_AFTER) {
		regs_decode(c, &ev->after, pred);
		pred = &ev->after;
	}
	state_set_regs(s, ev->task, pred);
}

/* A part that is present must say something: each event has one encoding only. */
static int32_t nonzero(struct cursor *c, int32_t v)
{
	if (!v)
		cursor_fail(c, -RL_ECORRUPT);
	return v;
}

static void get_numbers(struct code_state *s, struct cursor *c, uint32_t parts, struct event *ev)
{
	ev->task = parts & PART_TASK ? get_u32v(c) : s->task;
	if (parts & PART_TASK && ev->task == s->task)
		cursor_fail(c, -RL_ECORRUPT);
	s->task = ev->task;
	if (parts & PART_NR)
		ev->nr = nonzero(c, get_i32(c));
	if (parts & PART_SIGNO)
		ev->signo = nonzero(c, get_i32(c));
	if (parts & PART_STATUS)
		ev->status = nonzero(c, get_i32(c));
	if (parts & PART_CKPT)
		ev->ckpt = (uint32_t)nonzero(c, (int32_t)get_u32v(c));
	if (parts & PART_INSN_LEN)
		ev->insn_len = (uint8_t)nonzero(c, cursor_u8(c));
}

void event_lists_free(struct event_lists *l)
{
	buf_free(&l->writes);
	buf_free(&l->asops);
	buf_free(&l->pages);
	buf_free(&l->outputs);
	buf_free(&l->sources);
}

int event_decode(struct code_state *s, struct cursor *c, uint64_t n_pages, struct event_lists *l, struct event *ev)
{
	uint32_t parts;

	memset(ev, 0, sizeof(*ev));
	buf_clear(&l->sources);
	ev->kind = cursor_u8(c);
	parts = (uint32_t)cursor_varint_max(c, PART_ALL);
	ev->flags = get_u32v(c);
	ev->time_ns = s->time_ns += (uint64_t)cursor_zigzag(c);
	if (ev->kind < 1 || ev->kind > EV_KIND_MAX)
		cursor_fail(c, -RL_ECORRUPT);
	get_numbers(s, c, parts, ev);
	get_event_regs(s, c, ev);
	if (parts & PART_WRITES)
		get_writes(s, c, n_pages, l, ev);
	if (parts & PART_ASOPS)
		get_asops(s, c, &l->asops, ev);
	if (parts & PART_PAGES)
		get_pages(s, c, &l->pages, ev);
	if (parts & PART_OUTPUTS)
		get_outputs(s, c, &l->outputs, ev);
	if (parts & PART_XSTATE)
		ev->xstate = get_blob(c, &ev->n_xstate, 1);
	if (parts & PART_WINDOW) {
		ev->window_addr = s->addr = get_addr(s, c);
		ev->window = get_blob(c, &ev->n_window, ev->window_addr ? 0 : 1);
	}
	if (parts & PART_SIGINFO)
		ev->siginfo = get_blob(c, &ev->n_siginfo, 1);
	if (parts & PART_NEW_TASK)
		get_new_task(s, c, ev);
	if (c->err == -RL_ETRUNCATED)
		return -RL_ECORRUPT;   /* the chunk is whole, so its contents are wrong */
	return c->err;
}
