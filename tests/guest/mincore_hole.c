/* mincore over a range with a hole fails, but has written the vector for the pages before the hole. */
#include "guest.h"
#include <sys/mman.h>

int main(void)
{
	unsigned char vec[16];
	char *m = mmap(NULL, 8 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int resident = 0;

	CHECK(m != MAP_FAILED && munmap(m + 4 * 4096, 4 * 4096) == 0);
	memset(m, 1, 3 * 4096);
	memset(vec, 0x55, sizeof(vec));
	CHECK(mincore(m, 8 * 4096, vec) == -1 && errno == ENOMEM);
	for (int i = 0; i < 8; i++)
		resident += vec[i] != 0x55 && vec[i] & 1;
	CHECK(resident == 3 && vec[4] == 0x55);
	printf("%d of 4 pages are resident before the hole\n", resident);
	return guest_done();
}
