#include "cli/say.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "cli/command.h"
#include "cli/text.h"
#include "common/scope.h"

/* With one call: stderr has no buffer, and others may write to the same terminal or file. */
static void say_va(const char *fmt, va_list ap)
{
	autofree char *text = NULL, *line = NULL;
	size_t n = 0;
	FILE *f;

	if (vasprintf(&text, fmt, ap) < 0) {
		text = NULL;
		return;
	}
	f = open_memstream(&line, &n);
	if (!f)
		return;
	fputs("relive: ", f);
	text_put(f, text, strlen(text), 0);
	putc('\n', f);
	if (fclose(f))
		return;
	fflush(stdout);
	fwrite(line, 1, n, stderr);
}

void say(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say_va(fmt, ap);
	va_end(ap);
}

int fail(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say_va(fmt, ap);
	va_end(ap);
	return EXIT_RELIVE;
}
