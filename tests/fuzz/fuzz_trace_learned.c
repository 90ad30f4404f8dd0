/* The input is a file of what replays have learned (trace-fmt/learned.h); then the same with a right hash. */
#include "entry.h"

#include <string.h>
#include <xxhash.h>
#include "trace-fmt/learned.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
	static struct learned_note out[LEARNED_MAX];
	uint8_t *copy = malloc(n + !n);
	uint64_t id = 0, hash;
	size_t n_notes;

	if (!copy)
		abort();
	memcpy(copy, bytes, n);
	if (n >= 24)
		memcpy(&id, bytes + 16, sizeof(id));
	if (learned_decode(copy, n, id, out, &n_notes) && n_notes)
		abort();
	if (n >= sizeof(hash)) {
		hash = XXH3_64bits(copy, n - sizeof(hash));
		memcpy(copy + n - sizeof(hash), &hash, sizeof(hash));
		if (learned_decode(copy, n, id, out, &n_notes) == 0 && n_notes > LEARNED_MAX)
			abort();
	}
	free(copy);
	return 0;
}
