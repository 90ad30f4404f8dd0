/* Lock functions while a task runs: collecting what their stubs wrote, and stopping where there is none. */
#include "replayer/lockhook_int.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include "common/err.h"
#include "common/grow.h"
#include "tracee/remote.h"

#define FILTER_REACH 20      /* a filter replaces at most so many bytes from its site on */
#define UNWOUND_MAX 0x40000  /* a frame so far below the stack pointer has been left; one further away is on another stack */

#define VAR(member) (LOCKSTUB_VARS + offsetof(struct lockstub_vars, member))

/* ---- calls and returns ---- */

void lock_emit(struct lockhooks *h, const struct lock_pend *p, enum lock_phase phase, int64_t result, uint32_t target)
{
	struct lock_event e = {
		.phase = phase, .op = p->func ? p->func->op : LOCK_JOIN, .task = p->task, .proc = p->proc, .obj = p->obj, .mutex = p->mutex,
		.target = target, .site = p->ret, .result = result, .after_ns = h->after_ns, .before_ns = h->seen_ns,
		.event_no = h->seen_no,
	};

	h->event(h->arg, &e);
}

static struct lock_pend *top_of(struct lockhooks *h, uint32_t task)
{
	for (size_t i = h->n_pends; i--;) {
		if (h->pends[i].task == task)
			return &h->pends[i];
	}
	return NULL;
}

static void drop(struct lockhooks *h, struct lock_pend *p)
{
	size_t at = (size_t)(p - h->pends);

	memmove(p, p + 1, (h->n_pends - at - 1) * sizeof(*p));
	h->n_pends--;
}

static void drop_all(struct lockhooks *h, uint32_t task)
{
	struct lock_pend *p;

	while ((p = top_of(h, task)))
		drop(h, p);
}

/* Who is waited for in pthread_join: glibc and musl name a thread by its thread pointer. */
static uint32_t joined(struct lockhooks *h, const struct rtask *t, uint64_t thread)
{
	for (const struct rtask *o = h->s->tasks; o; o = o->next) {
		if (o->proc == t->proc && o->regs.fs_base == thread)
			return o->no;
	}
	return 0;
}

/* A call from behind the frame of one that has not returned: that one was left by another way. */
static void note_unwound(struct lockhooks *h, uint32_t task, uint64_t rsp)
{
	struct lock_pend *p;

	while ((p = top_of(h, task)) && rsp > p->rsp && rsp - p->rsp < UNWOUND_MAX) {
		lock_emit(h, p, LOCK_UNWOUND, 0, 0);
		drop(h, p);
	}
}

static int called(struct lockhooks *h, const struct rtask *t, const struct lock_pend *p)
{
	struct lock_pend *slot;

	note_unwound(h, t->no, p->rsp);
	lock_emit(h, p, LOCK_ENTER, 0, p->func->op == LOCK_JOIN ? joined(h, t, p->obj) : 0);
	if (p->func->how == ENTRY)
		return 0;
	slot = GROW(h->pends, h->n_pends, h->cap_pends);
	if (!slot)
		return -ENOMEM;
	*slot = *p;
	h->n_pends++;
	return 0;
}

static void returned(struct lockhooks *h, struct lock_pend *p, uint64_t result)
{
	lock_emit(h, p, LOCK_RETURN, (int32_t)result, 0);
	drop(h, p);
}

/* ---- the buffer ---- */

static int take_record(struct lockhooks *h, struct lock_table *tab, const struct rtask *t, const struct lockstub_record *r)
{
	struct lock_pend *top = top_of(h, t->no);
	const struct lock_func *f = NULL;

	if (r->what == LOCKSTUB_RETURNED) {
		if (!top || top->rsp + 8 != r->rsp)
			return -RL_ECORRUPT;
		returned(h, top, r->value);
		return 0;
	}
	for (size_t i = 0; i < tab->n; i++) {
		if (tab->v[i].patched && tab->v[i].stub.stub == LOCKSTUB_CODE + (r->what + 1) * LOCKSTUB_BYTES)
			f = tab->v[i].func;
	}
	if (!f)
		return -RL_ECORRUPT;
	return called(h, t, &(struct lock_pend){ .task = t->no, .proc = t->proc, .func = f, .obj = r->value, .ret = r->ret,
		      .rsp = r->rsp });
}

