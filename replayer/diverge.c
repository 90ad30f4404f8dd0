/* The divergence report: what the recording says, what the replay found, side by side. */
#include "replayer/internal.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include "common/err.h"
#include "tracee/maps.h"
#include "tracee/pagetrack.h"
#include "tracee/remote.h"
#include "tracee/xstate.h"

static void say(struct session *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void say(struct session *s, const char *fmt, ...)
{
	size_t n = strlen(s->report);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(s->report + n, sizeof(s->report) - n, fmt, ap);
	va_end(ap);
}

static const char *const kinds[] = {
	[EV_EXEC] = "exec", [EV_SYSCALL] = "system call", [EV_SYSCALL_ENTER] = "system call entry",
	[EV_SYSCALL_EXIT] = "system call exit", [EV_INSN] = "trapped instruction", [EV_CLOCK] = "clock point",
	[EV_SIGNAL] = "signal", [EV_EXIT] = "exit",
};

#define REG(name) { #name, offsetof(struct user_regs_struct, name) }
static const struct { const char *name; size_t at; } reg_names[] = {
	REG(rip), REG(rsp), REG(rbp), REG(rax), REG(rbx), REG(rcx), REG(rdx), REG(rsi), REG(rdi), REG(r8), REG(r9),
	REG(r10), REG(r11), REG(r12), REG(r13), REG(r14), REG(r15), REG(eflags), REG(orig_rax), REG(fs_base),
	REG(gs_base),
};

static void say_regs(struct session *s, const struct user_regs_struct *want, const struct user_regs_struct *have)
{
	say(s, "  %-9s %-18s %-18s\n", "register", "recorded", "replayed");
	for (size_t i = 0; i < sizeof(reg_names) / sizeof(reg_names[0]); i++) {
		uint64_t w, h;

		memcpy(&w, (const char *)want + reg_names[i].at, 8);
		memcpy(&h, (const char *)have + reg_names[i].at, 8);
		say(s, "  %-9s 0x%016llx 0x%016llx%s\n", reg_names[i].name, (unsigned long long)w,
		    (unsigned long long)h, w == h ? "" : "  <--");
	}
}

/* ---- pages ---- */

#define PAGES_SAID 20
#define BYTES_SAID 8

static const struct trace_ckpt *ckpt_of(struct session *s, const struct rtask *t)
{
	const struct rproc *p = session_proc(s, t->proc);
	const struct trace_ckpt *c;

	return p && trace_ckpt(s->trace, p->ckpt, &c) == 0 ? c : NULL;
}

/* A recorded address means most to people by what is there. */
static void name_place(struct session *s, const struct rtask *t, const struct mapping *m, uint64_t addr, char *out, size_t n)
{
	const struct trace_ckpt *c = ckpt_of(s, t);
	const struct trace_object *o = m->ino ? trace_object(s->trace, objects_find(s->objects, m->ino)) : NULL;

	if (o) {
		snprintf(out, n, "%.200s%s, 0x%llx", o->path, m->shared ? ", shared" : "",
			 (unsigned long long)(m->off + (addr - m->start)));
		return;
	}
	for (const struct rtask *u = s->tasks; u; u = u->next) {
		if (u->host == t->host && u->regs.rsp >= m->start && u->regs.rsp < m->end) {
			snprintf(out, n, "the stack of thread %d", u->tid);
			return;
		}
	}
	snprintf(out, n, "%s", c && m->start == c->brk_start ? "the heap" : "anonymous memory");
}

static bool matches(const uint8_t *bytes, const struct ev_page *p, uint8_t *out)
{
	memcpy(out, bytes, TRACE_PAGE);
	memset(out, 0, p->dead_bytes);
	return page_hash_of(out) == p->hash;
}

/* The trace has a page's hash. Its bytes it has only if they are still what the program began with. */
static bool recorded_bytes(struct session *s, const struct rtask *t, const struct mapping *m, const struct ev_page *p, uint8_t *out)
{
	static const uint8_t zeros[TRACE_PAGE];
	const struct trace_ckpt *c = ckpt_of(s, t);
	uint32_t obj = m->ino ? objects_find(s->objects, m->ino) : 0;
	uint8_t bytes[TRACE_PAGE] = { 0 };

	for (uint32_t i = 0; c && i < c->n_pages; i++) {
		const uint8_t *held = c->pages[i].addr == p->addr ? trace_page(s->trace, c->pages[i].page_id) : NULL;

		if (held && matches(held, p, out))
			return true;
	}
	if (obj && trace_object_read(s->trace, obj, m->off + (p->addr - m->start), bytes, sizeof(bytes)) > 0 && matches(bytes, p, out))
		return true;
	return matches(zeros, p, out);
}

static void say_row(struct session *s, const char *what, const uint8_t *bytes, size_t n)
{
	say(s, "%s", what);
	for (size_t i = 0; i < n; i++)
		say(s, " %02x", bytes[i]);
}

static void say_first_byte(struct session *s, uint64_t addr, const uint8_t *want, const uint8_t *have)
{
	size_t at = 0, n;

	while (at < TRACE_PAGE && want[at] == have[at])
		at++;
	n = TRACE_PAGE - at < BYTES_SAID ? TRACE_PAGE - at : BYTES_SAID;
	say(s, "    first at 0x%llx:", (unsigned long long)(addr + at));
	say_row(s, " recorded", want + at, n);
	say_row(s, ", replayed", have + at, n);
	say(s, "\n");
}

static void say_page(struct session *s, struct rtask *t, const struct mapping *m, const struct ev_page *p, const uint8_t *have)
{
	uint8_t want[TRACE_PAGE];
	char name[256] = "not mapped";

	if (m)
		name_place(s, t, m, p->addr, name, sizeof(name));
	say(s, "  page 0x%llx (%s) differs\n", (unsigned long long)p->addr, name);
	if (m && have && recorded_bytes(s, t, m, p, want))
		say_first_byte(s, p->addr, want, have);
}

static void say_pages(struct session *s, struct rtask *t, const struct event *ev)
{
	struct maps maps = { 0 };
	size_t differ = 0;
	bool have_maps = maps_read(t->host->pid, &maps) == 0;

	for (uint32_t i = 0; i < ev->n_pages; i++) {
		const struct ev_page *p = &ev->pages[i];
		uint8_t bytes[TRACE_PAGE];
		bool there = mem_read(t->host->mem_fd, p->addr, bytes, sizeof(bytes)) == 0;

		if (there) {
			memset(bytes, 0, p->dead_bytes);
			if (page_hash_of(bytes) == p->hash)
				continue;
		}
		if (differ++ < PAGES_SAID)
			say_page(s, t, have_maps ? maps_find(&maps, p->addr) : NULL, p, there ? bytes : NULL);
	}
	if (ev->n_pages)
		say(s, "  %zu of %u pages differ\n", differ, ev->n_pages);
	maps_free(&maps);
}

#define SHARED_SAID 8

/* What processes that were not recorded can have changed without anybody's noticing: the likeliest cause. */
static void say_shared(struct session *s, const struct rtask *t)
{
	size_t said = 0;

	for (size_t i = 0; i < t->host->shared.n && said < SHARED_SAID; i++) {
		const struct shared_map *m = &t->host->shared.v[i];
		const struct trace_object *o = trace_object(s->trace, m->obj);

		if (!o || o->path[0] != '/' || strncmp(o->path, "/memfd:", 7) == 0 || strncmp(o->path, "/dev/zero", 9) == 0)
			continue;
		if (!said++)
			say(s, "  mapped shared, so that processes outside of the recording can have written to it:\n");
		say(s, "    0x%llx-0x%llx %.200s\n", (unsigned long long)m->addr, (unsigned long long)(m->addr + m->len), o->path);
	}
}

static void say_tries(struct session *s, const struct event *ev)
{
	const struct clock_tries *c = &s->tries;

	if (c->event_no != ev->no || !c->n) {
		say(s, "  the task never came to 0x%llx\n", (unsigned long long)ev->before.rip);
		return;
	}
	say(s, "  candidates: looked at %llu times at 0x%llx; %llu with equal registers, %llu of them with an equal stack, %llu of "
	       "them with all equal but pages\n", (unsigned long long)c->n, (unsigned long long)ev->before.rip,
	    (unsigned long long)c->regs, (unsigned long long)c->window, (unsigned long long)c->xstate);
}

/* Where recorded bytes first differ from what is there. */
static void say_bytes(struct session *s, struct rtask *t, const char *what, uint64_t addr, const uint8_t *want, uint32_t n)
{
	uint8_t have[4096];
	size_t got = mem_read_some(t->host->mem_fd, addr, have, n < sizeof(have) ? n : sizeof(have));

	for (size_t i = 0; i < got; i++) {
		if (have[i] == want[i])
			continue;
		say(s, "  %s at 0x%llx: recorded %02x, replayed %02x\n", what, (unsigned long long)(addr + i), want[i], have[i]);
		return;
	}
}

static void say_xstate(struct session *s, struct rtask *t, const struct event *ev)
{
	static struct xstate x;
	static uint8_t canon[XSTATE_MAX];
	char name[32];

	if (!ev->n_xstate || xstate_read(t->host_tid, &x))
		return;
	if (xstate_canon_diff(ev->xstate, ev->n_xstate, canon, xstate_canon(&x, canon), name, sizeof(name)))
		say(s, "  %s differs\n", name);
}

int diverged(struct session *s, struct rtask *t, const struct event *ev, const char *what)
{
	s->report[0] = '\0';
	say(s, "the replay diverged at event %llu (%s", (unsigned long long)ev->no,
	    ev->kind <= EV_KIND_MAX ? kinds[ev->kind] : "?");
	if (ev->kind == EV_SYSCALL || ev->kind == EV_SYSCALL_ENTER || ev->kind == EV_SYSCALL_EXIT)
		say(s, " %d", ev->nr);
	if (ev->kind == EV_SIGNAL)
		say(s, " %d", ev->signo);
	say(s, ") of task %u", ev->task);
	if (t)
		say(s, " (thread %d of process %d)", t->tid, t->pid);
	say(s, ": %s\n", what);
	if (!t)
		return -RL_EDIVERGED;
	if (ev->flags & EVF_BEFORE)
		say_regs(s, &ev->before, &t->regs);
	say_pages(s, t, ev);
	if (ev->kind == EV_CLOCK) {
		say_xstate(s, t, ev);
		say_bytes(s, t, "the stack", ev->window_addr, ev->window, ev->n_window);
		for (uint32_t i = 0; i < ev->n_writes; i++)
			say_bytes(s, t, "memory", ev->writes[i].addr, ev->writes[i].bytes, ev->writes[i].len);
		say_tries(s, ev);
	}
	say_shared(s, t);
	return -RL_EDIVERGED;
}
