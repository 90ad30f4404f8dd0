#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include "common/err.h"
#include "sample.h"

static const char *path;

static struct trace *open_sample(void)
{
	struct trace *t;

	path = scratch_path();
	sample_write(path);
	assert_int_equal(trace_open(path, &t), 0);
	return t;
}

static struct trace_writer *create_scratch(void)
{
	struct trace_writer *w;

	path = scratch_path();
	assert_int_equal(trace_create(path, &sample_header, &w), 0);
	return w;
}

static struct trace *finish_and_open(struct trace_writer *w)
{
	struct trace *t;

	assert_int_equal(trace_finish(w, 0), 0);
	assert_int_equal(trace_open(path, &t), 0);
	assert_true(trace_complete(t, NULL));
	assert_string_equal(trace_damage(t), "");
	return t;
}

static void close_sample(struct trace *t)
{
	trace_close(t);
	unlink(path);
}

static void everything_written_is_read_back(void **state)
{
	struct trace *t = open_sample();
	int status = -1;

	(void)state;
	assert_int_equal(trace_n_events(t), SAMPLE_EVENTS);
	assert_int_equal(trace_n_ckpts(t), SAMPLE_CKPTS);
	sample_assert_readable(t, SAMPLE_EVENTS);
	assert_true(trace_complete(t, &status));
	assert_int_equal(status, SAMPLE_EXIT_STATUS);
	assert_string_equal(trace_damage(t), "");
	close_sample(t);
}

static void a_trace_without_events_opens(void **state)
{
	struct trace *t = finish_and_open(create_scratch());
	struct trace_iter *it;
	const struct event *ev;

	(void)state;
	assert_int_equal(trace_n_events(t), 0);
	assert_int_equal(trace_iter_open(t, 1, &it), 0);
	assert_int_equal(trace_next(it, &ev), 0);
	assert_int_equal(trace_seek(it, 1), -ENOENT);
	trace_iter_close(it);
	assert_null(trace_object(t, 1));
	close_sample(t);
}

static void notes_are_read_back_in_their_order(void **state)
{
	struct trace_writer *w = create_scratch();
	char longer[5000], *text;
	struct trace *t;

	(void)state;
	memset(longer, 'x', sizeof(longer));
	longer[sizeof(longer) - 1] = '\0';
	assert_int_equal(trace_put_note(w, ""), -EINVAL);
	assert_int_equal(trace_put_note(w, "the first\n"), 0);
	assert_int_equal(trace_put_note(w, longer), 0);
	t = finish_and_open(w);
	assert_int_equal(trace_n_notes(t), 2);
	assert_int_equal(trace_note(t, 0, &text), 0);
	assert_string_equal(text, "the first\n");
	free(text);
	assert_int_equal(trace_note(t, 1, &text), 0);
	assert_int_equal(strlen(text), 4096);
	free(text);
	assert_int_equal(trace_note(t, 2, &text), -ENOENT);
	close_sample(t);
}

static void seeking_reaches_every_event_from_every_other(void **state)
{
	struct trace *t = open_sample();
	struct trace_iter *it;
	const struct event *ev;

	(void)state;
	assert_int_equal(trace_iter_open(t, 1, &it), 0);
	for (uint64_t from = 1; from <= SAMPLE_EVENTS; from++) {
		for (uint64_t to = 1; to <= SAMPLE_EVENTS; to++) {
			assert_int_equal(trace_seek(it, from), 0);
			assert_int_equal(trace_next(it, &ev), 1);
			assert_event_equal(ev, sample_event(from));
			assert_int_equal(trace_seek(it, to), 0);
			assert_int_equal(trace_next(it, &ev), 1);
			assert_event_equal(ev, sample_event(to));
		}
	}
	trace_iter_close(it);
	close_sample(t);
}

