/* Keeping the book: see lockbook.h. */
#include "replayer/lockbook_int.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "common/grow.h"

#define TURNS_MAX 100000

/* ---- locks by address ---- */

static enum lock_type type_of(enum lock_op op)
{
	switch (op) {
	case LOCK_MUTEX_LOCK: case LOCK_MUTEX_TRY: case LOCK_MUTEX_UNLOCK: case LOCK_MUTEX_INIT: return LT_MUTEX;
	case LOCK_RW_READ: case LOCK_RW_TRYREAD: case LOCK_RW_WRITE: case LOCK_RW_TRYWRITE: case LOCK_RW_UNLOCK:
	case LOCK_RW_INIT: return LT_RWLOCK;
	case LOCK_SPIN_LOCK: case LOCK_SPIN_TRY: case LOCK_SPIN_UNLOCK: return LT_SPIN;
	case LOCK_SEM_WAIT: case LOCK_SEM_TRY: case LOCK_SEM_POST: case LOCK_SEM_INIT: return LT_SEM;
	case LOCK_COND_WAIT: case LOCK_COND_SIGNAL: case LOCK_COND_INIT: return LT_COND;
	case LOCK_BARRIER_WAIT: case LOCK_BARRIER_INIT: return LT_BARRIER;
	case LOCK_ONCE: return LT_ONCE;
	case LOCK_JOIN: return LT_THREAD;
	}
	return LT_MUTEX;
}

static size_t hash_of(uint32_t proc, enum lock_type type, uint64_t addr)
{
	return (size_t)(((addr ^ (uint64_t)proc << 40 ^ (uint64_t)type << 60) * 0x9e3779b97f4a7c15ull) >> 20);
}

static size_t *slot_of(struct lockbook *b, uint32_t proc, enum lock_type type, uint64_t addr)
{
	for (size_t i = hash_of(proc, type, addr);; i++) {
		size_t *slot = &b->slots[i & (b->n_slots - 1)];
		const struct lock *l = *slot ? &b->locks[*slot - 1] : NULL;

		if (!l || (l->proc == proc && l->type == type && l->addr == addr))
			return slot;
	}
}

static bool more_slots(struct lockbook *b)
{
	size_t *old = b->slots, n = b->n_slots ? 2 * b->n_slots : 64;

	if (2 * (b->n_locks + 1) < b->n_slots)
		return true;
	b->slots = calloc(n, sizeof(*b->slots));
	if (!b->slots) {
		b->slots = old;
		return false;
	}
	free(old);
	b->n_slots = n;
	/* Of several at one address the latest one. */
	for (size_t i = 0; i < b->n_locks; i++)
		*slot_of(b, b->locks[i].proc, b->locks[i].type, b->locks[i].addr) = i + 1;
	return true;
}

static size_t lock_of(struct lockbook *b, uint32_t proc, enum lock_type type, uint64_t addr, bool anew)
{
	size_t *slot = b->n_slots ? slot_of(b, proc, type, addr) : NULL;
	struct lock *l;

	if (slot && *slot && !anew)
		return *slot - 1;
	/* One that was made and never used may be made again. */
	if (slot && *slot && !b->locks[*slot - 1].n_acquired && !b->locks[*slot - 1].n_failed)
		return *slot - 1;
	l = GROW(b->locks, b->n_locks, b->cap_locks);
	if (!l || !more_slots(b)) {
		b->no_memory = true;
		return NO_LOCK;
	}
	slot = slot_of(b, proc, type, addr);
	if (*slot)
		b->locks[*slot - 1].gone = true;
	*l = (struct lock){ .proc = proc, .type = type, .addr = addr };
	*slot = ++b->n_locks;
	return b->n_locks - 1;
}

/* ---- holding ---- */

const struct lock_hold *lockbook_hold(const struct lockbook *b, size_t lock, uint32_t task)
{
	for (size_t i = 0; i < b->n_holds; i++) {
		if (b->holds[i].lock == lock && (!task || b->holds[i].task == task))
			return &b->holds[i];
	}
	return NULL;
}

static struct lock_hold *hold_of(struct lockbook *b, size_t lock, uint32_t task)
{
	return (struct lock_hold *)lockbook_hold(b, lock, task);
}

static void end_hold(struct lockbook *b, struct lock_hold *h)
{
	struct lock *l = &b->locks[h->lock];

	if (h->shared)
		l->n_readers--;
	else
		l->owner = 0;
	*h = b->holds[--b->n_holds];
}

static struct lock_place place_of(const struct lock_event *e)
{
	return (struct lock_place){ e->task, e->site, e->event_no, e->before_ns };
}

