/* Calls through the gate of 32-bit code and with x32 numbers: answered or refused, but recorded in any case. */
#include "guest.h"
#include <setjmp.h>
#include <signal.h>
#include <sys/syscall.h>

#define I386_GETPID 20
#define X32_BIT 0x40000000

static sigjmp_buf no_gate;

static void on_segv(int sig)
{
	(void)sig;
	siglongjmp(no_gate, 1);
}

static long gate(long nr)
{
	long r;

	__asm__ volatile("int $0x80" : "=a"(r) : "a"(nr), "b"(0), "c"(0), "d"(0) : "memory", "r8", "r9", "r10", "r11");
	return (int)r;
}

int main(void)
{
	volatile int answered = 0;
	long r;

	signal(SIGSEGV, on_segv);
	for (volatile int i = 0; i < 3; i++) {
		if (sigsetjmp(no_gate, 1))
			break;   /* a kernel without it */
		r = gate(I386_GETPID);
		CHECK(r == getpid() || r == -ENOSYS);
		answered++;
	}
	CHECK(answered == 0 || answered == 3);
	r = syscall(X32_BIT | SYS_getpid);
	CHECK(r == getpid() || (r == -1 && errno == ENOSYS));
	/* And ours still work. */
	CHECK(getppid() != getpid());
	return guest_done();
}