static void seeking_outside_the_trace_finds_nothing(void **state)
{
	struct trace *t = open_sample();
	struct trace_iter *it;
	const struct event *ev;
	const struct trace_ckpt *c;

	(void)state;
	assert_int_equal(trace_iter_open(t, 0, &it), -ENOENT);
	assert_int_equal(trace_iter_open(t, SAMPLE_EVENTS + 2, &it), -ENOENT);
	assert_int_equal(trace_iter_open(t, SAMPLE_EVENTS, &it), 0);
	assert_int_equal(trace_seek(it, 0), -ENOENT);
	assert_int_equal(trace_seek(it, SAMPLE_EVENTS + 1), -ENOENT);
	assert_int_equal(trace_next(it, &ev), 1);
	assert_int_equal(ev->no, SAMPLE_EVENTS);
	assert_int_equal(trace_next(it, &ev), 0);
	assert_int_equal(trace_next(it, &ev), 0);
	trace_iter_close(it);
	assert_int_equal(trace_ckpt(t, 0, &c), -ENOENT);
	assert_int_equal(trace_ckpt(t, SAMPLE_CKPTS + 1, &c), -ENOENT);
	assert_null(trace_object(t, 0));
	assert_null(trace_object(t, SAMPLE_OBJECTS + 1));
	assert_null(trace_page(t, 1000));
	assert_string_equal(trace_damage(t), "");
	close_sample(t);
}

static void two_positions_do_not_disturb_each_other(void **state)
{
	struct trace *t = open_sample();
	struct trace_iter *a, *b;
	const struct event *ev, *held;

	(void)state;
	assert_int_equal(trace_iter_open(t, 8, &a), 0);
	assert_int_equal(trace_next(a, &held), 1);
	assert_int_equal(trace_iter_open(t, 1, &b), 0);
	while (trace_next(b, &ev) == 1)
		continue;
	assert_event_equal(held, sample_event(8));
	trace_iter_close(b);
	assert_int_equal(trace_next(a, &ev), 1);
	assert_event_equal(ev, sample_event(9));
	trace_iter_close(a);
	close_sample(t);
}

static void reading_an_object_stops_at_its_end(void **state)
{
	struct trace *t = open_sample();
	uint64_t size = trace_object(t, 1)->size;
	uint8_t bytes[200];

	(void)state;
	assert_int_equal(trace_object_read(t, 1, size - 5, bytes, sizeof(bytes)), 5);
	assert_int_equal(trace_object_read(t, 1, size, bytes, sizeof(bytes)), 0);
	assert_int_equal(trace_object_read(t, 1, UINT64_MAX, bytes, sizeof(bytes)), 0);
	assert_int_equal(trace_object_read(t, 1, 0, bytes, 0), 0);
	assert_int_equal(trace_object_read(t, 3, 0, bytes, 1), -ENOENT);
	close_sample(t);
}

static void statistics_account_for_every_byte(void **state)
{
	struct trace *t = open_sample();
	struct trace_stat stats[16];
	size_t n = trace_stats(t, stats, 16);
	uint64_t stored = 24;                     /* the preamble */

	(void)state;
	assert_int_equal(n, 8);
	for (size_t i = 0; i < n; i++)
		stored += stats[i].stored_bytes;
	assert_int_equal(stored, trace_file_bytes(t));
	assert_int_equal(trace_stats(t, stats, 2), 2);
	close_sample(t);
}

static void a_page_stays_valid_for_64_more_calls(void **state)
{
	enum { PAGES = 64 * 80 };                 /* in 80 chunks */
	struct trace_writer *w = create_scratch();
	static uint32_t page[TRACE_PAGE / 4];
	uint64_t id;
	struct trace *t;

	(void)state;
	for (uint32_t i = 1; i <= PAGES; i++) {
		page[7] = i;
		assert_int_equal(trace_put_page(w, page, &id), 0);
		assert_int_equal(id, i);
	}
	t = finish_and_open(w);
	for (uint64_t first = 1; first + 64 * 64 <= PAGES; first += 1000) {
		const uint32_t *held = (const uint32_t *)trace_page(t, first);

		for (uint64_t i = 1; i <= 64; i++) {
			const uint32_t *other = (const uint32_t *)trace_page(t, first + i * 64);

			assert_int_equal(other[7], first + i * 64);
		}
		assert_int_equal(held[7], first);
	}
	close_sample(t);
}

