/* A conversation with a scripted target: what is fed in, what comes back, what the target was told to do. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <signal.h>

#include "fake_target.h"

#define OFFERS "qSupported:multiprocess+;swbreak+;hwbreak+;qRelocInsn+;fork-events+;vfork-events+;exec-events+;xmlRegisters=i386"

static char answer_text[1 << 19];

/* Undo run lengths in place of a reader; the payload of the frame at *at, which moves behind it. */
static size_t unframe(const struct buf *out, size_t *at, char *to)
{
	size_t n = 0, i = *at + 1;

	assert_int_equal(out->p[*at], '$');
	for (; out->p[i] != '#'; i++) {
		if (out->p[i] != '*') {
			to[n++] = (char)out->p[i];
			continue;
		}
		for (int k = out->p[++i] - 29; k > 0; k--, n++)
			to[n] = to[n - 1];
	}
	*at = i + 3;
	to[n] = '\0';
	return n;
}

/* Send one packet; its answer, console output in front of it as frames of their own, separated by spaces. */
static const char *ask_n(struct fake *f, const void *packet, size_t n, size_t *ret_n)
{
	struct buf framed = { 0 };
	size_t at = 0, to = 0;

	out_char(&framed, '$');
	buf_put(&framed, packet, n);
	uint8_t sum = 0;
	for (size_t i = 0; i < n; i++)
		sum = (uint8_t)(sum + ((const uint8_t *)packet)[i]);
	out_char(&framed, '#');
	out_hex(&framed, &sum, 1);
	buf_clear(&f->s->out);
	assert_int_equal(wire_push(&f->s->wire, framed.p, framed.n), 0);
	buf_free(&framed);
	session_work(f->s);
	while (at < f->s->out.n && f->s->out.p[at] == '+')
		at++;
	while (at < f->s->out.n) {
		if (to)
			answer_text[to++] = ' ';
		to += unframe(&f->s->out, &at, answer_text + to);
	}
	answer_text[to] = '\0';
	if (ret_n)
		*ret_n = to;
	return answer_text;
}

static const char *ask(struct fake *f, const char *packet)
{
	return ask_n(f, packet, strlen(packet), NULL);
}

#define EXPECT(f, packet, answer) assert_string_equal(ask(f, packet), answer)

static bool starts(const char *text, const char *start)
{
	return !strncmp(text, start, strlen(start));
}

#define EXPECT_START(f, packet, start) assert_true(starts(ask(f, packet), start))

static void expect_done(struct fake *f, const char *log)
{
	assert_string_equal(f->log, log);
	f->log_n = 0;
	f->log[0] = '\0';
}

static struct fake *greeted(void)
{
	struct fake *f = fake_new();

	ask(f, OFFERS);
	return f;
}

static void script(struct fake *f, struct target_stop stop)
{
	if (!stop.pid)
		stop.pid = FAKE_PID;
	if (!stop.tid)
		stop.tid = FAKE_PID;
	f->script[f->n_script++] = stop;
}

static void every_feature_gdb_needs_is_announced(void **state)
{
	static const char *const wanted[] = {
		"PacketSize=20000;", "QStartNoAckMode+", "multiprocess+", "swbreak+", "hwbreak+", "ReverseStep+",
		"ReverseContinue+", "qXfer:features:read+", "qXfer:auxv:read+", "qXfer:exec-file:read+",
		"qXfer:threads:read+", "qXfer:siginfo:read+", "vContSupported+", "QCatchSyscalls+", "QPassSignals+",
		"fork-events+", "vfork-events+", "exec-events+", "error-message+", "binary-upload+",
	};
	struct fake *f = fake_new();
	const char *got = ask(f, OFFERS);

	(void)state;
	for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++)
		assert_non_null(strstr(got, wanted[i]));
	fake_free(f);
}

static void unknown_packets_get_the_empty_answer(void **state)
{
	static const char *const unknown[] = {
		"", "vMustReplyEmpty", "qTStatus", "qP0", "qL1200000000000000000", "Qbtrace:off", "QAgent:1", "j", "qCRC:0,1",
		"qSupportedX", "vContX", "bq", "qXfer:libraries-svr4:read::0,10", "QThreadEvents:1", "qOffsets", "vStopped",
	};
	struct fake *f = greeted();

	(void)state;
	for (size_t i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++)
		EXPECT(f, unknown[i], "");
	fake_free(f);
}

static void acknowledgements_end_when_gdb_says_so(void **state)
{
	struct fake *f = fake_new();

	(void)state;
	wire_push(&f->s->wire, "$qC#00", 6);
	session_work(f->s);
	assert_memory_equal(f->s->out.p, "-", f->s->out.n);
	buf_clear(&f->s->out);
	wire_push(&f->s->wire, "$qC#b4", 6);
	session_work(f->s);
	assert_memory_equal(f->s->out.p, "+$QC100#25", f->s->out.n);
	buf_clear(&f->s->out);
	wire_push(&f->s->wire, "--", 2);
	session_work(f->s);
	assert_memory_equal(f->s->out.p, "$QC100#25$QC100#25", f->s->out.n);
	EXPECT(f, "QStartNoAckMode", "OK");
	buf_clear(&f->s->out);
	wire_push(&f->s->wire, "-$qC#00", 7);
	session_work(f->s);
	assert_memory_equal(f->s->out.p, "$QC100#25", f->s->out.n);
	fake_free(f);
}

