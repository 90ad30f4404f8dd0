/* Gauges: what tells the rest of a way; from made-up states. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "replayer/gauge.h"

#define US 1000ull
#define WAY_NS (8000 * US)
#define FX_ST 32
#define FX_XMM 160

/* A wanted state, and a present one that begins as it. */
static struct event wanted;
static uint8_t window[GAUGE_WINDOW_WORDS * 8], canon[XSTATE_MAX], word[8];
static struct ev_write write_at = { .addr = 0x5000, .len = 8, .bytes = word };
static struct user_regs_struct regs;
static struct gauge_state now;
static struct gauge *gauge;

static int setup(void **state)
{
	(void)state;
	memset(window, 0, sizeof(window));
	memset(canon, 0, sizeof(canon));
	memset(word, 0, sizeof(word));
	memset(&wanted, 0, sizeof(wanted));
	wanted.kind = EV_CLOCK;
	wanted.before.rbx = 1000000;
	wanted.window = window;
	wanted.n_window = sizeof(window);
	wanted.xstate = canon;
	wanted.n_xstate = sizeof(canon);
	wanted.writes = &write_at;
	wanted.n_writes = 1;
	memset(&now, 0, sizeof(now));
	regs = wanted.before;
	now.regs = &regs;
	gauge = NULL;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	gauge_free(gauge);
	return 0;
}

static void begin(void)
{
	gauge = gauge_new(&wanted, WAY_NS);
	assert_non_null(gauge);
}

/* After so much of the way rbx has come so far, of a million. */
static void see_counter(uint64_t ran_us, uint64_t counted)
{
	regs.rbx = counted;
	gauge_see(gauge, &now, ran_us * US);
}

static void assert_about(int64_t ns, uint64_t wanted_us)
{
	assert_in_range(ns, wanted_us * US * 9 / 10, wanted_us * US);
}

static void a_gauge_is_mute_before_three_looks(void **state)
{
	(void)state;
	begin();
	see_counter(0, 0);
	see_counter(1000, 125000);
	assert_int_equal(gauge_left_ns(gauge), GAUGE_MUTE);
	see_counter(2000, 250000);
	assert_about(gauge_left_ns(gauge), 6000);
}

static void a_counter_that_goes_down_tells_the_way_too(void **state)
{
	(void)state;
	wanted.before.rbx = 0;
	begin();
	see_counter(0, 800);
	see_counter(1000, 700);
	see_counter(2000, 600);
	assert_about(gauge_left_ns(gauge), 6000);
}

static void a_state_that_stands_still_tells_nothing(void **state)
{
	(void)state;
	begin();
	for (uint64_t us = 0; us < 4000; us += 1000)
		see_counter(us, 5);
	assert_int_equal(gauge_left_ns(gauge), GAUGE_MUTE);
}

static void what_goes_to_and_fro_tells_nothing(void **state)
{
	(void)state;
	begin();
	see_counter(0, 0);
	see_counter(1000, 500000);
	see_counter(2000, 400000);
	see_counter(3000, 600000);
	assert_int_equal(gauge_left_ns(gauge), GAUGE_MUTE);
}

static void what_goes_the_wrong_way_tells_nothing(void **state)
{
	(void)state;
	wanted.before.rbx = 10;
	begin();
	see_counter(0, 1000);
	see_counter(1000, 2000);
	see_counter(2000, 3000);
	assert_int_equal(gauge_left_ns(gauge), GAUGE_MUTE);
}

static void what_foretells_another_way_than_was_recorded_is_no_gauge(void **state)
{
	(void)state;
	begin();
	see_counter(0, 0);
	see_counter(1000, 1000);    /* a second to go, where some ms were recorded */
	see_counter(2000, 2000);
	assert_int_equal(gauge_left_ns(gauge), GAUGE_MUTE);
}

static void a_counter_beyond_its_wanted_value_says_so(void **state)
{
	(void)state;
	begin();
	see_counter(0, 0);
	see_counter(4000, 500000);
	see_counter(8800, 1100000);
	assert_int_equal(gauge_left_ns(gauge), GAUGE_PAST);
}

static void one_that_counts_in_steps_may_be_a_step_further(void **state)
{
	(void)state;
	wanted.before.rbx = 8;
	begin();
	see_counter(0, 0);
	see_counter(1000, 1);
	see_counter(2000, 2);
	/* 6 to go, or a little more than 5; at 1 per ms, or nearly 2 */
	assert_in_range(gauge_left_ns(gauge), 2000 * US, 5000 * US);
	see_counter(7900, 7);
	assert_int_equal(gauge_left_ns(gauge), 0);
}

static void a_short_stride_does_not_spoil_what_a_long_one_told(void **state)
{
	(void)state;
	begin();
	see_counter(0, 0);
	see_counter(1000, 125000);
	see_counter(6000, 750000);
	/* 20 us of which most went to the stops */
	see_counter(6020, 750100);
	assert_in_range(gauge_left_ns(gauge), 1900 * US, 2010 * US);
}

