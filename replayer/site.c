/* Waiting at addresses: int3 first, then filters that know what tells the wanted pass from the others. */
#include "replayer/site.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "common/err.h"
#include "common/log.h"
#include "replayer/internal.h"
#include "replayer/site_int.h"
#include "tracee/filter_site.h"
#include "tracee/insn.h"
#include "tracee/layout.h"
#include "tracee/remote.h"

#define INT3 0xcc
#define LEARN_PASSES 3       /* by int3, before a filter is built */

int sites_open(struct session *s, struct rtask *t, const struct traps *traps, int flags, struct sites **ret)
{
	struct sites *ss = calloc(1, sizeof(*ss));

	if (!ss)
		return -ENOMEM;
	ss->s = s;
	ss->t = t;
	ss->traps = traps;
	ss->flags = flags;
	if (!s->book)
		s->book = site_book_new();
	*ret = ss;
	return s->book ? 0 : -ENOMEM;
}

static struct site *site_at(const struct sites *ss, uint64_t addr)
{
	for (size_t i = 0; i < ss->n; i++) {
		if (ss->v[i].addr == addr)
			return (struct site *)&ss->v[i];
	}
	return NULL;
}

static enum site_kind stop_kind(const struct site *x);

void sites_give_way(struct sites *ss, uint64_t addr)
{
	for (size_t i = 0; i < ss->n; i++) {
		struct site *x = &ss->v[i];

		if (x->kind == SITE_FILTER && addr - x->addr < x->filter.n_displaced) {
			x->kind = stop_kind(x);
			x->no_filter = true;
		}
	}
}

bool sites_has(const struct sites *ss, uint64_t addr)
{
	return site_at(ss, addr) != NULL;
}

/* Words of code may be our own patches then, or whoever else's; and those that may be return addresses tell nothing where such are moved. */
static bool is_fit(const struct sites *ss, const struct site *x, const struct maps *maps, const struct filter_test *f)
{
	const struct mapping *m;

	if (f->kind != FILTER_ABS)
		return true;
	m = maps_find(maps, f->addr);
	if (!m || m->prot & PROT_EXEC || (x->shared && m->shared))
		return false;
	m = ss->flags & SITES_RETURNS_MOVE ? maps_find(maps, f->want) : NULL;
	return !m || !(m->prot & PROT_EXEC);
}

static int drop_unfit(struct sites *ss, struct site *x)
{
	const struct maps *maps;
	size_t kept = 0;
	int err = site_book_maps(ss, &maps);

	for (size_t i = 0; !err && i < x->n_cand; i++) {
		if (is_fit(ss, x, maps, &x->cand[i].test))
			x->cand[kept++] = x->cand[i];
	}
	if (!err)
		x->n_cand = kept;
	return err;
}

int sites_add(struct sites *ss, uint64_t addr, const struct site_want *want, struct run_pass *pass)
{
	struct site *x = site_at(ss, addr);
	int err = 0;

	if (!x) {
		if (ss->n == MAX_SITES)
			return -E2BIG;
		x = &ss->v[ss->n];
		*x = (struct site){ .addr = addr, .kind = SITE_INT3 };
		err = site_place(ss, x);
		if (err)
			return err;
		ss->n++;
	}
	if (want)
		x->want[x->n_wants++] = *want;
	if (pass)
		x->pass = pass;
	if (want && x->n_wants == 1) {
		site_candidates(x, want, ss->flags & SITES_READ_MEMORY);
		err = drop_unfit(ss, x);
	} else if (want) {
		site_candidates_common(x, want);
	}
	return err;
}

/* ---- building filters ---- */

int sites_inject(struct sites *ss, long nr, const uint64_t arg[6], int64_t *ret)
{
	struct remote r = { .tid = ss->t->host_tid, .site = RL_STUB_CALL };
	int err = rtask_flush(ss->t);

	if (!err)
		err = remote_call(&r, nr, arg, ret);
	return err ? err : *ret < 0 && *ret >= -4095 ? (int)*ret : 0;
}

