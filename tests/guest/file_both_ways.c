/* A file mapped shared and private at once: the private mapping's untouched pages show what is stored in the shared one. */
#include "guest.h"
#include <fcntl.h>
#include <sys/mman.h>

int main(void)
{
	char name[] = "/tmp/guest-both-XXXXXX", buf[8];
	int fd = mkstemp(name);
	char *shared, *private;

	CHECK(fd >= 0 && unlink(name) == 0 && ftruncate(fd, 3 * 4096) == 0);
	shared = mmap(NULL, 3 * 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	private = mmap(NULL, 3 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	CHECK(shared != MAP_FAILED && private != MAP_FAILED);
	CHECK(private[10] == 0);
	private[4096] = 7;
	shared[10] = 1;
	shared[4096 + 1] = 2;
	shared[8192 + 5] = 3;
	printf("%d %d %d\n", private[10], private[4096 + 1], private[8192 + 5]);
	CHECK(private[10] == 1 && private[4096 + 1] == 0 && private[8192 + 5] == 3);
	CHECK(pwrite(fd, "xyz", 3, 8192) == 3);
	CHECK(shared[8192 + 1] == 'y' && private[8192 + 1] == 'y');
	CHECK(pread(fd, buf, 8, 8192) == 8 && buf[5] == 3);
	return guest_done();
}