static void first_stop_is_plain_and_brings_registers(void **state)
{
	struct fake *f = greeted();

	(void)state;
	EXPECT(f, "?", "T05thread:p100.100;06:8010fe7f00000000;07:0010fe7f00000000;10:0010400000000000;");
	fake_free(f);
	f = fake_new();
	EXPECT(f, "?", "T05thread:100;06:8010fe7f00000000;07:0010fe7f00000000;10:0010400000000000;");
	fake_free(f);
}

#define REGS "thread:p100.100;06:8010fe7f00000000;07:0010fe7f00000000;10:0010400000000000;"

static void every_kind_of_stop_has_its_reply(void **state)
{
	static const struct { struct target_stop stop; const char *reply; } cases[] = {
		{ { .kind = STOP_STEP }, "T05" REGS },
		{ { .kind = STOP_BREAK, .bp_kind = BP_SOFT }, "T05swbreak:;" REGS },
		{ { .kind = STOP_BREAK, .bp_kind = BP_HARD }, "T05hwbreak:;" REGS },
		{ { .kind = STOP_WATCH, .bp_kind = WP_WRITE, .watch_addr = 0x601040 }, "T05watch:601040;" REGS },
		{ { .kind = STOP_WATCH, .bp_kind = WP_READ, .watch_addr = 1 }, "T05rwatch:1;" REGS },
		{ { .kind = STOP_WATCH, .bp_kind = WP_ACCESS, .watch_addr = ~0ull }, "T05awatch:ffffffffffffffff;" REGS },
		{ { .kind = STOP_SIGNAL, .signo = SIGSEGV }, "T0b" REGS },
		{ { .kind = STOP_SIGNAL, .signo = SIGUSR1 }, "T1e" REGS },
		{ { .kind = STOP_INTERRUPTED }, "T02" REGS },
		{ { .kind = STOP_BEGIN }, "T05replaylog:begin;" REGS },
		{ { .kind = STOP_END }, "T05replaylog:end;" REGS },
		{ { .kind = STOP_FORK, .other_pid = 0x200 }, "T05fork:p200.200;" REGS },
		{ { .kind = STOP_EXEC, .text = "/bin/ls" }, "T05exec:2f62696e2f6c73;" REGS },
		{ { .kind = STOP_SYSCALL_ENTRY, .syscall_nr = 231 }, "T05syscall_entry:e7;" REGS },
		{ { .kind = STOP_SYSCALL_RETURN, .syscall_nr = 0 }, "T05syscall_return:0;" REGS },
	};
	struct fake *f = greeted();

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		f->n_script = f->at = 0;
		script(f, cases[i].stop);
		EXPECT(f, "vCont;c", cases[i].reply);
		if (cases[i].stop.kind == STOP_FORK)
			EXPECT(f, "D;200", "OK");
	}
	fake_free(f);
}

static void what_gdb_did_not_offer_is_not_sent(void **state)
{
	struct fake *f = fake_new();

	(void)state;
	script(f, (struct target_stop){ .kind = STOP_FORK, .other_pid = 0x200 });
	script(f, (struct target_stop){ .kind = STOP_FORK, .other_pid = 0x201, .is_vfork = true });
	script(f, (struct target_stop){ .kind = STOP_EXEC, .text = "/x" });
	script(f, (struct target_stop){ .kind = STOP_BREAK });
	EXPECT_START(f, "vCont;c", "T05thread:100;");
	expect_done(f, "cont 100;cont 100;cont 100;cont 100;");
	fake_free(f);
}

/* The packet's answer, with this said on the console first. */
static void expect_said(struct fake *f, const char *packet, const char *said, const char *answer)
{
	struct buf wanted = { 0 };

	out_char(&wanted, 'O');
	out_hex(&wanted, said, strlen(said));
	out_fmt(&wanted, " %s", answer);
	out_char(&wanted, '\0');
	EXPECT(f, packet, (char *)wanted.p);
	buf_free(&wanted);
}

static void ends_are_explained_on_the_console(void **state)
{
	struct fake *f = greeted();

	(void)state;
	script(f, (struct target_stop){ .kind = STOP_EXITED, .wait_status = 3 << 8 });
	script(f, (struct target_stop){ .kind = STOP_EXITED, .wait_status = SIGABRT });
	script(f, (struct target_stop){ .kind = STOP_ERROR, .text = "no such event" });
	script(f, (struct target_stop){ .kind = STOP_ERROR, .text = "no such event" });
	expect_said(f, "vCont;c", "relive: process 256 ends here, with exit status 3\n", "T05replaylog:end;" REGS);
	expect_said(f, "vCont;c", "relive: process 256 ends here, killed by signal 6 (Aborted)\n",
		    "T05replaylog:end;" REGS);
	expect_said(f, "vCont;c", "relive: no such event\n", "T05replaylog:end;" REGS);
	expect_said(f, "bs", "relive: no such event\n", "T05replaylog:begin;" REGS);
	fake_free(f);
}

