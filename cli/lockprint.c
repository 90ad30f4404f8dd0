#include "cli/lockprint.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cli/text.h"

#define TURNS_SHOWN 20

const char *lock_type_name(enum lock_type type)
{
	static const char *const names[] = { "mutex", "rwlock", "spinlock", "semaphore", "condition variable", "barrier", "once", "thread" };

	return names[type];
}

const char *lock_op_verb(enum lock_op op)
{
	switch (op) {
	case LOCK_RW_READ: return "waits to read-lock ";
	case LOCK_RW_WRITE: return "waits to write-lock ";
	case LOCK_JOIN: return "waits for the end of ";
	default: return "waits for ";
	}
}

int32_t lock_tid(const struct lockprinter *p, uint32_t task)
{
	const struct proc_task *t = procs_task(p->procs, task);

	return t ? t->tid : (int32_t)task;
}

uint32_t lock_waited_for(const struct lockprinter *p, const struct lock_deadlock *d, size_t i)
{
	return d->open && i + 1 == d->n ? 0 : p->waits[d->waits[(i + 1) % d->n]].task;
}

bool lock_is_used(const struct lockprinter *p, size_t i)
{
	const struct lock *l = &p->locks[i];
	bool waited_for = false;

	for (size_t k = 0; k < p->n_waits; k++)
		waited_for |= p->waits[k].lock == i;
	return waited_for || l->n_acquired || l->n_failed || l->n_released || l->owner;
}

static void put_str(const char *s)
{
	text_put(stdout, s, strlen(s), 0);
}

static const char *base_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* "main (bank.c:31)", "work+0x20 in libx.so", "0x7f..." */
static void put_site(struct lockprinter *p, uint32_t proc, uint64_t site)
{
	struct place_name n = placename(p->names, proc, site, true);

	if (!n.symbol && !n.file) {
		printf("0x%" PRIx64, site);
		if (n.object)
			fputs(" in ", stdout), put_str(base_of(n.object));
		return;
	}
	if (n.symbol)
		put_str(n.symbol);
	if (n.symbol && !n.file)
		printf("+0x%" PRIx64, n.offset);
	if (n.file) {
		fputs(n.symbol ? " (" : "(", stdout);
		put_str(base_of(n.file));
		printf(":%d)", n.line);
	} else if (n.object) {
		fputs(" in ", stdout);
		put_str(base_of(n.object));
	}
}

static void put_lock(struct lockprinter *p, const struct lock *l)
{
	struct place_name n = placename(p->names, l->proc, l->addr, false);

	printf("%s ", lock_type_name(l->type));
	if (n.symbol) {
		put_str(n.symbol);
		if (n.offset)
			printf("+0x%" PRIx64, n.offset);
		return;
	}
	printf("0x%" PRIx64, l->addr);
	if (n.object)
		fputs(" in ", stdout), put_str(base_of(n.object));
}

static void put_ns(uint64_t ns)
{
	if (ns < 1000)
		fputs("under 1 us", stdout);
	else if (ns < 10000000)
		printf("%" PRIu64 " us", ns / 1000);
	else
		printf("%" PRIu64 " ms", ns / 1000000);
}

static void put_place(struct lockprinter *p, const struct lock *l, const char *what, const struct lock_place *at)
{
	if (!at->task || at->ns < 1000)
		return;
	printf("    longest %s: ", what);
	put_ns(at->ns);
	printf(" by thread %d at ", lock_tid(p, at->task));
	put_site(p, l->proc, at->site);
	printf(", event %" PRIu64 "\n", at->event_no);
}

static void put_turns(struct lockprinter *p, const struct lock *l, bool all)
{
	size_t n = all || l->n_turns < TURNS_SHOWN ? l->n_turns : TURNS_SHOWN;

	if (!n)
		return;
	fputs("    order:", stdout);
	for (size_t i = 0; i < n; i++) {
		printf("%s %d", i ? "," : "", lock_tid(p, l->turns[i].task));
		if (l->turns[i].shared)
			fputs(" reading", stdout);
		if (l->turns[i].n > 1)
			printf(" x%" PRIu64, l->turns[i].n);
	}
	puts(n < l->n_turns || l->turns_cut ? ", ..." : "");
}

static void put_counts(const struct lock *l)
{
	char buf[TEXT_COUNT_MAX];

	switch (l->type) {
	case LT_COND:
		printf("waited on %s times", text_count(l->n_acquired, buf));
		printf(", signalled %s times", text_count(l->n_released, buf));
		break;
	case LT_BARRIER:
	case LT_ONCE:
		printf("passed %s times", text_count(l->n_acquired, buf));
		break;
	case LT_THREAD:
		fputs(l->n_acquired ? "joined" : "never joined", stdout);
		break;
	default:
		printf("acquired %s times", text_count(l->n_acquired, buf));
		printf(", %s contended", text_count(l->n_contended, buf));
	}
	if (l->type == LT_SEM)
		printf(", posted %s times", text_count(l->n_released, buf));
	if (l->n_failed)
		printf(", %s tries failed", text_count(l->n_failed, buf));
	putchar('\n');
}

