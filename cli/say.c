#include "cli/say.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "cli/command.h"
#include "cli/text.h"
#include "common/scope.h"

static void say_va(const char *fmt, va_list ap)
{
	autofree char *line = NULL;

	if (vasprintf(&line, fmt, ap) < 0) {
		line = NULL;
		return;
	}
	fflush(stdout);
	flockfile(stderr);
	fputs("relive: ", stderr);
	text_put(stderr, line, strlen(line), 0);
	putc_unlocked('\n', stderr);
	funlockfile(stderr);
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