/* Whether a jump can be put there; looked at thoroughly once in a session, unless the code can change. */
static bool site_patchable(struct sites *ss, struct site *x)
{
	struct site_note *note = site_book_note(ss, x->addr);

	if (!note->patch || x->writable)
		note->patch = filter_site_look(ss->t->host->mem_fd, x->addr) == FILTER_SITE_NONE ? -1 : 1;
	return note->patch > 0;
}

static bool trap_inside(const struct sites *ss, const struct site *x, uint64_t end)
{
	for (uint64_t at = x->addr; at < end; at++) {
		if (traps_has(ss->traps, at) || (at != x->addr && sites_has(ss, at)))
			return true;
	}
	return false;
}

static int build_filter(struct sites *ss, struct site *x)
{
	uint8_t code[FILTER_CODE_AHEAD];
	struct filter_test tests[FILTER_MAX_TESTS];
	struct filter_spec spec = { .site = x->addr, .stub = x->stub, .slots = STUB_SLOTS(x->stub), .tests = tests };
	int err;

	spec.code = (struct insn_code){ .bytes = code, .addr = x->addr, .known = x->addr };
	spec.code.n = mem_read_some(ss->t->host->mem_fd, x->addr, code, sizeof(code));
	if (x->n_wants)
		spec.n_tests = site_choose(x, tests);
	if (x->n_wants && !spec.n_tests)
		return -EAGAIN;
	if (x->pass || x->writable)
		spec.counter = STUB_COUNTER(x->stub);
	if (x->pass) {
		spec.stop_count = x->n_wants ? x->pass->stop_at : 0;
		if (!x->n_wants) {
			tests[0] = (struct filter_test){ .kind = FILTER_PASS, .want = x->pass->stop_at };
			spec.n_tests = 1;
		}
	}
	err = filter_build(&spec, &x->filter);
	if (err)
		return err;
	memcpy(x->orig, code, sizeof(x->orig));
	memcpy(x->displaced, code, sizeof(x->displaced));
	if (trap_inside(ss, x, x->addr + x->filter.n_displaced))
		return -RL_EUNSUPPORTED;
	return mem_write(ss->t->host->mem_fd, x->stub, x->filter.code, x->filter.n);
}

/* ---- code that the program may change ---- */

#define FAULTS_MAX 300       /* writes to a guarded page, until it is asked whether a stop at every pass is cheaper: */
#define PASSES_PER_FAULT 4   /* if there are fewer passes than that between two of them */
#define CHANGES_MAX 50       /* the same for writes to the very code that a filter displaces: */
#define PASSES_PER_CHANGE 100   /* each costs a new filter */

bool sites_owns_fault(struct sites *ss)
{
	siginfo_t info;

	if (ptrace(PTRACE_GETSIGINFO, ss->t->host_tid, 0, &info) < 0 || info.si_code != SEGV_ACCERR)
		return false;
	for (size_t i = 0; i < ss->n; i++) {
		if (ss->v[i].guarded && site_guards(&ss->v[i], (uint64_t)(uintptr_t)info.si_addr))
			return true;
	}
	return false;
}

int sites_unguard(struct sites *ss)
{
	int err = 0;

	for (size_t i = 0; !err && i < ss->n; i++) {
		if (ss->v[i].guarded)
			err = site_protect(ss, &ss->v[i], false);
	}
	return err;
}

/* How often the filter was passed, as far as it counts that. */
static uint64_t filter_passes(struct sites *ss, const struct site *x)
{
	uint64_t passes = 0;

	mem_read(ss->t->host->mem_fd, STUB_COUNTER(x->stub), &passes, sizeof(passes));
	return passes - x->counted_from;
}

/* A page that is written to all the time is better left alone: a fault takes as long as some stops. */
static bool faults_too_often(struct sites *ss, const struct site *x)
{
	return x->n_faults > FAULTS_MAX && (x->n_passes + filter_passes(ss, x)) / x->n_faults < PASSES_PER_FAULT;
}

static int drop_stub(struct sites *ss, struct site *x)
{
	int64_t got;
	int err = sites_inject(ss, SYS_munmap, REMOTE_ARGS(STUB_BASE(x->stub), STUB_BYTES), &got);

	x->stub = 0;
	ss->t->host->stubs[x - ss->v] = 0;
	return err;
}

