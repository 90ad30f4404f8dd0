#include "forge.h"

#include <string.h>
#include <xxhash.h>
#include "common/err.h"

void forge_begin(struct forge *f)
{
	*f = (struct forge){ 0 };
	preamble_encode(buf_add(&f->file, PREAMBLE_BYTES));
}

void forge_chunk_hdr(struct forge *f, struct chunk_hdr h, const void *stored, size_t n)
{
	f->last = f->file.n;
	h.payload_hash = XXH3_64bits(stored, n);
	chunk_hdr_encode(&h, buf_add(&f->file, CHUNK_HDR_BYTES));
	buf_put(&f->file, stored, n);
}

void forge_chunk(struct forge *f, enum chunk_type type, uint64_t first, uint32_t count, const void *raw, size_t n)
{
	struct chunk_hdr h = { .type = (uint8_t)type, .first = first, .count = count,
			       .stored = (uint32_t)n, .raw = (uint32_t)n };

	forge_chunk_hdr(f, h, raw, n);
}

void forge_chunk_buf(struct forge *f, enum chunk_type type, uint64_t first, uint32_t count, struct buf *raw)
{
	forge_chunk(f, type, first, count, raw->p, raw->n);
	buf_free(raw);
}

static void header_bytes(struct buf *b)
{
	for (int i = 0; i < 6; i++)
		buf_str(b, "");
	for (int i = 0; i < 4; i++)
		buf_u64(b, 0);
	buf_varint(b, 0);
	buf_varint(b, 0);
}

void forge_header(struct forge *f)
{
	struct buf b = { 0 };

	header_bytes(&b);
	forge_chunk_buf(f, CH_HEADER, 0, 0, &b);
}

void forge_page(struct forge *f, uint64_t id)
{
	uint8_t page[TRACE_PAGE] = { (uint8_t)id };

	page[0] |= 1;
	forge_chunk(f, CH_PAGES, id, 1, page, sizeof(page));
}

void forge_object(struct forge *f, uint32_t id)
{
	struct buf b = { 0 };

	for (int i = 0; i < 4; i++)
		buf_varint(&b, 0x3000);
	buf_str(&b, "/x");
	forge_chunk_buf(f, CH_OBJECTS, id, 1, &b);
}

/* kind, parts, flags, time, task: the shortest event of task 1 */
#define EVENT_HEAD(kind, parts, flags) (kind), (parts), (flags), 2, 1

static void event_chunk(struct forge *f, uint64_t no, const void *raw, size_t n)
{
	forge_chunk(f, CH_EVENTS, no, 1, raw, n);
}

void forge_event(struct forge *f, uint64_t no)
{
	static const uint8_t raw[] = { EVENT_HEAD(EV_INSN, 1, 0) };

	event_chunk(f, no, raw, sizeof(raw));
}

void forge_end(struct forge *f, uint64_t n_events, uint64_t n_pages)
{
	struct end_record e = { .n_events = n_events, .n_pages = n_pages };
	uint8_t raw[END_RAW_BYTES];

	end_record_encode(&e, raw);
	forge_chunk(f, CH_END, 0, 0, raw, sizeof(raw));
}

/* ---- one broken rule each, after a header and event 1 ---- */

static void begin(struct forge *f)
{
	forge_begin(f);
	forge_header(f);
	forge_event(f, 1);
}

static void bad_magic(struct forge *f)
{
	begin(f);
	f->file.p[0] = 'R';
}

static void newer_version(struct forge *f)
{
	uint32_t v = FMT_VERSION + 1;
	uint64_t hash;

	begin(f);
	memcpy(f->file.p + 8, &v, 4);
	memcpy(f->file.p + 12, &v, 4);
	hash = XXH3_64bits(f->file.p, 16);
	memcpy(f->file.p + 16, &hash, 8);
}

static void preamble_hash(struct forge *f)
{
	begin(f);
	f->file.p[8] ^= 2;
}

static void no_header(struct forge *f)
{
	forge_begin(f);
	forge_event(f, 1);
}

static void two_headers(struct forge *f)
{
	begin(f);
	forge_header(f);
	forge_event(f, 2);
}

