/* Reads a page of a file that somebody else writes meanwhile: arguments: the file; "wait" to wait for that in a loop. Not determined by what is recorded. */
#include "guest.h"
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>

int main(int argc, char **argv)
{
	volatile long *page;
	char line[16];
	int fd;

	CHECK(argc >= 2 && (fd = open(argv[1], O_RDWR)) >= 0);
	page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	CHECK(page != MAP_FAILED);
	page[0] = 77;
	syscall(SYS_getppid);   /* ld.so finds it now, not between the two writers */
	puts("ready");
	CHECK(fflush(stdout) == 0 && fgets(line, sizeof(line), stdin));
	while (argc > 2 && page[0])
		;
	/* An argument that the call does not have: so the value is in a register. */
	syscall(SYS_getppid, page[0]);
	printf("read %ld\n", page[0]);
	return guest_done();
}
