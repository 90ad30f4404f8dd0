/*
 * The framing of the GDB remote serial protocol: $payload#checksum, acknowledgements, the 0x03 interrupt, escapes and
 * run lengths. Pure: bytes in, events out; no descriptors, no meaning of packets. Any bytes whatever are safe input.
 */
#ifndef RELIVE_GDB_WIRE_H
#define RELIVE_GDB_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gdbserver/text.h"

#define WIRE_PACKET_MAX 0x20000        /* payload bytes, either way; told to gdb as PacketSize */
#define WIRE_QUEUE_MAX (4 * WIRE_PACKET_MAX)

enum wire_event {
	WIRE_NONE,            /* more bytes are needed */
	WIRE_PACKET,          /* packet and packet_n hold the payload, escapes still in it; a NUL follows */
	WIRE_BAD_PACKET,      /* as above, but the checksum does not fit */
	WIRE_TOO_LONG,        /* a payload longer than WIRE_PACKET_MAX was skipped */
	WIRE_ACK,
	WIRE_NAK,
	WIRE_INTERRUPT,       /* 0x03 outside a packet */
};

enum wire_state { WIRE_BETWEEN, WIRE_BODY, WIRE_SUM_HIGH, WIRE_SUM_LOW };

struct wire {
	struct buf queue;     /* bytes received; those before `head` are parsed */
	size_t head;
	enum wire_state state;
	uint8_t sum;          /* of the body so far */
	int sum_high;         /* first digit of the checksum, -1 if it was none */
	bool too_long;
	size_t packet_n;
	char packet[WIRE_PACKET_MAX + 1];
};

void wire_init(struct wire *w);
void wire_free(struct wire *w);

/* How many more bytes wire_push takes now. */
size_t wire_room(const struct wire *w);
/* Queue received bytes. 0, -ENOBUFS (more than wire_room) or -ENOMEM; nothing is queued on failure. */
int wire_push(struct wire *w, const void *data, size_t n);
/* Parse up to the next event. The packet stays valid until the next call. */
enum wire_event wire_next(struct wire *w);
/*
 * Whether a 0x03 is the next thing queued, acknowledgements aside; if so it is taken out. For use between two
 * wire_next calls, while a packet's work is going on.
 */
bool wire_take_interrupt(struct wire *w);

/* Append a whole packet. The payload must not contain '$', '#' or an unescaped '*': see wire_escape. */
void wire_frame(struct buf *out, const void *payload, size_t n);

/*
 * Append data with '}', '$', '#' and '*' escaped, as long as it stays within limit bytes of output.
 * The number of data bytes used.
 */
size_t wire_escape(struct buf *out, const void *data, size_t n, size_t limit);
/* Undo escapes in place; the new length, or -EINVAL if the last byte is a lone '}'. */
int64_t wire_unescape(void *data, size_t n);

#endif
