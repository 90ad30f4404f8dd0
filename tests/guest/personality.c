/* personality(2): asked, set, kept over fork and execve; READ_IMPLIES_EXEC and what mmap then gives. */
#include "guest.h"
#include <sys/mman.h>
#include <sys/personality.h>

static int executable(const void *p)
{
	FILE *f = fopen("/proc/self/maps", "r");
	unsigned long start, end;
	char prot[8], line[512];
	int found = -1;

	CHECK(f);
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%lx-%lx %7s", &start, &end, prot) == 3 && (uintptr_t)p >= start && (uintptr_t)p < end)
			found = prot[2] == 'x';
	}
	fclose(f);
	return found;
}

int main(int argc, char **argv)
{
	int before = personality(0xffffffff), (*code)(void);
	char *p;

	if (argc > 1) {
		CHECK(before & ADDR_NO_RANDOMIZE && !(before & READ_IMPLIES_EXEC));   /* the latter is cleared */
		puts("kept over execve");
		return guest_done();
	}
	CHECK(before >= 0 && !(before & READ_IMPLIES_EXEC));
	CHECK(personality((unsigned)before | ADDR_NO_RANDOMIZE | READ_IMPLIES_EXEC) == before);
	p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(p != MAP_FAILED && executable(p) == 1);
	memcpy(p, "\xb8\x2a\0\0\0\xc3", 6);   /* mov $42, %eax; ret */
	memcpy(&code, &p, sizeof(p));
	CHECK(code() == 42);
	CHECK(mprotect(p, 4096, PROT_READ) == 0 && executable(p) == 1 && code() == 42);
	fflush(stdout);
	execl("/proc/self/exe", argv[0], "again", NULL);
	return 1;
}
