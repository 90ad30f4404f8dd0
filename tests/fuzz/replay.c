/* Run a fuzz target over each file of a directory and over deterministic mutations of it: replay DIRECTORY [ROUNDS]. */
#include "entry.h"

#include <dirent.h>
#include <string.h>

#define INPUT_MAX (1u << 20)
#define ROUNDS 100u

static uint64_t random_state;

static uint64_t next_random(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	return random_state ^= random_state << 17;
}

/* Numbers at which decoders break. */
static const uint8_t interesting[] = { 0, 1, 2, 0x7f, 0x80, 0xff, 0xfe, 0x40, 0x10, 0x81 };

static size_t mutate_once(uint8_t *p, size_t n)
{
	size_t at = n ? next_random() % n : 0, len = 1 + next_random() % 16;

	if (!n)
		return n;
	if (len > n - at)
		len = n - at;
	switch (next_random() % 6) {
	case 0:
		p[at] ^= (uint8_t)(1u << next_random() % 8);
		break;
	case 1:
		p[at] = interesting[next_random() % sizeof(interesting)];
		break;
	case 2:
		memset(p + at, 0xff, len);
		break;
	case 3:                                   /* a copy of another place */
		memmove(p + at, p + next_random() % (n - len + 1), len);
		break;
	case 4:                                   /* bytes lost */
		memmove(p + at, p + at + len, n - at - len);
		return n - len;
	case 5:                                   /* bytes doubled */
		if (n + len > INPUT_MAX)
			break;
		memmove(p + at + len, p + at, n - at);
		return n + len;
	}
	return n;
}

/* A copy of its own, so that a read past the end is seen. */
static void run(const uint8_t *bytes, size_t n)
{
	uint8_t *exact = malloc(n + !n);

	if (!exact)
		abort();
	memcpy(exact, bytes, n);
	LLVMFuzzerTestOneInput(exact, n);
	free(exact);
}

static void run_file(const char *path, unsigned rounds)
{
	static uint8_t original[INPUT_MAX], mutant[INPUT_MAX];
	FILE *in = fopen(path, "rb");
	size_t n;

	if (!in)
		return;
	n = fread(original, 1, sizeof(original), in);
	fclose(in);
	run(original, n);
	random_state = 0x9e3779b97f4a7c15ULL;
	for (unsigned i = 0; i < rounds; i++) {
		size_t m = n;

		memcpy(mutant, original, n);
		for (uint64_t times = 1 + next_random() % 4; times; times--)
			m = mutate_once(mutant, m);
		run(mutant, m);
	}
}

int main(int argc, char **argv)
{
	DIR *dir = argc > 1 ? opendir(argv[1]) : NULL;
	unsigned rounds = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : ROUNDS;
	struct dirent *e;
	unsigned files = 0;

	if (!dir) {
		fprintf(stderr, "usage: replay DIRECTORY [ROUNDS]\n");
		return 2;
	}
	while ((e = readdir(dir))) {
		char path[4096];

		if (e->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s", argv[1], e->d_name);
		run_file(path, rounds);
		files++;
	}
	closedir(dir);
	return files ? 0 : 1;
}
