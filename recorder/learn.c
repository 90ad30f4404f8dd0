/*
 * Outputs of calls that the table does not know. Pages that they may write are compared with what they were before:
 * those that the arguments point to, and those that what stands there points to.
 */
#include "recorder/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include "common/err.h"

#define LEARN_PAGES 64
#define LEARN_STRUCT 256          /* bytes at an argument that are searched for pointers */
#define LEARN_LONGEST (LEARN_PAGES / 2 * TRACE_PAGE)
#define LOWEST_POINTER 0x10000ull
#define HIGHEST_POINTER 0x7ffffffff000ull

struct learn_page {
	uint64_t addr;
	uint8_t bytes[TRACE_PAGE];
};

static bool outputs_known(struct task *t)
{
	struct sys_mem mem = task_memory(t);
	struct sys_ranges out = { 0 };
	int err = sys_outputs(&t->call, &mem, &out);

	sys_ranges_free(&out);
	return err != -RL_EUNSUPPORTED;
}

static void take_page(struct task *t, uint64_t addr)
{
	struct learn_page *p;

	for (size_t i = 0; i < t->n_learn; i++) {
		if (t->learn[i].addr == addr)
			return;
	}
	if (t->n_learn == LEARN_PAGES)
		return;
	p = &t->learn[t->n_learn];
	if (mem_read(t->mm->mem_fd, addr, p->bytes, TRACE_PAGE))
		return;
	p->addr = addr;
	t->n_learn++;
}

static bool is_pointer(uint64_t v)
{
	return v >= LOWEST_POINTER && v < HIGHEST_POINTER;
}

/* @len: how much might be written there, as far as can be told. */
static void take_memory(struct task *t, uint64_t addr, uint64_t len)
{
	uint64_t page = addr & ~(uint64_t)(TRACE_PAGE - 1);

	if (!is_pointer(addr))
		return;
	if (len < TRACE_PAGE)
		len = TRACE_PAGE;
	for (; page < addr + len; page += TRACE_PAGE)
		take_page(t, page);
}

/* A number that may be the length of the buffer before it. */
static uint64_t length_of(uint64_t v)
{
	return v <= LEARN_LONGEST ? v : 0;
}

static void follow(struct task *t, uint64_t addr)
{
	uint64_t words[LEARN_STRUCT / 8];
	size_t n = mem_read_some(t->mm->mem_fd, addr, words, sizeof(words)) / 8;

	for (size_t i = 0; i < n; i++) {
		if (is_pointer(words[i]))
			take_memory(t, words[i], i + 1 < n ? length_of(words[i + 1]) : 0);
	}
}

/* Remember what was not known, to say so at the end. */
static void note_unknown(struct recording *r, const struct task *t)
{
	uint32_t nr = (uint32_t)t->call.nr;
	uint64_t what = (uint64_t)nr << 32 | (nr == SYS_ioctl ? (uint32_t)t->call.arg[1] : 0);

	for (size_t i = 0; i < r->n_unknown; i++) {
		if (r->unknown[i] == what)
			return;
	}
	if (r->n_unknown < sizeof(r->unknown) / sizeof(r->unknown[0]))
		r->unknown[r->n_unknown++] = what;
}

void learn_before(struct recording *r, struct task *t)
{
	const struct sys_desc *d = sys_desc(t->call.nr);

	t->n_learn = 0;
	if (d && (d->class == SC_TASK || d->class == SC_ASPACE || d->class == SC_SIGRETURN))
		return;
	t->call.ret = 0;
	if (outputs_known(t))
		return;
	note_unknown(r, t);
	if (!t->learn)
		t->learn = malloc(LEARN_PAGES * sizeof(*t->learn));
	if (!t->learn)
		return;
	for (size_t i = 0; i < 6; i++)
		take_memory(t, t->call.arg[i], i < 5 ? length_of(t->call.arg[i + 1]) : 0);
	for (size_t i = 0; i < 6; i++) {
		if (is_pointer(t->call.arg[i]))
			follow(t, t->call.arg[i]);
	}
}

/* Bytes apart that are not worth a write of their own. */
#define LEARN_GAP 16

static void put_changes(struct recording *r, struct task *t, const struct learn_page *p, const uint8_t *now)
{
	size_t at = 0;

	while (at < TRACE_PAGE) {
		size_t from, end, same = 0;

		while (at < TRACE_PAGE && now[at] == p->bytes[at])
			at++;
		from = end = at;
		for (; at < TRACE_PAGE && same < LEARN_GAP; at++) {
			same = now[at] == p->bytes[at] ? same + 1 : 0;
			if (!same)
				end = at + 1;
		}
		if (end > from)
			ev_write_bytes(r, t->no, p->addr + from, now + from, end - from);
	}
}

void learn_after(struct recording *r, struct task *t)
{
	for (size_t i = 0; i < t->n_learn; i++) {
		uint8_t now[TRACE_PAGE];

		if (mem_read(t->mm->mem_fd, t->learn[i].addr, now, TRACE_PAGE) == 0)
			put_changes(r, t, &t->learn[i], now);
	}
	t->n_learn = 0;
}

void learn_warn(struct recording *r)
{
	char *text = r->result->warning;
	size_t max = sizeof(r->result->warning), n;

	if (!r->n_unknown)
		return;
	n = (size_t)snprintf(text, max, "the outputs of calls that relive does not know were found by comparing memory:");
	for (size_t i = 0; i < r->n_unknown && n + 48 < max; i++) {
		int nr = (int)(r->unknown[i] >> 32);
		const struct sys_desc *d = sys_desc(nr);
		const char *comma = i ? "," : "";

		if (nr == SYS_ioctl)
			n += (size_t)snprintf(text + n, max - n, "%s ioctl 0x%x", comma, (uint32_t)r->unknown[i]);
		else if (d)
			n += (size_t)snprintf(text + n, max - n, "%s %s", comma, d->name);
		else
			n += (size_t)snprintf(text + n, max - n, "%s number %d", comma, nr);
	}
}
