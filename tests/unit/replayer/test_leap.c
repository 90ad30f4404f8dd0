/* What is learned of leaps: whether there should be one, and how long it may be; from made-up events. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "replayer/leap.h"
#include "replayer/site.h"
#include "replayer/site_int.h"

#define US 1000ull
#define WAY_US 20000
#define PLACE 0x401234

static struct session s;
static struct event ev;

static int setup(void **state)
{
	(void)state;
	memset(&s, 0, sizeof(s));
	memset(&ev, 0, sizeof(ev));
	ev.no = s.ev_no = 7;
	ev.kind = EV_CLOCK;
	ev.before.rip = PLACE;
	ev.status = WAY_US;
	ev.time_ns = 1000000 * US;
	s.last_time_ns = ev.time_ns - 2 * WAY_US * US;
	s.ev = &ev;
	s.book = site_book_new();
	return !s.book;
}

static int teardown(void **state)
{
	(void)state;
	site_book_put(s.book);
	return 0;
}

static struct site_note *note(void)
{
	return site_book_at(s.book, PLACE);
}

static void way(int us)
{
	ev.status = us;
	s.last_time_ns = ev.time_ns - 2 * (uint64_t)us * US;
}

static void the_way_is_the_slice_but_not_longer_than_since_the_last_event(void **state)
{
	(void)state;
	assert_int_equal(leap_recorded_ns(&s, &ev), WAY_US * US);
	s.last_time_ns = ev.time_ns - 5000 * US;
	assert_in_range(leap_recorded_ns(&s, &ev), 4800 * US, 5000 * US);
	s.last_time_ns = ev.time_ns + 1;
	assert_int_equal(leap_recorded_ns(&s, &ev), 0);
}

static void pages_that_were_hashed_do_not_count(void **state)
{
	(void)state;
	s.last_time_ns = ev.time_ns - 5000 * US;
	ev.n_pages = 1000;
	assert_in_range(leap_recorded_ns(&s, &ev), 4000 * US, 4800 * US);
}

static void a_long_way_to_a_new_place_is_leapt(void **state)
{
	(void)state;
	assert_true(leap_wanted(&s, NULL));
}

static void a_short_way_is_not(void **state)
{
	(void)state;
	way(300);
	assert_false(leap_wanted(&s, NULL));
}

static void only_clock_points_are_leapt_to(void **state)
{
	(void)state;
	ev.kind = EV_SYSCALL;
	assert_false(leap_wanted(&s, NULL));
}

static void not_where_somebody_wants_to_stop_before(void **state)
{
	struct run_break b = { 0 };
	struct run_ctl ctl = { .breaks = &b, .n_breaks = 1 };

	(void)state;
	assert_false(leap_wanted(&s, &ctl));
	ctl.n_breaks = 0;
	assert_true(leap_wanted(&s, &ctl));
	ctl.step_task = 1;
	assert_false(leap_wanted(&s, &ctl));
}

static void shared_memory_is_not_leapt_over(void **state)
{
	struct host h = { .shared.n = 1 };

	(void)state;
	s.hosts = &h;
	assert_false(leap_wanted(&s, NULL));
}

static void a_place_that_was_not_slow_is_waited_at(void **state)
{
	(void)state;
	leap_learn(&s, &ev, WAY_US * US, WAY_US * US);
	assert_false(leap_wanted(&s, NULL));
	leap_learn(&s, &ev, 3 * WAY_US * US, WAY_US * US);
	assert_true(leap_wanted(&s, NULL));
}

static void a_new_place_is_waited_at_where_a_copy_costs_much(void **state)
{
	(void)state;
	ev.n_pages = 100;
	assert_true(leap_wanted(&s, NULL));
	ev.n_pages = 2000;
	assert_false(leap_wanted(&s, NULL));
	leap_learn(&s, &ev, 5 * WAY_US * US, WAY_US * US);
	assert_true(leap_wanted(&s, NULL));
}

static void copying_pages_makes_no_place_slow(void **state)
{
	struct leap l = { .rest_ns = 5000 * US };

	(void)state;
	ev.n_pages = 10000;
	leap_hit(&s, &ev, &l, 20000 * US);
	assert_in_range(note()->slowness, 1, 16);
	leap_hit(&s, &ev, &l, 40000 * US);
	assert_in_range(note()->slowness, 1, 16);
}

static void comparing_pages_is_not_time_that_a_leap_could_save(void **state)
{
	uint64_t before = leap_spent_ns(&s);

	(void)state;
	s.pages_ns = 1000000000 * US;
	assert_true((int64_t)(leap_spent_ns(&s) - before) < 0);
}

static void long_ways_that_were_not_slow_are_waited_for_at_new_places_too(void **state)
{
	(void)state;
	ev.time_ns = 100 * WAY_US * US;
	ev.status = 10 * WAY_US;
	s.last_time_ns = 0;
	leap_learn(&s, &ev, 11 * WAY_US * US, 10 * WAY_US * US);
	ev.before.rip = PLACE + 100;
	assert_false(leap_wanted(&s, NULL));
	way(WAY_US);
	assert_true(leap_wanted(&s, NULL));   /* a shorter one is tried */
	ev.status = 10 * WAY_US;
	s.last_time_ns = 0;
	leap_learn(&s, &ev, 30 * WAY_US * US, 10 * WAY_US * US);
	ev.before.rip = PLACE + 200;
	assert_true(leap_wanted(&s, NULL));
}

