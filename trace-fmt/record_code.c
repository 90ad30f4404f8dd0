#include "trace-fmt/record_code.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "trace-fmt/event_code.h"
#include "trace-fmt/format.h"
#include "common/banned.h"

int payload_err(int err)
{
	return err == 0 || err == -ENOMEM ? err : -RL_ECORRUPT;
}

/* @n zeroed items; at least @min_bytes of input must be left for each, so that the input bounds the allocation. */
static void *get_array(struct cursor *c, uint32_t *ret_n, size_t item_bytes, size_t min_bytes)
{
	uint64_t n = cursor_varint_max(c, cursor_left(c) / min_bytes);
	void *items;

	*ret_n = 0;
	if (c->err || !n)
		return NULL;
	items = calloc(n, item_bytes);
	if (!items) {
		cursor_fail(c, -ENOMEM);
		return NULL;
	}
	*ret_n = (uint32_t)n;
	return items;
}

static uint32_t get_u32v(struct cursor *c)
{
	return (uint32_t)cursor_varint_max(c, UINT32_MAX);
}

static int32_t get_i32(struct cursor *c)
{
	return (int32_t)cursor_u32(c);
}

/* ---- header ---- */

void header_encode(struct buf *b, const struct trace_header *h)
{
	buf_str(b, h->relive_version);
	buf_str(b, h->cwd);
	buf_str(b, h->host);
	buf_str(b, h->kernel);
	buf_str(b, h->cpu_model);
	buf_str(b, h->page_tracking);
	buf_u64(b, h->start_unix_ns);
	buf_u64(b, h->seed);
	buf_u64(b, h->xcr0);
	buf_u32(b, h->n_cpus);
	buf_u32(b, h->cpu);
	buf_varint(b, h->n_argv);
	for (uint32_t i = 0; i < h->n_argv; i++)
		buf_str(b, h->argv[i]);
	buf_varint(b, h->n_cpuid);
	for (uint32_t i = 0; i < h->n_cpuid; i++) {
		for (unsigned j = 0; j < 6; j++)
			buf_u32(b, h->cpuid[i][j]);
	}
	if (h->flags)
		buf_varint(b, h->flags);
}

static const char *const *get_strings(struct cursor *c, uint32_t *ret_n)
{
	const char **v = get_array(c, ret_n, sizeof(*v), 2);

	for (uint32_t i = 0; i < *ret_n; i++)
		v[i] = cursor_str(c);
	return v;
}

int header_decode(struct cursor *c, struct trace_header *ret_h)
{
	uint32_t (*leaves)[6];

	memset(ret_h, 0, sizeof(*ret_h));
	ret_h->relive_version = cursor_str(c);
	ret_h->cwd = cursor_str(c);
	ret_h->host = cursor_str(c);
	ret_h->kernel = cursor_str(c);
	ret_h->cpu_model = cursor_str(c);
	ret_h->page_tracking = cursor_str(c);
	ret_h->start_unix_ns = cursor_u64(c);
	ret_h->seed = cursor_u64(c);
	ret_h->xcr0 = cursor_u64(c);
	ret_h->n_cpus = cursor_u32(c);
	ret_h->cpu = cursor_u32(c);
	ret_h->argv = get_strings(c, &ret_h->n_argv);
	leaves = get_array(c, &ret_h->n_cpuid, sizeof(*leaves), 24);
	ret_h->cpuid = (const uint32_t (*)[6])leaves;
	for (uint32_t i = 0; i < ret_h->n_cpuid; i++) {
		for (unsigned j = 0; j < 6; j++)
			leaves[i][j] = cursor_u32(c);
	}
	/* Absent when it would be 0. */
	if (cursor_left(c)) {
		ret_h->flags = get_u32v(c);
		if (!ret_h->flags || cursor_left(c))
			cursor_fail(c, -RL_ECORRUPT);
	}
	return payload_err(c->err);
}

void header_free(struct trace_header *h)
{
	free((void *)h->argv);
	free((void *)h->cpuid);
	memset(h, 0, sizeof(*h));
}

/* ---- objects ---- */

void object_encode(struct buf *b, const struct trace_object *o)
{
	buf_varint(b, o->flags);
	buf_varint(b, o->size);
	buf_varint(b, o->dev);
	buf_varint(b, o->ino);
	buf_str(b, o->path);
}

int object_decode(struct cursor *c, struct trace_object *ret_o)
{
	struct trace_object o = { .flags = get_u32v(c) };

	o.size = cursor_varint_max(c, INT64_MAX);
	o.dev = cursor_varint(c);
	o.ino = cursor_varint(c);
	o.path = cursor_str(c);
	if (!c->err)
		*ret_o = o;
	return payload_err(c->err);
}

