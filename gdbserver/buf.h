/* A growing byte buffer whose first error latches: append freely, look at `err` once. */
#ifndef RELIVE_GDB_BUF_H
#define RELIVE_GDB_BUF_H

#include <stddef.h>
#include <stdint.h>

struct buf {
	uint8_t *data;
	size_t n, cap;
	int err;         /* 0 or -ENOMEM; once set, appends do nothing */
};

void buf_free(struct buf *b);
/* Empty it, and forget the error; the memory is kept. */
void buf_clear(struct buf *b);

void buf_add(struct buf *b, const void *data, size_t n);
void buf_char(struct buf *b, char c);
void buf_str(struct buf *b, const char *s);
void buf_fmt(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Two lower-case hexadecimal digits a byte. */
void buf_hex(struct buf *b, const void *data, size_t n);
/* XML text or attribute value: markup characters as entities, control characters and broken UTF-8 as '?'. */
void buf_xml(struct buf *b, const char *s);

#endif