static void a_short_way_teaches_nothing(void **state)
{
	(void)state;
	leap_learn(&s, &ev, 100 * US, 100 * US);
	assert_int_equal(note()->slowness, 0);
}

static void leaps_by_time_get_longer_until_one_goes_too_far(void **state)
{
	struct leap l = { .rest_ns = 5000 * US };
	unsigned rest;

	(void)state;
	leap_hit(&s, &ev, &l, 20000 * US);
	rest = note()->rest;
	assert_in_range(rest, 1, 16);
	leap_hit(&s, &ev, &l, 20000 * US);
	assert_true(note()->rest < rest);
	rest = note()->rest;
	leap_missed(&s, &ev, &l);
	assert_int_equal(note()->rest, 2 * rest);
	for (int i = 0; i < 20; i++)
		leap_hit(&s, &ev, &l, 20000 * US);
	assert_true(note()->rest > 1 && note()->rest <= rest + 1);   /* not as far again as what went too far */
}

static void leaps_that_always_go_too_far_are_given_up_until_the_way_is_slow_without(void **state)
{
	struct leap l = { .rest_ns = 5000 * US };

	(void)state;
	note()->gauge = -2;
	for (int i = 0; i < 10; i++)
		leap_missed(&s, &ev, &l);
	assert_false(leap_wanted(&s, NULL));
	leap_learn(&s, &ev, 4 * WAY_US * US, WAY_US * US);
	assert_true(leap_wanted(&s, NULL));
}

static void a_long_leap_that_goes_too_far_at_a_new_place_is_the_last_one_there_until_the_way_was_slow(void **state)
{
	struct leap l = { .rest_ns = 5000 * US };

	(void)state;
	note()->gauge = -2;
	way(2 * WAY_US);
	leap_missed(&s, &ev, &l);
	assert_true(leap_wanted(&s, NULL));
	way(100 * WAY_US);
	s.last_time_ns = 0;
	ev.time_ns = 100 * WAY_US * US;
	leap_missed(&s, &ev, &l);
	assert_false(leap_wanted(&s, NULL));
	leap_learn(&s, &ev, 100 * WAY_US * US, 100 * WAY_US * US);
	assert_false(leap_wanted(&s, NULL));
	leap_learn(&s, &ev, 400 * WAY_US * US, 100 * WAY_US * US);
	assert_true(leap_wanted(&s, NULL));
}

static void a_gauge_that_led_there_is_trusted_and_one_that_misled_is_not(void **state)
{
	struct leap l = { .rest_ns = 200 * US, .gauged = true };

	(void)state;
	leap_hit(&s, &ev, &l, 400 * US);
	leap_hit(&s, &ev, &l, 400 * US);
	assert_int_equal(note()->gauge, 2);
	assert_int_equal(note()->rest, 0);   /* nothing about leaps by time */
	leap_missed(&s, &ev, &l);
	assert_int_equal(note()->gauge, 1);
	for (int i = 0; i < 3; i++)
		leap_missed(&s, &ev, &l);
	assert_true(note()->gauge < -2);
}

static void one_that_knew_that_it_was_too_far_keeps_its_trust(void **state)
{
	struct leap l = { .rest_ns = 200 * US, .gauged = true };

	(void)state;
	leap_hit(&s, &ev, &l, 400 * US);
	l.past = true;
	leap_missed(&s, &ev, &l);
	assert_int_equal(note()->gauge, 1);
}

static void a_guessed_rest_only_tells_that_a_place_is_faster(void **state)
{
	struct leap l = { .rest_ns = 1000 * US };

	(void)state;
	leap_hit(&s, &ev, &l, 3000 * US);
	assert_int_equal(note()->slowness, 48);
	leap_hit(&s, &ev, &l, 9000 * US);
	assert_int_equal(note()->slowness, 48);
	leap_hit(&s, &ev, &l, 2000 * US);
	assert_int_equal(note()->slowness, 32);
	leap_learn(&s, &ev, 5 * WAY_US * US, WAY_US * US);
	assert_int_equal(note()->slowness, 80);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(the_way_is_the_slice_but_not_longer_than_since_the_last_event),
		T(pages_that_were_hashed_do_not_count),
		T(a_long_way_to_a_new_place_is_leapt),
		T(a_short_way_is_not),
		T(only_clock_points_are_leapt_to),
		T(not_where_somebody_wants_to_stop_before),
		T(shared_memory_is_not_leapt_over),
		T(a_place_that_was_not_slow_is_waited_at),
		T(a_new_place_is_waited_at_where_a_copy_costs_much),
		T(copying_pages_makes_no_place_slow),
		T(comparing_pages_is_not_time_that_a_leap_could_save),
		T(long_ways_that_were_not_slow_are_waited_for_at_new_places_too),
		T(a_short_way_teaches_nothing),
		T(leaps_by_time_get_longer_until_one_goes_too_far),
		T(leaps_that_always_go_too_far_are_given_up_until_the_way_is_slow_without),
		T(a_long_leap_that_goes_too_far_at_a_new_place_is_the_last_one_there_until_the_way_was_slow),
		T(a_gauge_that_led_there_is_trusted_and_one_that_misled_is_not),
		T(one_that_knew_that_it_was_too_far_keeps_its_trust),
		T(a_guessed_rest_only_tells_that_a_place_is_faster),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
