/* Clock points: naming an arbitrary instant of a task by the machine's state. See docs/ARCHITECTURE.md. */
#include "recorder/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include "common/err.h"
#include "common/grow.h"
#include "common/log.h"
#include "common/scope.h"
#include "recorder/agent.h"
#include "tracee/cputime.h"
#include "tracee/layout.h"
#include "tracee/xstate.h"

#define RED_ZONE 128
#define WINDOW_BYTES 1024
#define WORDS_MAX 8

struct dead_range {
	uint64_t start, end;
};

struct clock_build {
	struct dead_range *dead;
	size_t n_dead, cap_dead;
	struct ev_page *pages;
	size_t n_pages, cap_pages;
};

static uint64_t task_sp(struct task *t)
{
	struct user_regs_struct regs;

	if (t->state == TASK_BLOCKED)
		return t->entry.rsp;
	return remote_getregs(t->tid, &regs) ? 0 : regs.rsp;
}

/* Bytes below a task's red zone, in memory that is certainly its stack, are nobody's. */
static void find_dead(struct recording *r, struct mm *mm, struct clock_build *b)
{
	for (struct task *t = r->tasks; t; t = t->next) {
		struct dead_range *d;
		uint64_t sp;

		if (t->mm != mm || t->state == TASK_DEAD || t->stack.start == t->stack.end)
			continue;
		sp = task_sp(t);
		if (sp < t->stack.start + RED_ZONE || sp > t->stack.end)
			continue;
		d = GROW(b->dead, b->n_dead, b->cap_dead);
		if (!d)
			return;
		*d = (struct dead_range){ t->stack.start, sp - RED_ZONE };
		b->n_dead++;
	}
}

/* How many of a page's first bytes are dead: 0 to 4096. */
static uint32_t dead_bytes(const struct clock_build *b, uint64_t page)
{
	for (size_t i = 0; i < b->n_dead; i++) {
		const struct dead_range *d = &b->dead[i];

		if (page + TRACE_PAGE <= d->start || page >= d->end)
			continue;
		if (page < d->start)
			return 0;
		return d->end - page < TRACE_PAGE ? (uint32_t)(d->end - page) : TRACE_PAGE;
	}
	return 0;
}

static int add_page(struct task *t, struct clock_build *b, const struct page_hash *h)
{
	struct ev_page *p;
	uint32_t dead = dead_bytes(b, h->addr);
	uint64_t hash = h->hash;

	if (dead == TRACE_PAGE)
		return 0;
	if (dead) {
		uint8_t bytes[TRACE_PAGE];

		if (mem_read(t->mm->mem_fd, h->addr, bytes, sizeof(bytes)))
			return 0;
		memset(bytes, 0, dead);
		hash = page_hash_of(bytes);
	}
	p = GROW(b->pages, b->n_pages, b->cap_pages);
	if (!p)
		return -ENOMEM;
	*p = (struct ev_page){ h->addr, hash, dead };
	b->n_pages++;
	return 0;
}

static int collect_pages(struct recording *r, struct task *t, struct clock_build *b)
{
	struct page_list l = { 0 };
	int err = r->opts->verify_full ? written_ever(t, true, &l) : written_for_clock(r, t, &l);

	if (!err && !l.hashed)
		err = pages_hash(t->tid, &l);
	find_dead(r, t->mm, b);
	for (size_t i = 0; !err && i < l.n; i++)
		err = add_page(t, b, &l.v[i]);
	page_list_free(&l);
	return err;
}

void clock_verify_take(struct recording *r, struct task *t)
{
	struct clock_build b = { 0 };

	if (!r->opts->verify_full)
		return;
	free(t->verify);
	t->verify = NULL;
	t->n_verify = 0;
	t->verify_at = trace_writer_events(r->w);
	if (collect_pages(r, t, &b) == 0) {
		t->verify = b.pages;
		t->n_verify = b.n_pages;
	} else {
		free(b.pages);
	}
	free(b.dead);
}

void clock_verify_put(struct recording *r, struct task *t)
{
	/* An exec first ends the other threads, which may write: that was hashed too early. */
	if (t->verify_at != trace_writer_events(r->w))
		return;
	r->ev.pages = t->verify;
	r->ev.n_pages = (uint32_t)t->n_verify;
}