static void note_longest(struct lock_place *longest, const struct lock_place *from, uint64_t until_ns)
{
	uint64_t ns = until_ns > from->ns ? until_ns - from->ns : 0;

	if (ns > longest->ns || !longest->task) {
		*longest = *from;
		longest->ns = ns;
	}
}

static void note_turn(struct lockbook *b, struct lock *l, uint32_t task, bool shared)
{
	struct lock_turn *last = l->n_turns ? &l->turns[l->n_turns - 1] : NULL;

	l->n_acquired++;
	if (last && last->task == task && last->shared == shared) {
		last->n++;
		return;
	}
	if (l->n_turns == TURNS_MAX) {
		l->turns_cut = true;
		return;
	}
	last = GROW(l->turns, l->n_turns, l->cap_turns);
	if (!last) {
		b->no_memory = true;
		return;
	}
	*last = (struct lock_turn){ task, shared, 1 };
	l->n_turns++;
}

static bool is_held(enum lock_type type)
{
	return type == LT_MUTEX || type == LT_RWLOCK || type == LT_SPIN;
}

static void take(struct lockbook *b, size_t lock, const struct lock_place *at, bool shared)
{
	struct lock_hold *h = hold_of(b, lock, at->task);
	struct lock *l = &b->locks[lock];

	if (h && (h->shared || !shared)) {
		h->depth++;
		return;
	}
	/* Whoever held it has died, or is a process's that has forked. */
	while (l->owner && (h = hold_of(b, lock, l->owner)))
		end_hold(b, h);
	note_turn(b, l, at->task, shared);
	h = GROW(b->holds, b->n_holds, b->cap_holds);
	if (!h) {
		b->no_memory = true;
		return;
	}
	*h = (struct lock_hold){ .task = at->task, .lock = lock, .shared = shared, .since = *at };
	b->n_holds++;
	if (shared)
		l->n_readers++;
	else
		l->owner = at->task;
}

static bool give(struct lockbook *b, size_t lock, uint32_t task, uint64_t ns)
{
	struct lock_hold *h = hold_of(b, lock, task);

	if (!h)
		return false;
	if (h->depth) {
		h->depth--;
		return true;
	}
	note_longest(&b->locks[lock].longest_hold, &h->since, ns);
	end_hold(b, h);
	return true;
}

/* ---- calls ---- */

static struct lock_wait *wait_of(struct lockbook *b, uint32_t task)
{
	for (size_t i = b->n_waits; i--;) {
		if (b->waits[i].task == task)
			return &b->waits[i];
	}
	return NULL;
}

static void end_wait(struct lockbook *b, struct lock_wait *w)
{
	size_t at = (size_t)(w - b->waits);

	memmove(w, w + 1, (b->n_waits - at - 1) * sizeof(*w));
	b->n_waits--;
}

static bool for_reading(enum lock_op op)
{
	return op == LOCK_RW_READ || op == LOCK_RW_TRYREAD;
}

static bool may_block(enum lock_op op)
{
	return op == LOCK_MUTEX_LOCK || op == LOCK_RW_READ || op == LOCK_RW_WRITE || op == LOCK_SPIN_LOCK;
}

static bool is_taken(const struct lock *l, uint32_t task, bool shared)
{
	return (l->owner && l->owner != task) || (l->n_readers && !shared);
}

static void begin_wait(struct lockbook *b, const struct lock_event *e, size_t lock)
{
	struct lock_place at = place_of(e);
	struct lock_wait *w = GROW(b->waits, b->n_waits, b->cap_waits);

	if (!w) {
		b->no_memory = true;
		return;
	}
	*w = (struct lock_wait){ .task = e->task, .op = e->op, .lock = lock, .mutex = NO_LOCK, .enter = at, .target = e->target,
				 .contended = is_held(b->locks[lock].type) && is_taken(&b->locks[lock], e->task, for_reading(e->op)),
				 .n_then = b->locks[lock].n_acquired };
	b->n_waits++;
	if (may_block(e->op))
		lockgraph_ask(b, e->task, lock, for_reading(e->op), &at);
	if (e->op == LOCK_COND_WAIT) {
		size_t m = lock_of(b, e->proc, LT_MUTEX, e->mutex, false);

		b->waits[b->n_waits - 1].mutex = m;
		if (m != NO_LOCK && give(b, m, e->task, e->after_ns))
			lockgraph_ask(b, e->task, m, false, &at);
	}
}

static void release(struct lockbook *b, const struct lock_event *e, size_t lock)
{
	struct lock_wait *w = wait_of(b, e->task);

	/* Unlocked by a handler of a cancelled wait, which had taken it again. */
	if (w && w->op == LOCK_COND_WAIT && w->mutex == lock && !hold_of(b, lock, e->task)) {
		end_wait(b, w);
		return;
	}
	(void)give(b, lock, e->task, e->after_ns);
}

