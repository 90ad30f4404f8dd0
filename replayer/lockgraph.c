/* Which locks were asked for while others were held; cycles in that, and tasks that wait for one another. */
#include "replayer/lockbook_int.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "common/grow.h"

#define CYCLES_MAX 100

/* ---- edges ---- */

static size_t *edge_slot(struct lockbook *b, size_t from, size_t to)
{
	for (size_t i = (from * 0x9e3779b97f4a7c15ull + to) * 0xc2b2ae3d27d4eb4full >> 20;; i++) {
		size_t *slot = &b->edge_slots[i & (b->n_edge_slots - 1)];

		if (!*slot || (b->edges[*slot - 1].from == from && b->edges[*slot - 1].to == to))
			return slot;
	}
}

static bool more_edge_slots(struct lockbook *b)
{
	size_t n = b->n_edge_slots ? 2 * b->n_edge_slots : 64;
	size_t *slots;

	if (2 * (b->n_edges + 1) < b->n_edge_slots)
		return true;
	slots = calloc(n, sizeof(*slots));
	if (!slots)
		return false;
	free(b->edge_slots);
	b->edge_slots = slots;
	b->n_edge_slots = n;
	for (size_t i = 0; i < b->n_edges; i++)
		*edge_slot(b, b->edges[i].from, b->edges[i].to) = i + 1;
	return true;
}

static bool is_guard(const struct lock_hold *h, const struct lock_edge *e, uint32_t task)
{
	return h->task == task && h->lock != e->from && h->lock != e->to && !h->shared;
}

/* The locks held besides; then only those that were held each time. */
static void note_guards(const struct lockbook *b, struct lock_edge *e, uint32_t task, bool first)
{
	uint8_t kept = 0;

	if (first) {
		for (size_t i = 0; i < b->n_holds && e->n_guards < 8; i++) {
			if (is_guard(&b->holds[i], e, task))
				e->guard[e->n_guards++] = b->holds[i].lock;
		}
		return;
	}
	for (uint8_t i = 0; i < e->n_guards; i++) {
		const struct lock_hold *h = lockbook_hold(b, e->guard[i], task);

		if (h && !h->shared)
			e->guard[kept++] = e->guard[i];
	}
	e->n_guards = kept;
}

static void note_edge(struct lockbook *b, const struct lock_hold *h, size_t to, bool shared, const struct lock_place *at)
{
	size_t *slot = more_edge_slots(b) ? edge_slot(b, h->lock, to) : NULL;
	struct lock_edge *e = slot && *slot ? &b->edges[*slot - 1] : NULL;
	bool first = !e;

	if (slot && !e)
		e = GROW(b->edges, b->n_edges, b->cap_edges);
	if (!e) {
		b->no_memory = true;
		return;
	}
	if (first) {
		*e = (struct lock_edge){ .from = h->lock, .to = to, .task = at->task, .from_site = h->since.site,
					 .to_site = at->site, .event_no = at->event_no };
		*slot = ++b->n_edges;
	}
	e->n++;
	e->many_tasks |= e->task != at->task;
	e->from_alone |= !h->shared;
	e->to_alone |= !shared;
	note_guards(b, e, at->task, first);
}

void lockgraph_ask(struct lockbook *b, uint32_t task, size_t to, bool shared, const struct lock_place *at)
{
	/* One's own lock again: a recursive one, or a deadlock which needs no graph. */
	if (lockbook_hold(b, to, task))
		return;
	for (size_t i = 0; i < b->n_holds; i++) {
		if (b->holds[i].task == task)
			note_edge(b, &b->holds[i], to, shared, at);
	}
}

/* ---- cycles ---- */

/* Edges by the lock they come from. */
struct adjacency {
	size_t *first, *edge;     /* those of lock i: edge[first[i]] to edge[first[i + 1]] */
	size_t *via, *queue;      /* of a search: by which edge a lock was reached, + 1 */
};

static void adjacency_free(struct adjacency *a)
{
	free(a->first);
	free(a->edge);
	free(a->via);
	free(a->queue);
}

static int adjacency_make(const struct lockbook *b, struct adjacency *a)
{
	a->first = calloc(b->n_locks + 2, sizeof(*a->first));
	a->edge = calloc(b->n_edges + 1, sizeof(*a->edge));
	a->via = calloc(b->n_locks + 1, sizeof(*a->via));
	a->queue = calloc(b->n_locks + 1, sizeof(*a->queue));
	if (!a->first || !a->edge || !a->via || !a->queue)
		return -ENOMEM;
	for (size_t i = 0; i < b->n_edges; i++)
		a->first[b->edges[i].from + 2]++;
	for (size_t i = 2; i < b->n_locks + 2; i++)
		a->first[i] += a->first[i - 1];
	for (size_t i = 0; i < b->n_edges; i++)
		a->edge[a->first[b->edges[i].from + 1]++] = i;
	return 0;
}