static void a_later_page_of_an_object_replaces_an_earlier_one(void **state)
{
	struct trace_writer *w = create_scratch();
	struct trace_object o = { .size = 3 * TRACE_PAGE, .path = "x" };
	struct object_page list[2] = { { 1, 0 } };
	const struct object_page *got;
	uint64_t first, second;
	struct trace *t;
	uint32_t id;
	size_t n;

	(void)state;
	assert_int_equal(trace_put_page(w, sample_page(1), &first), 0);
	assert_int_equal(trace_put_page(w, sample_page(2), &second), 0);
	assert_int_equal(trace_put_object(w, &o, &id), 0);
	list[0] = (struct object_page){ 2, first };
	list[1] = (struct object_page){ 1, first };
	assert_int_equal(trace_put_object_pages(w, id, 2, list), 0);
	assert_int_equal(trace_flush(w), 0);
	list[0] = (struct object_page){ 1, second };
	list[1] = (struct object_page){ 2, 0 };
	assert_int_equal(trace_put_object_pages(w, id, 2, list), 0);
	assert_int_equal(trace_put_object_pages(w, id, 0, NULL), 0);
	t = finish_and_open(w);
	assert_int_equal(trace_object_pages(t, id, &got, &n), 0);
	assert_int_equal(n, 2);
	assert_true(got[0].index == 1 && got[0].page_id == second);
	assert_true(got[1].index == 2 && got[1].page_id == 0);
	close_sample(t);
}

static uint64_t next_random(uint64_t *s)
{
	*s ^= *s << 13;
	*s ^= *s >> 7;
	return *s ^= *s << 17;
}

/* Numbers of all widths. */
static uint64_t any_number(uint64_t *s)
{
	uint64_t v = next_random(s);

	return v >> (next_random(s) % 64);
}

static void randomize_regs(uint64_t *s, struct user_regs_struct *r)
{
	unsigned long long *v = (unsigned long long *)r;

	for (unsigned n = (unsigned)(next_random(s) % 6); n; n--)
		v[next_random(s) % 27] = any_number(s);
}

static struct event random_event(uint64_t no)
{
	static struct user_regs_struct regs[300];
	static uint8_t bytes[1 << 17];
	static struct ev_write writes[4];
	uint64_t s = no * 0x9e3779b97f4a7c15ULL + 1;
	struct event ev = { .no = no, .task = (uint32_t)(next_random(&s) % 300) };

	/* The event must be the same whenever it is asked for: no state but `no`. */
	memset(regs, 0, sizeof(regs));
	ev.kind = (uint8_t)(1 + next_random(&s) % EV_KIND_MAX);
	ev.time_ns = no * 100000;
	ev.flags = (uint32_t)any_number(&s);
	ev.nr = (int32_t)any_number(&s);
	ev.status = (int32_t)any_number(&s);
	if (ev.flags & EVF_BEFORE)
		randomize_regs(&s, &ev.before);
	ev.after = ev.before;
	if (ev.flags & EVF_AFTER)
		randomize_regs(&s, &ev.after);
	else
		memset(&ev.after, 0, sizeof(ev.after));
	if (next_random(&s) % 100 == 0) {
		for (size_t i = 0; i < sizeof(bytes); i++)
			bytes[i] = (uint8_t)(no + i % 251);
		ev.n_writes = (uint32_t)(next_random(&s) % 5);
		for (uint32_t i = 0; i < ev.n_writes; i++)
			writes[i] = (struct ev_write){ ev.task + (uint32_t)(next_random(&s) % 2), any_number(&s),
						       (uint32_t)(any_number(&s) % sizeof(bytes)), bytes };
		ev.writes = writes;
	}
	return ev;
}

static void many_events_of_any_shape_are_read_back(void **state)
{
	enum { EVENTS = 30000 };
	struct trace_writer *w = create_scratch();
	struct trace_stat stats[16];
	struct trace_iter *it;
	const struct event *got;
	struct trace *t;

	(void)state;
	for (uint64_t no = 1; no <= EVENTS; no++) {
		struct event ev = random_event(no);

		assert_int_equal(trace_append(w, &ev), 0);
		assert_int_equal(ev.no, no);
	}
	t = finish_and_open(w);
	assert_int_equal(trace_n_events(t), EVENTS);
	assert_int_equal(trace_iter_open(t, 1, &it), 0);
	for (uint64_t no = 1; no <= EVENTS; no++) {
		struct event want = random_event(no);

		assert_int_equal(trace_next(it, &got), 1);
		assert_event_equal(got, &want);
	}
	assert_int_equal(trace_next(it, &got), 0);
	trace_iter_close(it);
	assert_true(trace_stats(t, stats, 16) >= 4);
	close_sample(t);
}

