/* libFuzzer's entry point, and what both targets do with a file. */
#ifndef RELIVE_FUZZ_ENTRY_H
#define RELIVE_FUZZ_ENTRY_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>
#include "sample.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

/* Open the bytes as a trace and read everything. */
static inline void read_as_trace(const uint8_t *bytes, size_t n)
{
	static int fd = -1;
	char path[64];
	struct trace *t;

	if (fd < 0)
		fd = memfd_create("fuzz", MFD_CLOEXEC);
	if (fd < 0 || ftruncate(fd, (off_t)n) || pwrite(fd, bytes, n, 0) != (ssize_t)n)
		abort();
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (trace_open(path, &t))
		return;
	walk_everything(t);
	trace_close(t);
}

#endif