static void signals_to_be_passed_are_not_reported(void **state)
{
	struct fake *f = greeted();

	(void)state;
	EXPECT(f, "QPassSignals:e;14;1e", "OK");         /* SIGALRM, SIGCHLD, SIGUSR1 */
	script(f, (struct target_stop){ .kind = STOP_SIGNAL, .signo = SIGALRM });
	script(f, (struct target_stop){ .kind = STOP_SIGNAL, .signo = SIGUSR1 });
	script(f, (struct target_stop){ .kind = STOP_SIGNAL, .signo = SIGUSR2 });
	EXPECT(f, "bc", "T1f" REGS);
	expect_done(f, "back cont 100;back cont 100;back cont 100;");
	EXPECT(f, "QPassSignals:", "OK");
	script(f, (struct target_stop){ .kind = STOP_SIGNAL, .signo = SIGALRM });
	EXPECT(f, "vCont;c", "T0e" REGS);
	EXPECT(f, "QPassSignals:xyz", "E16");
	EXPECT(f, "QProgramSignals:e;14", "OK");
	fake_free(f);
}

static void resumes_reach_the_target_as_meant(void **state)
{
	static const struct { const char *packet, *log; } cases[] = {
		{ "vCont;c", "cont 100;" },
		{ "vCont;c:p100.-1", "cont 100;" },
		{ "vCont;C0b:p100.101;c", "cont 100;" },
		{ "vCont;s:p100.101;c", "step 101;" },
		{ "vCont;s:p100.101;c:p100.-1", "step 101;" },
		{ "vCont;S0e:102", "step 102;" },
		{ "vCont;c:p100.100;s:p100.102", "step 102;" },
		{ "vCont;r401000,401010:p100.102;c:p100.-1", "step 102 401000-401010;" },
		{ "vCont;t:p100.101;c", "cont 100;" },
		{ "vCont;s", "step 100;" },
		{ "c", "cont 100;" }, { "C05", "cont 100;" }, { "s", "step 100;" }, { "S05", "step 100;" },
		{ "bc", "back cont 100;" }, { "bs", "back step 100;" },
	};
	struct fake *f = greeted();

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		EXPECT_START(f, cases[i].packet, "T05");
		expect_done(f, cases[i].log);
	}
	EXPECT(f, "Hcp100.102", "OK");
	EXPECT_START(f, "bs", "T05");
	EXPECT_START(f, "bs", "T05");
	EXPECT_START(f, "bc", "T05");
	expect_done(f, "back step 102;back step 102;back cont 100;");
	EXPECT(f, "vCont?", "vCont;c;C;s;S;t;r");
	EXPECT(f, "vCont;", "E16");
	EXPECT(f, "vCont;q", "E16");
	EXPECT(f, "vCont;r1:p100.100", "E16");
	EXPECT(f, "vCont;s:p100.999", "E03");
	EXPECT(f, "vCont;s:p999.100", "E03");
	EXPECT_START(f, "s401000", "E.");
	EXPECT_START(f, "C05;401000", "E.");
	expect_done(f, "");
	fake_free(f);
}

static void interrupt_stops_a_running_target(void **state)
{
	struct fake *f = greeted();

	(void)state;
	f->polls = 3;
	EXPECT(f, "vCont;c", "T05replaylog:end;" REGS);
	buf_clear(&f->s->out);
	wire_push(&f->s->wire, "$vCont;c#a8\3$qC#b4", 18);
	session_work(f->s);
	assert_int_equal(f->s->stop.kind, STOP_INTERRUPTED);
	assert_non_null(memmem(f->s->out.p, f->s->out.n, "$QCp100.100#", 12));
	/* One that comes too late is forgotten. */
	wire_push(&f->s->wire, "\3", 1);
	session_work(f->s);
	EXPECT(f, "vCont;c", "T05replaylog:end;" REGS);
	fake_free(f);
}

static bool pump_once(void *arg, struct wire *wire)
{
	return wire_push(wire, arg, strlen(arg)) == 0;
}

static bool pump_gone(void *arg, struct wire *wire)
{
	(void)arg, (void)wire;
	return false;
}

static void interrupt_and_disconnect_are_seen_through_the_pump(void **state)
{
	struct fake *f = greeted();

	(void)state;
	f->polls = 1;
	f->s->pump = pump_once;
	f->s->hook_arg = "\3";
	EXPECT(f, "vCont;c", "T02" REGS);
	f->s->pump = pump_gone;
	EXPECT(f, "bc", "T02" REGS);
	fake_free(f);
}

static void interrupt_beats_a_stop_gdb_does_not_want(void **state)
{
	struct fake *f = greeted();

	(void)state;
	ask(f, "QPassSignals:e");
	f->polls = 1;
	f->deaf = true;
	f->s->pump = pump_once;
	f->s->hook_arg = "\3";
	script(f, (struct target_stop){ .kind = STOP_SIGNAL, .signo = SIGALRM });
	EXPECT(f, "vCont;c", "T02" REGS);
	expect_done(f, "cont 100;");
	fake_free(f);
}

