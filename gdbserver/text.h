/* Text of replies, added to a buffer (common/buf.h): append freely, look at its `err` once. */
#ifndef RELIVE_GDB_TEXT_H
#define RELIVE_GDB_TEXT_H

#include "common/buf.h"

void out_char(struct buf *b, char c);
void out_str(struct buf *b, const char *s);
void out_fmt(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Two lower-case hexadecimal digits a byte. */
void out_hex(struct buf *b, const void *data, size_t n);
/* XML text or attribute value: markup characters as entities, control characters and broken UTF-8 as '?'. */
void out_xml(struct buf *b, const char *s);

#endif
