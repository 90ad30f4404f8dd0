/* Map a file shared, for reading only, and look at it. */
#include "guest.h"
#include <fcntl.h>
#include <sys/mman.h>

int main(int argc, char **argv)
{
	int fd = argc > 1 ? open(argv[1], O_RDONLY) : -1;
	const char *p;

	CHECK(fd >= 0);
	p = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
	CHECK(p != MAP_FAILED);
	close(fd);
	printf("it begins with %c\n", *p);
	return guest_done();
}
