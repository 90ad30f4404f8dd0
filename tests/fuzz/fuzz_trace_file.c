/* The input is a trace file. Hashes stop most mutations: this finds faults in the framing. */
#include "entry.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
	read_as_trace(bytes, n);
	return 0;
}
