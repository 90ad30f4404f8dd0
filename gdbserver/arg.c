#include "gdbserver/arg.h"

#include <errno.h>
#include <string.h>

struct arg arg_of(const char *data, size_t n)
{
	return (struct arg){ .p = data, .end = data + n };
}

static void arg_fail(struct arg *a)
{
	if (!a->err)
		a->err = -EINVAL;
}

bool arg_at_end(const struct arg *a)
{
	return a->err || a->p == a->end;
}

bool arg_skip(struct arg *a, char c)
{
	if (arg_at_end(a) || *a->p != c)
		return false;
	a->p++;
	return true;
}

bool arg_skip_word(struct arg *a, const char *word)
{
	size_t n = strlen(word);

	if (a->err || (size_t)(a->end - a->p) < n || memcmp(a->p, word, n))
		return false;
	a->p += n;
	return true;
}

void arg_want(struct arg *a, char c)
{
	if (!arg_skip(a, c))
		arg_fail(a);
}

void arg_want_end(struct arg *a)
{
	if (!arg_at_end(a))
		arg_fail(a);
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

uint64_t arg_hex(struct arg *a)
{
	uint64_t v = 0;
	const char *start = a->p;

	while (!arg_at_end(a) && hex_digit(*a->p) >= 0) {
		if (v >> 60) {
			arg_fail(a);
			return 0;
		}
		v = v << 4 | (uint64_t)hex_digit(*a->p++);
	}
	if (a->p == start)
		arg_fail(a);
	return a->err ? 0 : v;
}

uint64_t arg_hex_max(struct arg *a, uint64_t max)
{
	uint64_t v = arg_hex(a);

	if (v > max) {
		arg_fail(a);
		return 0;
	}
	return v;
}

static int32_t arg_id(struct arg *a)
{
	if (arg_skip(a, '-')) {
		if (arg_hex(a) != 1)
			arg_fail(a);
		return a->err ? 0 : -1;
	}
	return (int32_t)arg_hex_max(a, INT32_MAX);
}

struct ptid arg_ptid(struct arg *a, int32_t here)
{
	struct ptid id = { .pid = here };

	if (!arg_skip(a, 'p')) {
		id.tid = arg_id(a);
		return id;
	}
	id.pid = arg_id(a);
	id.tid = arg_skip(a, '.') ? arg_id(a) : -1;
	return id;
}

struct arg arg_until(struct arg *a, char c)
{
	struct arg part = *a;
	const char *hit = arg_at_end(a) ? NULL : memchr(a->p, c, (size_t)(a->end - a->p));

	part.end = hit ? hit : a->end;
	if (!a->err)
		a->p = part.end;
	return part;
}

void arg_hex_text(struct arg *a, char *out, size_t size)
{
	size_t n = 0;

	while (!arg_at_end(a)) {
		int high = hex_digit(a->p[0]);
		int low = a->end - a->p < 2 ? -1 : hex_digit(a->p[1]);

		if (high < 0 || low < 0 || !(high | low) || n + 1 >= size) {
			arg_fail(a);
			break;
		}
		out[n++] = (char)(high << 4 | low);
		a->p += 2;
	}
	out[a->err ? 0 : n] = '\0';
}
