/*
 * Usage: scramble_learned FILE SEED. Puts nonsense into a file of what replays have learned, in valid form and about the same trace.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "trace-fmt/learned.h"

int main(int argc, char **argv)
{
	static struct learned_note v[LEARNED_MAX];
	uint64_t id = 0;
	size_t n;
	FILE *f;

	if (argc != 3 || !(f = fopen(argv[1], "rb")))
		return 2;
	if (fseek(f, 16, SEEK_SET) || fread(&id, 8, 1, f) != 1 || fclose(f) || learned_read(argv[1], id, v, &n) || !n)
		return 3;
	srandom((unsigned)atoi(argv[2]));
	for (size_t i = 0; i < n; i++) {
		v[i].slowness = (uint16_t)random();
		v[i].rest = (uint8_t)(random() % (LEARNED_REST_MAX + 1));
		v[i].least_rest = (uint8_t)(random() % (LEARNED_REST_MAX + 1));
		v[i].n_tests = (uint8_t)(random() % (LEARNED_TESTS + 1));
		/* A kind in the highest byte; registers, words on the stack, and so on. */
		for (int k = 0; k < LEARNED_TESTS; k++)
			v[i].test[k] = (uint32_t)(random() % 8 << 24 | random() % 64 * (random() % 2 ? 8 : 1));
	}
	printf("%zu notes\n", n);
	return learned_write(argv[1], id, v, n) ? 4 : 0;
}
