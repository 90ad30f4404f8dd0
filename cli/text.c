#include "cli/text.h"

#include <errno.h>
#include <string.h>
#include <sys/wait.h>

#include "cli/command.h"
#include "cli/say.h"
#include "cli/utf8.h"
#include "tracee/sysfmt.h"

static void put_escaped(FILE *f, const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (s[i] == '\n')
			fputs("\\n", f);
		else if (s[i] == '\t')
			fputs("\\t", f);
		else
			fprintf(f, "\\x%02x", (uint8_t)s[i]);
	}
}

static void put_plain(FILE *f, const char *s, size_t n, unsigned flags)
{
	while (n) {
		uint32_t c = 0;
		size_t len = utf8_decode(s, n, &c);
		bool passes = len && (utf8_is_printable(c) || ((flags & TEXT_LINES) && (c == '\n' || c == '\t')));

		if (!len)
			len = 1;
		if (passes)
			fwrite(s, 1, len, f);
		else
			put_escaped(f, s, len);
		s += len;
		n -= len;
	}
}

static bool is_printable_text(const char *s, size_t n)
{
	while (n) {
		uint32_t c = 0;
		size_t len = utf8_decode(s, n, &c);

		if (!len || !utf8_is_printable(c))
			return false;
		s += len;
		n -= len;
	}
	return true;
}

static bool is_plain_word(const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		uint8_t c = (uint8_t)s[i];
		bool alnum = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');

		if (!alnum && c < 0x80 && !strchr("%+,-./:=@_^", c))
			return false;
	}
	return n > 0;
}

/* 'it'\''s', or $'a\nb' where there is something that must not be shown as it is. */
static void put_quoted(FILE *f, const char *s, size_t n)
{
	bool printable = is_printable_text(s, n);

	fputs(printable ? "'" : "$'", f);
	for (size_t i = 0; i < n; i++) {
		uint32_t c = 0;
		size_t len = utf8_decode(s + i, n - i, &c);

		if (s[i] == '\'') {
			fputs(printable ? "'\\''" : "\\'", f);
		} else if (!printable && s[i] == '\\') {
			fputs("\\\\", f);
		} else {
			put_plain(f, s + i, len ? len : 1, 0);
			i += len ? len - 1 : 0;
		}
	}
	putc('\'', f);
}

void text_put(FILE *f, const char *s, size_t n, unsigned flags)
{
	if ((flags & TEXT_ARG) && !(is_plain_word(s, n) && is_printable_text(s, n)))
		put_quoted(f, s, n);
	else
		put_plain(f, s, n, flags);
}

void text_put_argv(FILE *f, uint32_t n_argv, const char *const *argv)
{
	for (uint32_t i = 0; i < n_argv; i++) {
		if (i)
			putc(' ', f);
		text_put(f, argv[i], strlen(argv[i]), TEXT_ARG);
	}
}

bool text_sh_quote(const char *s, char *out, size_t n)
{
	size_t at = 0;

	if (n < 3)
		return false;
	out[at++] = '\'';
	for (; *s; s++) {
		size_t need = *s == '\'' ? 4 : 1;

		if (at + need + 2 > n)
			return false;
		memcpy(out + at, *s == '\'' ? "'\\''" : s, need);
		at += need;
	}
	out[at++] = '\'';
	out[at] = 0;
	return true;
}

const char *text_bytes(uint64_t n_bytes, char buf[TEXT_BYTES_MAX])
{
	static const char *const units[] = { "kB", "MB", "GB", "TB", "PB", "EB" };
	double v = (double)n_bytes;
	int unit = -1;

	while (v >= 999.5 && unit < 5) {
		v /= 1000;
		unit++;
	}
	if (unit < 0)
		snprintf(buf, TEXT_BYTES_MAX, "%u byte%s", (unsigned)n_bytes, n_bytes == 1 ? "" : "s");
	else
		snprintf(buf, TEXT_BYTES_MAX, v < 9.95 ? "%.1f %s" : "%.0f %s", v, units[unit]);
	return buf;
}

const char *text_count(uint64_t n, char buf[TEXT_COUNT_MAX])
{
	char digits[24];
	int len = snprintf(digits, sizeof(digits), "%llu", (unsigned long long)n);
	char *out = buf;

	for (int i = 0; i < len; i++) {
		if (i && (len - i) % 3 == 0)
			*out++ = ',';
		*out++ = digits[i];
	}
	*out = 0;
	return buf;
}

const char *text_signal(int signo, char buf[TEXT_SIGNAL_MAX])
{
	const char *name = sys_signal_name(signo);

	if (name)
		snprintf(buf, TEXT_SIGNAL_MAX, "%s", name);
	else
		snprintf(buf, TEXT_SIGNAL_MAX, "signal %d", signo);
	return buf;
}

const char *text_status(int wait_status, char buf[TEXT_STATUS_MAX])
{
	char sig[TEXT_SIGNAL_MAX];

	if (WIFEXITED(wait_status))
		snprintf(buf, TEXT_STATUS_MAX, "exit status %d", WEXITSTATUS(wait_status));
	else if (WIFSIGNALED(wait_status))
		snprintf(buf, TEXT_STATUS_MAX, "killed by %s%s", text_signal(WTERMSIG(wait_status), sig),
			 WCOREDUMP(wait_status) ? " (core dumped)" : "");
	else
		snprintf(buf, TEXT_STATUS_MAX, "wait status 0x%x", (unsigned)wait_status);
	return buf;
}

int status_to_exit(int wait_status)
{
	if (WIFEXITED(wait_status))
		return WEXITSTATUS(wait_status);
	if (WIFSIGNALED(wait_status))
		return 128 + WTERMSIG(wait_status);
	return EXIT_RELIVE;
}

int stdout_finish(void)
{
	bool failed = fflush(stdout) != 0;
	int err = errno;

	if (!failed && !ferror(stdout))
		return 0;
	if (failed && err == EPIPE)
		return 0;
	return fail("cannot write to standard output: %s", failed ? strerror(err) : "an earlier write failed");
}
