#include "tracee/cputime.h"

#include <stdlib.h>

#include "tracee/procfile.h"

uint64_t cputime_of(pid_t tid)
{
	char text[64];

	return procfile_read(tid, "schedstat", text, sizeof(text)) ? strtoull(text, NULL, 10) : 0;
}
