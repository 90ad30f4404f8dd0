#include "tracee/cputime.h"

#include <stdlib.h>
#include <time.h>

#include "tracee/procfile.h"

uint64_t cputime_of(pid_t tid)
{
	char text[64];

	return procfile_read(tid, "schedstat", text, sizeof(text)) ? strtoull(text, NULL, 10) : 0;
}

uint64_t cputime_own(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}
