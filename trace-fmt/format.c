#include "trace-fmt/format.h"

#include <string.h>
#include <xxhash.h>
#include "common/err.h"
#include "common/banned.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "numbers are copied as they are");

/* As PNG does it: a byte above 127, and line ends of both kinds, show up damage by text-mode transfers. */
static const uint8_t file_magic[8] = { 0x89, 'R', 'L', 'V', '\r', '\n', 0x1a, '\n' };

static uint8_t *put_u32(uint8_t *p, uint32_t v)
{
	memcpy(p, &v, 4);
	return p + 4;
}

static uint8_t *put_u64(uint8_t *p, uint64_t v)
{
	memcpy(p, &v, 8);
	return p + 8;
}

void preamble_encode(uint8_t out[PREAMBLE_BYTES])
{
	memcpy(out, file_magic, 8);
	put_u32(out + 8, FMT_VERSION);
	put_u32(out + 12, FMT_MIN_READER);
	put_u64(out + 16, XXH3_64bits(out, 16));
}

int preamble_check(const uint8_t in[PREAMBLE_BYTES])
{
	struct cursor c = cursor_of(in + 8, PREAMBLE_BYTES - 8);
	uint32_t version = cursor_u32(&c);
	uint32_t min_reader = cursor_u32(&c);

	if (memcmp(in, file_magic, 8) != 0 || cursor_u64(&c) != XXH3_64bits(in, 16))
		return -RL_ECORRUPT;
	if (!version || !min_reader || min_reader > version)
		return -RL_ECORRUPT;
	return min_reader > FMT_VERSION ? -RL_EVERSION : 0;
}

void chunk_hdr_encode(const struct chunk_hdr *h, uint8_t out[CHUNK_HDR_BYTES])
{
	uint8_t *p = put_u32(out, CHUNK_MAGIC);

	*p++ = h->type;
	*p++ = h->packing;
	*p++ = 0;
	*p++ = 0;
	p = put_u32(p, h->stored);
	p = put_u32(p, h->raw);
	p = put_u32(p, h->count);
	p = put_u32(p, 0);
	p = put_u64(p, h->first);
	p = put_u64(p, h->payload_hash);
	put_u64(p, XXH3_64bits(out, CHUNK_HDR_BYTES - 8));
}

static bool lengths_ok(const struct chunk_hdr *h)
{
	if (h->raw > CHUNK_RAW_MAX)
		return false;
	if (h->packing == PACK_NONE)
		return h->stored == h->raw;
	return h->packing == PACK_ZSTD && h->stored < h->raw;
}

static bool contents_ok(const struct chunk_hdr *h)
{
	switch (h->type) {
	case CH_HEADER:
	case CH_INDEX:
	case CH_OBJECT_PAGES:
		return h->first == 0;
	case CH_PAGES:
		return h->count && h->count <= PAGES_PER_CHUNK_MAX && h->raw == h->count * TRACE_PAGE &&
		       h->first && h->first <= PAGE_ID_MAX;
	case CH_CKPT:
		return h->count == 1;
	case CH_DATA:
		return h->count == 1 && h->raw && h->raw <= EV_WRITE_MAX;
	case CH_OBJECTS:
	case CH_EVENTS:
		return h->count != 0;
	case CH_END:
		return h->raw == END_RAW_BYTES && h->packing == PACK_NONE;
	}
	return h->type >= CH_ANCILLARY;
}

int chunk_hdr_decode(struct cursor *c, struct chunk_hdr *ret_h)
{
	struct cursor at = *c;
	const uint8_t *start = at.p;
	uint32_t magic = cursor_u32(&at);
	struct chunk_hdr h = { .type = cursor_u8(&at) };
	uint32_t zero;

	h.packing = cursor_u8(&at);
	zero = cursor_u8(&at);
	zero |= cursor_u8(&at);
	h.stored = cursor_u32(&at);
	h.raw = cursor_u32(&at);
	h.count = cursor_u32(&at);
	zero |= cursor_u32(&at);
	h.first = cursor_u64(&at);
	h.payload_hash = cursor_u64(&at);
	uint64_t hash = cursor_u64(&at);

	if (at.err)
		return at.err;
	if (magic != CHUNK_MAGIC || hash != XXH3_64bits(start, CHUNK_HDR_BYTES - 8))
		return -RL_ECORRUPT;
	if (zero || !lengths_ok(&h) || !contents_ok(&h))
		return -RL_ECORRUPT;
	*c = at;
	*ret_h = h;
	return 0;
}

void end_record_encode(const struct end_record *e, uint8_t out[END_RAW_BYTES])
{
	uint8_t *p = put_u32(out, (uint32_t)e->exit_status);

	p = put_u32(p, e->n_objects);
	p = put_u32(p, e->n_ckpts);
	p = put_u32(p, 0);
	p = put_u64(p, e->n_events);
	p = put_u64(p, e->n_pages);
	put_u64(p, e->index_offset);
}

int end_record_decode(struct cursor *c, struct end_record *ret_e)
{
	struct end_record e = { .exit_status = (int32_t)cursor_u32(c) };
	uint32_t zero;

	e.n_objects = cursor_u32(c);
	e.n_ckpts = cursor_u32(c);
	zero = cursor_u32(c);
	e.n_events = cursor_u64(c);
	e.n_pages = cursor_u64(c);
	e.index_offset = cursor_u64(c);
	if (c->err || cursor_left(c) || zero)
		return -RL_ECORRUPT;
	*ret_e = e;
	return 0;
}