static void enter(struct lockbook *b, const struct lock_event *e)
{
	bool init = e->op == LOCK_MUTEX_INIT || e->op == LOCK_RW_INIT || e->op == LOCK_SEM_INIT || e->op == LOCK_COND_INIT ||
		    e->op == LOCK_BARRIER_INIT;
	size_t lock = lock_of(b, e->proc, type_of(e->op), e->obj, init);

	if (lock == NO_LOCK || init)
		return;
	switch (e->op) {
	case LOCK_MUTEX_UNLOCK:
	case LOCK_RW_UNLOCK:
	case LOCK_SPIN_UNLOCK:
		release(b, e, lock);
		break;
	case LOCK_SEM_POST:
	case LOCK_COND_SIGNAL:
		b->locks[lock].n_released++;
		break;
	default:
		begin_wait(b, e, lock);
	}
}

static bool succeeded(enum lock_op op, int64_t result)
{
	switch (op) {
	case LOCK_MUTEX_LOCK:
	case LOCK_MUTEX_TRY:
		return !result || result == EOWNERDEAD;
	case LOCK_COND_WAIT:
		return !result || result == ETIMEDOUT;
	case LOCK_BARRIER_WAIT:
		return result <= 0;
	default:
		return !result;
	}
}

static void leave(struct lockbook *b, const struct lock_event *e)
{
	struct lock_wait *w = wait_of(b, e->task), was;
	struct lock_place at;
	struct lock *l;

	if (!w)
		return;
	was = *w;
	end_wait(b, w);
	l = &b->locks[was.lock];
	if (e->phase == LOCK_UNWOUND)
		return;
	note_longest(&l->longest_wait, &was.enter, e->after_ns);
	at = was.enter;
	at.ns = e->before_ns;
	at.event_no = e->event_no;
	if (was.op == LOCK_COND_WAIT && was.mutex != NO_LOCK)
		take(b, was.mutex, &at, false);
	if (!succeeded(was.op, e->result) || (was.op == LOCK_COND_WAIT && e->result)) {
		l->n_failed++;
		return;
	}
	if (is_held(l->type))
		l->n_contended += was.contended || l->n_acquired != was.n_then;
	else
		l->n_contended += e->event_no != was.enter.event_no;
	if (is_held(l->type))
		take(b, was.lock, &at, for_reading(was.op));
	else
		note_turn(b, l, was.task, false);
}

void lockbook_event(struct lockbook *b, const struct lock_event *e)
{
	struct lock_wait *w;

	switch (e->phase) {
	case LOCK_ENTER:
		enter(b, e);
		break;
	case LOCK_RETURN:
	case LOCK_UNWOUND:
		leave(b, e);
		break;
	case LOCK_THREAD_END:
		while ((w = wait_of(b, e->task)))
			end_wait(b, w);
		break;
	}
}

/* ---- life ---- */

struct lockbook *lockbook_new(void)
{
	return calloc(1, sizeof(struct lockbook));
}

void lockbook_free(struct lockbook *b)
{
	if (!b)
		return;
	for (size_t i = 0; i < b->n_locks; i++)
		free(b->locks[i].turns);
	for (size_t i = 0; i < b->n_cycles; i++)
		free(b->cycles[i].edges);
	for (size_t i = 0; i < b->n_deadlocks; i++)
		free(b->deadlocks[i].waits);
	free(b->locks);
	free(b->slots);
	free(b->edges);
	free(b->edge_slots);
	free(b->holds);
	free(b->waits);
	free(b->cycles);
	free(b->deadlocks);
	free(b);
}

int lockbook_finish(struct lockbook *b)
{
	int err = b->no_memory ? -ENOMEM : lockgraph_find_cycles(b);

	return err ? err : lockgraph_find_deadlocks(b);
}

size_t lockbook_locks(const struct lockbook *b, const struct lock **ret)
{
	*ret = b->locks;
	return b->n_locks;
}

size_t lockbook_edges(const struct lockbook *b, const struct lock_edge **ret)
{
	*ret = b->edges;
	return b->n_edges;
}

size_t lockbook_waits(const struct lockbook *b, const struct lock_wait **ret)
{
	*ret = b->waits;
	return b->n_waits;
}

size_t lockbook_holds(const struct lockbook *b, const struct lock_hold **ret)
{
	*ret = b->holds;
	return b->n_holds;
}

size_t lockbook_cycles(const struct lockbook *b, const struct lock_cycle **ret)
{
	*ret = b->cycles;
	return b->n_cycles;
}

size_t lockbook_deadlocks(const struct lockbook *b, const struct lock_deadlock **ret)
{
	*ret = b->deadlocks;
	return b->n_deadlocks;
}