/* A page id is written as 0 for the zero page, else 1 + its zigzag-coded distance from the one expected next. */
uint64_t page_id_code(uint64_t *last, uint64_t id)
{
	uint64_t v = id ? 1 + zigzag_of((int64_t)(id - (*last + 1))) : 0;

	if (id)
		*last = id;
	return v;
}

uint64_t page_id_get(struct cursor *c, uint64_t n_pages, uint64_t *last)
{
	uint64_t v = cursor_varint(c), d = v - 1;

	if (!v)
		return 0;
	*last += 1 + ((d >> 1) ^ -(d & 1));
	if (!*last || *last > n_pages) {
		cursor_fail(c, -RL_ECORRUPT);
		return 0;
	}
	return *last;
}

void object_pages_encode(struct buf *b, uint32_t obj, size_t n, const struct object_page *pages)
{
	uint64_t next = 0, last_id = 0;

	buf_varint(b, obj);
	buf_varint(b, n);
	for (size_t i = 0; i < n; i++) {
		buf_zigzag(b, (int64_t)(pages[i].index - next));
		next = pages[i].index + 1;
		buf_varint(b, page_id_code(&last_id, pages[i].page_id));
	}
}

int object_pages_decode(struct cursor *c, const struct known *k, uint32_t *ret_obj, size_t *ret_n)
{
	uint32_t obj = (uint32_t)cursor_varint_max(c, k->objects);
	uint64_t n = cursor_varint_max(c, cursor_left(c) / 2);

	if (!obj || !n)
		cursor_fail(c, -RL_ECORRUPT);
	*ret_obj = obj;
	*ret_n = (size_t)n;
	return payload_err(c->err);
}

int object_page_decode(struct cursor *c, const struct known *k, struct object_page_state *st, struct object_page *ret_p)
{
	ret_p->index = st->index + (uint64_t)cursor_zigzag(c);
	st->index = ret_p->index + 1;
	if (ret_p->index >= PAGE_INDEX_END)
		cursor_fail(c, -RL_ECORRUPT);
	ret_p->page_id = page_id_get(c, k->pages, &st->page_id);
	return payload_err(c->err);
}

/* ---- checkpoints ---- */

/* Whole pages, not wrapping: what a kernel can hold. */
static bool map_ok(const struct ckpt_map *m)
{
	return m->len && m->addr % TRACE_PAGE == 0 && m->len % TRACE_PAGE == 0 && m->obj_off % TRACE_PAGE == 0 &&
	       m->addr + m->len > m->addr;
}

int ckpt_check(const struct trace_ckpt *c)
{
	if (c->n_tasks > CKPT_TASKS_MAX)
		return -E2BIG;
	for (uint32_t i = 0; i < c->n_maps; i++) {
		if (!map_ok(&c->maps[i]))
			return -EINVAL;
	}
	for (uint32_t i = 0; i < c->n_pages; i++) {
		if (c->pages[i].addr % TRACE_PAGE)
			return -EINVAL;
	}
	return 0;
}

static void ckpt_encode_maps(struct buf *b, const struct trace_ckpt *c)
{
	uint64_t end = 0;

	buf_varint(b, c->n_maps);
	for (uint32_t i = 0; i < c->n_maps; i++) {
		const struct ckpt_map *m = &c->maps[i];

		buf_zigzag(b, (int64_t)(m->addr - end));
		end = m->addr + m->len;
		buf_varint(b, m->len);
		buf_varint(b, m->obj_off);
		buf_varint(b, m->obj);
		buf_u8(b, m->prot);
		buf_varint(b, m->flags);
		buf_str(b, m->name);
	}
}

static void ckpt_encode_pages(struct buf *b, const struct trace_ckpt *c)
{
	uint64_t next = 0, last_id = 0;

	buf_varint(b, c->n_pages);
	for (uint32_t i = 0; i < c->n_pages; i++) {
		uint64_t page_no = c->pages[i].addr / TRACE_PAGE;

		buf_zigzag(b, (int64_t)(page_no - next));
		next = page_no + 1;
		buf_varint(b, page_id_code(&last_id, c->pages[i].page_id));
	}
}

static void ckpt_encode_tasks(struct buf *b, const struct trace_ckpt *c)
{
	static const struct user_regs_struct none;

	buf_varint(b, c->n_tasks);
	for (uint32_t i = 0; i < c->n_tasks; i++) {
		const struct ckpt_task *t = &c->tasks[i];

		buf_varint(b, t->task);
		buf_u32(b, (uint32_t)t->tid);
		if (!buf_reserve(b, REGS_BOUND))
			b->n = (size_t)(regs_encode(b->p + b->n, &t->regs, i ? &c->tasks[i - 1].regs : &none) - b->p);
		buf_varint(b, t->n_xstate);
		buf_put(b, t->xstate, t->n_xstate);
	}
}

