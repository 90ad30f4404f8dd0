#include "gdbserver/wire.h"

#include <errno.h>
#include <string.h>

#define ESCAPE '}'
#define ESCAPE_XOR 0x20

/* A run is a character, '*', and a count character of 29 plus the repetitions; only printable counts are allowed. */
#define RUN_BASE 29
#define RUN_MIN 3
#define RUN_MAX ('~' - RUN_BASE)

void wire_init(struct wire *w)
{
	memset(w, 0, offsetof(struct wire, packet));
	w->packet[0] = '\0';
}

void wire_free(struct wire *w)
{
	buf_free(&w->queue);
}

size_t wire_room(const struct wire *w)
{
	return WIRE_QUEUE_MAX - (w->queue.n - w->head);
}

int wire_push(struct wire *w, const void *data, size_t n)
{
	if (n > wire_room(w))
		return -ENOBUFS;
	if (w->head) {
		memmove(w->queue.p, w->queue.p + w->head, w->queue.n - w->head);
		w->queue.n -= w->head;
		w->head = 0;
	}
	buf_put(&w->queue, data, n);
	if (w->queue.err) {
		w->queue.err = 0;
		return -ENOMEM;
	}
	return 0;
}

static int digit_value(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
		return (c | 0x20) - 'a' + 10;
	return -1;
}

static void body_start(struct wire *w)
{
	w->state = WIRE_BODY;
	w->sum = 0;
	w->packet_n = 0;
	w->too_long = false;
}

/* An unescaped '$' can only be the start of a packet: the sender gave up on the one before. */
static void body_byte(struct wire *w, uint8_t c)
{
	if (c == '$') {
		body_start(w);
	} else if (c == '#') {
		w->state = WIRE_SUM_HIGH;
	} else {
		w->sum = (uint8_t)(w->sum + c);
		if (w->packet_n < WIRE_PACKET_MAX)
			w->packet[w->packet_n++] = (char)c;
		else
			w->too_long = true;
	}
}

static enum wire_event body_end(struct wire *w, uint8_t c)
{
	int low = digit_value(c);

	w->state = WIRE_BETWEEN;
	w->packet[w->packet_n] = '\0';
	if (w->too_long)
		return WIRE_TOO_LONG;
	if (w->sum_high < 0 || low < 0 || (w->sum_high << 4 | low) != w->sum)
		return WIRE_BAD_PACKET;
	return WIRE_PACKET;
}

static enum wire_event wire_byte(struct wire *w, uint8_t c)
{
	switch (w->state) {
	case WIRE_BETWEEN:
		if (c == '$')
			body_start(w);
		return c == '+' ? WIRE_ACK : c == '-' ? WIRE_NAK : c == 3 ? WIRE_INTERRUPT : WIRE_NONE;
	case WIRE_BODY:
		body_byte(w, c);
		return WIRE_NONE;
	case WIRE_SUM_HIGH:
		w->sum_high = digit_value(c);
		w->state = WIRE_SUM_LOW;
		return WIRE_NONE;
	case WIRE_SUM_LOW:
		return body_end(w, c);
	}
	return WIRE_NONE;
}

enum wire_event wire_next(struct wire *w)
{
	while (w->head < w->queue.n) {
		enum wire_event event = wire_byte(w, w->queue.p[w->head++]);

		if (event != WIRE_NONE)
			return event;
	}
	return WIRE_NONE;
}

bool wire_take_interrupt(struct wire *w)
{
	if (w->state != WIRE_BETWEEN)
		return false;
	for (size_t i = w->head; i < w->queue.n; i++) {
		uint8_t c = w->queue.p[i];

		if (c == 3) {
			w->head = i + 1;
			return true;
		}
		if (c != '+')
			break;
	}
	return false;
}

/* Bytes of the run at p, as far as it can be encoded. '#' and '$' as counts would look like framing, so avoid them. */
static size_t run_length(const uint8_t *p, size_t n)
{
	size_t run = 1;

	while (run < n && run < RUN_MAX + 1 && p[run] == p[0])
		run++;
	if (run < RUN_MIN + 1)
		return 1;
	while (strchr("#$+-", (int)(RUN_BASE + run - 1)))
		run--;
	return run;
}

void wire_frame(struct buf *out, const void *payload, size_t n)
{
	const uint8_t *p = payload;
	size_t start = out->n + 1;
	uint8_t sum = 0;

	out_char(out, '$');
	for (size_t i = 0; i < n; ) {
		size_t run = run_length(p + i, n - i);

		out_char(out, (char)p[i]);
		if (run > 1) {
			out_char(out, '*');
			out_char(out, (char)(RUN_BASE + run - 1));
		}
		i += run;
	}
	if (out->err)
		return;
	for (size_t i = start; i < out->n; i++)
		sum = (uint8_t)(sum + out->p[i]);
	out_char(out, '#');
	out_hex(out, &sum, 1);
}

size_t wire_escape(struct buf *out, const void *data, size_t n, size_t limit)
{
	const uint8_t *p = data;
	size_t used = 0, i;

	for (i = 0; i < n; i++) {
		bool special = p[i] == '$' || p[i] == '#' || p[i] == '*' || p[i] == ESCAPE;

		used += special ? 2 : 1;
		if (used > limit)
			break;
		if (special)
			out_char(out, ESCAPE);
		out_char(out, (char)(special ? p[i] ^ ESCAPE_XOR : p[i]));
	}
	return i;
}

int64_t wire_unescape(void *data, size_t n)
{
	uint8_t *p = data;
	size_t to = 0;

	for (size_t i = 0; i < n; i++) {
		if (p[i] != ESCAPE) {
			p[to++] = p[i];
			continue;
		}
		if (++i == n)
			return -EINVAL;
		p[to++] = p[i] ^ ESCAPE_XOR;
	}
	return (int64_t)to;
}