static void registers_are_read_and_never_written(void **state)
{
	struct fake *f = greeted();
	const char *g = ask(f, "g");

	(void)state;
	assert_true(starts(g, "8877665544332211"));
	EXPECT(f, "p0", "8877665544332211");
	EXPECT(f, "p10", "0010400000000000");
	EXPECT(f, "p39", "ffffffffffffffff");
	EXPECT(f, "p11", "46020000");
	EXPECT(f, "p1000", "E16");
	EXPECT(f, "p", "E16");
	EXPECT(f, "pffffffffffffffff", "E16");
	EXPECT(f, "Hgp100.102", "OK");
	EXPECT(f, "p10", "0210400000000000");
	EXPECT_START(f, "P0=1122334455667788", "E.the recording is read-only");
	EXPECT_START(f, "G1122", "E.the recording is read-only");
	fake_free(f);
}

static void memory_is_read_up_to_the_hole_and_never_written(void **state)
{
	struct fake *f = greeted();
	size_t n;
	const char *got;

	(void)state;
	EXPECT(f, "m400000,4", "00070e15");
	EXPECT(f, "m402ffe,10", "f2f9");
	EXPECT(f, "m403000,1", "E01");
	EXPECT(f, "m0,ffffffffffffffff", "E01");
	EXPECT(f, "mffffffffffffffff,ffffffffffffffff", "E01");
	EXPECT(f, "m400000", "E01");
	assert_int_equal(strlen(ask(f, "m400000,100000")), 2 * FAKE_MEM_N);
	got = ask_n(f, "x400000,100", 11, &n);
	assert_int_equal(got[0], 'b');
	assert_int_equal(wire_unescape(answer_text + 1, n - 1), 0x100);
	assert_memory_equal(answer_text + 1, f->mem, 0x100);
	EXPECT_START(f, "M400000,1:00", "E.the recording is read-only");
	EXPECT(f, "X400000,0:", "OK");
	EXPECT_START(f, "X400000,1:a", "E.the recording is read-only");
	EXPECT(f, "X400000", "E16");
	fake_free(f);
}

static void memory_is_searched(void **state)
{
	struct fake *f = greeted();
	size_t n;

	(void)state;
	memcpy(f->mem + 0x1234, "needle}#", 8);
	assert_string_equal(ask_n(f, "qSearch:memory:400000;2000;needle}]}\3", 37, &n), "1,401234");
	EXPECT(f, "qSearch:memory:400000;1000;needle", "0");
	EXPECT(f, "qSearch:memory:400000;ffffffffffffffff;never there", "E0e");
	EXPECT(f, "qSearch:memory:500000;10;x", "E0e");
	EXPECT(f, "qSearch:memory:400000;10;}", "E16");
	EXPECT(f, "qSearch:memory:400000;10;", "E16");
	fake_free(f);
}

static void breakpoints_are_inserted_once_and_removed_at_the_end(void **state)
{
	struct fake *f = greeted();

	(void)state;
	EXPECT(f, "Z0,401000,1", "OK");
	EXPECT(f, "Z0,401000,1", "OK");
	EXPECT(f, "Z1,401000,1", "OK");
	EXPECT(f, "Z2,601000,10000", "OK");
	EXPECT(f, "Z3,601000,8", "E1c");
	EXPECT(f, "Z4,601000,8", "OK");
	expect_done(f, "add 0 401000 1;add 1 401000 1;add 2 601000 10000;add 3 601000 8;add 4 601000 8;");
	EXPECT(f, "z0,401000,1", "OK");
	EXPECT(f, "z0,401000,1", "OK");
	EXPECT(f, "z3,601000,8", "OK");
	expect_done(f, "del 0 401000 1;");
	EXPECT(f, "Z5,401000,1", "E16");
	EXPECT(f, "Z0,401000", "E16");
	EXPECT(f, "Z0,401000,1;X1,00", "E16");
	EXPECT(f, "D;100", "OK");
	expect_done(f, "del 2 601000 10000;del 1 401000 1;del 4 601000 8;catch 0;");
	assert_int_equal(f->s->life, LIFE_OVER);
	fake_free(f);
}

static void breakpoints_are_many_but_not_endless(void **state)
{
	struct fake *f = greeted();
	char packet[64];

	(void)state;
	for (unsigned int i = 0; i < SESSION_BREAKS_MAX; i += 64)
		for (unsigned int k = 0; k < 2; k++) {
			f->log_n = 0;
			snprintf(packet, sizeof(packet), "Z0,%x,1", i + k);
			EXPECT(f, packet, "OK");
		}
	fake_free(f);
}

static void threads_are_listed_in_all_ways(void **state)
{
	struct fake *f = greeted();

	(void)state;
	EXPECT(f, "qC", "QCp100.100");
	EXPECT(f, "qfThreadInfo", "mp100.100,p100.101,p100.102");
	EXPECT(f, "qsThreadInfo", "l");
	EXPECT(f, "qThreadExtraInfo,p100.101", "776f726b65722d31");
	EXPECT(f, "qThreadExtraInfo,p100.999", "E03");
	EXPECT(f, "qXfer:threads:read::0,1000",
	       "l<?xml version=\"1.0\"?>\n<threads>\n<thread id=\"p100.100\" name=\"worker-0\"/>\n"
	       "<thread id=\"p100.101\" name=\"worker-1\"/>\n<thread id=\"p100.102\" name=\"worker-2\"/>\n</threads>\n");
	EXPECT(f, "Tp100.102", "OK");
	EXPECT(f, "Tp100.103", "E03");
	EXPECT(f, "Tp101.100", "E03");
	EXPECT(f, "Hgp100.999", "E03");
	EXPECT(f, "Hg0", "OK");
	EXPECT(f, "Hc-1", "OK");
	EXPECT(f, "Hgp100.-1", "OK");
	EXPECT(f, "Hx1", "E16");
	EXPECT(f, "H", "E16");
	f->n_threads = 500;
	assert_non_null(strstr(ask(f, "qfThreadInfo"), ",p100.2f3"));
	fake_free(f);
}

