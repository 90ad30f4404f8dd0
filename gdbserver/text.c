#include "gdbserver/text.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Room for n more bytes; NULL latches -ENOMEM. */
static uint8_t *room(struct buf *b, size_t n)
{
	return buf_reserve(b, n) ? NULL : b->p + b->n;
}

void out_char(struct buf *b, char c)
{
	buf_put(b, &c, 1);
}

void out_str(struct buf *b, const char *s)
{
	buf_put(b, s, strlen(s));
}

void out_fmt(struct buf *b, const char *fmt, ...)
{
	va_list ap;
	uint8_t *to;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	to = n < 0 ? NULL : room(b, (size_t)n + 1);
	if (!to)
		return;
	va_start(ap, fmt);
	vsnprintf((char *)to, (size_t)n + 1, fmt, ap);
	va_end(ap);
	b->n += (size_t)n;
}

void out_hex(struct buf *b, const void *data, size_t n)
{
	static const char digits[] = "0123456789abcdef";
	const uint8_t *from = data;
	uint8_t *to = n > SIZE_MAX / 2 ? NULL : room(b, 2 * n);

	if (!to)
		return;
	for (size_t i = 0; i < n; i++) {
		*to++ = (uint8_t)digits[from[i] >> 4];
		*to++ = (uint8_t)digits[from[i] & 15];
	}
	b->n += 2 * n;
}

/* Length of the well-formed UTF-8 sequence of two to four bytes at s; 0 if there is none. */
static size_t utf8_len(const unsigned char *s)
{
	size_t n = s[0] >= 0xc2 && s[0] < 0xe0 ? 2 : s[0] >= 0xe0 && s[0] < 0xf0 ? 3 : s[0] >= 0xf0 && s[0] < 0xf5 ? 4 : 0;

	for (size_t i = 1; i < n; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	/* Overlong forms, surrogates, and what lies beyond Unicode. */
	if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) ||
	    (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f))
		return 0;
	return n;
}

void out_xml(struct buf *b, const char *s)
{
	for (const unsigned char *p = (const unsigned char *)s; *p; p++) {
		size_t wide = *p < 0x80 ? 0 : utf8_len(p);

		if (wide) {
			buf_put(b, p, wide);
			p += wide - 1;
			continue;
		}
		switch (*p) {
		case '<': out_str(b, "&lt;"); break;
		case '>': out_str(b, "&gt;"); break;
		case '&': out_str(b, "&amp;"); break;
		case '"': out_str(b, "&quot;"); break;
		case '\'': out_str(b, "&apos;"); break;
		default: out_char(b, *p < 0x20 || *p >= 0x7f ? '?' : (char)*p); break;
		}
	}
}
