#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "gdbserver/arg.h"
#include "gdbserver/signals.h"
#include "gdbserver/wire.h"

static struct wire *wire_new(void)
{
	struct wire *w = malloc(sizeof(*w));

	wire_init(w);
	return w;
}

static void wire_delete(struct wire *w)
{
	wire_free(w);
	free(w);
}

static void push(struct wire *w, const char *text)
{
	assert_int_equal(wire_push(w, text, strlen(text)), 0);
}

static void packet_is_found_between_noise_and_acks(void **state)
{
	struct wire *w = wire_new();

	(void)state;
	push(w, "junk+$OK#9a-\3$#00");
	assert_int_equal(wire_next(w), WIRE_ACK);
	assert_int_equal(wire_next(w), WIRE_PACKET);
	assert_string_equal(w->packet, "OK");
	assert_int_equal(wire_next(w), WIRE_NAK);
	assert_int_equal(wire_next(w), WIRE_INTERRUPT);
	assert_int_equal(wire_next(w), WIRE_PACKET);
	assert_int_equal(w->packet_n, 0);
	assert_int_equal(wire_next(w), WIRE_NONE);
	wire_delete(w);
}

static void packet_may_arrive_byte_by_byte(void **state)
{
	const char text[] = "$m400000,10#1e";
	struct wire *w = wire_new();

	(void)state;
	for (size_t i = 0; i < sizeof(text) - 2; i++) {
		assert_int_equal(wire_push(w, text + i, 1), 0);
		assert_int_equal(wire_next(w), WIRE_NONE);
	}
	push(w, "e");
	assert_int_equal(wire_next(w), WIRE_PACKET);
	assert_string_equal(w->packet, "m400000,10");
	wire_delete(w);
}

static void wrong_checksums_are_told(void **state)
{
	struct wire *w = wire_new();

	(void)state;
	push(w, "$OK#9b$OK#zz$OK#9#$OK#9A");
	assert_int_equal(wire_next(w), WIRE_BAD_PACKET);
	assert_int_equal(wire_next(w), WIRE_BAD_PACKET);
	assert_int_equal(wire_next(w), WIRE_BAD_PACKET);
	assert_int_equal(wire_next(w), WIRE_PACKET);
	wire_delete(w);
}

static void dollar_inside_a_packet_begins_afresh(void **state)
{
	struct wire *w = wire_new();

	(void)state;
	push(w, "$vCont;$OK#9a");
	assert_int_equal(wire_next(w), WIRE_PACKET);
	assert_string_equal(w->packet, "OK");
	wire_delete(w);
}

static void huge_packet_is_skipped_not_stored(void **state)
{
	struct wire *w = wire_new();
	static char block[WIRE_PACKET_MAX / 2 + 1];

	(void)state;
	memset(block, 'a', sizeof(block));
	push(w, "$");
	for (int i = 0; i < 5; i++) {
		assert_int_equal(wire_push(w, block, sizeof(block)), 0);
		assert_int_equal(wire_next(w), WIRE_NONE);
	}
	push(w, "#00$OK#9a");
	assert_int_equal(wire_next(w), WIRE_TOO_LONG);
	assert_int_equal(wire_next(w), WIRE_PACKET);
	assert_string_equal(w->packet, "OK");
	wire_delete(w);
}

static void queue_is_bounded(void **state)
{
	struct wire *w = wire_new();
	static char block[WIRE_QUEUE_MAX];

	(void)state;
	assert_int_equal(wire_push(w, block, WIRE_QUEUE_MAX), 0);
	assert_int_equal(wire_push(w, block, 1), -ENOBUFS);
	assert_int_equal(wire_room(w), 0);
	assert_int_equal(wire_next(w), WIRE_NONE);
	assert_int_equal(wire_push(w, block, 1), 0);
	wire_delete(w);
}

static void interrupt_is_taken_only_where_it_stands_alone(void **state)
{
	struct wire *w = wire_new();

	(void)state;
	assert_false(wire_take_interrupt(w));
	push(w, "++\3$OK#9a");
	assert_true(wire_take_interrupt(w));
	assert_false(wire_take_interrupt(w));
	assert_int_equal(wire_next(w), WIRE_PACKET);
	push(w, "$X\3");
	assert_false(wire_take_interrupt(w));
	assert_int_equal(wire_next(w), WIRE_NONE);
	push(w, "\3");
	assert_false(wire_take_interrupt(w));
	wire_delete(w);
}