/*
 * The code is another now, and this filter is of no use any more; but that code may not be complete yet. It will be when
 * the site is come to: then another filter is made.
 */
static int code_changed(struct sites *ss, struct site *x)
{
	x->guarded = false;
	x->kind = SITE_DEBUG_REG;
	x->looked_at = false;
	x->n_passes += filter_passes(ss, x);
	x->no_filter = ++x->n_changes > CHANGES_MAX && x->n_passes / x->n_changes < PASSES_PER_CHANGE;
	return drop_stub(ss, x);
}

static int guard_again(struct sites *ss, struct site *x)
{
	uint8_t code[sizeof(x->displaced)];

	x->n_faults++;
	if (mem_read(ss->t->host->mem_fd, x->addr, code, x->filter.n_displaced) ||
	    memcmp(code, x->displaced, x->filter.n_displaced) != 0)
		return code_changed(ss, x);
	if (!faults_too_often(ss, x))
		return site_protect(ss, x, true);
	x->guarded = false;
	x->no_filter = true;
	x->kind = SITE_DEBUG_REG;
	return 0;
}

int sites_guard(struct sites *ss)
{
	int err = 0;

	for (size_t i = 0; !err && i < ss->n; i++) {
		if (ss->v[i].guarded)
			err = guard_again(ss, &ss->v[i]);
	}
	return err;
}

/* Every pass a stop. */
static enum site_kind stop_kind(const struct site *x)
{
	return x->writable || x->shared ? SITE_DEBUG_REG : SITE_INT3;
}

static int make_room(struct sites *ss, struct site *x)
{
	uint8_t bytes[FILTER_CODE_AHEAD];
	struct insn_code code = { .bytes = bytes, .addr = x->addr, .known = x->addr };

	code.n = mem_read_some(ss->t->host->mem_fd, x->addr, bytes, sizeof(bytes));
	x->counted_from = x->pass ? x->pass->seen : 0;
	return site_map_stub(ss, x, &code);
}

/* Turn the site into a filter, or adapt its tests. */
static int site_filter(struct sites *ss, struct site *x)
{
	struct site_note *note = site_book_note(ss, x->addr);
	int err = 0;

	if (!x->looked_at && (trap_inside(ss, x, x->addr + 1) || !site_patchable(ss, x)))
		err = -RL_EUNSUPPORTED;
	x->looked_at = !err;
	if (!err && !x->stub)
		err = make_room(ss, x);
	if (!err)
		err = build_filter(ss, x);
	if (!err && x->writable && !x->guarded) {
		err = site_protect(ss, x, true);
		x->guarded = !err;
	}
	if (err == -EAGAIN) {   /* nothing known tells passes apart */
		x->kind = stop_kind(x);
		return 0;
	}
	if (err == -RL_EUNSUPPORTED || err == -EINVAL || err == -ENOSPC) {
		log_debug("no filter at %llx: %s", (unsigned long long)x->addr, rl_strerror(err));
		x->no_filter = true;
		x->kind = stop_kind(x);
		return 0;
	}
	if (err)
		return err;
	x->kind = SITE_FILTER;
	x->known = x->n_wants ? 0 : 1;
	site_remember(x, note);
	return 0;
}

int sites_missed(struct sites *ss)
{
	struct site *x = site_at(ss, ss->t->regs.rip);
	bool news;

	if (!x)
		return 0;
	x->n_misses++;
	if (x->no_filter || (x->known && x->kind == SITE_FILTER))
		return 0;
	news = site_learn(ss, x);
	if (x->n_misses < LEARN_PASSES && x->kind != SITE_FILTER)
		return 0;
	if (x->kind == SITE_FILTER && !news)
		return 0;
	return site_filter(ss, x);
}

/* What an earlier pass through here taught: begin with that. */
static int prepare(struct sites *ss, struct site *x)
{
	struct site_note *note;

	if (x->prepared || x->no_filter || x->kind == SITE_FILTER)
		return 0;
	x->prepared = true;
	note = site_book_note(ss, x->addr);
	if (!note->n_tests || !x->n_wants || !site_recall(x, note))
		return 0;
	return site_filter(ss, x);
}

/* ---- running ---- */