static void header_string_unterminated(struct forge *f)
{
	static const uint8_t raw[] = { 3, 'a', 'b', 'c' };

	forge_begin(f);
	forge_chunk(f, CH_HEADER, 0, 0, raw, sizeof(raw));
	forge_event(f, 1);
}

static void header_trailing_byte(struct forge *f)
{
	struct buf b = { 0 };

	forge_begin(f);
	header_bytes(&b);
	buf_u8(&b, 0);
	forge_chunk_buf(f, CH_HEADER, 0, 0, &b);
	forge_event(f, 1);
}

static void header_argv_too_many(struct forge *f)
{
	struct buf b = { 0 };

	forge_begin(f);
	header_bytes(&b);
	b.n -= 2;
	buf_varint(&b, UINT32_MAX);
	buf_varint(&b, 0);
	forge_chunk_buf(f, CH_HEADER, 0, 0, &b);
	forge_event(f, 1);
}

static void unknown_type(struct forge *f)
{
	begin(f);
	forge_chunk(f, 0x7f, 0, 0, "x", 1);
	forge_event(f, 2);
}

static void unknown_packing(struct forge *f)
{
	begin(f);
	forge_chunk_hdr(f, (struct chunk_hdr){ .type = CH_EVENTS, .packing = 2, .stored = 5, .raw = 5, .first = 2,
					       .count = 1 }, "\5\1\0\2\1", 5);
}

static void stored_longer_than_raw(struct forge *f)
{
	begin(f);
	forge_chunk_hdr(f, (struct chunk_hdr){ .type = CH_EVENTS, .packing = PACK_ZSTD, .stored = 6, .raw = 5,
					       .first = 2, .count = 1 }, "xxxxxx", 6);
}

static void raw_too_long(struct forge *f)
{
	begin(f);
	forge_chunk_hdr(f, (struct chunk_hdr){ .type = CH_EVENTS, .packing = PACK_ZSTD, .stored = 4, .first = 2,
					       .raw = CHUNK_RAW_MAX + 1, .count = 1 }, "xxxx", 4);
}

static void not_zstd(struct forge *f)
{
	begin(f);
	forge_chunk_hdr(f, (struct chunk_hdr){ .type = CH_EVENTS, .packing = PACK_ZSTD, .stored = 5, .raw = 500,
					       .first = 2, .count = 1 }, "plain", 5);
}

static void reserved_byte(struct forge *f)
{
	uint8_t *h;
	uint64_t hash;

	begin(f);
	forge_event(f, 2);
	h = f->file.p + f->last;
	h[6] = 1;
	hash = XXH3_64bits(h, CHUNK_HDR_BYTES - 8);
	memcpy(h + CHUNK_HDR_BYTES - 8, &hash, 8);
}

static void header_hash(struct forge *f)
{
	begin(f);
	forge_event(f, 2);
	f->file.p[f->last + 40] ^= 1;
}

static void payload_hash(struct forge *f)
{
	begin(f);
	forge_event(f, 2);
	f->file.p[f->last + CHUNK_HDR_BYTES] ^= 1;
}

static void event_number_gap(struct forge *f)
{
	begin(f);
	forge_event(f, 3);
}

static void event_number_repeated(struct forge *f)
{
	begin(f);
	forge_event(f, 1);
}

static void page_number_gap(struct forge *f)
{
	begin(f);
	forge_page(f, 2);
	forge_event(f, 2);
}

static void page_chunk_length(struct forge *f)
{
	static const uint8_t raw[TRACE_PAGE - 1] = { 1 };

	begin(f);
	forge_chunk(f, CH_PAGES, 1, 1, raw, sizeof(raw));
}

static void object_trailing_byte(struct forge *f)
{
	begin(f);
	forge_chunk(f, CH_OBJECTS, 1, 1, "\0\1\0\0\0\0\0", 7);
}

static void object_fewer_than_count(struct forge *f)
{
	begin(f);
	forge_chunk(f, CH_OBJECTS, 1, 2, "\0\1\0\0\0\0", 6);
}

static void object_size_negative(struct forge *f)
{
	begin(f);
	forge_chunk(f, CH_OBJECTS, 1, 1, "\0\xff\xff\xff\xff\xff\xff\xff\xff\xff\1\0\0\0\0", 15);
}

