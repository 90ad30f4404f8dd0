#include "sample.h"

#include <string.h>

/* Sanitizers see each byte read; the sum keeps the compiler from dropping it. */
static volatile uint64_t touched;

static void touch(const void *bytes, size_t n)
{
	const uint8_t *p = bytes;
	uint64_t sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += p[i];
	touched += sum;
}

static void touch_str(const char *s)
{
	touch(s, strlen(s) + 1);
}

static void walk_event(const struct event *ev)
{
	touch(ev, sizeof(*ev));
	for (uint32_t i = 0; i < ev->n_writes; i++)
		touch(ev->writes[i].bytes, ev->writes[i].len);
	touch(ev->writes, ev->n_writes * sizeof(*ev->writes));
	touch(ev->asops, ev->n_asops * sizeof(*ev->asops));
	touch(ev->pages, ev->n_pages * sizeof(*ev->pages));
	touch(ev->outputs, ev->n_outputs * sizeof(*ev->outputs));
	touch(ev->xstate, ev->n_xstate);
	touch(ev->window, ev->n_window);
	touch(ev->siginfo, ev->n_siginfo);
}

static uint64_t walk_events(struct trace *t)
{
	struct trace_iter *it;
	const struct event *ev;
	uint64_t n = 0;

	if (trace_iter_open(t, 1, &it))
		return 0;
	while (trace_next(it, &ev) == 1) {
		n++;
		walk_event(ev);
	}
	/* Seeking goes past damage, and into it. */
	for (uint64_t no = trace_n_events(t); no; no /= 2) {
		if (!trace_seek(it, no) && trace_next(it, &ev) == 1)
			walk_event(ev);
	}
	trace_iter_close(it);
	return n;
}

static void walk_header(const struct trace_header *h)
{
	touch_str(h->relive_version);
	touch_str(h->cwd);
	touch_str(h->host);
	touch_str(h->kernel);
	touch_str(h->cpu_model);
	touch_str(h->page_tracking);
	for (uint32_t i = 0; i < h->n_argv; i++)
		touch_str(h->argv[i]);
	touch(h->cpuid, h->n_cpuid * sizeof(*h->cpuid));
}

static void walk_object(struct trace *t, uint32_t id)
{
	const struct trace_object *o = trace_object(t, id);
	const struct object_page *pages;
	uint8_t bytes[5000];
	size_t n;

	touch_str(o->path);
	if (trace_object_pages(t, id, &pages, &n))
		return;
	for (size_t i = 0; i < n && i < 100; i++) {
		const uint8_t *page = trace_page(t, pages[i].page_id);

		if (page)
			touch(page, TRACE_PAGE);
	}
	trace_object_read(t, id, o->size / 2, bytes, sizeof(bytes));
	trace_object_read(t, id, o->size - 1, bytes, sizeof(bytes));
}

static void walk_ckpt(struct trace *t, uint32_t id)
{
	const struct trace_ckpt *c;

	if (trace_ckpt(t, id, &c))
		return;
	touch_str(c->exe);
	for (uint32_t i = 0; i < c->n_argv; i++)
		touch_str(c->argv[i]);
	for (uint32_t i = 0; i < c->n_maps; i++)
		touch_str(c->maps[i].name);
	for (uint32_t i = 0; i < c->n_pages && i < 100; i++)
		trace_page(t, c->pages[i].page_id);
	for (uint32_t i = 0; i < c->n_tasks; i++)
		touch(c->tasks[i].xstate, c->tasks[i].n_xstate);
	touch(c->auxv, c->n_auxv * sizeof(*c->auxv));
}

uint64_t walk_everything(struct trace *t)
{
	struct trace_stat stats[16];
	uint64_t n;
	int status;

	walk_header(trace_header(t));
	for (uint32_t id = 0; id <= trace_n_ckpts(t) && id < 1000; id++)
		walk_ckpt(t, id);
	for (uint32_t id = 1; id <= trace_n_objects(t) && id < 1000; id++)
		walk_object(t, id);
	n = walk_events(t);
	touch_str(trace_damage(t));
	trace_complete(t, &status);
	trace_stats(t, stats, 16);
	return n;
}