static int poke_debug(struct sites *ss, int n, uint64_t value)
{
	size_t at = offsetof(struct user, u_debugreg) + (size_t)n * sizeof(((struct user *)0)->u_debugreg[0]);

	return ptrace(PTRACE_POKEUSER, ss->t->host_tid, at, value) < 0 ? -errno : 0;
}

static uint64_t peek_debug(struct sites *ss, int n)
{
	size_t at = offsetof(struct user, u_debugreg) + (size_t)n * sizeof(((struct user *)0)->u_debugreg[0]);

	return (uint64_t)ptrace(PTRACE_PEEKUSER, ss->t->host_tid, at, 0);
}

/* The highest register that nobody uses; watches take them from the lowest on. Execution: length and kind bits 0. */
static bool set_debug_reg(struct sites *ss, struct site *x)
{
	uint64_t dr7 = peek_debug(ss, 7);

	for (int n = 3; n >= 0; n--) {
		if (dr7 >> (2 * n) & 3)
			continue;
		if (poke_debug(ss, n, x->addr) || poke_debug(ss, 7, (dr7 & ~(0xfull << (16 + 4 * n))) | 1ull << (2 * n)))
			return false;
		x->debug_reg = n;
		return true;
	}
	return false;
}

bool sites_can_resume(const struct sites *ss)
{
	const struct site *x = site_at(ss, ss->t->regs.rip);

	return !x || x->kind == SITE_FILTER;
}

/* A task that stands at or behind a filter's site goes on in the filter's copy. */
static void enter_stub(struct sites *ss)
{
	struct user_regs_struct *regs = &ss->t->regs;

	for (size_t i = 0; i < ss->n; i++) {
		struct site *x = &ss->v[i];

		if (x->kind != SITE_FILTER)
			continue;
		for (unsigned k = 0; k < x->filter.n_insns; k++) {
			const struct filter_insn *in = &x->filter.insns[k];

			if (regs->rip != x->addr + in->orig_off)
				continue;
			regs->rip = x->stub + (k ? in->stub_off : x->filter.continue_off);
			ss->t->regs_dirty = true;
			return;
		}
	}
}

static int write_code(struct sites *ss, const struct site *x, const void *bytes, size_t n)
{
	return host_write(ss->t->host, ss->s->objects, x->addr, bytes, n);
}

static int insert_one(struct sites *ss, struct site *x)
{
	static const uint8_t int3 = INT3;
	int mem_fd = ss->t->host->mem_fd;
	int err;

	if (x->kind == SITE_DEBUG_REG && set_debug_reg(ss, x)) {
		x->inserted = SITE_DEBUG_REG;
		return 0;
	}
	if (x->kind == SITE_FILTER) {
		if (x->pass && mem_write(mem_fd, STUB_COUNTER(x->stub), &x->pass->seen, 8))
			return -EFAULT;
		err = write_code(ss, x, x->filter.jmp, sizeof(x->filter.jmp));
		x->inserted = SITE_FILTER;
		return err;
	}
	if (mem_read(mem_fd, x->addr, x->orig, 1))
		return 0;   /* not mapped: never reached */
	x->inserted = SITE_INT3;
	return write_code(ss, x, &int3, 1);
}

int sites_insert(struct sites *ss)
{
	int err = 0;

	for (size_t i = 0; !err && i < ss->n; i++)
		err = prepare(ss, &ss->v[i]);
	for (size_t i = 0; !err && i < ss->n; i++) {
		err = insert_one(ss, &ss->v[i]);
		ss->v[i].counted = false;
	}
	if (!err)
		enter_stub(ss);
	return err;
}

static int remove_one(struct sites *ss, struct site *x)
{
	int mem_fd = ss->t->host->mem_fd;
	int err = 0;

	switch (x->inserted) {
	case SITE_NONE:
		break;
	case SITE_DEBUG_REG:
		poke_debug(ss, 7, peek_debug(ss, 7) & ~(3ull << (2 * x->debug_reg)));
		break;
	case SITE_FILTER:
		if (x->pass)
			err = mem_read(mem_fd, STUB_COUNTER(x->stub), &x->pass->seen, 8);
		if (!err)
			err = write_code(ss, x, x->orig, sizeof(x->filter.jmp));
		break;
	case SITE_INT3:
		err = write_code(ss, x, x->orig, 1);
		break;
	}
	x->was = x->inserted;
	x->inserted = SITE_NONE;
	return err;
}

