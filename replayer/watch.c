#include "replayer/watch.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include "common/err.h"
#include "common/grow.h"
#include "tracee/insn.h"
#include "tracee/layout.h"
#include "tracee/maps.h"
#include "tracee/remote.h"

#define N_DEBUG_REGS 4

/* A page (or several neighbours of equal protection) that we took accesses away from. */
struct guarded {
	uint64_t start, end;
	int prot;              /* as the program knows it */
	int guard;             /* as it is while we watch */
};

struct watch_set {
	struct run_watch *watches;
	size_t n;
	uint32_t proc;
	int mem_fd;
	pid_t tid;
	int reg_of[N_DEBUG_REGS];      /* index of the watch in each debug register, -1: free */
	bool armed_regs;
	bool trapped;
	struct guarded *guards;
	size_t n_guards, cap_guards;
};

/* ---- debug registers: Intel SDM vol. 3, 18.2 ---- */

static int poke_debug(pid_t tid, int n, uint64_t value)
{
	size_t at = offsetof(struct user, u_debugreg) + (size_t)n * sizeof(((struct user *)0)->u_debugreg[0]);

	return ptrace(PTRACE_POKEUSER, tid, at, value) < 0 ? -errno : 0;
}

static uint64_t peek_debug(pid_t tid, int n)
{
	size_t at = offsetof(struct user, u_debugreg) + (size_t)n * sizeof(((struct user *)0)->u_debugreg[0]);

	errno = 0;
	return (uint64_t)ptrace(PTRACE_PEEKUSER, tid, at, 0);
}

static bool fits_register(const struct run_watch *w)
{
	return (w->len == 1 || w->len == 2 || w->len == 4 || w->len == 8) && w->addr % w->len == 0;
}

static uint64_t dr7_bits(int n, const struct run_watch *w)
{
	static const uint64_t len_code[9] = { [1] = 0, [2] = 1, [4] = 3, [8] = 2 };
	uint64_t rw = w->on_read ? 3 : 1;

	return 1ull << (2 * n) | (rw | len_code[w->len] << 2) << (16 + 4 * n);
}

static int arm_registers(struct watch_set *ws, pid_t tid)
{
	uint64_t dr7 = 0;
	int n = 0, err = 0;

	for (size_t i = 0; i < ws->n && n < N_DEBUG_REGS; i++) {
		const struct run_watch *w = &ws->watches[i];

		if (w->proc != ws->proc || !fits_register(w))
			continue;
		err = poke_debug(tid, n, w->addr);
		if (err)
			break;   /* none to be had: pages will do */
		dr7 |= dr7_bits(n, w);
		ws->reg_of[n++] = (int)i;
	}
	if (dr7 && !err)
		err = poke_debug(tid, 6, 0);
	if (dr7 && !err)
		err = poke_debug(tid, 7, dr7);
	if (err) {
		for (n = 0; n < N_DEBUG_REGS; n++)
			ws->reg_of[n] = -1;
		return 0;
	}
	ws->armed_regs = dr7 != 0;
	return 0;
}

/* ---- pages ---- */

static bool in_register(const struct watch_set *ws, size_t index)
{
	for (int n = 0; n < N_DEBUG_REGS; n++) {
		if (ws->reg_of[n] == (int)index)
			return true;
	}
	return false;
}

static int protect(struct watch_set *ws, const struct guarded *g, int prot)
{
	struct remote r = { .tid = ws->tid, .site = RL_STUB_CALL };
	int64_t result;
	int err = remote_call(&r, SYS_mprotect, REMOTE_ARGS(g->start, g->end - g->start, (uint64_t)prot), &result);

	return err ? err : result < 0 ? (int)result : 0;
}

static int guard_pages(struct watch_set *ws, const struct maps *maps, const struct run_watch *w)
{
	uint64_t page = w->addr & ~(uint64_t)(MAPS_PAGE - 1), end = w->addr + w->len;
	int err = 0;

	for (; !err && page < end; page += MAPS_PAGE) {
		const struct mapping *m = maps_find(maps, page);
		struct guarded *g = NULL;

		if (!m)
			continue;
		for (size_t i = 0; i < ws->n_guards; i++) {
			if (ws->guards[i].start == page)
				g = &ws->guards[i];
		}
		if (!g) {
			g = GROW(ws->guards, ws->n_guards, ws->cap_guards);
			if (!g)
				return -ENOMEM;
			*g = (struct guarded){ page, page + MAPS_PAGE, m->prot, m->prot & ~PROT_WRITE };
			ws->n_guards++;
		}
		if (w->on_read)
			g->guard = PROT_NONE;
	}
	return err;
}

