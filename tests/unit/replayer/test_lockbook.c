/* The book of locks: counting, order, holds, cycles, deadlocks; from made-up events. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "replayer/lockbook.h"

enum { A = 0x1000, B = 0x2000, C = 0x3000, G = 0x9000 };

static struct lockbook *book;
static uint64_t now;

static int setup(void **state)
{
	(void)state;
	now = 0;
	book = lockbook_new();
	return !book;
}

static int teardown(void **state)
{
	(void)state;
	lockbook_free(book);
	return 0;
}

/* Each event takes ten nanoseconds of uncertainty, and they follow each other closely. */
static void tell(enum lock_phase phase, enum lock_op op, uint32_t task, uint64_t obj, int64_t result)
{
	struct lock_event e = { .phase = phase, .op = op, .task = task, .proc = 1, .obj = obj, .site = 0x400000 + obj,
				.result = result, .after_ns = now, .before_ns = now + 10, .event_no = now / 10 + 1 };

	now += 10;
	lockbook_event(book, &e);
}

static void ask(uint32_t task, uint64_t obj)
{
	tell(LOCK_ENTER, LOCK_MUTEX_LOCK, task, obj, 0);
}

static void lock(uint32_t task, uint64_t obj)
{
	ask(task, obj);
	tell(LOCK_RETURN, LOCK_MUTEX_LOCK, task, obj, 0);
}

static void unlock(uint32_t task, uint64_t obj)
{
	tell(LOCK_ENTER, LOCK_MUTEX_UNLOCK, task, obj, 0);
}

static void both(uint32_t task, uint64_t x, uint64_t y)
{
	lock(task, x);
	lock(task, y);
	unlock(task, y);
	unlock(task, x);
}

static void read_lock(uint32_t task, uint64_t obj)
{
	tell(LOCK_ENTER, LOCK_RW_READ, task, obj, 0);
	tell(LOCK_RETURN, LOCK_RW_READ, task, obj, 0);
}

static const struct lock *only_lock(void)
{
	const struct lock *l;

	assert_int_equal(lockbook_locks(book, &l), 1);
	return l;
}

static size_t n_cycles(void)
{
	const struct lock_cycle *c;

	assert_int_equal(lockbook_finish(book), 0);
	return lockbook_cycles(book, &c);
}

static size_t n_deadlocks(size_t *ret_n)
{
	const struct lock_deadlock *d;
	size_t n;

	assert_int_equal(lockbook_finish(book), 0);
	n = lockbook_deadlocks(book, &d);
	if (n && ret_n)
		*ret_n = d[0].n;
	return n;
}

static void counts_and_order(void **state)
{
	const struct lock *l;

	(void)state;
	lock(1, A);
	unlock(1, A);
	lock(1, A);
	ask(2, A);
	unlock(1, A);
	tell(LOCK_RETURN, LOCK_MUTEX_LOCK, 2, A, 0);
	tell(LOCK_ENTER, LOCK_MUTEX_TRY, 1, A, 0);
	tell(LOCK_RETURN, LOCK_MUTEX_TRY, 1, A, EBUSY);
	l = only_lock();
	assert_int_equal(l->n_acquired, 3);
	assert_int_equal(l->n_contended, 1);
	assert_int_equal(l->n_failed, 1);
	assert_int_equal(l->owner, 2);
	assert_int_equal(l->n_turns, 2);
	assert_int_equal(l->turns[0].task, 1);
	assert_int_equal(l->turns[0].n, 2);
	assert_int_equal(l->turns[1].task, 2);
}

static void longest(void **state)
{
	const struct lock *l;

	(void)state;
	lock(1, A);                   /* returned in [10, 20] */
	now = 1000;
	unlock(1, A);                 /* in [1000, 1010] */
	lock(2, A);
	unlock(2, A);
	l = only_lock();
	assert_int_equal(l->longest_hold.task, 1);
	assert_int_equal(l->longest_hold.ns, 980);
}

static void recursive(void **state)
{
	(void)state;
	lock(1, A);
	lock(1, A);
	unlock(1, A);
	assert_int_equal(only_lock()->owner, 1);
	unlock(1, A);
	assert_int_equal(only_lock()->owner, 0);
	assert_int_equal(only_lock()->n_acquired, 1);
	assert_int_equal(n_deadlocks(NULL), 0);
}

static void made_anew(void **state)
{
	const struct lock *l;

	(void)state;
	both(1, A, B);
	tell(LOCK_ENTER, LOCK_MUTEX_INIT, 1, A, 0);
	both(2, B, A);
	assert_int_equal(lockbook_locks(book, &l), 3);
	assert_true(l[0].gone);
	assert_int_equal(n_cycles(), 0);
}

static void cond_gives_and_takes(void **state)
{
	struct lock_event e = { .phase = LOCK_ENTER, .op = LOCK_COND_WAIT, .task = 1, .proc = 1, .obj = C, .mutex = A };
	const struct lock *l;

	(void)state;
	lock(1, A);
	lockbook_event(book, &e);
	lock(2, A);
	unlock(2, A);
	e.phase = LOCK_RETURN;
	lockbook_event(book, &e);
	lockbook_locks(book, &l);
	assert_int_equal(l[0].owner, 1);
	assert_int_equal(l[0].n_acquired, 3);
	/* Cancelled: its handler unlocks what the wait has taken again. */
	e.phase = LOCK_ENTER;
	lockbook_event(book, &e);
	unlock(1, A);
	assert_int_equal(l[0].owner, 0);
	lock(2, A);
	ask(1, A);
	assert_int_equal(n_deadlocks(NULL), 0);
}

