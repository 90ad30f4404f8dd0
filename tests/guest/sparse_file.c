/* A large file that is mostly holes, mapped shared and private: what is recorded of it does not fill the holes with pages. */
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include "guest.h"

#define SIZE (1ll << 30)

static long blocks(int fd)
{
	struct stat st;

	CHECK(fstat(fd, &st) == 0);
	return (long)st.st_blocks;
}

int main(void)
{
	static const off_t places[] = { 5, 4096 * 1000 + 7, SIZE / 2 + 4090, SIZE - 10 };
	int fd = memfd_create("sparse", MFD_CLOEXEC);
	char *shared, *private;

	CHECK(fd >= 0 && ftruncate(fd, SIZE) == 0);
	for (int i = 0; i < 4; i++)
		CHECK(pwrite(fd, "text of 8", 8, places[i]) == 8);
	shared = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	private = mmap(NULL, SIZE, PROT_READ, MAP_PRIVATE, fd, 0);
	CHECK(shared != MAP_FAILED && private != MAP_FAILED);
	printf("blocks %ld\n", blocks(fd));
	CHECK(blocks(fd) <= 5 * 8);

	for (int i = 0; i < 4; i++)
		CHECK(!memcmp(shared + places[i], "text of 8", 8) && !memcmp(private + places[i], "text of 8", 8));
	CHECK(shared[SIZE / 4] == 0 && shared[SIZE - 4097] == 0);
	shared[SIZE / 4] = 'x';
	CHECK(pwrite(fd, "more", 4, SIZE / 4 + 4096 * 9) == 4);
	CHECK(shared[SIZE / 4] == 'x' && !memcmp(shared + SIZE / 4 + 4096 * 9, "more", 4) && !memcmp(private + SIZE / 4 + 4096 * 9, "more", 4));
	return guest_done();
}