static int drain(struct lockhooks *h, struct lock_table *tab, struct rtask *t)
{
	static struct lockstub_record records[LOCKSTUB_RECORDS];
	const uint64_t start = LOCKSTUB_BUF;
	uint64_t pos;
	size_t n;
	int err = mem_read(t->host->mem_fd, VAR(pos), &pos, 8);

	if (err || pos == start)
		return err;
	n = (size_t)(pos - start) / sizeof(records[0]);
	if (n > LOCKSTUB_RECORDS)
		return -RL_ECORRUPT;
	err = mem_read(t->host->mem_fd, start, records, n * sizeof(records[0]));
	if (!err)
		err = mem_write(t->host->mem_fd, VAR(pos), &start, 8);
	for (size_t i = 0; !err && i < n; i++)
		err = take_record(h, tab, t, &records[i]);
	return err;
}

/* ---- return addresses ---- */

/* Give a return address back that a stub took. */
static int disarm(struct rtask *t)
{
	static const uint64_t none;
	uint64_t taken[2];
	int err = mem_read(t->host->mem_fd, VAR(ret), taken, sizeof(taken));

	if (err || !taken[1])
		return err;
	err = mem_write(t->host->mem_fd, taken[1], &taken[0], 8);
	return err ? err : mem_write(t->host->mem_fd, VAR(ret_at), &none, 8);
}

static int stop_at_return(struct lock_pend *p, struct traps *traps, struct sites *sites)
{
	p->stops = true;
	if (sites)
		sites_give_way(sites, p->ret);
	return traps_add(traps, p->ret);
}

int lockhook_arm(struct session *s, struct rtask *t)
{
	struct lockhooks *h = s->locks;
	const uint64_t stub = LOCKSTUB_CODE;
	struct lock_pend *p = h ? top_of(h, t->no) : NULL;
	struct lock_table *tab = t->host->locks;
	uint64_t taken[2];
	int err;

	if (!h || !tab || lockstub_holds(t->regs.rip))
		return 0;
	/* In the midst of a patch, as a fault's handler may return to: on in the copy. */
	for (size_t i = 0; i < tab->n; i++) {
		const struct lock_hook *k = &tab->v[i];

		for (unsigned n = 1; k->patched && !k->aside && n < k->stub.n_insns; n++) {
			if (t->regs.rip != k->addr + k->stub.from[n])
				continue;
			t->regs.rip = k->stub.stub + k->stub.to[n];
			t->regs_dirty = true;
		}
	}
	if (!p || p->stops)
		return 0;
	taken[0] = p->ret;
	taken[1] = p->rsp;
	err = mem_write(t->host->mem_fd, VAR(ret), taken, sizeof(taken));
	return err ? err : mem_write(t->host->mem_fd, p->rsp, &stub, 8);
}

/* ---- stops ---- */

static int enter_by_stop(struct lockhooks *h, struct rtask *t, const struct lock_hook *k, struct traps *traps, struct sites *sites)
{
	struct lock_pend p = { .task = t->no, .proc = t->proc, .func = k->func, .obj = t->regs.rdi, .rsp = t->regs.rsp };
	const struct lock_pend *top = top_of(h, t->no);
	int err;

	/* A loop back to the function's beginning. */
	if (top && top->rsp == p.rsp && top->func == p.func)
		return 0;
	if (k->func->op == LOCK_COND_WAIT)
		p.mutex = t->regs.rsi;
	err = mem_read(t->host->mem_fd, p.rsp, &p.ret, 8);
	if (!err)
		err = called(h, t, &p);
	if (err || k->func->how == ENTRY)
		return err;
	return k->func->how == STOP ? stop_at_return(top_of(h, t->no), traps, sites) : 0;
}