int sites_remove(struct sites *ss)
{
	int err = 0;

	for (size_t i = 0; i < ss->n; i++) {
		int e = remove_one(ss, &ss->v[i]);

		err = err ? err : e;
	}
	return err;
}

/* In a filter's code: on to where the program's own state is whole again. */
static int leave_stub(struct sites *ss, struct site *x)
{
	struct rtask *t = ss->t;
	uint64_t off, orig;
	struct stop st;
	int err;

	for (int steps = 0; steps < 100; steps++) {
		off = t->regs.rip - x->stub;
		if (off > FILTER_MAX_CODE)
			return 0;
		err = filter_original_ip(&x->filter, t->regs.rip, &orig);
		if (!err) {
			x->counted = orig == x->addr && off != 0;
			t->regs.rip = orig;
			t->regs_dirty = true;
			return orig == x->addr && off == x->filter.match_off + 1u;
		}
		if (err != -EAGAIN)
			return err;
		err = rtask_flush(t);
		if (!err)
			err = remote_resume(t->host_tid, PTRACE_SINGLESTEP, 0);
		if (!err)
			err = remote_wait(t->host_tid, &st);
		if (!err && st.kind == TS_DEAD)
			err = -RL_EGONE;
		if (!err)
			err = rtask_fetch(t);
		if (err)
			return err;
		/* Stepping onto the match's int3 executes it. */
	}
	return -RL_EUNSUPPORTED;
}

/* Not a watch's trap behind the instruction before. Once in 100,000 traps no register is named at all. */
static bool is_exec_trap(struct sites *ss, const struct site *x)
{
	uint64_t dr6 = peek_debug(ss, 6);

	if (dr6 & 0xf && !(dr6 >> x->debug_reg & 1))
		return false;
	poke_debug(ss, 6, 0);
	return true;
}

int sites_settle(struct sites *ss, const struct stop *st)
{
	struct rtask *t = ss->t;
	bool trap = st->kind == TS_SIGNAL && st->sig == SIGTRAP;

	for (size_t i = 0; i < ss->n; i++) {
		struct site *x = &ss->v[i];

		if (x->stub && t->regs.rip - x->stub <= FILTER_MAX_CODE) {
			int got = leave_stub(ss, x);

			/* Only a trap is the match's; another stop stays what it is. */
			return got > 0 && !trap ? 0 : got;
		}
		if (st->kind == TS_SIGNAL && st->sig == SIGILL && x->was == SITE_FILTER && filter_midst(&x->filter, t->regs.rip))
			return 1;
		if (trap && x->was == SITE_INT3 && t->regs.rip == x->addr + 1) {
			t->regs.rip = x->addr;
			t->regs_dirty = true;
			return 1;
		}
		if (trap && x->was == SITE_DEBUG_REG && t->regs.rip == x->addr && is_exec_trap(ss, x))
			return 1;
	}
	return 0;
}

bool sites_counted(struct sites *ss)
{
	struct site *x = site_at(ss, ss->t->regs.rip);
	bool yes = x && x->counted;

	if (yes)
		x->counted = false;
	return yes;
}

uint64_t sites_misses(const struct sites *ss)
{
	uint64_t n = 0;

	if (!ss)
		return 0;
	for (size_t i = 0; i < ss->n; i++)
		n += ss->v[i].n_wants ? ss->v[i].n_misses : 0;
	return n;
}

void sites_close(struct sites *ss)
{
	int64_t got;

	if (!ss)
		return;
	sites_unguard(ss);
	for (size_t i = 0; i < ss->n; i++) {
		if (ss->v[i].stub)
			sites_inject(ss, SYS_munmap, REMOTE_ARGS(STUB_BASE(ss->v[i].stub), STUB_BYTES), &got);
		free(ss->v[i].cand);
	}
	if (ss->t->host)
		memset(ss->t->host->stubs, 0, sizeof(ss->t->host->stubs));
	free(ss);
}