static void documents_are_read_piece_by_piece(void **state)
{
	struct fake *f = greeted();
	char whole[65536], packet[64];
	size_t at = 0, n;

	(void)state;
	for (;;) {
		const char *got;

		snprintf(packet, sizeof(packet), "qXfer:features:read:target.xml:%zx,123", at);
		got = ask_n(f, packet, strlen(packet), &n);
		assert_true(got[0] == 'm' || got[0] == 'l');
		memcpy(whole + at, got + 1, n - 1);
		at += n - 1;
		if (got[0] == 'l')
			break;
	}
	whole[at] = '\0';
	assert_non_null(strstr(whole, "</target>\n"));
	assert_int_equal(strlen(whole), at);
	ask_n(f, "qXfer:auxv:read::0,1000", 23, &n);
	assert_int_equal(answer_text[0], 'l');
	assert_int_equal(wire_unescape(answer_text + 1, n - 1), 1000);
	assert_memory_equal(answer_text + 1, f->auxv, 1000);
	EXPECT(f, "qXfer:exec-file:read:100:0,1000", "l/bin/prog");
	EXPECT(f, "qXfer:exec-file:read::5,3", "mpro");
	EXPECT(f, "qXfer:exec-file:read:999:0,1000", "E03");
	EXPECT(f, "qXfer:exec-file:read:zz:0,1000", "E16");
	EXPECT_START(f, "qXfer:siginfo:read::0,1000", "lAAAAAAAA");
	EXPECT(f, "qXfer:exec-file:read::ffffffffffffffff,ffffffffffffffff", "l");
	EXPECT(f, "qXfer:features:read:other.xml:0,10", "E02");
	EXPECT(f, "qXfer:features:read:target.xml:0", "E16");
	EXPECT(f, "qXfer:features:write:target.xml:0:00", "");
	EXPECT(f, "qXfer:nonsense:read::0,10", "");
	fake_free(f);
}

static void files_are_served_from_the_target(void **state)
{
	struct fake *f = greeted();
	size_t n;

	(void)state;
	EXPECT(f, "vFile:setfs:0", "F0");
	EXPECT(f, "vFile:open:2f62696e2f70726f67,0,0", "F0");
	EXPECT(f, "vFile:open:2f62696e2f70726f67,0,1c0", "F1");
	EXPECT(f, "vFile:open:2f62696e2f6e6f6e65,0,0", "F-1,2");
	EXPECT(f, "vFile:open:2f62696e2f70726f67,1,0", "F-1,1e");
	EXPECT(f, "vFile:open:2f6,0,0", "F-1,16");
	ask_n(f, "vFile:pread:0,1000,10", 21, &n);
	assert_true(starts(answer_text, "F1000;"));
	assert_int_equal(wire_unescape(answer_text + 6, n - 6), 0x1000);
	assert_int_equal((uint8_t)answer_text[6], 0x10);
	EXPECT(f, "vFile:pread:0,1000,493e0", "F0;");
	EXPECT_START(f, "vFile:pread:0,1000,493df", "F1;");
	EXPECT_START(f, "vFile:pread:0,ffffffff,0", "F1");
	EXPECT(f, "vFile:pread:7,10,0", "F-1,9");
	EXPECT(f, "vFile:pread:0,10", "F-1,16");
	ask_n(f, "vFile:fstat:0", 13, &n);
	assert_true(starts(answer_text, "F40;"));
	assert_int_equal(wire_unescape(answer_text + 4, n - 4), 64);
	assert_memory_equal(answer_text + 4 + 28, "\0\0\0\0\0\x04\x93\xe0", 8);
	EXPECT_START(f, "vFile:stat:2f62696e2f70726f67", "F40;");
	EXPECT(f, "vFile:stat:2f", "F-1,2");
	EXPECT(f, "vFile:readlink:2f62696e2f70726f67", "F-1,16");
	EXPECT(f, "vFile:readlink:2f6e6f", "F-1,2");
	EXPECT(f, "vFile:readlink:2f70726f632f3235362f657865", "F9;/bin/prog");
	EXPECT(f, "vFile:unlink:2f6e6f", "F-1,1e");
	EXPECT(f, "vFile:pwrite:0,0,abc", "F-1,1e");
	EXPECT(f, "vFile:close:0", "F0");
	EXPECT(f, "vFile:close:0", "F-1,9");
	EXPECT(f, "vFile:fstat:0", "F-1,9");
	EXPECT(f, "vFile:close:ffffffffffffffff", "F-1,9");
	EXPECT(f, "vFile:open:2f62696e2f70726f67,0,0", "F0");
	EXPECT(f, "vFile:other:0", "");
	for (int i = 2; i < SESSION_FILES_MAX; i++)
		EXPECT_START(f, "vFile:open:2f62696e2f70726f67,0,0", "F");
	EXPECT(f, "vFile:open:2f62696e2f70726f67,0,0", "F-1,18");
	fake_free(f);
}