/*
 * The task stands behind a call. If the call has returned, its return address is still below the stack pointer; if it was
 * left by an exception, whoever caught that has made calls since.
 */
static int came_back(struct lockhooks *h, struct lock_pend *p, const struct rtask *t)
{
	uint64_t popped;
	int err = mem_read(t->host->mem_fd, t->regs.rsp - 8, &popped, 8);

	if (err)
		return err;
	if (popped == p->ret) {
		returned(h, p, t->regs.rax);
		return 0;
	}
	lock_emit(h, p, LOCK_UNWOUND, 0, 0);
	drop(h, p);
	return 0;
}

static bool stands_behind(const struct lock_pend *p, const struct rtask *t)
{
	return p->task == t->no && p->ret == t->regs.rip && p->rsp + 8 == t->regs.rsp;
}

/* Those that the task has left; deeper ones cannot be in progress either. */
static int look_for_returns(struct lockhooks *h, const struct rtask *t)
{
	int err = 0;

	for (size_t i = h->n_pends; !err && i--;) {
		if (!stands_behind(&h->pends[i], t))
			continue;
		for (size_t k = h->n_pends; k-- > i + 1;) {
			if (h->pends[k].task != t->no)
				continue;
			lock_emit(h, &h->pends[k], LOCK_UNWOUND, 0, 0);
			drop(h, &h->pends[k]);
		}
		err = came_back(h, &h->pends[i], t);
	}
	return err;
}

int lockhook_depart(struct session *s, struct rtask *t, struct traps *traps, struct sites *sites)
{
	struct lockhooks *h = s->locks;
	struct lock_table *tab = t->host->locks;
	const struct lock_hook *k;
	int err;

	if (!h || !tab || lockstub_holds(t->regs.rip))
		return 0;
	err = look_for_returns(h, t);
	if (err)
		return err;
	k = lock_hook_at(tab, t->regs.rip);
	return k && (!k->patched || k->aside) ? enter_by_stop(h, t, k, traps, sites) : 0;
}

/* Another function is called before this one has returned: it shall return by a stop. */
static int at_nested(struct lockhooks *h, struct lock_table *tab, struct rtask *t, const struct lock_hook *k,
		     struct traps *traps, struct sites *sites)
{
	struct lock_pend *p;
	uint64_t saved[2];
	int err = drain(h, tab, t);

	if (!err)
		err = disarm(t);
	if (!err)
		err = mem_read(t->host->mem_fd, VAR(rax), saved, sizeof(saved));
	if (err)
		return err;
	t->regs.rax = saved[0];
	t->regs.rcx = saved[1];
	t->regs.rip = k->stub.stub;
	t->regs_dirty = true;
	p = top_of(h, t->no);
	err = p ? stop_at_return(p, traps, sites) : 0;
	return err ? err : 1;
}

/* In a stub. 1: its own stop. 0: not, and the task stands in the program. 2: not, and it still stands in the stub. */
static int in_stub(struct lockhooks *h, struct lock_table *tab, struct rtask *t, struct traps *traps, struct sites *sites,
		   const struct stop *st)
{
	uint64_t start = t->regs.rip & ~(uint64_t)(LOCKSTUB_BYTES - 1), off = t->regs.rip - start;
	bool trap = st->kind == TS_SIGNAL && st->sig == SIGTRAP;
	const struct lock_hook *k = NULL;
	int err;

	for (size_t i = 0; i < tab->n && !k; i++) {
		if (tab->v[i].patched && tab->v[i].stub.stub == start)
			k = &tab->v[i];
	}
	if (trap && off == (start == LOCKSTUB_CODE ? tab->return_full : k ? k->stub.full : 0) + 1u) {
		err = drain(h, tab, t);
		return err ? err : 1;
	}
	if (trap && k && k->stub.nested && off == k->stub.nested + 1u)
		return at_nested(h, tab, t, k, traps, sites);
	if (st->kind != TS_SIGNAL || !k)
		return 2;
	/* A fault of an instruction of the program's own. */
	for (unsigned n = 0; n < k->stub.n_insns; n++) {
		if (k->stub.to[n] != off)
			continue;
		t->regs.rip = k->addr + k->stub.from[n];
		t->regs_dirty = true;
		return 0;
	}
	return 2;
}

