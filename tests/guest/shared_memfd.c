/* A memfd mapped twice in one process and by a child: writes through one mapping, and by write(2), are seen in the others. */
#include "guest.h"
#include <sys/mman.h>

enum { SIZE = 3 * 4096 };

int main(void)
{
	int fd = memfd_create("shared", MFD_CLOEXEC), go[2];
	volatile char *a, *b;
	char c;
	pid_t pid;

	CHECK(fd >= 0 && ftruncate(fd, SIZE) == 0 && pipe(go) == 0);
	a = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	b = mmap(NULL, SIZE, PROT_READ, MAP_SHARED, fd, 0);
	CHECK(a != MAP_FAILED && b != MAP_FAILED && a != b);
	a[5000] = 'x';
	CHECK(b[5000] == 'x');
	CHECK(pwrite(fd, "hello", 5, 9000) == 5 && b[9000] == 'h' && a[9004] == 'o');
	a[100] = 'q';
	CHECK(pread(fd, &c, 1, 100) == 1 && c == 'q');
	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0) {
		a[1] = 'c';
		CHECK(pwrite(fd, "k", 1, 2) == 1);
		CHECK(write(go[1], "g", 1) == 1);
		while (a[3] != 'p')
			usleep(200);
		_exit(0);
	}
	CHECK(read(go[0], &c, 1) == 1 && b[1] == 'c' && b[2] == 'k');
	a[3] = 'p';
	CHECK(guest_wait(pid) == 0);
	munmap((void *)a, SIZE);
	CHECK(b[3] == 'p');
	return guest_done();
}