static void monitor_commands_answer_on_the_console(void **state)
{
	struct fake *f = greeted();

	(void)state;
	EXPECT(f, "qRcmd,7768656e", "O6576656e7420350a OK");
	EXPECT(f, "qRcmd,73696c656e74", "OK");
	EXPECT_START(f, "qRcmd,7a", "O72656c6976653a");
	EXPECT(f, "qRcmd,7", "E16");
	fake_free(f);
}

static void thread_local_storage_is_asked_of_the_target(void **state)
{
	struct fake *f = greeted();

	(void)state;
	EXPECT(f, "qGetTLSAddr:p100.100,10,7f0000001000", "7f0000001010");
	EXPECT(f, "qGetTLSAddr:p100.100,10,0", "E02");
	EXPECT(f, "qGetTLSAddr:p100.999,10,1", "E03");
	EXPECT(f, "qGetTLSAddr:p100.100,10", "E16");
	fake_free(f);
}

static void system_calls_to_catch_are_handed_on(void **state)
{
	struct fake *f = greeted();

	(void)state;
	EXPECT(f, "QCatchSyscalls:1", "OK");
	EXPECT(f, "QCatchSyscalls:1;3b;e7", "OK");
	EXPECT(f, "QCatchSyscalls:0", "OK");
	expect_done(f, "catch 1;catch 1 59 231;catch 0;");
	EXPECT(f, "QCatchSyscalls:1;ffffffffff", "E16");
	EXPECT(f, "QCatchSyscalls:2", "E16");
	fake_free(f);
}

static void run_starts_over_after_a_kill(void **state)
{
	struct fake *f = greeted();

	(void)state;
	EXPECT(f, "!", "OK");
	EXPECT(f, "Z0,401000,1", "OK");
	EXPECT(f, "vKill;100", "OK");
	EXPECT(f, "?", "W00");
	EXPECT(f, "qfThreadInfo", "l");
	EXPECT(f, "g", "E03");
	EXPECT(f, "m400000,1", "E01");
	EXPECT(f, "vCont;c", "E03");
	EXPECT(f, "Z0,401000,1", "E03");
	EXPECT(f, "vKill;100", "E03");
	EXPECT(f, "vRun;2f78", "T05" REGS);
	EXPECT(f, "m400000,1", "00");
	EXPECT(f, "D;100", "OK");
	assert_int_equal(f->s->life, LIFE_NONE);
	EXPECT(f, "vRun;", "T05" REGS);
	EXPECT(f, "R00", "");
	EXPECT_START(f, "vAttach;1", "E.");
	EXPECT(f, "k", "");
	assert_int_equal(f->s->life, LIFE_NONE);
	expect_done(f, "add 0 401000 1;del 0 401000 1;catch 0;restart;catch 0;restart;restart;catch 0;");
	fake_free(f);
}

static void run_can_name_a_place(void **state)
{
	struct fake *f = greeted();

	(void)state;
	EXPECT(f, "vRun;;3432", "T05" REGS);
	/* What gdb writes then in order to go on. */
	EXPECT_START(f, "P39=0", "E.the recording is read-only");
	EXPECT(f, "P39=ffffffffffffffff", "OK");
	EXPECT_START(f, "P0=ffffffffffffffff", "E.the recording is read-only");
	ask(f, "vCont;s:p100.100");
	EXPECT_START(f, "P39=ffffffffffffffff", "E.the recording is read-only");
	EXPECT(f, "vRun;;3432", "T05" REGS);
	EXPECT(f, "vRun;2f62;3432;61", "T05" REGS);
	EXPECT_START(f, "vRun;;7a", "E.the recording has no such place");
	EXPECT(f, "vRun;;7", "E16");
	EXPECT(f, "vRun;;", "T05" REGS);
	expect_done(f, "restart at 42;step 100;restart at 42;restart at 42;restart at z;restart;");
	fake_free(f);
}

static void kill_ends_a_plain_session(void **state)
{
	struct fake *f = greeted();

	(void)state;
	EXPECT(f, "k", "");
	assert_int_equal(f->s->life, LIFE_OVER);
	fake_free(f);
}

static void child_of_a_fork_can_be_let_go(void **state)
{
	struct fake *f = greeted();

	(void)state;
	script(f, (struct target_stop){ .kind = STOP_FORK, .other_pid = 0x200 });
	EXPECT(f, "Z0,401000,1", "OK");
	EXPECT_START(f, "vCont;c", "T05fork:p200.200;");
	EXPECT(f, "Hgp200.200", "OK");
	EXPECT(f, "z0,401000,1", "OK");                 /* the child's copy */
	EXPECT(f, "p0", "0000000000000000");             /* fork returned 0 there */
	EXPECT(f, "m400000,1", "00");
	EXPECT(f, "D;200", "OK");
	assert_int_equal(f->s->life, LIFE_RUNNING);
	expect_done(f, "add 0 401000 1;cont 100;");
	EXPECT(f, "m400000,1", "E01");
	EXPECT(f, "Hgp100.100", "OK");
	EXPECT(f, "p0", "8877665544332211");
	EXPECT(f, "D;200", "E03");
	EXPECT(f, "D;100", "OK");
	assert_int_equal(f->s->life, LIFE_OVER);
	fake_free(f);
}

