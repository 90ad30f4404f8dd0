/*
 * One ELF file mapped both ways at once, in two processes: privately by the loader, shared by hand. Calls made often from shared
 * code, in both; code that one of them changes through a writable shared mapping, which the other one executes next.
 */
#include "guest.h"
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#define ROUNDS 60

extern char code_begin[], code_end[];

/* long code(long nr): makes that call, and adds what the byte at `add` says. */
__asm__(".text\n.balign 4096\n.globl code_begin, code_end\ncode_begin: mov %rdi, %rax; syscall; add $1, %rax; ret\n.balign 4096\ncode_end:\n");
#define ADD_AT 8   /* of the constant */

typedef long code_fn(long nr);

static char *map_file(int fd, int prot, int flags)
{
	char *at = mmap(NULL, 4096, prot, flags, fd, 0);

	CHECK(at != MAP_FAILED);
	return at;
}

static void many(code_fn *f, long add)
{
	for (int i = 0; i < ROUNDS; i++)
		CHECK(f(SYS_getppid) == getppid() + add);
}

/* This program's own file, as it is. */
static void own_file(void)
{
	int fd = open("/proc/self/exe", O_RDONLY);
	unsigned char *shared, *private;

	CHECK(fd >= 0);
	shared = mmap(NULL, 65536, PROT_READ, MAP_SHARED, fd, 0);
	private = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	CHECK(shared != MAP_FAILED && private != MAP_FAILED && memcmp(shared, "\177ELF", 4) == 0);
	private[0] = 'x';
	for (int i = 0; i < ROUNDS; i++)
		CHECK(shared[0] == 0x7f && private[0] == 'x' && memcmp(shared + 1, private + 1, 4000) == 0 && getppid() > 0);
	CHECK(munmap(shared, 65536) == 0 && munmap(private, 65536) == 0);
	close(fd);
}

int main(void)
{
	char name[] = "shared_code_XXXXXX";
	int fd = mkstemp(name), to[2], from[2];
	char *writable;
	code_fn *shared, *private;
	pid_t child;
	char c;

	own_file();
	CHECK(fd >= 0 && unlink(name) == 0 && write(fd, code_begin, 4096) == 4096 && pipe(to) == 0 && pipe(from) == 0);
	CHECK((unsigned char)code_begin[ADD_AT] == 1);
	writable = map_file(fd, PROT_READ | PROT_WRITE, MAP_SHARED);
	shared = (code_fn *)map_file(fd, PROT_READ | PROT_EXEC, MAP_SHARED);
	private = (code_fn *)map_file(fd, PROT_READ | PROT_EXEC, MAP_PRIVATE);
	many(shared, 1);
	many(private, 1);
	child = fork();
	CHECK(child >= 0);
	if (child == 0) {
		for (int add = 1; read(to[0], &c, 1) == 1 && c != 'q'; add++) {
			many(shared, add);
			CHECK(write(from[1], "d", 1) == 1);
		}
		_exit(3);
	}
	for (int add = 1; add <= 5; add++) {
		writable[ADD_AT] = (char)add;
		many(shared, add);
		CHECK(write(to[1], "g", 1) == 1);
		if (add % 2)
			many(shared, add);
		CHECK(read(from[0], &c, 1) == 1);
	}
	CHECK(memcmp(writable, code_begin, ADD_AT) == 0);   /* nobody else has changed it */
	CHECK(write(to[1], "q", 1) == 1 && WEXITSTATUS(guest_wait(child)) == 3);
	return guest_done();
}
