/* The heap by brk: up, down, and through malloc; a large calloc by mmap; malloc_trim. */
#include "guest.h"
#include <malloc.h>

int main(void)
{
	char *start = sbrk(0), *p[200];

	CHECK(sbrk(100000) == start && sbrk(0) == start + 100000);
	memset(start, 1, 100000);
	CHECK(brk(start + 50000) == 0 && start[49999] == 1);
	CHECK(brk(start + 100000) == 0 && start[99999] == 0);
	CHECK(start[60000] == 0 && start[49999] == 1);
	for (int i = 0; i < 200; i++) {
		p[i] = malloc((size_t)i * 500 + 1);
		CHECK(p[i]);
		memset(p[i], i, (size_t)i * 500 + 1);
	}
	for (int i = 0; i < 200; i += 2)
		free(p[i]);
	for (int i = 1; i < 200; i += 2) {
		CHECK(p[i][i * 500] == (char)i);
		p[i] = realloc(p[i], 100000);
		CHECK(p[i] && p[i][i * 500] == (char)i);
	}
	char *big = calloc(1, 8 << 20);
	CHECK(big && big[0] == 0 && big[(8 << 20) - 1] == 0);
	free(big);
	for (int i = 1; i < 200; i += 2)
		free(p[i]);
	malloc_trim(0);
	return guest_done();
}
