/* Building one event at a time and handing it to the trace. */
#include "recorder/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "common/grow.h"
#include "recorder/agent.h"

uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* xorshift64*, Vigna 2016: good enough for schedules, and reproducible from the stored seed. */
uint64_t rnd(struct recording *r)
{
	uint64_t x = r->rng;

	x ^= x >> 12;
	x ^= x << 25;
	x ^= x >> 27;
	r->rng = x;
	return x * 0x2545f4914f6cdd1dull;
}

void ev_begin(struct recording *r, struct task *t, enum event_kind kind)
{
	agent_flush(r, t);
	memset(&r->ev, 0, sizeof(r->ev));
	r->ev.task = t->no;
	r->ev.kind = kind;
	r->ev.time_ns = now_ns() - r->start_ns;
	r->n_writes = r->n_asops = r->n_outputs = 0;
	buf_clear(&r->ev_bytes);
}

/* The bytes move while the buffer grows: until ev_end a write's pointer holds an offset. */
static struct ev_write *write_slot(struct recording *r, uint32_t task, uint64_t addr, size_t n)
{
	struct ev_write *wr = GROW(r->writes, r->n_writes, r->cap_writes);

	if (!wr) {
		r->err = -ENOMEM;
		return NULL;
	}
	wr->task = task;
	wr->addr = addr;
	wr->len = (uint32_t)n;
	wr->bytes = (const uint8_t *)(uintptr_t)r->ev_bytes.n;
	r->n_writes++;
	return wr;
}

void ev_write_bytes(struct recording *r, uint32_t task, uint64_t addr, const void *bytes, size_t n)
{
	while (n) {
		size_t part = n < EV_WRITE_MAX ? n : EV_WRITE_MAX;

		if (!write_slot(r, task, addr, part))
			return;
		buf_put(&r->ev_bytes, bytes, part);
		addr += part;
		bytes = (const char *)bytes + part;
		n -= part;
	}
}

void ev_write_memory(struct recording *r, struct task *t, uint64_t addr, size_t n)
{
	while (n) {
		size_t part = n < EV_WRITE_MAX ? n : EV_WRITE_MAX;
		uint8_t *at;
		size_t got;

		if (buf_reserve(&r->ev_bytes, part)) {
			r->err = -ENOMEM;
			return;
		}
		at = r->ev_bytes.p + r->ev_bytes.n;
		got = mem_read_some(t->mm->mem_fd, addr, at, part);
		if (got) {
			if (!write_slot(r, t->no, addr, got))
				return;
			buf_add(&r->ev_bytes, got);
		}
		if (got < part)
			return;
		addr += part;
		n -= part;
	}
}

void ev_asop(struct recording *r, const struct ev_asop *op)
{
	struct ev_asop *slot = GROW(r->asops, r->n_asops, r->cap_asops);

	if (!slot) {
		r->err = -ENOMEM;
		return;
	}
	*slot = *op;
	r->n_asops++;
	r->maps_gen++;
}

void ev_output(struct recording *r, int stream, uint64_t addr, uint64_t len)
{
	struct ev_output *slot = GROW(r->outputs, r->n_outputs, r->cap_outputs);

	if (!slot) {
		r->err = -ENOMEM;
		return;
	}
	slot->stream = (uint8_t)stream;
	slot->addr = addr;
	slot->len = (uint32_t)len;
	r->n_outputs++;
}

void ev_end(struct recording *r)
{
	int err;

	for (size_t i = 0; i < r->n_writes; i++)
		r->writes[i].bytes = r->ev_bytes.p + (uintptr_t)r->writes[i].bytes;
	r->ev.n_writes = (uint32_t)r->n_writes;
	r->ev.writes = r->writes;
	r->ev.n_asops = (uint32_t)r->n_asops;
	r->ev.asops = r->asops;
	r->ev.n_outputs = (uint32_t)r->n_outputs;
	r->ev.outputs = r->outputs;
	err = trace_append(r->w, &r->ev);
	if (err && !r->err)
		r->err = err;
	r->unflushed = true;
}

#define FLUSH_AGE_NS 40000000u

void flush_events(struct recording *r)
{
	int err;

	if (!r->unflushed || now_ns() - r->start_ns - r->ev.time_ns < FLUSH_AGE_NS)
		return;
	r->unflushed = false;
	err = trace_flush(r->w);
	if (err && !r->err)
		r->err = err;
}