static void object_pages_with(struct forge *f, const void *raw, size_t n)
{
	begin(f);
	forge_page(f, 1);
	forge_object(f, 1);
	forge_chunk(f, CH_OBJECT_PAGES, 0, 1, raw, n);
}

static void object_page_index_too_great(struct forge *f)
{
	object_pages_with(f, "\1\1\x80\x80\x80\x80\x80\x80\x80\x08\1", 11);
}

static void object_page_unknown(struct forge *f)
{
	object_pages_with(f, "\1\1\0\3", 4);
}

static void object_pages_of_no_object(struct forge *f)
{
	object_pages_with(f, "\2\1\0\1", 4);
}

/* event, process, two pids, executable, brk twice, no arguments: then come the mappings */
#define CKPT_HEAD "\1\1" "\1\0\0\0" "\1\0\0\0" "\0\0" "\0\0\0\0\0\0\0\0" "\0\0\0\0\0\0\0\0" "\0"

static void ckpt_with(struct forge *f, const void *raw, size_t n)
{
	begin(f);
	forge_chunk(f, CH_CKPT, 1, 1, raw, n);
}

static void ckpt_map_unaligned(struct forge *f)
{
	static const char raw[] = CKPT_HEAD "\1" "\0\1\0\0\0\0\0\0" "\0\0\0";

	ckpt_with(f, raw, sizeof(raw) - 1);
}

static void ckpt_page_unknown(struct forge *f)
{
	static const char raw[] = CKPT_HEAD "\0" "\1\2\1" "\0\0";

	ckpt_with(f, raw, sizeof(raw) - 1);
}

static void ckpt_trailing_byte(struct forge *f)
{
	static const char raw[] = CKPT_HEAD "\0\0\0\0" "\0";

	ckpt_with(f, raw, sizeof(raw) - 1);
}

void forge_ckpt(struct forge *f, uint32_t id)
{
	static const char raw[] = CKPT_HEAD "\0\0\0\0";

	forge_chunk(f, CH_CKPT, id, 1, raw, sizeof(raw) - 1);
}

static void empty_events_chunk(struct forge *f)
{
	begin(f);
	forge_chunk(f, CH_EVENTS, 2, 0, "", 0);
}

static void end_disagrees(struct forge *f)
{
	begin(f);
	forge_end(f, 2, 0);
}

static void chunk_after_end(struct forge *f)
{
	begin(f);
	forge_end(f, 1, 0);
	forge_event(f, 2);
}

static void chunk_after_index(struct forge *f)
{
	begin(f);
	forge_chunk(f, CH_INDEX, 0, 0, "", 0);
	forge_event(f, 2);
}

#define BAD_EVENT(name, ...) \
	static void name(struct forge *f) \
	{ \
		static const uint8_t raw[] = { __VA_ARGS__ }; \
		begin(f); \
		event_chunk(f, 2, raw, sizeof(raw)); \
	}

