/*
 * A file mapped shared and private: what is stored through the shared mapping shows in the pages of the private one of
 * which the process has no copy of its own, whichever was mapped first, in other processes, too.
 */
#include "guest.h"
#include <fcntl.h>
#include <sys/mman.h>

#define PAGE 4096
#define PAGES 6

static char *map(int fd, int flags, int prot)
{
	char *m = mmap(NULL, PAGES * PAGE, prot, flags, fd, 0);

	CHECK(m != MAP_FAILED);
	return m;
}

static void show(const char *who, const volatile char *m)
{
	printf("%s:", who);
	for (int i = 0; i < PAGES; i++)
		printf(" %c%c", m[i * PAGE], m[i * PAGE + 100]);
	puts("");
	fflush(stdout);
}

static void fill(volatile char *m, char c)
{
	for (int i = 0; i < PAGES; i++)
		m[i * PAGE] = c;
}

int main(void)
{
	char name[] = "/tmp/relive-guest-private-XXXXXX", blank[PAGES * PAGE];
	int fd = mkstemp(name), fd2, down[2], up[2];
	char *early, *late, *shared, *reader, byte;
	pid_t pid;

	memset(blank, '.', sizeof(blank));
	CHECK(fd >= 0 && write(fd, blank, sizeof(blank)) == sizeof(blank) && pipe(down) == 0 && pipe(up) == 0);
	fd2 = open(name, O_RDWR);
	early = map(fd, MAP_PRIVATE, PROT_READ | PROT_WRITE);
	show("early, before", early);
	early[PAGE + 100] = 'e';
	pid = fork();
	if (pid == 0) {
		char *own = map(fd, MAP_PRIVATE, PROT_READ | PROT_WRITE);

		CHECK(write(up[1], "r", 1) == 1);
		for (int i = 0; i < 3; i++) {
			CHECK(read(down[0], &byte, 1) == 1);
			show("child's early", early);
			show("child's own", own);
			own[(4 - i) * PAGE + 100] = 'x';
			CHECK(write(up[1], "r", 1) == 1);
		}
		_exit(0);
	}
	CHECK(read(up[0], &byte, 1) == 1);
	shared = map(fd2, MAP_SHARED, PROT_READ | PROT_WRITE);
	fill(shared, 'a');
	show("early, stored", early);
	CHECK(write(down[1], "g", 1) == 1 && read(up[0], &byte, 1) == 1);

	late = map(fd, MAP_PRIVATE, PROT_READ | PROT_WRITE);
	show("late, mapped", late);
	late[2 * PAGE + 100] = 'l';
	reader = map(fd, MAP_SHARED, PROT_READ);
	fill(shared, 'b');
	show("late, stored", late);
	show("early, stored again", early);
	show("reader", reader);
	CHECK(write(down[1], "g", 1) == 1 && read(up[0], &byte, 1) == 1);

	CHECK(pwrite(fd, "ww", 2, 3 * PAGE) == 2 && pwrite(fd, "w", 1, 3 * PAGE + 100) == 1);
	CHECK(madvise(late + 2 * PAGE, PAGE, MADV_DONTNEED) == 0);
	fill(shared, 'c');
	show("late, given back", late);
	CHECK(ftruncate(fd, 5 * PAGE) == 0 && ftruncate(fd, PAGES * PAGE) == 0);
	shared[5 * PAGE + 100] = 't';
	show("late, cut", late);
	CHECK(write(down[1], "g", 1) == 1 && guest_wait(pid) == 0);

	CHECK(munmap(shared, PAGES * PAGE) == 0 && munmap(reader, PAGES * PAGE) == 0);
	CHECK(pwrite(fd, "n", 1, 0) == 1);
	show("late, alone", late);
	shared = map(fd2, MAP_SHARED, PROT_READ);          /* to be written to later */
	CHECK(mprotect(shared, PAGES * PAGE, PROT_READ | PROT_WRITE) == 0);
	fill(shared, 'd');
	show("late, at the end", late);
	show("early, at the end", early);
	CHECK(unlink(name) == 0);
	return guest_done();
}
