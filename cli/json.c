#include "cli/json.h"

#include <inttypes.h>
#include <string.h>

#include "cli/utf8.h"

static void new_line(struct json *j)
{
	if (j->style != JSON_INDENTED)
		return;
	putc('\n', j->f);
	for (int i = 0; i < j->depth; i++)
		fputs("  ", j->f);
}

static void put_string(FILE *f, const char *s, size_t n)
{
	putc('"', f);
	while (n) {
		uint32_t c = 0;
		size_t len = utf8_decode(s, n, &c);

		if (!len)
			fputs("\\ufffd", f);
		else if (c == '"' || c == '\\')
			fprintf(f, "\\%c", (char)c);
		else if (!utf8_is_printable(c) && c >= 0x10000)
			fprintf(f, "\\u%04" PRIx32 "\\u%04" PRIx32, 0xd7c0 + (c >> 10), 0xdc00 + (c & 0x3ff));
		else if (!utf8_is_printable(c))
			fprintf(f, "\\u%04" PRIx32, c);
		else
			fwrite(s, 1, len, f);
		s += len ? len : 1;
		n -= len ? len : 1;
	}
	putc('"', f);
}

static void member(struct json *j, const char *key)
{
	if (j->has_member)
		fputs(j->style == JSON_INDENTED ? "," : ", ", j->f);
	if (j->depth)
		new_line(j);
	j->has_member = true;
	if (key) {
		put_string(j->f, key, strlen(key));
		fputs(": ", j->f);
	}
}

static void open_with(struct json *j, const char *key, char c)
{
	member(j, key);
	putc(c, j->f);
	j->depth++;
	j->has_member = false;
}

static void close_with(struct json *j, char c)
{
	j->depth--;
	if (j->has_member)
		new_line(j);
	putc(c, j->f);
	j->has_member = true;
}

void json_object(struct json *j, const char *key)
{
	open_with(j, key, '{');
}

void json_object_end(struct json *j)
{
	close_with(j, '}');
}

void json_array(struct json *j, const char *key)
{
	open_with(j, key, '[');
}

void json_array_end(struct json *j)
{
	close_with(j, ']');
}

void json_bytes(struct json *j, const char *key, const char *s, size_t n)
{
	member(j, key);
	put_string(j->f, s, n);
}

void json_str(struct json *j, const char *key, const char *s)
{
	json_bytes(j, key, s, strlen(s));
}

void json_u64(struct json *j, const char *key, uint64_t v)
{
	member(j, key);
	fprintf(j->f, "%" PRIu64, v);
}

void json_i64(struct json *j, const char *key, int64_t v)
{
	member(j, key);
	fprintf(j->f, "%" PRId64, v);
}

void json_bool(struct json *j, const char *key, bool v)
{
	member(j, key);
	fputs(v ? "true" : "false", j->f);
}

void json_hex(struct json *j, const char *key, uint64_t v)
{
	member(j, key);
	fprintf(j->f, "\"0x%" PRIx64 "\"", v);
}

void json_null(struct json *j, const char *key)
{
	member(j, key);
	fputs("null", j->f);
}