static void two_orders(void **state)
{
	const struct lock_cycle *c;
	const struct lock_edge *e;

	(void)state;
	both(1, A, B);
	both(2, B, A);
	assert_int_equal(n_cycles(), 1);
	lockbook_cycles(book, &c);
	lockbook_edges(book, &e);
	assert_int_equal(c->n, 2);
	assert_int_equal(e[c->edges[0]].task, 1);
	assert_int_equal(e[c->edges[0]].from_site, 0x400000 + A);
	assert_int_equal(e[c->edges[0]].to_site, 0x400000 + B);
	assert_int_equal(e[c->edges[1]].task, 2);
}

static void ring(void **state)
{
	(void)state;
	both(1, A, B);
	both(2, B, C);
	both(3, C, A);
	assert_int_equal(n_cycles(), 1);
}

static void one_task_alone(void **state)
{
	(void)state;
	both(1, A, B);
	both(1, B, A);
	assert_int_equal(n_cycles(), 0);
}

static void guarded(void **state)
{
	(void)state;
	lock(1, G);
	both(1, A, B);
	unlock(1, G);
	lock(2, G);
	both(2, B, A);
	unlock(2, G);
	assert_int_equal(n_cycles(), 0);
}

static void not_always_guarded(void **state)
{
	(void)state;
	lock(1, G);
	both(1, A, B);
	unlock(1, G);
	both(1, A, B);
	lock(2, G);
	both(2, B, A);
	unlock(2, G);
	assert_int_equal(n_cycles(), 1);
}

static void readers(void **state)
{
	(void)state;
	for (uint32_t task = 1; task <= 2; task++) {
		read_lock(task, task == 1 ? A : B);
		read_lock(task, task == 1 ? B : A);
		tell(LOCK_ENTER, LOCK_RW_UNLOCK, task, A, 0);
		tell(LOCK_ENTER, LOCK_RW_UNLOCK, task, B, 0);
	}
	assert_int_equal(n_cycles(), 0);
}

static void tried(void **state)
{
	(void)state;
	both(1, A, B);
	lock(2, B);
	tell(LOCK_ENTER, LOCK_MUTEX_TRY, 2, A, 0);
	tell(LOCK_RETURN, LOCK_MUTEX_TRY, 2, A, 0);
	assert_int_equal(n_cycles(), 0);
}

static void deadlock_of_two(void **state)
{
	size_t n = 0;

	(void)state;
	lock(1, A);
	lock(2, B);
	ask(1, B);
	ask(2, A);
	assert_int_equal(n_deadlocks(&n), 1);
	assert_int_equal(n, 2);
}

static void deadlock_with_oneself(void **state)
{
	size_t n = 0;

	(void)state;
	lock(1, A);
	ask(1, A);
	assert_int_equal(n_deadlocks(&n), 1);
	assert_int_equal(n, 1);
}

static void deadlock_by_join(void **state)
{
	struct lock_event e = { .phase = LOCK_ENTER, .op = LOCK_JOIN, .task = 1, .proc = 1, .obj = 0x7000, .target = 2 };
	size_t n = 0;

	(void)state;
	lock(1, A);
	lockbook_event(book, &e);
	ask(2, A);
	assert_int_equal(n_deadlocks(&n), 1);
	assert_int_equal(n, 2);
}

static void waiting_is_no_deadlock(void **state)
{
	(void)state;
	lock(1, A);
	ask(2, A);
	ask(3, A);
	assert_int_equal(n_deadlocks(NULL), 0);
}

/* 2 waits for 1, which waits for a condition, and 3 waits for 2. */
static void a_chain_is_told_from_its_beginning(void **state)
{
	const struct lock_event wait = { .phase = LOCK_ENTER, .op = LOCK_COND_WAIT, .task = 1, .proc = 1, .obj = 0x7000, .mutex = C };
	const struct lock_deadlock *d;
	const struct lock_wait *w;

	(void)state;
	lock(1, A);
	lock(1, C);
	lock(2, B);
	lockbook_event(book, &wait);
	ask(2, A);
	ask(3, B);
	assert_int_equal(lockbook_finish(book), 0);
	assert_int_equal(lockbook_deadlocks(book, &d), 1);
	lockbook_waits(book, &w);
	assert_true(d->open);
	assert_int_equal(d->n, 3);
	for (uint32_t i = 0; i < 3; i++)
		assert_int_equal(w[d->waits[i]].task, 3 - i);
}

static void the_dead_do_not_wait(void **state)
{
	(void)state;
	lock(1, A);
	lock(2, B);
	ask(1, B);
	ask(2, A);
	tell(LOCK_THREAD_END, LOCK_JOIN, 1, 0, 0);
	assert_int_equal(n_deadlocks(NULL), 0);
}

static void many_locks(void **state)
{
	const struct lock *l;

	(void)state;
	for (uint64_t i = 0; i < 5000; i++)
		both((uint32_t)(1 + i % 7), 0x10000 + 64 * i, 0x10000 + 64 * (i + 1));
	assert_int_equal(lockbook_locks(book, &l), 5001);
	for (size_t i = 1; i < 5000; i++)
		assert_int_equal(l[i].n_acquired, 2);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(counts_and_order), TEST(longest), TEST(recursive), TEST(made_anew), TEST(cond_gives_and_takes), TEST(two_orders),
		TEST(ring), TEST(one_task_alone), TEST(guarded), TEST(not_always_guarded), TEST(readers), TEST(tried),
		TEST(deadlock_of_two), TEST(deadlock_with_oneself), TEST(deadlock_by_join), TEST(waiting_is_no_deadlock), TEST(a_chain_is_told_from_its_beginning),
		TEST(the_dead_do_not_wait), TEST(many_locks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