static void a_write_of_the_greatest_length_is_read_back(void **state)
{
	struct trace_writer *w = create_scratch();
	uint8_t *bytes = malloc(EV_WRITE_MAX);
	struct ev_write list[3];
	struct event ev = { .kind = EV_SYSCALL, .task = 1, .n_writes = 3, .writes = list };
	const struct event *got;
	struct trace_iter *it;
	struct trace *t;

	(void)state;
	for (size_t i = 0; i < EV_WRITE_MAX; i++)
		bytes[i] = (uint8_t)(i * i >> 7);
	for (unsigned i = 0; i < 3; i++)
		list[i] = (struct ev_write){ 1, i * EV_WRITE_MAX, EV_WRITE_MAX, bytes };
	assert_int_equal(trace_append(w, &ev), 0);
	t = finish_and_open(w);
	assert_int_equal(trace_iter_open(t, 1, &it), 0);
	assert_int_equal(trace_next(it, &got), 1);
	assert_event_equal(got, &ev);
	trace_iter_close(it);
	close_sample(t);
	free(bytes);
}

/* The shortest items there are, at the very end of a chunk. */
static uint64_t n_pages_of(const struct trace *t)
{
	struct trace_stat stats[16];
	size_t n = trace_stats(t, stats, 16);

	for (size_t i = 0; i < n; i++) {
		if (strcmp(stats[i].what, "pages") == 0)
			return stats[i].raw_bytes / TRACE_PAGE;
	}
	return 0;
}

static void what_is_written_again_is_stored_once(void **state)
{
	enum { LEN = 10 * TRACE_PAGE + 77 };
	static uint8_t bytes[LEN];
	struct ev_write writes[] = {
		{ 1, 0x1000, LEN, bytes },
		{ 1, 0x77, 5, bytes },                                           /* short: in the event */
		{ 2, 0x12345, LEN, bytes },
		{ 1, 0x5000, LEN - TRACE_PAGE, bytes + TRACE_PAGE },
		{ 1, 0x5000, 1023, bytes },
		{ 1, 0x5000, 2 * TRACE_PAGE, bytes },
	};
	struct event ev = { .kind = EV_SYSCALL, .task = 1, .n_writes = 6, .writes = writes };
	struct trace_writer *w = create_scratch();
	struct trace_iter *it;
	const struct event *got;
	struct trace *t;

	(void)state;
	for (size_t i = 0; i < LEN; i++)
		bytes[i] = (uint8_t)(i / TRACE_PAGE * 7 + i % 239);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(trace_append(w, &ev), 0);
		assert_int_equal(trace_flush(w), 0);
	}
	t = finish_and_open(w);
	assert_int_equal(n_pages_of(t), 11);
	for (uint64_t from = 3; from; from--) {       /* each is read without those before */
		ev.no = from;
		assert_int_equal(trace_iter_open(t, from, &it), 0);
		assert_int_equal(trace_next(it, &got), 1);
		assert_event_equal(got, &ev);
		trace_iter_close(it);
	}
	close_sample(t);
}

static void empty_items_are_read_back(void **state)
{
	struct ev_output outputs[5] = { { 0 } };
	struct ev_asop asops[2] = { { .kind = AS_UNMAP }, { .kind = AS_UNMAP } };
	struct ev_page pages[2] = { { 0 }, { .addr = TRACE_PAGE } };
	struct ev_write empty[5];
	struct event evs[] = {
		{ .kind = EV_SYSCALL, .task = 1, .n_writes = 5, .writes = empty },
		{ .kind = EV_SYSCALL, .task = 1, .n_outputs = 5, .outputs = outputs },
		{ .kind = EV_SYSCALL, .task = 1, .n_asops = 2, .asops = asops },
		{ .kind = EV_CLOCK, .task = 1, .n_pages = 2, .pages = pages },
		{ .kind = EV_CLOCK, .task = 0, .window_addr = 1 },
		{ .kind = EV_INSN },
	};
	size_t n = sizeof(evs) / sizeof(evs[0]);
	struct trace_writer *w = create_scratch();
	struct trace_iter *it;
	const struct event *got;
	struct trace *t;

	(void)state;
	for (size_t i = 0; i < 5; i++)
		empty[i] = (struct ev_write){ .task = 1, .bytes = (const uint8_t *)"" };
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(trace_append(w, &evs[i]), 0);
		assert_int_equal(trace_flush(w), 0);
	}
	t = finish_and_open(w);
	assert_int_equal(trace_iter_open(t, 1, &it), 0);
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(trace_next(it, &got), 1);
		assert_event_equal(got, &evs[i]);
	}
	trace_iter_close(it);
	close_sample(t);
}

