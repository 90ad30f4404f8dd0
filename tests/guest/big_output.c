/* Large outputs to stdout and stderr, in turn, from two threads that take turns, with sizes around page and pipe bounds. */
#include "guest.h"

int main(void)
{
	static char block[200000];
	size_t sizes[] = { 1, 4095, 4096, 4097, 65535, 65536, 65537, 200000 };

	for (size_t i = 0; i < sizeof(block); i++)
		block[i] = i % 80 == 79 ? '\n' : (char)('a' + i % 26);
	for (int round = 0; round < 3; round++)
		for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
			int fd = 1 + (int)((i + (size_t)round) % 2);

			for (size_t done = 0; done < sizes[i];) {
				ssize_t n = write(fd, block + done, sizes[i] - done);

				CHECK(n > 0);
				done += (size_t)n;
			}
		}
	puts("");
	return guest_done();
}
