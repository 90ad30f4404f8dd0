/*
 * Nonsense at the door: packets of the real vocabulary, broken in every way, from a fixed seed. The server must neither
 * crash (run it under the sanitizers) nor hang, and what it sends must always be well-formed frames.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <signal.h>
#include <unistd.h>

#include "fake_target.h"

#define ROUNDS 60000
#define SECONDS 120

static const char *const vocabulary[] = {
	"qSupported:multiprocess+;swbreak+;fork-events+;vfork-events+;exec-events+;error-message+", "QStartNoAckMode", "?", "g",
	"G00", "p10", "P10=00", "m400000,40", "x400000,40", "M400000,1:00", "X400000,1:}]", "Z0,401000,1", "z0,401000,1",
	"Z2,601000,8", "z2,601000,8", "Hgp100.100", "Hcp100.101", "Tp100.101", "qC", "qfThreadInfo", "qsThreadInfo",
	"qThreadExtraInfo,p100.101", "qAttached:100", "vCont?", "vCont;c", "vCont;s:p100.101;c:p100.-1",
	"vCont;r401000,401010:p100.100;c", "vCont;C0b:p100.100", "c", "s", "C05", "S05;401000", "bc", "bs", "D;100", "D;200",
	"vKill;100", "vRun;2f62;63", "R00", "!", "vFile:setfs:0", "vFile:open:2f62696e2f70726f67,0,0", "vFile:pread:0,100,10",
	"vFile:fstat:0", "vFile:close:0", "vFile:readlink:2f62696e2f70726f67", "vFile:stat:2f", "vFile:pwrite:0,0,abc",
	"qGetTLSAddr:p100.100,10,1000", "qRcmd,7768656e", "qSymbol::", "qXfer:features:read:target.xml:0,1000",
	"qXfer:auxv:read::0,1000", "qXfer:exec-file:read:100:0,100", "qXfer:threads:read::0,1000", "qXfer:siginfo:read::0,80",
	"QCatchSyscalls:1;3b;e7", "QPassSignals:e;14", "QProgramSignals:0;1", "QNonStop:0", "vAttach;1", "vMustReplyEmpty",
	"qSearch:memory:400000;3000;abc", "qTStatus", "vCtrlC", "k",
};

#define N_WORDS (sizeof(vocabulary) / sizeof(vocabulary[0]))

static uint64_t seed = 20240611;

/* xorshift64* (Vigna 2016) */
static uint32_t dice(uint32_t n)
{
	seed ^= seed >> 12;
	seed ^= seed << 25;
	seed ^= seed >> 27;
	return (uint32_t)(seed * 0x2545f4914f6cdd1dull >> 33) % n;
}

static size_t mutate(uint8_t *p, size_t n, size_t max)
{
	static const char *const bits[] = { "ffffffffffffffff", "-1", ";", ":", ",", "p", ".", "}", "0", "\0", "*", "\x80" };

	for (uint32_t times = dice(4); times; times--) {
		uint32_t at = n ? dice((uint32_t)n) : 0;
		const char *bit = bits[dice(sizeof(bits) / sizeof(bits[0]))];
		size_t bit_n = *bit ? strlen(bit) : 1;

		switch (dice(6)) {
		case 0:
			n = at;
			break;
		case 1:
			if (n)
				p[at] = (uint8_t)dice(256);
			break;
		case 2:
			if (n + bit_n <= max) {
				memmove(p + at + bit_n, p + at, n - at);
				memcpy(p + at, bit, bit_n);
				n += bit_n;
			}
			break;
		case 3:
			if (n) {
				memmove(p + at, p + at + 1, n - at - 1);
				n--;
			}
			break;
		case 4:
			if (2 * n <= max) {
				memcpy(p + n, p, n);
				n *= 2;
			}
			break;
		default:
			break;
		}
	}
	return n;
}

static void put(struct fake *f, const void *data, size_t n)
{
	if (n <= wire_room(&f->s->wire))
		assert_int_equal(wire_push(&f->s->wire, data, n), 0);
}

