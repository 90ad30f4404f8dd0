/*
 * A signal interrupts a call whose next instruction is popf. A tracer that steps into the handler must not leave its trap flag
 * in the handler's frame, though the kernel takes popf for an instruction that sets it.
 */
#include <signal.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include "guest.h"

static volatile sig_atomic_t n_handled;

static void handler(int sig)
{
	(void)sig;
	n_handled++;
}

/* read(2), with the flags saved before and restored after it. */
static long __attribute__((noinline)) read_and_popf(int fd, void *buf, size_t n)
{
	long ret;

	__asm__ volatile("sub $128, %%rsp; pushfq; syscall; popfq; add $128, %%rsp"
			 : "=a"(ret) : "a"(SYS_read), "D"(fd), "S"(buf), "d"(n) : "rcx", "r11", "memory", "cc");
	return ret;
}

int main(void)
{
	struct itimerval often = { { 0, 20000 }, { 0, 5000 } };   /* the first may come before the call, on a busy machine */
	struct sigaction sa = { .sa_handler = handler };
	int p[2];
	char c;

	CHECK(pipe(p) == 0 && sigaction(SIGALRM, &sa, NULL) == 0);
	CHECK(setitimer(ITIMER_REAL, &often, NULL) == 0);
	for (int i = 0; i < 5; i++)
		CHECK(read_and_popf(p[0], &c, 1) == -EINTR);
	CHECK(n_handled >= 5);
	return guest_done();
}