static void the_header_keeps_its_flags(void **state)
{
	struct trace_header h = sample_header;
	struct trace_writer *w;
	struct trace *t;

	(void)state;
	h.flags = HDR_CPUID_TRAPPED;
	path = scratch_path();
	assert_int_equal(trace_create(path, &h, &w), 0);
	t = finish_and_open(w);
	assert_int_equal(trace_header(t)->flags, HDR_CPUID_TRAPPED);
	close_sample(t);
}

static void what_breaks_the_rules_is_refused_and_the_next_event_accepted(void **state)
{
	struct trace_writer *w = create_scratch();
	struct ev_write too_long = { .task = 1, .len = EV_WRITE_MAX + 1 };
	struct ev_write into_no_object = { .task = EV_WRITE_OBJECT | 1, .len = 1, .bytes = (const uint8_t *)"" };
	struct ev_page unaligned = { .addr = 5 };
	struct ev_asop no_object = { .kind = AS_MAP, .len = 4096, .obj = 1 };
	struct event ev = { .kind = 0, .task = 1 };
	struct object_page no_page = { 0, 1 };
	struct trace_object o = { .size = 1 };
	struct trace_ckpt c = { .n_maps = 1, .maps = &(struct ckpt_map){ .addr = 0x1000, .len = 5 } };
	struct trace *t;
	uint32_t id;

	(void)state;
	assert_int_equal(trace_append(w, &ev), -EINVAL);
	ev = (struct event){ .kind = EV_SYSCALL, .n_writes = 1, .writes = &too_long };
	assert_int_equal(trace_append(w, &ev), -EINVAL);
	ev = (struct event){ .kind = EV_CLOCK, .n_pages = 1, .pages = &unaligned };
	assert_int_equal(trace_append(w, &ev), -EINVAL);
	ev = (struct event){ .kind = EV_SYSCALL, .n_asops = 1, .asops = &no_object };
	assert_int_equal(trace_append(w, &ev), -EINVAL);
	ev = (struct event){ .kind = EV_SYSCALL, .n_writes = 1, .writes = &into_no_object };
	assert_int_equal(trace_append(w, &ev), -EINVAL);
	ev = (struct event){ .kind = EV_EXEC, .ckpt = 1 };
	assert_int_equal(trace_append(w, &ev), -EINVAL);
	ev = (struct event){ .kind = EV_CLOCK, .n_window = 40u << 20 };
	assert_int_equal(trace_append(w, &ev), -E2BIG);
	assert_int_equal(trace_put_object_pages(w, 1, 1, &no_page), -EINVAL);
	assert_int_equal(trace_put_object(w, &o, &id), 0);
	assert_int_equal(trace_put_object_pages(w, 1, 1, &no_page), -EINVAL);
	assert_int_equal(trace_put_ckpt(w, &c, &id), -EINVAL);
	ev = (struct event){ .kind = EV_SYSCALL, .n_asops = 1, .asops = &no_object,
			     .n_writes = 1, .writes = &into_no_object };
	assert_int_equal(trace_append(w, &ev), 0);
	assert_int_equal(ev.no, 1);
	t = finish_and_open(w);
	assert_int_equal(trace_n_events(t), 1);
	close_sample(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(everything_written_is_read_back),
		cmocka_unit_test(a_trace_without_events_opens),
		cmocka_unit_test(notes_are_read_back_in_their_order),
		cmocka_unit_test(seeking_reaches_every_event_from_every_other),
		cmocka_unit_test(seeking_outside_the_trace_finds_nothing),
		cmocka_unit_test(two_positions_do_not_disturb_each_other),
		cmocka_unit_test(reading_an_object_stops_at_its_end),
		cmocka_unit_test(statistics_account_for_every_byte),
		cmocka_unit_test(a_page_stays_valid_for_64_more_calls),
		cmocka_unit_test(a_later_page_of_an_object_replaces_an_earlier_one),
		cmocka_unit_test(many_events_of_any_shape_are_read_back),
		cmocka_unit_test(a_write_of_the_greatest_length_is_read_back),
		cmocka_unit_test(what_is_written_again_is_stored_once),
		cmocka_unit_test(empty_items_are_read_back),
		cmocka_unit_test(the_header_keeps_its_flags),
		cmocka_unit_test(what_breaks_the_rules_is_refused_and_the_next_event_accepted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