static int arm_pages(struct watch_set *ws, struct rtask *t)
{
	struct maps maps = { 0 };
	bool any = false;
	int err = 0;

	for (size_t i = 0; i < ws->n; i++)
		any |= ws->watches[i].proc == ws->proc && !in_register(ws, i);
	if (!any)
		return 0;
	err = maps_read(t->host->pid, &maps);
	for (size_t i = 0; !err && i < ws->n; i++) {
		if (ws->watches[i].proc == ws->proc && !in_register(ws, i))
			err = guard_pages(ws, &maps, &ws->watches[i]);
	}
	maps_free(&maps);
	for (size_t i = 0; !err && i < ws->n_guards; i++)
		err = protect(ws, &ws->guards[i], ws->guards[i].guard);
	return err;
}

int watch_arm(struct session *s, struct rtask *t, const struct run_ctl *ctl, struct watch_set **ret)
{
	struct watch_set *ws = calloc(1, sizeof(*ws));
	int err = rtask_flush(t);

	(void)s;
	if (!ws)
		return -ENOMEM;
	ws->watches = ctl->watches;
	ws->n = ctl->n_watches;
	ws->proc = t->proc;
	ws->mem_fd = t->host->mem_fd;
	ws->tid = t->host_tid;
	for (int n = 0; n < N_DEBUG_REGS; n++)
		ws->reg_of[n] = -1;
	if (!err)
		err = arm_registers(ws, t->host_tid);
	if (!err)
		err = arm_pages(ws, t);
	if (err) {
		watch_disarm(ws, t);
		return err;
	}
	*ret = ws;
	return 0;
}

void watch_disarm(struct watch_set *ws, struct rtask *t)
{
	if (!ws)
		return;
	if (ws->armed_regs)
		poke_debug(t->host_tid, 7, 0);
	if (ws->n_guards)
		rtask_flush(t);
	for (size_t i = 0; i < ws->n_guards; i++)
		protect(ws, &ws->guards[i], ws->guards[i].prot);
	free(ws->guards);
	free(ws);
}

int watch_pages_free(struct watch_set *ws)
{
	int err = 0;

	for (size_t i = 0; ws && !err && i < ws->n_guards; i++)
		err = protect(ws, &ws->guards[i], ws->guards[i].prot);
	if (ws)
		ws->n_guards = 0;
	return err;
}

int watch_pages_guard(struct watch_set *ws, struct rtask *t)
{
	return ws ? arm_pages(ws, t) : 0;
}

/* A write watch reports changes only; the new value becomes the old one. */
static bool changed(const struct watch_set *ws, struct run_watch *w)
{
	uint8_t now[256];
	bool differs = false;

	for (uint64_t done = 0; done < w->len; ) {
		size_t n = w->len - done < sizeof(now) ? (size_t)(w->len - done) : sizeof(now);

		if (mem_read(ws->mem_fd, w->addr + done, now, n) == 0 && memcmp(w->old + done, now, n) != 0) {
			memcpy(w->old + done, now, n);
			differs = true;
		}
		done += n;
	}
	return differs;
}

bool watch_triggered(struct watch_set *ws, struct rtask *t, size_t *ret_watch)
{
	uint64_t dr6;
	bool hit = false;

	if (!ws)
		return false;
	ws->trapped = false;
	if (!ws->armed_regs)
		return false;
	dr6 = peek_debug(t->host_tid, 6);
	for (int n = 0; n < N_DEBUG_REGS; n++) {
		struct run_watch *w;

		if (!(dr6 >> n & 1) || ws->reg_of[n] < 0)
			continue;
		ws->trapped = true;
		w = &ws->watches[ws->reg_of[n]];
		if (changed(ws, w) || w->on_read) {
			*ret_watch = (size_t)ws->reg_of[n];
			hit = true;
		}
	}
	if (ws->trapped)
		poke_debug(t->host_tid, 6, 0);
	return hit;
}

bool watch_trapped(const struct watch_set *ws)
{
	return ws && ws->trapped;
}

static bool guards_cover(const struct watch_set *ws, uint64_t addr)
{
	for (size_t i = 0; i < ws->n_guards; i++) {
		if (addr >= ws->guards[i].start && addr < ws->guards[i].end)
			return true;
	}
	return false;
}