BAD_EVENT(event_kind_zero, EVENT_HEAD(0, 1, 0))
BAD_EVENT(event_kind_unknown, EVENT_HEAD(0xff, 1, 0))
BAD_EVENT(event_part_unknown, EV_INSN, 0x80, 0x80, 1, 0, 2)
BAD_EVENT(event_trailing_byte, EVENT_HEAD(EV_INSN, 1, 0), 0)
BAD_EVENT(event_cut, EV_INSN, 1, 0)
BAD_EVENT(event_varint_overlong, EV_INSN, 1, 0, 0x82, 0x00, 1)
BAD_EVENT(event_varint_too_wide, EV_INSN, 1, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 1)
BAD_EVENT(event_task_repeated, EV_INSN, 1, 0, 2, 0)
BAD_EVENT(event_writes_none, EVENT_HEAD(EV_SYSCALL, 0x41, 0), 0)
BAD_EVENT(event_writes_too_many, EVENT_HEAD(EV_SYSCALL, 0x41, 0), 0xff, 0xff, 0x7f, 0, 0)
BAD_EVENT(event_write_past_end, EVENT_HEAD(EV_SYSCALL, 0x41, 0), 1, 5 << 2, 0, 'a', 'b')
BAD_EVENT(event_write_short_in_data_chunk, EVENT_HEAD(EV_SYSCALL, 0x41, 0), 1, 5 << 2 | 2, 0, 1)
BAD_EVENT(event_write_no_data_chunk, EVENT_HEAD(EV_SYSCALL, 0x41, 0), 1, 0x82, 0x80, 0x20, 0, 1)
BAD_EVENT(event_write_page_unknown, EVENT_HEAD(EV_SYSCALL, 0x41, 0), 1, 5 << 2 | 2, 0, 0, 1)
BAD_EVENT(event_write_empty_in_pages, EVENT_HEAD(EV_SYSCALL, 0x41, 0), 1, 2, 0, 0)
BAD_EVENT(event_write_pages_cut, EVENT_HEAD(EV_SYSCALL, 0x41, 0), 1, 0x86, 0x80, 0x02, 0, 0, 0, 0)
BAD_EVENT(event_asop_kind, EVENT_HEAD(EV_SYSCALL, 0x81, 1), 1, 0xff, 0, 0, 0, 0, 0, 0, 0, 0)
BAD_EVENT(event_asop_object, EVENT_HEAD(EV_SYSCALL, 0x81, 1), 1, AS_MAP, 0, 0, 1, 0, 0, 0, 0, 0)
BAD_EVENT(event_write_into_no_object, EVENT_HEAD(EV_SYSCALL, 0x41, 0), 1, 1 << 2 | 1, 0x81, 0x80, 0x80, 0x80, 8, 0, 'a')
BAD_EVENT(event_registers_mask, EVENT_HEAD(EV_INSN, 1, EVF_BEFORE), 0x80, 0x80, 0x80, 0x80, 1)
BAD_EVENT(event_register_unchanged, EVENT_HEAD(EV_INSN, 1, EVF_BEFORE), 1, 0)
BAD_EVENT(event_ckpt_unknown, EVENT_HEAD(EV_EXEC, 0x11, 0), 1)

static void event_page_unaligned(struct forge *f)
{
	static const uint8_t raw[] = { EV_CLOCK, 0x81, 2, 0, 2, 1, 1, 2, 0, 1, 2, 3, 4, 5, 6, 7, 8 };

	begin(f);
	event_chunk(f, 2, raw, sizeof(raw));
}

static void data_length_differs(struct forge *f)
{
	static const uint8_t data[INLINE_MAX + 2];
	static const uint8_t raw[] = { EVENT_HEAD(EV_SYSCALL, 0x41, 0), 1, 0x86, 0x80, 0x08, 0, 1 };

	begin(f);
	forge_chunk(f, CH_DATA, 1, 1, data, sizeof(data));
	event_chunk(f, 2, raw, sizeof(raw));
}

