#include "common/buf.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "common/fault.h"
#include "common/banned.h"

#define BUF_MIN_BYTES 256

void buf_free(struct buf *b)
{
	free(b->p);
	*b = (struct buf){ 0 };
}

void buf_clear(struct buf *b)
{
	b->n = 0;
	b->err = 0;
}

static int buf_grow(struct buf *b, size_t n)
{
	size_t cap = b->cap ? b->cap : BUF_MIN_BYTES;
	uint8_t *p;

	if (n > SIZE_MAX / 4 - b->n)
		return b->err = -ENOMEM;
	while (cap < b->n + n)
		cap *= 2;
	p = FAULT("buf-grow") ? NULL : realloc(b->p, cap);
	if (!p)
		return b->err = -ENOMEM;
	b->p = p;
	b->cap = cap;
	return 0;
}

int buf_reserve(struct buf *b, size_t n)
{
	if (b->err)
		return b->err;
	return b->cap - b->n >= n ? 0 : buf_grow(b, n);
}

uint8_t *buf_add(struct buf *b, size_t n)
{
	uint8_t *at;

	if (buf_reserve(b, n ? n : 1))   /* NULL must mean an error */
		return NULL;
	at = b->p + b->n;
	b->n += n;
	return at;
}

int buf_put(struct buf *b, const void *bytes, size_t n)
{
	uint8_t *at;

	if (!n)
		return b->err;
	at = buf_add(b, n);
	if (at)
		memcpy(at, bytes, n);
	return b->err;
}

int buf_u8(struct buf *b, uint8_t v)
{
	return buf_put(b, &v, 1);
}

int buf_u32(struct buf *b, uint32_t v)
{
	return buf_put(b, &v, 4);
}

int buf_u64(struct buf *b, uint64_t v)
{
	return buf_put(b, &v, 8);
}

int buf_varint(struct buf *b, uint64_t v)
{
	if (!buf_reserve(b, VARINT_MAX_BYTES))
		b->n = (size_t)(varint_put(b->p + b->n, v) - b->p);
	return b->err;
}

int buf_zigzag(struct buf *b, int64_t v)
{
	return buf_varint(b, zigzag_of(v));
}

int buf_str(struct buf *b, const char *s)
{
	size_t n = s ? strlen(s) : 0;

	buf_varint(b, n);
	return buf_put(b, s ? s : "", n + 1);
}