void ckpt_encode(struct buf *b, const struct trace_ckpt *c)
{
	buf_varint(b, c->event_no);
	buf_varint(b, c->proc);
	buf_u32(b, (uint32_t)c->pid);
	buf_u32(b, (uint32_t)c->ppid);
	buf_str(b, c->exe);
	buf_u64(b, c->brk_start);
	buf_u64(b, c->brk);
	buf_varint(b, c->n_argv);
	for (uint32_t i = 0; i < c->n_argv; i++)
		buf_str(b, c->argv[i]);
	ckpt_encode_maps(b, c);
	ckpt_encode_pages(b, c);
	ckpt_encode_tasks(b, c);
	buf_varint(b, c->n_auxv);
	for (uint32_t i = 0; i < c->n_auxv; i++) {
		buf_u64(b, c->auxv[i][0]);
		buf_u64(b, c->auxv[i][1]);
	}
}

static void ckpt_decode_maps(struct cursor *c, const struct known *k, struct trace_ckpt *ret_c)
{
	struct ckpt_map *m = get_array(c, &ret_c->n_maps, sizeof(*m), 8);
	uint64_t end = 0;

	ret_c->maps = m;
	for (uint32_t i = 0; i < ret_c->n_maps && !c->err; i++, m++) {
		m->addr = end + (uint64_t)cursor_zigzag(c);
		m->len = cursor_varint(c);
		end = m->addr + m->len;
		m->obj_off = cursor_varint(c);
		m->obj = (uint32_t)cursor_varint_max(c, k->objects);
		m->prot = cursor_u8(c);
		m->flags = (uint16_t)cursor_varint_max(c, UINT16_MAX);
		m->name = cursor_str(c);
		if (!map_ok(m))
			cursor_fail(c, -RL_ECORRUPT);
	}
}

static void ckpt_decode_pages(struct cursor *c, const struct known *k, struct trace_ckpt *ret_c)
{
	struct ckpt_page *g = get_array(c, &ret_c->n_pages, sizeof(*g), 2);
	uint64_t next = 0, last_id = 0;

	ret_c->pages = g;
	for (uint32_t i = 0; i < ret_c->n_pages && !c->err; i++, g++) {
		uint64_t page_no = next + (uint64_t)cursor_zigzag(c);

		next = page_no + 1;
		if (page_no > UINT64_MAX / TRACE_PAGE)
			cursor_fail(c, -RL_ECORRUPT);
		g->addr = page_no * TRACE_PAGE;
		g->page_id = page_id_get(c, k->pages, &last_id);
	}
}

static void ckpt_decode_tasks(struct cursor *c, struct trace_ckpt *ret_c)
{
	static const struct user_regs_struct none;
	struct ckpt_task *t = get_array(c, &ret_c->n_tasks, sizeof(*t), 7);

	ret_c->tasks = t;
	if (ret_c->n_tasks > CKPT_TASKS_MAX)
		cursor_fail(c, -RL_ECORRUPT);
	for (uint32_t i = 0; i < ret_c->n_tasks && !c->err; i++, t++) {
		t->task = get_u32v(c);
		t->tid = get_i32(c);
		regs_decode(c, &t->regs, i ? &t[-1].regs : &none);
		t->n_xstate = get_u32v(c);
		t->xstate = cursor_bytes(c, t->n_xstate);
	}
}

int ckpt_decode(struct cursor *c, const struct known *k, struct trace_ckpt *ret_c)
{
	uint64_t (*aux)[2];

	memset(ret_c, 0, sizeof(*ret_c));
	ret_c->event_no = cursor_varint(c);
	ret_c->proc = get_u32v(c);
	ret_c->pid = get_i32(c);
	ret_c->ppid = get_i32(c);
	ret_c->exe = cursor_str(c);
	ret_c->brk_start = cursor_u64(c);
	ret_c->brk = cursor_u64(c);
	ret_c->argv = get_strings(c, &ret_c->n_argv);
	ckpt_decode_maps(c, k, ret_c);
	ckpt_decode_pages(c, k, ret_c);
	ckpt_decode_tasks(c, ret_c);
	aux = get_array(c, &ret_c->n_auxv, sizeof(*aux), 16);
	ret_c->auxv = (const uint64_t (*)[2])aux;
	for (uint32_t i = 0; i < ret_c->n_auxv; i++) {
		aux[i][0] = cursor_u64(c);
		aux[i][1] = cursor_u64(c);
	}
	if (cursor_left(c))
		cursor_fail(c, -RL_ECORRUPT);
	return payload_err(c->err);
}

void ckpt_free(struct trace_ckpt *c)
{
	free((void *)c->argv);
	free((void *)c->maps);
	free((void *)c->pages);
	free((void *)c->tasks);
	free((void *)c->auxv);
	memset(c, 0, sizeof(*c));
}