/* Which of these bytes replay may use: not dead, and not in the stack's window, which is recorded anyway. */
static bool tells(const struct clock_build *b, uint64_t window, uint64_t addr, size_t n)
{
	return addr + n - window >= WINDOW_BYTES + n && dead_bytes(b, addr & ~(uint64_t)(TRACE_PAGE - 1)) <= addr % TRACE_PAGE;
}

static void put_memory(struct recording *r, struct task *t, const struct clock_build *b)
{
	struct clock_words_chunk v[CLOCK_CHUNKS_MAX];
	uint64_t addr[CLOCK_WORDS_MAX], window = r->ev.before.rsp - RED_ZONE;
	size_t n = clock_words_find(r, t, &r->ev.before, addr);

	for (size_t i = 0; i < n && r->n_writes < WORDS_MAX; i++) {
		uint64_t bytes;

		if (tells(b, window, addr[i], sizeof(bytes)) && mem_read(t->mm->mem_fd, addr[i], &bytes, sizeof(bytes)) == 0)
			ev_write_bytes(r, t->no, addr[i], &bytes, sizeof(bytes));
	}
	n = clock_words_behind(t, &r->ev.before, b->pages, b->n_pages, v);
	for (size_t i = 0; i < n; i++) {
		if (tells(b, window, v[i].addr, v[i].n))
			ev_write_bytes(r, t->no, v[i].addr, v[i].bytes, v[i].n);
	}
}

/* How long the task has run since its slice began. */
static int32_t slice_us(const struct recording *r, const struct task *t)
{
	uint64_t now = r->slice_cpu_ns && r->current == t ? cputime_of(t->tid) : 0;
	uint64_t us = now > r->slice_cpu_ns ? (now - r->slice_cpu_ns) / 1000 : 0;

	return us < INT32_MAX ? (int32_t)us : 0;
}

#define FAULT_NS 1400  /* that the program loses at the first write to a tracked page */

static void record(struct recording *r, struct task *t, bool with_pages)
{
	static struct xstate x;
	static uint8_t canon[XSTATE_MAX];
	uint8_t window[WINDOW_BYTES];
	struct clock_build b = { 0 };
	struct user_regs_struct regs;
	int32_t us = slice_us(r, t);
	int err = remote_getregs(t->tid, &regs);

	agent_flush(r, t);   /* it may tell of mappings */
	if (!err)
		err = xstate_read(t->tid, &x);
	if (!err && (with_pages || r->opts->verify_full))
		err = collect_pages(r, t, &b);
	/* Who is killed meanwhile needs no clock point; without one all that follows would be wrong for anybody else. */
	if (err == -RL_EGONE && remote_getregs(t->tid, &regs) == 0)
		err = -ESRCH;
	if (err && err != -RL_EGONE && !r->err)
		r->err = err;
	if (!err) {
		ev_begin(r, t, EV_CLOCK);
		r->ev.flags = EVF_BEFORE;
		r->ev.before = regs;
		r->ev.status = us;
		r->ev.n_xstate = (uint32_t)xstate_canon(&x, canon);
		r->ev.xstate = canon;
		r->ev.window_addr = regs.rsp - RED_ZONE;
		r->ev.n_window = (uint32_t)mem_read_some(t->mm->mem_fd, r->ev.window_addr, window, sizeof(window));
		r->ev.window = window;
		r->ev.n_pages = (uint32_t)b.n_pages;
		r->ev.pages = b.pages;
		if (with_pages)
			put_memory(r, t, &b);
		ev_end(r);
		log_debug("clock point of task %u at %llx, %zu pages", t->no, (unsigned long long)regs.rip, b.n_pages);
	}
	free(b.dead);
	free(b.pages);
}

void clock_record(struct recording *r, struct task *t)
{
	record(r, t, true);
}

void clock_record_near(struct recording *r, struct task *t)
{
	record(r, t, false);
}

enum clock_result clock_point(struct recording *r, struct task *t)
{
	bool first = !t->mm->clocked;
	uint64_t start = cputime_own() + cputime_of(t->tid), faults;
	enum clock_result got = clock_step(r, t, false);

	if (got != CLOCK_POINT)
		return got;
	record(r, t, true);
	faults = t->mm->pages ? pagetrack_faults(t->mm->pages) : 0;
	/* The first one looks at all that was ever written: that will not come again. */
	if (!first)
		sched_cost(cputime_own() + cputime_of(t->tid) - start + faults * FAULT_NS);
	return got;
}
