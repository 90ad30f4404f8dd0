#include "cli/json.h"
#include "cli/lockprint.h"

static void put_name(struct json *j, const struct place_name *n)
{
	if (n->symbol) {
		json_str(j, "symbol", n->symbol);
		json_u64(j, "offset", n->offset);
	}
	if (n->file) {
		json_str(j, "file", n->file);
		json_i64(j, "line", n->line);
	}
	if (n->object)
		json_str(j, "object", n->object);
}

static void put_site(struct lockprinter *p, struct json *j, const char *key, uint32_t proc, uint64_t site)
{
	struct place_name n = placename(p->names, proc, site, true);

	json_object(j, key);
	json_hex(j, "address", site);
	put_name(j, &n);
	json_object_end(j);
}

static void put_place(struct lockprinter *p, struct json *j, const char *key, const struct lock *l, const struct lock_place *at)
{
	if (!at->task)
		return;
	json_object(j, key);
	json_u64(j, "at_least_ns", at->ns);
	json_i64(j, "tid", lock_tid(p, at->task));
	json_u64(j, "event", at->event_no);
	put_site(p, j, "site", l->proc, at->site);
	json_object_end(j);
}

static void put_lock(struct lockprinter *p, struct json *j, size_t i)
{
	const struct lock *l = &p->locks[i];
	struct place_name n = placename(p->names, l->proc, l->addr, false);

	json_object(j, NULL);
	json_u64(j, "id", i);
	json_str(j, "type", lock_type_name(l->type));
	json_u64(j, "process", l->proc);
	json_hex(j, "address", l->addr);
	put_name(j, &n);
	json_u64(j, "acquired", l->n_acquired);
	json_u64(j, "contended", l->n_contended);
	json_u64(j, "failed", l->n_failed);
	json_u64(j, "released", l->n_released);
	put_place(p, j, "longest_hold", l, &l->longest_hold);
	put_place(p, j, "longest_wait", l, &l->longest_wait);
	json_array(j, "order");
	for (size_t k = 0; k < l->n_turns; k++) {
		json_object(j, NULL);
		json_i64(j, "tid", lock_tid(p, l->turns[k].task));
		json_u64(j, "times", l->turns[k].n);
		if (l->turns[k].shared)
			json_bool(j, "reading", true);
		json_object_end(j);
	}
	json_array_end(j);
	json_bool(j, "order_cut", l->turns_cut);
	json_object_end(j);
}

static void put_cycle(struct lockprinter *p, struct json *j, const struct lock_cycle *c)
{
	json_array(j, NULL);
	for (size_t i = 0; i < c->n; i++) {
		const struct lock_edge *e = &p->edges[c->edges[i]];

		json_object(j, NULL);
		json_u64(j, "held", e->from);
		json_u64(j, "asked_for", e->to);
		json_i64(j, "tid", lock_tid(p, e->task));
		json_bool(j, "other_threads_too", e->many_tasks);
		json_u64(j, "event", e->event_no);
		put_site(p, j, "held_site", p->locks[e->from].proc, e->from_site);
		put_site(p, j, "asked_site", p->locks[e->to].proc, e->to_site);
		json_object_end(j);
	}
	json_array_end(j);
}

static void put_deadlock(struct lockprinter *p, struct json *j, const struct lock_deadlock *d)
{
	json_array(j, NULL);
	for (size_t i = 0; i < d->n; i++) {
		const struct lock_wait *w = &p->waits[d->waits[i]];
		const struct lock *l = &p->locks[w->lock];
		uint32_t by = lock_waited_for(p, d, i);
		const struct lock_hold *h = by ? lockbook_hold(p->r->book, w->lock, by) : NULL;

		json_object(j, NULL);
		json_i64(j, "tid", lock_tid(p, w->task));
		if (by)
			json_i64(j, "waits_for_tid", lock_tid(p, by));
		json_u64(j, "lock", w->lock);
		json_u64(j, "event", w->enter.event_no);
		put_site(p, j, "site", l->proc, w->enter.site);
		if (h) {
			json_u64(j, "held_since_event", h->since.event_no);
			put_site(p, j, "held_site", l->proc, h->since.site);
		}
		json_object_end(j);
	}
	json_array_end(j);
}

static void put_deadlocks(struct lockprinter *p, struct json *j, const char *key, bool open)
{
	json_array(j, key);
	for (size_t i = 0; i < p->n_deadlocks; i++) {
		if (p->deadlocks[i].open == open)
			put_deadlock(p, j, &p->deadlocks[i]);
	}
	json_array_end(j);
}

void lockprint_json(struct lockprinter *p)
{
	struct json j = { .f = stdout, .style = JSON_INDENTED };

	json_object(&j, NULL);
	json_u64(&j, "functions", p->r->n_functions);
	json_bool(&j, "complete", !p->r->incomplete);
	json_array(&j, "locks");
	for (size_t i = 0; i < p->n_locks; i++) {
		if (lock_is_used(p, i))
			put_lock(p, &j, i);
	}
	json_array_end(&j);
	json_array(&j, "cycles");
	for (size_t i = 0; i < p->n_cycles; i++)
		put_cycle(p, &j, &p->cycles[i]);
	json_array_end(&j);
	put_deadlocks(p, &j, "deadlocks", false);
	put_deadlocks(p, &j, "waiting", true);
	json_object_end(&j);
	putchar('\n');
}
