/* The input is a list of chunks without framing, which is made here, hashes and numbers right: this finds faults in the
 * decoders of contents. A chunk is: type (1 byte), count (1), length (2, little-endian), that many bytes.
 * A page chunk gets as many pages as count says, its bytes are ignored; a data chunk's bytes are its length in 4 bytes.
 * A type of 0 gives the header's contents.
 */
#include "entry.h"

#include <string.h>
#include "common/cursor.h"
#include "forge.h"

#define INPUT_MAX (1u << 20)

struct totals {
	uint64_t pages, objects, ckpts, data, events;
};

static uint64_t *total_of(struct totals *k, uint8_t type)
{
	switch (type) {
	case CH_PAGES: return &k->pages;
	case CH_OBJECTS: return &k->objects;
	case CH_CKPT: return &k->ckpts;
	case CH_DATA: return &k->data;
	case CH_EVENTS: return &k->events;
	}
	return NULL;
}

static void add_numbered(struct forge *f, struct totals *k, uint8_t type, uint8_t count, const uint8_t *raw, size_t n)
{
	uint64_t *total = total_of(k, type);

	static const uint8_t zeros[EV_WRITE_MAX];
	static uint8_t pages[UINT8_MAX * TRACE_PAGE];
	uint32_t n_data = 0;

	if (type == CH_CKPT || type == CH_DATA || !count)
		count = 1;
	if (type == CH_PAGES) {
		raw = pages;
		n = count * TRACE_PAGE;
	}
	if (type == CH_DATA) {
		memcpy(&n_data, raw, n < 4 ? n : 4);
		raw = zeros;
		n = n_data % (EV_WRITE_MAX + 1);
	}
	forge_chunk(f, type, total ? *total + 1 : 0, count, raw, n);
	if (total)
		*total += count;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
	struct cursor c = cursor_of(bytes, n < INPUT_MAX ? n : INPUT_MAX);
	struct totals k = { 0 };
	struct forge f;
	bool header_seen = false;

	forge_begin(&f);
	while (cursor_left(&c)) {
		uint8_t type = cursor_u8(&c), count = cursor_u8(&c);
		size_t len = cursor_u8(&c);

		len |= (size_t)cursor_u8(&c) << 8;
		if (len > cursor_left(&c))
			len = cursor_left(&c);
		const uint8_t *raw = cursor_bytes(&c, len);

		if (c.err)
			break;
		if (type && !header_seen)
			forge_header(&f);
		header_seen = true;
		add_numbered(&f, &k, type ? type : CH_HEADER, count, raw, len);
	}
	read_as_trace(f.file.p, f.file.n);
	buf_free(&f.file);
	return 0;
}
