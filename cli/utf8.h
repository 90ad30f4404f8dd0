/* Decoding UTF-8 that nobody has vouched for. */
#ifndef RELIVE_CLI_UTF8_H
#define RELIVE_CLI_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * Decode the character at the start of @n bytes (RFC 3629: no overlong forms, no surrogates).
 * Its length, 1 to 4, with *ret_c set; 0 if these bytes are not UTF-8 or n is 0.
 */
size_t utf8_decode(const char *s, size_t n, uint32_t *ret_c);

/** Whether a terminal shows the character where it stands: no control, nothing invisible, nothing that turns the text's direction. */
bool utf8_is_printable(uint32_t c);

#endif
