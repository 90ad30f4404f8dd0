/* Memory written from outside: process_vm_writev, /proc/PID/mem, and a file that is mapped privately or was mapped shared. */
#include "guest.h"
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/uio.h>

static volatile char target[8192];

static void from_the_child(void)
{
	char *from = "by process_vm_writev", path[64];
	struct iovec local = { from, 21 }, remote[2] = { { (void *)target, 5 }, { (void *)(target + 4096), 100 } };
	int fd;

	CHECK(process_vm_writev(getppid(), &local, 1, remote, 2, 0) == 21);
	snprintf(path, sizeof(path), "/proc/%d/mem", (int)getppid());
	fd = open(path, O_RDWR);
	CHECK(fd >= 0 && pwrite(fd, "by mem", 7, (off_t)(uintptr_t)(target + 100)) == 7);
	_exit(0);
}

int main(void)
{
	char name[] = "/tmp/relive-guest-remote-XXXXXX";
	int fd = mkstemp(name);
	volatile char *m, *s;
	pid_t pid = fork();

	if (pid == 0)
		from_the_child();
	CHECK(guest_wait(pid) == 0);
	CHECK(memcmp((char *)target, "by pr", 5) == 0 && strcmp((char *)target + 4096, "ocess_vm_writev") == 0);
	CHECK(strcmp((char *)target + 100, "by mem") == 0);

	CHECK(fd >= 0 && ftruncate(fd, 3 * 4096) == 0 && pwrite(fd, "old", 3, 0) == 3);
	m = mmap(NULL, 3 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	CHECK(m != MAP_FAILED && m[0] == 'o');
	m[4096] = 'p';
	CHECK(pwrite(fd, "new", 3, 0) == 3 && pwrite(fd, "file", 4, 4095) == 4 && m[0] == 'n' && m[4095] == 'f' && m[4096] == 'p');
	CHECK(lseek(fd, 8192, SEEK_SET) == 8192 && write(fd, "third", 5) == 5 && m[8196] == 'd');

	s = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	s[10] = 's';
	CHECK(munmap((void *)s, 4096) == 0 && pwrite(fd, "later", 5, 20) == 5);
	s = mmap(NULL, 3 * 4096, PROT_READ, MAP_SHARED, fd, 0);
	CHECK(s[10] == 's' && s[20] == 'l' && s[24] == 'r' && s[8192] == 't');
	CHECK(ftruncate(fd, 100) == 0 && ftruncate(fd, 8192) == 0 && s[20] == 'l' && s[4096] == 0);
	CHECK(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 5, 5000) == 0 || errno == EOPNOTSUPP);
	printf("after the hole: %d %d %d\n", s[0], s[20], s[4096]);

	m = mmap(NULL, 3 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	CHECK(m != MAP_FAILED && ftruncate(fd, 3 * 4096) == 0 && pwrite(fd, "end", 3, 2 * 4096) == 3);
	m[4096] = 'q';
	CHECK(m[8192] == 'e' && ftruncate(fd, 10) == 0 && ftruncate(fd, 3 * 4096) == 0);
	CHECK(m[4096] == 0 && m[8192] == 0 && m[30] == 0);

	/* Given back, a page is the file's as that is now. */
	CHECK(pwrite(fd, "1", 1, 0) == 1);
	m = mmap(NULL, 2 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	CHECK(m != MAP_FAILED && m[0] == '1');
	m[0] = m[4096] = 'r';
	CHECK(pwrite(fd, "2", 1, 0) == 1 && m[0] == 'r');
	CHECK(madvise((void *)m, 4096, MADV_DONTNEED) == 0 && m[0] == '2' && m[4096] == 'r');
	unlink(name);
	return guest_done();
}
