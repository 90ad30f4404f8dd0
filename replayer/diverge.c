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

#define PAGES_SAID 20

static void say_pages(struct session *s, struct rtask *t, const struct event *ev)
{
	struct maps maps = { 0 };
	size_t said = 0, differ = 0;
	bool have_maps = maps_read(t->host->pid, &maps) == 0;

	for (uint32_t i = 0; i < ev->n_pages; i++) {
		const struct ev_page *p = &ev->pages[i];
		uint8_t bytes[TRACE_PAGE];
		bool there = mem_read(t->host->mem_fd, p->addr, bytes, sizeof(bytes)) == 0;
		const struct mapping *m = have_maps ? maps_find(&maps, p->addr) : NULL;

		if (there) {
			memset(bytes, 0, p->dead_bytes);
			if (page_hash_of(bytes) == p->hash)
				continue;
		}
		differ++;
		if (said++ < PAGES_SAID)
			say(s, "  page 0x%llx (%s) differs\n", (unsigned long long)p->addr,
			    !there ? "not mapped" : m && m->name[0] ? m->name : "anonymous");
	}
	if (ev->n_pages)
		say(s, "  %zu of %u pages differ\n", differ, ev->n_pages);
	maps_free(&maps);
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
		say(s, "  %llu candidate instants were looked at\n", (unsigned long long)s->n_clock_tries);
	}
	return -RL_EDIVERGED;
}
