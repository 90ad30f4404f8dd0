/* Writing JSON (RFC 8259), value after value. Keys are given by the program, strings may hold any bytes. */
#ifndef RELIVE_CLI_JSON_H
#define RELIVE_CLI_JSON_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum json_style {
	JSON_ONE_LINE,          /* everything on one line */
	JSON_INDENTED,
};

struct json {
	FILE *f;
	enum json_style style;
	int depth;
	bool has_member;        /* the innermost object or array already has one */
};

/* @key is NULL inside arrays and for the outermost value. Bytes that are not UTF-8 become U+FFFD. */
void json_object(struct json *j, const char *key);
void json_object_end(struct json *j);
void json_array(struct json *j, const char *key);
void json_array_end(struct json *j);
void json_str(struct json *j, const char *key, const char *s);
void json_bytes(struct json *j, const char *key, const char *s, size_t n);
void json_u64(struct json *j, const char *key, uint64_t v);
void json_i64(struct json *j, const char *key, int64_t v);
void json_bool(struct json *j, const char *key, bool v);
/** A 64-bit quantity such as an address: a string "0x...", since many readers keep numbers as doubles. */
void json_hex(struct json *j, const char *key, uint64_t v);
void json_null(struct json *j, const char *key);

#endif