static void the_steadiest_is_believed(void **state)
{
	(void)state;
	begin();
	for (uint64_t i = 0; i < 4; i++) {
		now.regs = &regs;
		regs.r12 = -(400 - 100 * i * i / 3);   /* jumps, and would be there by now */
		see_counter(1000 * i, 125000 * i);
	}
	assert_about(gauge_left_ns(gauge), 5000);
}

static void a_word_of_the_stack_can_be_a_gauge(void **state)
{
	(void)state;
	window[80] = 200;
	begin();
	for (uint64_t i = 0; i < 3; i++) {
		now.window[10] = 25 * i;
		gauge_see(gauge, &now, i * 1000 * US);
	}
	assert_in_range(gauge_left_ns(gauge), 5000 * US, 6000 * US);
}

static void a_word_that_the_point_names_can_be_a_gauge(void **state)
{
	(void)state;
	word[1] = 4;   /* 1024 */
	begin();
	for (uint64_t i = 0; i < 3; i++) {
		now.words[0] = 128 * i;
		gauge_see(gauge, &now, i * 1000 * US);
	}
	assert_in_range(gauge_left_ns(gauge), 5800 * US, 6000 * US);
}

/* Writes one after the other, the second one of three words: word 3 is its last. */
static void so_can_a_word_of_a_longer_piece(void **state)
{
	uint8_t piece[24] = { [17] = 4 };
	struct ev_write both[2] = { write_at, { .addr = 0x6000, .len = sizeof(piece), .bytes = piece } };

	(void)state;
	wanted.writes = both;
	wanted.n_writes = 2;
	begin();
	for (uint64_t i = 0; i < 3; i++) {
		now.words[3] = 128 * i;
		gauge_see(gauge, &now, i * 1000 * US);
	}
	assert_in_range(gauge_left_ns(gauge), 5800 * US, 6000 * US);
}

static void more_words_than_there_is_room_for_are_cut(void **state)
{
	static uint8_t much[(GAUGE_WORDS + 5) * 8];
	struct ev_write both[2] = { write_at, { .addr = 0x6000, .len = sizeof(much), .bytes = much } };

	(void)state;
	wanted.writes = both;
	wanted.n_writes = 2;
	begin();
	gauge_see(gauge, &now, 0);
	assert_true(gauge_left_ns(gauge) == GAUGE_MUTE);
}

static void a_vector_register_can_be_a_gauge(void **state)
{
	uint64_t want = 1 << 20;

	(void)state;
	memcpy(canon + FX_XMM + 16 * 3, &want, 8);
	begin();
	for (uint64_t i = 0; i < 3; i++) {
		uint64_t at = i << 17;

		memcpy(now.canon + FX_XMM + 16 * 3, &at, 8);
		gauge_see(gauge, &now, i * 1000 * US);
	}
	assert_about(gauge_left_ns(gauge), 6000);
}

static void an_x87_register_can_be_a_gauge(void **state)
{
	long double want = 1e6L;

	(void)state;
	memcpy(canon + FX_ST, &want, 10);
	begin();
	for (uint64_t i = 0; i < 3; i++) {
		long double at = 125e3L * (long double)i;

		memcpy(now.canon + FX_ST, &at, 10);
		gauge_see(gauge, &now, i * 1000 * US);
	}
	assert_about(gauge_left_ns(gauge), 6000);
}

static void an_x87_register_that_is_no_number_is_none(void **state)
{
	uint8_t nan[10] = { 0, 0, 0, 0, 0, 0, 0, 0xc0, 0xff, 0x7f };

	(void)state;
	memcpy(canon + FX_ST, nan, 10);
	begin();
	for (uint64_t i = 0; i < 3; i++) {
		long double at = 125e3L * (long double)i;

		memcpy(now.canon + FX_ST, &at, 10);
		gauge_see(gauge, &now, i * 1000 * US);
	}
	assert_int_equal(gauge_left_ns(gauge), GAUGE_MUTE);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(a_gauge_is_mute_before_three_looks),
		T(a_counter_that_goes_down_tells_the_way_too),
		T(a_state_that_stands_still_tells_nothing),
		T(what_goes_to_and_fro_tells_nothing),
		T(what_goes_the_wrong_way_tells_nothing),
		T(what_foretells_another_way_than_was_recorded_is_no_gauge),
		T(a_counter_beyond_its_wanted_value_says_so),
		T(one_that_counts_in_steps_may_be_a_step_further),
		T(a_short_stride_does_not_spoil_what_a_long_one_told),
		T(the_steadiest_is_believed),
		T(a_word_of_the_stack_can_be_a_gauge),
		T(a_word_that_the_point_names_can_be_a_gauge),
		T(so_can_a_word_of_a_longer_piece),
		T(more_words_than_there_is_room_for_are_cut),
		T(a_vector_register_can_be_a_gauge),
		T(an_x87_register_can_be_a_gauge),
		T(an_x87_register_that_is_no_number_is_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