/* The reader's half of run lengths, as the protocol describes it. */
static size_t expand(const uint8_t *in, size_t n, uint8_t *out)
{
	size_t to = 0;

	for (size_t i = 0; i < n; i++) {
		if (in[i] != '*') {
			out[to++] = in[i];
			continue;
		}
		for (int k = in[++i] - 29; k > 0; k--, to++)
			out[to] = out[to - 1];
	}
	return to;
}

static void frame_survives_the_way_there_for_every_run_length(void **state)
{
	struct wire *w = wire_new();

	(void)state;
	for (size_t n = 1; n < 300; n++) {
		uint8_t data[300], got[1000];
		struct buf out = { 0 };

		memset(data, '0', n);
		data[n - 1] = '7';
		wire_frame(&out, data, n);
		assert_int_equal(wire_push(w, out.p, out.n), 0);
		assert_int_equal(wire_next(w), WIRE_PACKET);
		assert_int_equal(expand((uint8_t *)w->packet, w->packet_n, got), n);
		assert_memory_equal(got, data, n);
		for (size_t i = 0; i < w->packet_n; i++)
			assert_false(strchr("#$+-", w->packet[i]));
		assert_true(n < 12 || out.n < n);
		buf_free(&out);
	}
	wire_delete(w);
}

static void every_byte_survives_escaping(void **state)
{
	uint8_t data[512], got[2048];
	struct buf escaped = { 0 }, framed = { 0 };
	struct wire *w = wire_new();
	size_t n;

	(void)state;
	for (int i = 0; i < 512; i++)
		data[i] = (uint8_t)(i / 2);
	assert_int_equal(wire_escape(&escaped, data, sizeof(data), 4096), sizeof(data));
	wire_frame(&framed, escaped.p, escaped.n);
	assert_int_equal(wire_push(w, framed.p, framed.n), 0);
	assert_int_equal(wire_next(w), WIRE_PACKET);
	n = expand((uint8_t *)w->packet, w->packet_n, got);
	assert_int_equal(wire_unescape(got, n), sizeof(data));
	assert_memory_equal(got, data, sizeof(data));
	buf_free(&escaped);
	buf_free(&framed);
	wire_delete(w);
}

static void escape_stops_at_its_limit_and_never_halfway(void **state)
{
	(void)state;
	for (size_t limit = 0; limit < 10; limit++) {
		struct buf out = { 0 };
		size_t used = wire_escape(&out, "$$$$", 4, limit);

		assert_int_equal(used, limit / 2 > 4 ? 4 : limit / 2);
		assert_int_equal(out.n, 2 * used);
		buf_free(&out);
	}
}

static void lone_escape_at_the_end_is_refused(void **state)
{
	char text[] = "ab}";

	(void)state;
	assert_int_equal(wire_unescape(text, 3), -EINVAL);
	assert_int_equal(wire_unescape(text, 2), 2);
	assert_int_equal(wire_unescape(text, 0), 0);
}