static void print_lock(struct lockprinter *p, const struct lock *l, bool all)
{
	const struct proc *proc = NULL;

	for (size_t i = 0; p->procs->n_procs > 1 && i < p->procs->n_procs; i++) {
		if (p->procs->procs[i].no == l->proc)
			proc = &p->procs->procs[i];
	}
	put_lock(p, l);
	if (proc)
		printf(" of process %d", proc->pid);
	fputs(": ", stdout);
	put_counts(l);
	put_place(p, l, "hold", &l->longest_hold);
	put_place(p, l, "wait", &l->longest_wait);
	if (l->type != LT_THREAD)
		put_turns(p, l, all);
}

static void print_cycle(struct lockprinter *p, const struct lock_cycle *c, size_t no)
{
	printf("\npossible deadlock %zu: %zu locks, each asked for while the one before was held\n", no, c->n);
	for (size_t i = 0; i < c->n; i++) {
		const struct lock_edge *e = &p->edges[c->edges[i]];
		const struct lock *from = &p->locks[e->from], *to = &p->locks[e->to];

		printf("    thread %d%s held ", lock_tid(p, e->task), e->many_tasks ? " and others" : "");
		put_lock(p, from);
		fputs(", taken at ", stdout);
		put_site(p, from->proc, e->from_site);
		fputs(", and asked for ", stdout);
		put_lock(p, to);
		fputs(" at ", stdout);
		put_site(p, to->proc, e->to_site);
		printf(", event %" PRIu64 "\n", e->event_no);
	}
}

static void print_deadlock(struct lockprinter *p, const struct lock_deadlock *d)
{
	if (d->open)
		puts("\nwaiting at the end of this trace: threads for others that wait themselves");
	else
		printf("\nDEADLOCK at the end of this trace: %s\n", d->n == 1 ? "a thread waits for itself" : "threads wait for one another");
	for (size_t i = 0; i < d->n; i++) {
		const struct lock_wait *w = &p->waits[d->waits[i]];
		const struct lock *l = &p->locks[w->lock];
		uint32_t by = lock_waited_for(p, d, i);
		const struct lock_hold *h = by ? lockbook_hold(p->r->book, w->lock, by) : NULL;

		printf("    thread %d %s", lock_tid(p, w->task), lock_op_verb(w->op));
		if (w->op == LOCK_JOIN)
			printf("thread %d", lock_tid(p, w->target));
		else
			put_lock(p, l);
		fputs(" at ", stdout);
		put_site(p, l->proc, w->enter.site);
		printf(", event %" PRIu64, w->enter.event_no);
		if (h) {
			if (by == w->task)
				fputs("; it has held it itself", stdout);
			else
				printf("; thread %d has held it", lock_tid(p, by));
			printf(" since event %" PRIu64 ", taken at ", h->since.event_no);
			put_site(p, l->proc, h->since.site);
		}
		putchar('\n');
	}
}

static void print(struct lockprinter *p, bool all)
{
	size_t n = 0;

	for (size_t i = 0; i < p->n_locks; i++) {
		if (!lock_is_used(p, i))
			continue;
		print_lock(p, &p->locks[i], all);
		n++;
	}
	if (!p->r->n_functions)
		puts("No lock functions were found: the programs use no C library of their own accord, or have no symbols for it.");
	else if (!n)
		puts("No locks were used.");
	for (size_t i = 0; i < p->n_cycles; i++)
		print_cycle(p, &p->cycles[i], i + 1);
	for (size_t i = 0; i < p->n_deadlocks; i++)
		print_deadlock(p, &p->deadlocks[i]);
	if (n && !p->n_cycles && !p->n_deadlocks)
		puts("\nNo locks were taken in opposite orders.");
}

int lockprint(struct trace *t, const struct procs *procs, const struct locks_result *r, enum lockprint_style style)
{
	struct lockprinter p = { .procs = procs, .names = placenames_open(t, r->modules, r->n_modules), .r = r };

	if (!p.names)
		return -ENOMEM;
	p.n_locks = lockbook_locks(r->book, &p.locks);
	lockbook_edges(r->book, &p.edges);
	p.n_waits = lockbook_waits(r->book, &p.waits);
	p.n_cycles = lockbook_cycles(r->book, &p.cycles);
	p.n_deadlocks = lockbook_deadlocks(r->book, &p.deadlocks);
	if (style == LOCKPRINT_JSON)
		lockprint_json(&p);
	else
		print(&p, style == LOCKPRINT_ALL);
	placenames_close(p.names);
	return 0;
}
