#include "common/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

bool log_enabled(void)
{
	static int on = -1;

	if (on < 0) {
		const char *env = getenv("RELIVE_DEBUG");

		on = env && *env && !(env[0] == '0' && !env[1]);
	}
	return on;
}

void log_debug(const char *fmt, ...)
{
	va_list ap;

	if (!log_enabled())
		return;
	fputs("relive: debug: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
}