static void child_of_a_fork_cannot_be_followed(void **state)
{
	struct fake *f = greeted();

	(void)state;
	ask(f, "!");
	script(f, (struct target_stop){ .kind = STOP_FORK, .other_pid = 0x200 });
	EXPECT_START(f, "vCont;c", "T05fork:p200.200;");
	EXPECT(f, "D;100", "OK");
	EXPECT(f, "qfThreadInfo", "mp200.200");
	EXPECT(f, "Hgp200.200", "OK");
	EXPECT_START(f, "g", "0000000000000000");
	EXPECT(f, "Z0,401000,1", "OK");
	EXPECT(f, "Hgp100.100", "E03");
	EXPECT(f, "vCont;c:p200.200", "W00;process:200");
	EXPECT(f, "vCont;c", "E03");
	EXPECT(f, "vRun;", "T05" REGS);
	fake_free(f);
}

static void both_sides_of_a_fork_can_be_kept_until_one_runs(void **state)
{
	struct fake *f = greeted();

	(void)state;
	script(f, (struct target_stop){ .kind = STOP_FORK, .other_pid = 0x200 });
	EXPECT_START(f, "vCont;c", "T05fork:p200.200;");
	EXPECT(f, "vCont;c:p200.-1", "W00;process:200");
	EXPECT(f, "Hgp200.200", "E03");
	EXPECT(f, "vCont;c:p100.-1", "T05replaylog:end;" REGS);
	f->at = 0;
	EXPECT_START(f, "vCont;c", "T05fork:p200.200;");
	assert_non_null(strstr(ask(f, "vCont;s:p100.100"), " W00;process:200"));
	assert_true(answer_text[0] == 'O');
	EXPECT(f, "Hgp200.200", "E03");
	EXPECT(f, "vCont;s:p100.100", "T05replaylog:end;" REGS);
	expect_done(f, "cont 100;cont 100;cont 100;step 100;");
	fake_free(f);
}

static void vfork_is_done_at_the_next_resume(void **state)
{
	struct fake *f = greeted();

	(void)state;
	script(f, (struct target_stop){ .kind = STOP_FORK, .other_pid = 0x200, .is_vfork = true });
	EXPECT_START(f, "vCont;c", "T05vfork:p200.200;");
	EXPECT(f, "D;200", "OK");
	EXPECT(f, "bc", "T05vforkdone:;" REGS);
	expect_done(f, "cont 100;");
	EXPECT(f, "bc", "T05replaylog:end;" REGS);
	expect_done(f, "back cont 100;");
	f->at = 0;
	EXPECT_START(f, "bc", "T05fork:p200.200;");
	EXPECT(f, "D;200", "OK");
	EXPECT(f, "bc", "T05replaylog:end;" REGS);
	fake_free(f);
}

/* A target that can follow children. */
static struct fake *following(bool vfork)
{
	static struct target_ops ops;
	struct fake *f = greeted();

	ops = *f->target.ops;
	ops.follow = fake_follow;
	f->target.ops = &ops;
	ask(f, "!");
	script(f, (struct target_stop){ .kind = STOP_FORK, .other_pid = 0x200, .is_vfork = vfork });
	EXPECT(f, "Z0,401000,1", "OK");
	EXPECT_START(f, "vCont;c", vfork ? "T05vfork:p200.200;" : "T05fork:p200.200;");
	return f;
}

static void child_of_a_fork_is_followed_when_its_parent_is_let_go(void **state)
{
	struct fake *f = following(false);

	(void)state;
	EXPECT(f, "D;100", "OK");
	expect_done(f, "add 0 401000 1;cont 100;del 0 401000 1;follow 200;");
	EXPECT(f, "qfThreadInfo", "mp200.200,p200.201,p200.202");
	EXPECT(f, "Hgp200.200", "OK");
	EXPECT(f, "Z0,401000,1", "OK");
	EXPECT(f, "Hgp100.100", "E03");
	EXPECT_START(f, "vCont;c:p200.-1", "T05replaylog:end;thread:p200.200;");
	expect_done(f, "add 0 401000 1;cont 200;");
	EXPECT(f, "vRun;", "T05" REGS);
	EXPECT(f, "Hgp100.100", "OK");
	fake_free(f);
}

static void parent_is_over_when_it_is_kept_and_its_child_runs(void **state)
{
	struct fake *f = following(false);

	(void)state;
	assert_non_null(strstr(ask(f, "vCont;c:p200.-1"), " W00;process:100"));
	expect_done(f, "add 0 401000 1;cont 100;del 0 401000 1;follow 200;");
	EXPECT(f, "Hgp100.100", "E03");
	EXPECT_START(f, "vCont;c:p200.-1", "T05replaylog:end;thread:p200.200;");
	fake_free(f);
}

static void parent_of_a_vfork_is_over_when_it_is_kept_and_runs(void **state)
{
	struct fake *f = following(true);

	(void)state;
	EXPECT_START(f, "vCont;c:p200.-1", "T05replaylog:end;thread:p200.200;");
	EXPECT(f, "Hgp100.100", "OK");
	EXPECT(f, "p0", "E03");
	EXPECT(f, "m400000,1", "E01");
	assert_non_null(strstr(ask(f, "vCont;c:p100.-1"), " W00;process:100"));
	EXPECT(f, "Hgp100.100", "E03");
	fake_free(f);
}

