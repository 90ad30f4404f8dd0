/* A file mapped shared: stores reach the file, write(2) to the file reaches the mapping, msync, growth. */
#include "guest.h"
#include <fcntl.h>
#include <sys/mman.h>

int main(void)
{
	char name[] = "/tmp/relive-guest-shared-XXXXXX", buf[16] = "";
	int fd = mkstemp(name), fd2;
	volatile char *m;
	pid_t pid;

	CHECK(fd >= 0 && ftruncate(fd, 8192) == 0);
	m = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	CHECK(m != MAP_FAILED && m[0] == 0);
	CHECK(pwrite(fd, "written", 7, 4096) == 7);
	CHECK(m[4096] == 'w' && m[4102] == 'n');
	memcpy((char *)m + 10, "stored", 6);
	CHECK(msync((void *)m, 8192, MS_SYNC) == 0);
	fd2 = open(name, O_RDWR);
	CHECK(fd2 >= 0 && pread(fd2, buf, 6, 10) == 6 && strcmp(buf, "stored") == 0);
	CHECK(pwrite(fd2, "other", 5, 100) == 5 && m[100] == 'o' && m[104] == 'r');
	pid = fork();
	if (pid == 0) {
		m[200] = 'c';
		CHECK(pwrite(fd2, "d", 1, 201) == 1);
		_exit(0);
	}
	CHECK(guest_wait(pid) == 0 && m[200] == 'c' && m[201] == 'd');
	CHECK(unlink(name) == 0);
	return guest_done();
}