int lockhook_settle(struct session *s, struct rtask *t, struct traps *traps, struct sites *sites, const struct stop *st)
{
	struct lockhooks *h = s->locks;
	struct lock_table *tab = t->host->locks;
	int got;

	if (!h || !tab)
		return 0;
	if (lockstub_holds(t->regs.rip)) {
		got = in_stub(h, tab, t, traps, sites, st);
		if (got)
			return got == 2 ? 0 : got;
	}
	got = drain(h, tab, t);
	return got ? got : disarm(t);
}

/* ---- events ---- */

static void finish_seen(struct lockhooks *h)
{
	if (!h->seen_late)
		h->after_ns = h->seen_ns;
	if (h->seen_exit) {
		lock_emit(h, &(struct lock_pend){ .task = h->seen_task }, LOCK_THREAD_END, 0, 0);
		drop_all(h, h->seen_task);
	}
	h->seen_exit = false;
}

int lockhook_see(struct session *s)
{
	struct lockhooks *h = s->locks;
	const struct event *ev = s->ev;

	if (!h || ev->no == h->seen_no)
		return 0;
	finish_seen(h);
	h->seen_no = ev->no;
	h->seen_ns = ev->time_ns;
	h->seen_task = ev->task;
	/* These are written down when the next stop comes: that they are late is no sign of time passing. */
	h->seen_late = ev->kind == EV_BUFFER || ev->kind == EV_PATCH;
	h->seen_exit = (ev->kind == EV_SYSCALL || ev->kind == EV_SYSCALL_ENTER) && ev->nr == SYS_exit;
	/* A handler may jump out of the functions that it interrupted. */
	for (size_t i = 0; ev->kind == EV_SIGNAL && ev->flags & EVF_SIG_HANDLER && i < h->n_pends; i++)
		h->pends[i].stops |= h->pends[i].task == ev->task;
	if (ev->kind == EV_EXEC)
		drop_all(h, ev->task);
	return lock_note_changes(h, ev);
}

void lockhooks_end(struct session *s)
{
	finish_seen(s->locks);
}

/* The patch is code like any other to what waits at its first byte; but not to what waits in it, or would run into it. */
static bool in_the_way(const struct event *ev, uint64_t patch, uint64_t n)
{
	return ev->kind == EV_CLOCK && ev->before.rip != patch && ev->before.rip + FILTER_REACH > patch && ev->before.rip < patch + n;
}

int lockhook_begin(struct session *s, struct rtask *t, struct traps *traps)
{
	struct lockhooks *h = s->locks;
	struct lock_table *tab;
	int err;

	if (!h)
		return 0;
	err = lock_table_update(h, t);
	tab = err ? NULL : t->host->locks;
	for (size_t i = 0; tab && !err && i < tab->n; i++) {
		struct lock_hook *k = &tab->v[i];
		bool near = in_the_way(s->ev, k->addr, k->stub.n_patch) || in_the_way(s->ev, k->stub.cave, LOCKSTUB_CAVE);

		if (k->patched && near != k->aside)
			err = lock_hook_put(tab, k, !near);
		if (!err && (!k->patched || k->aside))
			err = traps_add(traps, k->addr);
	}
	for (size_t i = 0; !err && i < h->n_pends; i++) {
		if (h->pends[i].task == t->no && h->pends[i].stops)
			err = traps_add(traps, h->pends[i].ret);
	}
	return err;
}
