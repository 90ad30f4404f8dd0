/*
 * Outputs of calls that the table does not know. The kernel's writes are seen by the page tracking that clock points use:
 * the pages that a call wrote are its outputs. Those that the arguments point to, and those that what stands there points
 * to, are compared with what they were before, so that only the bytes that changed are recorded; and if pages cannot be
 * tracked, this has to be enough.
 */
#include "recorder/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include "common/err.h"
#include "common/log.h"

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

/* Let t, whose call was about to be made, come to the same place again, after calls of ours in its stead. */
static int enter_again(const struct recording *r, struct task *t)
{
	struct user_regs_struct regs;
	struct stop s;
	uint64_t mask;
	int err = remote_getregs(t->tid, &regs);

	if (err)
		return err;
	regs.rip -= 2;
	regs.rax = t->entry.orig_rax;
	regs.orig_rax = -1ull;
	err = remote_setregs(t->tid, &regs);
	if (!err)
		err = task_mask_signals(t, &mask);
	do {
		if (!err)
			err = remote_resume(t->tid, r->outer_filter ? PTRACE_SYSCALL : PTRACE_CONT, 0);
		if (!err)
			err = remote_wait(t->tid, &s);
	} while (!err && s.kind == TS_INTERRUPT);
	if (!err && s.kind != (r->outer_filter ? TS_SYSCALL : TS_SECCOMP))
		err = -RL_EGONE;
	return err ? err : task_unmask_signals(t, mask);
}

/* Whether the pages that the call writes can be told. */
static bool watch(struct recording *r, struct task *t)
{
	struct page_list before = { 0 };
	int err = 0;

	if (!t->mm->pages) {
		err = written_track(r, t);
		if (err != -RL_EGONE && enter_again(r, t))
			err = -RL_EGONE;
	}
	if (!err)
		err = written_now(t, &before);
	page_list_free(&before);
	if (err)
		log_debug("call %d: pages are not watched: %s", t->call.nr, rl_strerror(err));
	return !err;
}

/* By the user's wish. What goes to scratch memory has to be known. */
static bool is_forced(const struct recording *r, const struct task *t)
{
	int nr = t->call.nr;

	return r->opts->learn && nr >= 0 && nr < SYS_NR_END && r->opts->learn[nr] && !t->have_plan;
}

void learn_before(struct recording *r, struct task *t)
{
	const struct sys_desc *d = sys_desc(t->call.nr);

	t->n_learn = 0;
	if (d && (d->class == SC_TASK || d->class == SC_ASPACE || d->class == SC_SIGRETURN))
		return;
	t->call.ret = 0;
	t->forced_learn = is_forced(r, t);
	if (!t->forced_learn && outputs_known(t))
		return;
	if (!t->forced_learn)
		note_unknown(r, t);
	if (!t->learn)
		t->learn = malloc(LEARN_PAGES * sizeof(*t->learn));
	if (!t->learn)
		return;
	t->learn_watch = watch(r, t);
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

static bool is_taken(const struct task *t, uint64_t page)
{
	for (size_t i = 0; i < t->n_learn; i++) {
		if (t->learn[i].addr == page)
			return true;
	}
	return false;
}

/* The pages that were written and of which no earlier state is known: all their bytes, those of neighbours at once. */
static void put_written(struct recording *r, struct task *t)
{
	struct page_list l = { 0 };
	int err = written_now(t, &l);

	for (size_t i = 0, n; !err && i < l.n; i += n) {
		n = 1;
		if (is_taken(t, l.v[i].addr))
			continue;
		while (i + n < l.n && l.v[i + n].addr == l.v[i].addr + n * TRACE_PAGE && !is_taken(t, l.v[i + n].addr))
			n++;
		ev_write_memory(r, t, l.v[i].addr, n * TRACE_PAGE);
	}
	page_list_free(&l);
}

void learn_after(struct recording *r, struct task *t)
{
	for (size_t i = 0; i < t->n_learn; i++) {
		uint8_t now[TRACE_PAGE];

		if (mem_read(t->mm->mem_fd, t->learn[i].addr, now, TRACE_PAGE) == 0)
			put_changes(r, t, &t->learn[i], now);
	}
	if (t->learn_watch)
		put_written(r, t);
	t->n_learn = 0;
	t->learn_watch = false;
}

void learn_warn(struct recording *r)
{
	char *text = r->result->warning;
	size_t max = sizeof(r->result->warning), n;

	if (!r->n_unknown || r->result->warning[0])
		return;   /* relive info tells it all */
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