static void numbers_must_fit_and_have_digits(void **state)
{
	static const struct { const char *text; int err; uint64_t v; } cases[] = {
		{ "0", 0, 0 }, { "fFfFfFfFfFfFfFfF", 0, UINT64_MAX }, { "10000000000000000", -EINVAL, 0 },
		{ "000000000000000000001", 0, 1 }, { "", -EINVAL, 0 }, { "-1", -EINVAL, 0 }, { "x", -EINVAL, 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct arg a = arg_of(cases[i].text, strlen(cases[i].text));

		assert_int_equal(arg_hex(&a), cases[i].v);
		assert_int_equal(a.err, cases[i].err);
	}
}

static void thread_ids_come_in_every_form(void **state)
{
	static const struct { const char *text; int err; int32_t pid, tid; } cases[] = {
		{ "p1.2", 0, 1, 2 }, { "p1", 0, 1, -1 }, { "p-1", 0, -1, -1 }, { "p1.-1", 0, 1, -1 }, { "p0.0", 0, 0, 0 },
		{ "1f", 0, 9, 0x1f }, { "-1", 0, 9, -1 }, { "0", 0, 9, 0 }, { "-2", -EINVAL, 9, 0 }, { "p", -EINVAL, 0, 0 },
		{ "p1.", -EINVAL, 1, 0 }, { "80000000", -EINVAL, 9, 0 }, { "", -EINVAL, 9, 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct arg a = arg_of(cases[i].text, strlen(cases[i].text));
		struct ptid id = arg_ptid(&a, 9);

		assert_int_equal(a.err, cases[i].err);
		if (!a.err) {
			assert_int_equal(id.pid, cases[i].pid);
			assert_int_equal(id.tid, cases[i].tid);
		}
	}
}

static void hexadecimal_text_is_bounded_and_has_no_nul(void **state)
{
	struct arg whole = arg_of("616263", 6), odd = arg_of("616", 3), nul = arg_of("6100", 4), end = arg_of("", 0);
	struct arg wide = arg_of("616263", 6);
	char out[4], small[3];

	(void)state;
	arg_hex_text(&whole, out, sizeof(out));
	assert_string_equal(out, "abc");
	arg_hex_text(&odd, out, sizeof(out));
	assert_int_equal(odd.err, -EINVAL);
	assert_string_equal(out, "");
	arg_hex_text(&nul, out, sizeof(out));
	assert_int_equal(nul.err, -EINVAL);
	arg_hex_text(&end, out, sizeof(out));
	assert_int_equal(end.err, 0);
	arg_hex_text(&wide, small, sizeof(small));
	assert_int_equal(wide.err, -EINVAL);
}

static void xml_text_cannot_break_out(void **state)
{
	struct buf b = { 0 };

	(void)state;
	out_xml(&b, "<a b=\"c\">&'\1\x7f\xff\xc3\xa9\xe2\x82\xac\xe2\x82\xed\xa0\x80");
	out_char(&b, '\0');
	assert_string_equal((char *)b.p, "&lt;a b=&quot;c&quot;&gt;&amp;&apos;???\xc3\xa9\xe2\x82\xac?????");
	buf_free(&b);
}

static void every_linux_signal_has_a_number_and_comes_back(void **state)
{
	(void)state;
	assert_int_equal(signal_to_gdb(0), 0);
	assert_int_equal(signal_to_gdb(7), 10);
	assert_int_equal(signal_to_gdb(10), 30);
	assert_int_equal(signal_to_gdb(34), 46);
	assert_int_equal(signal_to_gdb(-5), 143);
	assert_int_equal(signal_to_gdb(1000), 143);
	assert_int_equal(signal_to_gdb(16), 143);
	assert_int_equal(signal_from_gdb(143), 0);
	assert_int_equal(signal_from_gdb(99999), 0);
	for (int signo = 1; signo <= 64; signo++)
		if (signo != 16)         /* SIGSTKFLT: gdb has no name for it */
			assert_int_equal(signal_from_gdb(signal_to_gdb(signo)), signo);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(packet_is_found_between_noise_and_acks),
		cmocka_unit_test(packet_may_arrive_byte_by_byte),
		cmocka_unit_test(wrong_checksums_are_told),
		cmocka_unit_test(dollar_inside_a_packet_begins_afresh),
		cmocka_unit_test(huge_packet_is_skipped_not_stored),
		cmocka_unit_test(queue_is_bounded),
		cmocka_unit_test(interrupt_is_taken_only_where_it_stands_alone),
		cmocka_unit_test(frame_survives_the_way_there_for_every_run_length),
		cmocka_unit_test(every_byte_survives_escaping),
		cmocka_unit_test(escape_stops_at_its_limit_and_never_halfway),
		cmocka_unit_test(lone_escape_at_the_end_is_refused),
		cmocka_unit_test(numbers_must_fit_and_have_digits),
		cmocka_unit_test(thread_ids_come_in_every_form),
		cmocka_unit_test(hexadecimal_text_is_bounded_and_has_no_nul),
		cmocka_unit_test(xml_text_cannot_break_out),
		cmocka_unit_test(every_linux_signal_has_a_number_and_comes_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