/* A shortest way between two locks, in a->via. */
static bool search(const struct lockbook *b, struct adjacency *a, size_t from, size_t to)
{
	size_t n = 0;

	memset(a->via, 0, b->n_locks * sizeof(*a->via));
	a->queue[n++] = from;
	for (size_t at = 0; at < n; at++) {
		for (size_t i = a->first[a->queue[at]]; i < a->first[a->queue[at] + 1]; i++) {
			size_t next = b->edges[a->edge[i]].to;

			if (a->via[next] || next == from)
				continue;
			a->via[next] = a->edge[i] + 1;
			if (next == to)
				return true;
			a->queue[n++] = next;
		}
	}
	return false;
}

static bool guards_it(const struct lockbook *b, const struct lock_cycle *c, size_t lock)
{
	for (size_t i = 0; i < c->n; i++) {
		const struct lock_edge *e = &b->edges[c->edges[i]];
		bool has = false;

		for (uint8_t k = 0; k < e->n_guards; k++)
			has |= e->guard[k] == lock;
		if (!has)
			return false;
	}
	return true;
}

/* Whether tasks could have come to wait for one another along it. */
static bool can_lock(const struct lockbook *b, const struct lock_cycle *c)
{
	const struct lock_edge *first = &b->edges[c->edges[0]];
	bool one_task = true;

	for (size_t i = 0; i < c->n; i++) {
		const struct lock_edge *e = &b->edges[c->edges[i]], *next = &b->edges[c->edges[(i + 1) % c->n]];

		one_task &= !e->many_tasks && e->task == first->task;
		if (!e->to_alone && !next->from_alone)
			return false;
	}
	for (uint8_t k = 0; k < first->n_guards; k++) {
		if (guards_it(b, c, first->guard[k]))
			return false;
	}
	return !one_task;
}

static bool known(const struct lockbook *b, const struct lock_cycle *c)
{
	for (size_t i = 0; i < b->n_cycles; i++) {
		if (b->cycles[i].n == c->n && !memcmp(b->cycles[i].edges, c->edges, c->n * sizeof(*c->edges)))
			return true;
	}
	return false;
}

/* Begin with the lowest edge, so that equal cycles are equal. */
static void turn(struct lock_cycle *c)
{
	size_t low = 0, *copy = malloc(c->n * sizeof(*copy));

	for (size_t i = 0; i < c->n; i++)
		low = c->edges[i] < c->edges[low] ? i : low;
	for (size_t i = 0; copy && i < c->n; i++)
		copy[i] = c->edges[(low + i) % c->n];
	if (copy)
		memcpy(c->edges, copy, c->n * sizeof(*copy));
	free(copy);
}

/* The shortest cycle with this edge, its way back being in a->via. */
static int add_cycle(struct lockbook *b, const struct adjacency *a, size_t edge)
{
	size_t n = 1;
	struct lock_cycle c, *slot;

	for (size_t at = b->edges[edge].from; at != b->edges[edge].to; at = b->edges[a->via[at] - 1].from)
		n++;
	c = (struct lock_cycle){ .n = n, .edges = malloc(n * sizeof(*c.edges)) };
	slot = GROW(b->cycles, b->n_cycles, b->cap_cycles);
	if (!slot || !c.edges) {
		free(c.edges);
		return -ENOMEM;
	}
	c.edges[0] = edge;
	for (size_t at = b->edges[edge].from; at != b->edges[edge].to; at = b->edges[a->via[at] - 1].from)
		c.edges[--n] = a->via[at] - 1;
	turn(&c);
	if (known(b, &c) || !can_lock(b, &c)) {
		free(c.edges);
		return 0;
	}
	*slot = c;
	b->n_cycles++;
	return 0;
}

int lockgraph_find_cycles(struct lockbook *b)
{
	struct adjacency a = { 0 };
	int err = adjacency_make(b, &a);

	for (size_t i = 0; !err && i < b->n_edges && b->n_cycles < CYCLES_MAX; i++) {
		if (search(b, &a, b->edges[i].to, b->edges[i].from))
			err = add_cycle(b, &a, i);
	}
	adjacency_free(&a);
	return err;
}

/* ---- deadlocks ---- */

/* Whether a task in that call waits for one that holds the lock. */
static bool may_wait_for(enum lock_op op, bool shared)
{
	switch (op) {
	case LOCK_MUTEX_LOCK:
	case LOCK_SPIN_LOCK:
	case LOCK_RW_WRITE:
		return true;
	case LOCK_RW_READ:
		return !shared;
	default:
		return false;
	}
}