static void child_of_a_vfork_is_followed_when_it_runs(void **state)
{
	struct fake *f = following(true);

	(void)state;
	EXPECT(f, "Hgp200.200", "OK");
	EXPECT_START(f, "p10", "0011400000000000");      /* the child's own registers */
	EXPECT(f, "Z0,402000,1", "OK");
	EXPECT(f, "Z0,403000,1", "OK");
	EXPECT(f, "z0,402000,1", "OK");
	expect_done(f, "add 0 401000 1;cont 100;");
	EXPECT_START(f, "vCont;c:p200.-1", "T05replaylog:end;thread:p200.200;");
	expect_done(f, "del 0 401000 1;follow 200;add 0 403000 1;cont 200;");
	/* Only now gdb lets go of the parent. */
	EXPECT(f, "Hgp100.100", "OK");
	EXPECT(f, "z0,401000,1", "OK");
	EXPECT(f, "D;100", "OK");
	EXPECT(f, "Hgp100.100", "E03");
	EXPECT_START(f, "bc", "T05replaylog:end;thread:p200.200;");
	fake_free(f);
}

static void child_that_can_be_followed_can_be_let_go(void **state)
{
	struct fake *f = following(false);

	(void)state;
	EXPECT(f, "Hgp200.200", "OK");
	EXPECT(f, "Z0,402000,1", "OK");
	EXPECT(f, "D;200", "OK");
	EXPECT(f, "vCont;c", "T05replaylog:end;" REGS);
	expect_done(f, "add 0 401000 1;cont 100;cont 100;");
	fake_free(f);
}

static void failed_resume_is_a_stop_with_an_explanation(void **state)
{
	struct fake *f = greeted();

	(void)state;
	f->resume_error = -EIO;
	assert_non_null(strstr(ask(f, "vCont;c"), " T05replaylog:end;"));
	assert_true(answer_text[0] == 'O');
	assert_non_null(strstr(ask(f, "bc"), " T05replaylog:begin;"));
	fake_free(f);
}

static void sentences_replace_numbers_when_gdb_understands_them(void **state)
{
	struct fake *f = fake_new();

	(void)state;
	ask(f, "qSupported:multiprocess+;error-message+");
	EXPECT_START(f, "m0,1", "E.");
	EXPECT_START(f, "Hgp100.999", "E.");
	fake_free(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_feature_gdb_needs_is_announced),
		cmocka_unit_test(unknown_packets_get_the_empty_answer),
		cmocka_unit_test(acknowledgements_end_when_gdb_says_so),
		cmocka_unit_test(first_stop_is_plain_and_brings_registers),
		cmocka_unit_test(every_kind_of_stop_has_its_reply),
		cmocka_unit_test(what_gdb_did_not_offer_is_not_sent),
		cmocka_unit_test(ends_are_explained_on_the_console),
		cmocka_unit_test(signals_to_be_passed_are_not_reported),
		cmocka_unit_test(resumes_reach_the_target_as_meant),
		cmocka_unit_test(interrupt_stops_a_running_target),
		cmocka_unit_test(interrupt_and_disconnect_are_seen_through_the_pump),
		cmocka_unit_test(interrupt_beats_a_stop_gdb_does_not_want),
		cmocka_unit_test(registers_are_read_and_never_written),
		cmocka_unit_test(memory_is_read_up_to_the_hole_and_never_written),
		cmocka_unit_test(memory_is_searched),
		cmocka_unit_test(breakpoints_are_inserted_once_and_removed_at_the_end),
		cmocka_unit_test(breakpoints_are_many_but_not_endless),
		cmocka_unit_test(threads_are_listed_in_all_ways),
		cmocka_unit_test(documents_are_read_piece_by_piece),
		cmocka_unit_test(files_are_served_from_the_target),
		cmocka_unit_test(monitor_commands_answer_on_the_console),
		cmocka_unit_test(thread_local_storage_is_asked_of_the_target),
		cmocka_unit_test(system_calls_to_catch_are_handed_on),
		cmocka_unit_test(run_starts_over_after_a_kill),
		cmocka_unit_test(run_can_name_a_place),
		cmocka_unit_test(kill_ends_a_plain_session),
		cmocka_unit_test(child_of_a_fork_can_be_let_go),
		cmocka_unit_test(child_of_a_fork_cannot_be_followed),
		cmocka_unit_test(both_sides_of_a_fork_can_be_kept_until_one_runs),
		cmocka_unit_test(child_of_a_fork_is_followed_when_its_parent_is_let_go),
		cmocka_unit_test(child_of_a_vfork_is_followed_when_it_runs),
		cmocka_unit_test(parent_is_over_when_it_is_kept_and_its_child_runs),
		cmocka_unit_test(parent_of_a_vfork_is_over_when_it_is_kept_and_runs),
		cmocka_unit_test(child_that_can_be_followed_can_be_let_go),
		cmocka_unit_test(vfork_is_done_at_the_next_resume),
		cmocka_unit_test(failed_resume_is_a_stop_with_an_explanation),
		cmocka_unit_test(sentences_replace_numbers_when_gdb_understands_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