static void put_packet(struct fake *f)
{
	const char *word = vocabulary[dice(N_WORDS)];
	uint8_t p[1024], sum = 0, tail[3] = "#00";
	size_t n = strlen(word);

	memcpy(p, word, n);
	if (dice(3))
		n = mutate(p, n, sizeof(p));
	for (size_t i = 0; i < n; i++)
		sum = (uint8_t)(sum + p[i]);
	if (dice(10)) {
		tail[1] = (uint8_t)"0123456789abcdef"[sum >> 4];
		tail[2] = (uint8_t)"0123456789abcdef"[sum & 15];
	}
	put(f, "$", 1);
	put(f, p, n);
	put(f, tail, dice(40) ? 3 : dice(3));
}

static void put_noise(struct fake *f)
{
	uint8_t noise[64];
	size_t n = dice(sizeof(noise));

	for (size_t i = 0; i < n; i++)
		noise[i] = dice(4) ? (uint8_t)"$#}*+-\3"[dice(7)] : (uint8_t)dice(256);
	put(f, noise, n);
}

/* Acknowledgements and whole frames with the right checksum, nothing else. */
static void check_output(const struct buf *out)
{
	size_t i = 0;

	assert_int_equal(out->err, 0);
	while (i < out->n) {
		uint8_t sum = 0;
		char digits[3] = "";

		if (out->p[i] == '+' || out->p[i] == '-') {
			i++;
			continue;
		}
		assert_int_equal(out->p[i], '$');
		for (i++; i < out->n && out->p[i] != '#'; i++) {
			assert_int_not_equal(out->p[i], '$');
			sum = (uint8_t)(sum + out->p[i]);
		}
		assert_true(i + 3 <= out->n);
		memcpy(digits, out->p + i + 1, 2);
		assert_int_equal(strtol(digits, NULL, 16), sum);
		i += 3;
	}
}

/* Whatever a target may answer, also things it should not. */
static void refill_script(struct fake *f)
{
	f->at = 0;
	f->n_script = (int)dice(16);
	f->polls = (int)dice(3);
	f->resume_error = dice(20) ? 0 : -(int)dice(4100) - 1;
	for (int i = 0; i < f->n_script; i++) {
		struct target_stop *s = &f->script[i];

		memset(s, 0, sizeof(*s));
		s->kind = (enum target_stop_kind)dice(STOP_VFORK_DONE + 1);
		s->pid = FAKE_PID;
		s->tid = FAKE_PID + (int32_t)dice(5);
		s->signo = (int)dice(100) - 10;
		s->bp_kind = (enum target_bp_kind)dice(5);
		s->watch_addr = seed;
		s->other_pid = 0x200;
		s->is_vfork = dice(2);
		s->syscall_nr = (int)dice(1000) - 1;
		s->wait_status = (int)dice(65536);
		memset(s->text, (int)dice(256), dice(4) ? 10 : sizeof(s->text));
	}
}

static void nonsense_neither_crashes_nor_hangs(void **state)
{
	struct fake *f = fake_new();

	(void)state;
	for (int round = 0; round < ROUNDS; round++) {
		if (f->s->life == LIFE_OVER) {
			fake_free(f);
			f = fake_new();
		}
		if (!dice(50))
			refill_script(f);
		if (dice(8))
			put_packet(f);
		else
			put_noise(f);
		if (dice(5))
			continue;
		while (session_work(f->s)) {
			check_output(&f->s->out);
			buf_clear(&f->s->out);
		}
		check_output(&f->s->out);
		buf_clear(&f->s->out);
		f->log_n = 0;
	}
	fake_free(f);
}

static void endless_packet_costs_no_memory(void **state)
{
	struct fake *f = fake_new();
	static uint8_t block[65536];

	(void)state;
	memset(block, '}', sizeof(block));
	put(f, "$m", 2);
	for (int i = 0; i < 500; i++) {
		put(f, block, sizeof(block));
		session_work(f->s);
		assert_int_equal(f->s->out.n, 0);
	}
	assert_true(f->s->wire.queue.cap <= WIRE_QUEUE_MAX);
	put(f, "#00", 3);
	session_work(f->s);
	assert_memory_equal(f->s->out.p, "+$E07#ac", f->s->out.n);
	fake_free(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nonsense_neither_crashes_nor_hangs),
		cmocka_unit_test(endless_packet_costs_no_memory),
	};

	alarm(SECONDS);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
