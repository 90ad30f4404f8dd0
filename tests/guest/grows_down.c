/* A mapping that grows downwards as it is touched, as stacks of old did. */
#include "guest.h"
#include <sys/mman.h>

int main(void)
{
	size_t room = 64 * 4096;
	char *m = mmap(NULL, 4 << 20, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0), *top;
	unsigned sum = 0;

	CHECK(m != MAP_FAILED && munmap(m, 4 << 20) == 0);
	top = mmap(m + (4 << 20) - 4096, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN | MAP_FIXED, -1, 0);
	CHECK(top != MAP_FAILED);
	for (size_t at = 0; at < room; at += 512)
		top[-(ssize_t)at] = (char)(at >> 9);
	for (size_t at = 0; at < room; at += 512)
		sum += (unsigned char)top[-(ssize_t)at];
	printf("%u\n", sum);
	CHECK(munmap(top - room, room + 4096) == 0);
	return guest_done();
}
