/* Reading untrusted bytes: a cursor whose first error latches, so that callers check once.
 *
 * After an error every read gives 0 (or NULL) and moves nothing; err tells which error was first:
 * -RL_ETRUNCATED (the bytes end too early) or -RL_ECORRUPT (they break a rule).
 */
#ifndef RELIVE_CURSOR_H
#define RELIVE_CURSOR_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include "common/err.h"

struct cursor {
	const uint8_t *p, *end;
	int err;
};

static inline struct cursor cursor_of(const void *bytes, size_t n)
{
	const uint8_t *p = (const uint8_t *)bytes;

	/* p + 0 of a null pointer is undefined behaviour */
	return (struct cursor){ p, n ? p + n : p, 0 };
}

static inline size_t cursor_left(const struct cursor *c)
{
	return c->err ? 0 : (size_t)(c->end - c->p);
}

/* Latch an error that the caller found; the first one stays. */
static inline void cursor_fail(struct cursor *c, int err)
{
	if (!c->err)
		c->err = err;
}

/** The next @n bytes, in place; NULL after an error. n = 0 gives a pointer that must not be read from. */
static inline const uint8_t *cursor_bytes(struct cursor *c, uint64_t n)
{
	const uint8_t *at = c->p;

	if (c->err)
		return NULL;
	if (n > (uint64_t)(c->end - c->p)) {
		c->err = -RL_ETRUNCATED;
		return NULL;
	}
	c->p += n;
	return at;
}

static inline uint8_t cursor_u8(struct cursor *c)
{
	if (c->err || c->p == c->end) {
		cursor_fail(c, -RL_ETRUNCATED);
		return 0;
	}
	return *c->p++;
}

static inline uint32_t cursor_u32(struct cursor *c)
{
	const uint8_t *at = cursor_bytes(c, 4);
	uint32_t v = 0;

	if (at)
		memcpy(&v, at, 4);   /* the only hosts are little-endian */
	return v;
}

static inline uint64_t cursor_u64(struct cursor *c)
{
	const uint8_t *at = cursor_bytes(c, 8);
	uint64_t v = 0;

	if (at)
		memcpy(&v, at, 8);
	return v;
}

/** An unsigned LEB128 number of up to 64 bits in its shortest form; any other form is -RL_ECORRUPT. */
static inline uint64_t cursor_varint(struct cursor *c)
{
	uint64_t v = 0;
	unsigned shift = 0;
	uint8_t b;

	do {
		b = cursor_u8(c);
		if (c->err)
			return 0;
		if (shift == 63 && b > 1) {
			c->err = -RL_ECORRUPT;
			return 0;
		}
		v |= (uint64_t)(b & 0x7f) << shift;
		shift += 7;
	} while (b & 0x80);
	if (!b && shift > 7) {
		c->err = -RL_ECORRUPT;
		return 0;
	}
	return v;
}

/** A varint no greater than @max, else -RL_ECORRUPT. */
static inline uint64_t cursor_varint_max(struct cursor *c, uint64_t max)
{
	uint64_t v = cursor_varint(c);

	if (v > max) {
		cursor_fail(c, -RL_ECORRUPT);
		return 0;
	}
	return v;
}

/** A signed number, zigzag-coded: 0, -1, 1, -2, ... as the varints 0, 1, 2, 3, ... */
static inline int64_t cursor_zigzag(struct cursor *c)
{
	uint64_t v = cursor_varint(c);

	return (int64_t)((v >> 1) ^ -(v & 1));
}

/** A string as buf_str() wrote it, in place: a length, that many bytes without a NUL, a NUL. NULL after an error. */
static inline const char *cursor_str(struct cursor *c)
{
	uint64_t n = cursor_varint(c);
	const uint8_t *at;

	if (n == UINT64_MAX) {
		cursor_fail(c, -RL_ECORRUPT);
		return NULL;
	}
	at = cursor_bytes(c, n + 1);
	if (!at)
		return NULL;
	if (memchr(at, 0, n + 1) != at + n) {
		cursor_fail(c, -RL_ECORRUPT);
		return NULL;
	}
	return (const char *)at;
}

#endif