const struct bad_file bad_files[] = {
	{ "bad-magic", bad_magic, -RL_ECORRUPT, 0, 0, "" },
	{ "newer-version", newer_version, -RL_EVERSION, 0, 0, "" },
	{ "preamble-hash", preamble_hash, -RL_ECORRUPT, 0, 0, "" },
	{ "no-header", no_header, -RL_ECORRUPT, 0, 0, "" },
	{ "two-headers", two_headers, 0, 1, 1, "damaged" },
	{ "header-string-unterminated", header_string_unterminated, -RL_ECORRUPT, 0, 0, "" },
	{ "header-trailing-byte", header_trailing_byte, -RL_ECORRUPT, 0, 0, "" },
	{ "header-argv-too-many", header_argv_too_many, -RL_ECORRUPT, 0, 0, "" },
	{ "unknown-type", unknown_type, 0, 1, 1, "damaged" },
	{ "unknown-packing", unknown_packing, 0, 1, 1, "damaged" },
	{ "stored-longer-than-raw", stored_longer_than_raw, 0, 1, 1, "damaged" },
	{ "raw-too-long", raw_too_long, 0, 1, 1, "damaged" },
	{ "not-zstd", not_zstd, 0, 2, 1, "a damaged chunk" },
	{ "reserved-byte", reserved_byte, 0, 1, 1, "damaged" },
	{ "header-hash", header_hash, 0, 1, 1, "damaged" },
	{ "payload-hash", payload_hash, 0, 1, 1, "damaged" },
	{ "event-number-gap", event_number_gap, 0, 1, 1, "damaged" },
	{ "event-number-repeated", event_number_repeated, 0, 1, 1, "damaged" },
	{ "page-number-gap", page_number_gap, 0, 1, 1, "damaged" },
	{ "page-chunk-length", page_chunk_length, 0, 1, 1, "damaged" },
	{ "object-trailing-byte", object_trailing_byte, 0, 1, 1, "damaged" },
	{ "object-fewer-than-count", object_fewer_than_count, 0, 1, 1, "damaged" },
	{ "object-size-negative", object_size_negative, 0, 1, 1, "damaged" },
	{ "object-page-index-too-great", object_page_index_too_great, 0, 1, 1, "wrong list" },
	{ "object-page-unknown", object_page_unknown, 0, 1, 1, "wrong list" },
	{ "object-pages-of-no-object", object_pages_of_no_object, 0, 1, 1, "wrong list" },
	{ "ckpt-map-unaligned", ckpt_map_unaligned, 0, 1, 1, "wrong checkpoint" },
	{ "ckpt-page-unknown", ckpt_page_unknown, 0, 1, 1, "wrong checkpoint" },
	{ "ckpt-trailing-byte", ckpt_trailing_byte, 0, 1, 1, "wrong checkpoint" },
	{ "empty-events-chunk", empty_events_chunk, 0, 1, 1, "damaged" },
	{ "end-disagrees", end_disagrees, 0, 1, 1, "damaged" },
	{ "chunk-after-end", chunk_after_end, 0, 1, 1, "follows the trace's end" },
	{ "chunk-after-index", chunk_after_index, 0, 1, 1, "damaged" },
	{ "event-kind-zero", event_kind_zero, 0, 2, 1, "wrong event" },
	{ "event-kind-unknown", event_kind_unknown, 0, 2, 1, "wrong event" },
	{ "event-part-unknown", event_part_unknown, 0, 2, 1, "wrong event" },
	{ "event-trailing-byte", event_trailing_byte, 0, 2, 1, "wrong event" },
	{ "event-cut", event_cut, 0, 2, 1, "wrong event" },
	{ "event-varint-overlong", event_varint_overlong, 0, 2, 1, "wrong event" },
	{ "event-varint-too-wide", event_varint_too_wide, 0, 2, 1, "wrong event" },
	{ "event-task-repeated", event_task_repeated, 0, 2, 1, "wrong event" },
	{ "event-writes-none", event_writes_none, 0, 2, 1, "wrong event" },
	{ "event-writes-too-many", event_writes_too_many, 0, 2, 1, "wrong event" },
	{ "event-write-past-end", event_write_past_end, 0, 2, 1, "wrong event" },
	{ "event-write-short-in-data-chunk", event_write_short_in_data_chunk, 0, 2, 1, "wrong event" },
	{ "event-write-no-data-chunk", event_write_no_data_chunk, 0, 2, 1, "wrong data" },
	{ "event-write-page-unknown", event_write_page_unknown, 0, 2, 1, "wrong event" },
	{ "event-write-empty-in-pages", event_write_empty_in_pages, 0, 2, 1, "wrong event" },
	{ "event-write-pages-cut", event_write_pages_cut, 0, 2, 1, "wrong event" },
	{ "event-write-into-no-object", event_write_into_no_object, 0, 2, 1, "wrong event" },
	{ "event-asop-kind", event_asop_kind, 0, 2, 1, "wrong event" },
	{ "event-asop-object", event_asop_object, 0, 2, 1, "wrong event" },
	{ "event-page-unaligned", event_page_unaligned, 0, 2, 1, "wrong event" },
	{ "event-registers-mask", event_registers_mask, 0, 2, 1, "wrong event" },
	{ "event-register-unchanged", event_register_unchanged, 0, 2, 1, "wrong event" },
	{ "event-ckpt-unknown", event_ckpt_unknown, 0, 2, 1, "wrong event" },
	{ "data-length-differs", data_length_differs, 0, 2, 1, "wrong length" },
};
const size_t n_bad_files = sizeof(bad_files) / sizeof(bad_files[0]);