static bool holds_against(const struct lockbook *b, const struct lock_wait *w, uint32_t task)
{
	const struct lock_hold *h = lockbook_hold(b, w->lock, task);

	if (w->op == LOCK_JOIN)
		return w->target == task;
	if (w->op == LOCK_ONCE) {
		/* Whoever came first runs the function. */
		for (size_t i = 0; i < b->n_waits; i++) {
			if (b->waits[i].op == LOCK_ONCE && b->waits[i].lock == w->lock)
				return &b->waits[i] != w && b->waits[i].task == task;
		}
	}
	return h && may_wait_for(w->op, h->shared);
}

/* The innermost call of a task: what it waits in. */
static size_t wait_of(const struct lockbook *b, uint32_t task)
{
	for (size_t i = b->n_waits; i--;) {
		if (b->waits[i].task == task)
			return i;
	}
	return NO_LOCK;
}

/* From the last of the way on: does it lead back to its first? The way grows on success only. */
static size_t follow(const struct lockbook *b, size_t *way, size_t n, bool *been)
{
	const struct lock_wait *w = &b->waits[way[n - 1]];

	for (size_t i = 0; i < b->n_waits; i++) {
		size_t got;

		if (wait_of(b, b->waits[i].task) != i || !holds_against(b, w, b->waits[i].task))
			continue;
		if (i == way[0])
			return n;
		if (been[i])
			continue;
		been[i] = true;
		way[n] = i;
		got = follow(b, way, n + 1, been);
		if (got)
			return got;
	}
	return 0;
}

static int add_deadlock(struct lockbook *b, const size_t *way, size_t n, bool open)
{
	struct lock_deadlock *d = GROW(b->deadlocks, b->n_deadlocks, b->cap_deadlocks);
	size_t *copy = malloc(n * sizeof(*copy));

	if (!d || !copy) {
		free(copy);
		return -ENOMEM;
	}
	memcpy(copy, way, n * sizeof(*copy));
	*d = (struct lock_deadlock){ .open = open, .n = n, .waits = copy };
	b->n_deadlocks++;
	return 0;
}

/* The innermost call of somebody that call i waits for. */
static size_t behind(const struct lockbook *b, size_t i)
{
	for (size_t k = 0; k < b->n_waits; k++) {
		if (k != i && wait_of(b, b->waits[k].task) == k && holds_against(b, &b->waits[i], b->waits[k].task))
			return k;
	}
	return NO_LOCK;
}

static bool is_waited_for(const struct lockbook *b, size_t i)
{
	for (size_t k = 0; k < b->n_waits; k++) {
		if (k != i && wait_of(b, b->waits[k].task) == k && behind(b, k) == i)
			return true;
	}
	return false;
}

/*
 * Who waits for somebody that waits, in turn, for nobody known: for a condition, a semaphore. Each is told of from its beginning.
 * @told  who is part of a deadlock: there a chain ends.
 */
static int find_chains(struct lockbook *b, size_t *way, const bool *told)
{
	int err = 0;

	for (size_t i = 0; !err && i < b->n_waits; i++) {
		size_t n = 1;

		if (told[i] || wait_of(b, b->waits[i].task) != i || behind(b, i) == NO_LOCK || is_waited_for(b, i))
			continue;
		way[0] = i;
		/* No ring can be entered but one that was told, so this comes to an end. */
		while (n < b->n_waits && !told[way[n - 1]] && (way[n] = behind(b, way[n - 1])) != NO_LOCK)
			n++;
		err = add_deadlock(b, way, n, true);
	}
	return err;
}

int lockgraph_find_deadlocks(struct lockbook *b)
{
	size_t *way = calloc(b->n_waits + 1, sizeof(*way));
	bool *been = calloc(b->n_waits + 1, sizeof(*been)), *told = calloc(b->n_waits + 1, sizeof(*told));
	int err = way && been && told ? 0 : -ENOMEM;

	for (size_t i = 0; !err && i < b->n_waits; i++) {
		size_t n;

		if (told[i] || wait_of(b, b->waits[i].task) != i)
			continue;
		memset(been, 0, b->n_waits * sizeof(*been));
		way[0] = i;
		n = follow(b, way, 1, been);
		for (size_t k = 0; k < n; k++)
			told[way[k]] = true;
		if (n)
			err = add_deadlock(b, way, n, false);
	}
	if (!err)
		err = find_chains(b, way, told);
	free(way);
	free(been);
	free(told);
	return err;
}