bool watch_owns_fault(struct watch_set *ws, struct rtask *t)
{
	siginfo_t info;

	if (!ws || !ws->n_guards || ptrace(PTRACE_GETSIGINFO, t->host_tid, 0, &info) < 0)
		return false;
	return info.si_code == SEGV_ACCERR && guards_cover(ws, (uint64_t)(uintptr_t)info.si_addr);
}

/* Whether an instruction's reads touch a watch. Writes are found by what they change. */
static bool reads_watch(const struct insn *in, const struct user_regs_struct *regs, const struct run_watch *w)
{
	for (unsigned i = 0; i < in->n_mem; i++) {
		uint64_t ea;
		uint64_t size = in->mem[i].size ? in->mem[i].size : 64;

		if (insn_ea(in, i, regs, &ea))
			return true;   /* a gather: rather one stop too many */
		if (in->flags & INSN_REP)
			size *= regs->rcx ? regs->rcx : 1;
		if (ea < w->addr + w->len && w->addr < ea + size)
			return true;
	}
	return false;
}

int watch_step(struct watch_set *ws, struct rtask *t, size_t *ret_watch)
{
	struct user_regs_struct before = t->regs;
	uint8_t code[INSN_MAX_BYTES];
	struct insn in;
	bool decoded;
	struct stop st;
	int err = 0, hit = 0;

	decoded = insn_decode(code, mem_read_some(ws->mem_fd, before.rip, code, sizeof(code)), before.rip, &in) == 0;
	for (size_t i = 0; !err && i < ws->n_guards; i++)
		err = protect(ws, &ws->guards[i], ws->guards[i].prot);
	if (!err)
		err = remote_resume(t->host_tid, PTRACE_SYSEMU_SINGLESTEP, 0);
	if (!err)
		err = remote_wait(t->host_tid, &st);
	if (!err)
		err = rtask_fetch(t);
	for (size_t i = 0; !err && i < ws->n_guards; i++)
		err = protect(ws, &ws->guards[i], ws->guards[i].guard);
	if (err)
		return err;
	for (size_t i = 0; i < ws->n; i++) {
		struct run_watch *w = &ws->watches[i];

		if (w->proc != ws->proc || in_register(ws, i))
			continue;
		if (changed(ws, w) || (w->on_read && (!decoded || reads_watch(&in, &before, w)))) {
			*ret_watch = i;
			hit = 1;
		}
	}
	/* A register's watch may be of the same page. */
	return watch_triggered(ws, t, ret_watch) || hit;
}

bool watch_hit_by_mapping(struct watch_set *ws, size_t *ret_watch)
{
	bool hit = false;

	for (size_t i = 0; ws && i < ws->n; i++) {
		if (ws->watches[i].proc == ws->proc && changed(ws, &ws->watches[i])) {
			*ret_watch = i;
			hit = true;
		}
	}
	return hit;
}

static bool meets(const struct ev_asop *op, const struct run_watch *w)
{
	return (op->addr < w->addr + w->len && w->addr < op->addr + op->len) ||
	       (op->kind == AS_REMAP && op->new_addr < w->addr + w->len && w->addr < op->new_addr + op->new_len);
}

/* New memory has other bytes than what was there, which no write tells of. */
static bool mapping_changed(struct session *s, const struct event *ev, struct run_watch *w)
{
	struct rtask *t = ev->n_asops ? session_task(s, ev->task) : NULL;
	struct watch_set ws = { 0 };

	if (!t || !t->host || t->proc != w->proc)
		return false;
	ws.mem_fd = t->host->mem_fd;
	for (uint32_t k = 0; k < ev->n_asops; k++) {
		if (meets(&ev->asops[k], w))
			return changed(&ws, w);
	}
	return false;
}

bool watch_hit_by_event(struct session *s, const struct run_ctl *ctl, const struct event *ev, size_t *ret_watch)
{
	bool hit = false;

	for (size_t i = 0; ctl && i < ctl->n_watches; i++) {
		struct run_watch *w = &ctl->watches[i];
		struct watch_set ws = { 0 };

		if (mapping_changed(s, ev, w)) {
			*ret_watch = i;
			hit = true;
		}
		for (uint32_t k = 0; k < ev->n_writes; k++) {
			const struct ev_write *wr = &ev->writes[k];
			struct rtask *t = session_task(s, wr->task);

			if (!t || !t->host || t->proc != w->proc || wr->addr >= w->addr + w->len ||
			    wr->addr + wr->len <= w->addr)
				continue;
			ws.mem_fd = t->host->mem_fd;
			if (changed(&ws, w)) {
				*ret_watch = i;
				hit = true;
			}
		}
	}
	return hit;
}
