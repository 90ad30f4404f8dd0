/*
 * Jumps to the instruction right after a `syscall` that is made often, from near and from so far that few would look there; and
 * what only seems to be one: bytes of a constant, which read as a jump into the middle of that instruction.
 */
#include "guest.h"
#include <sys/syscall.h>

long near_call(void), near_jump(void), far_call(void), far_jump(void), seeming_call(void);

#define STRING_(x) #x
#define STRING(x) STRING_(x)

/* NAME_call makes getppid; NAME_jump comes to the place after its syscall with 7 as the result. Both add 1. */
#define PLACE(name, distance) \
	__asm__(".text\n.globl " #name "_call, " #name "_jump\n" \
		#name "_jump: mov $7, %eax; jmp " #name "_after\n.skip " #distance ", 0x90\n" \
		#name "_call: mov $" STRING(SYS_getppid) ", %eax; syscall\n" #name "_after: test %rax, %rax; lea 1(%rax), %rax; ret\n")

PLACE(near, 16);
PLACE(far, 50000);

__asm__(".text\n.globl seeming_call\nseeming_call: mov $" STRING(SYS_getuid) ", %eax; mov $0x5eb, %edx; syscall\n"
	"test %rax, %rax; lea 1(%rax), %rax; ret\n");

int main(int argc, char **argv)
{
	long parent = getppid(), user = getuid();
	int rounds = argc > 1 ? atoi(argv[1]) : 60;

	for (int i = 0; i < rounds; i++) {
		CHECK(near_call() == parent + 1 && near_jump() == 8);
		CHECK(far_call() == parent + 1 && (i < 30 || far_jump() == 8));
		CHECK(seeming_call() == user + 1);
	}
	return guest_done();
}
