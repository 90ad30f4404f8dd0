/* A growable byte buffer; running out of memory latches, so that callers check once.
 *
 * A zeroed struct buf is an empty buffer. After -ENOMEM the buffer keeps its bytes and every later call on it that
 * adds bytes does nothing and gives -ENOMEM (or NULL).
 */
#ifndef RELIVE_BUF_H
#define RELIVE_BUF_H

#include <stddef.h>
#include <stdint.h>

struct buf {
	uint8_t *p;
	size_t n, cap;   /* bytes used, bytes allocated */
	int err;
};

void buf_free(struct buf *b);

/** Forget the bytes and the error; keep the memory. */
void buf_clear(struct buf *b);

/** Make room for @n more bytes beyond b->n without adding them. 0 or -ENOMEM. */
int buf_reserve(struct buf *b, size_t n);

/** Add @n unspecified bytes and return where they begin, or NULL. Valid until the next call that adds. */
uint8_t *buf_add(struct buf *b, size_t n);

int buf_put(struct buf *b, const void *bytes, size_t n);
int buf_u8(struct buf *b, uint8_t v);
int buf_u32(struct buf *b, uint32_t v);          /* little-endian */
int buf_u64(struct buf *b, uint64_t v);
int buf_varint(struct buf *b, uint64_t v);       /* see varint_put() */
int buf_zigzag(struct buf *b, int64_t v);
int buf_str(struct buf *b, const char *s);       /* length, bytes, NUL; NULL is written as "" */

/* The primitives, for writers that have made room themselves. */
#define VARINT_MAX_BYTES 10

/** Write @v as unsigned LEB128 in its shortest form at @p (room for VARINT_MAX_BYTES); returns the byte after it. */
static inline uint8_t *varint_put(uint8_t *p, uint64_t v)
{
	while (v >= 0x80) {
		*p++ = (uint8_t)(v | 0x80);
		v >>= 7;
	}
	*p++ = (uint8_t)v;
	return p;
}

static inline uint64_t zigzag_of(int64_t v)
{
	return ((uint64_t)v << 1) ^ (uint64_t)(v >> 63);
}

#endif
