/* RLIMIT_STACK: set for oneself and for a child, by prlimit(2); the stack then grows as far, and no further. */
#include "guest.h"
#include <signal.h>
#include <sys/resource.h>

#define MB (1ul << 20)

/* How many frames of 64 KB fit into so much; each is written to. */
static __attribute__((noinline)) unsigned deep(unsigned long bytes)
{
	volatile char frame[65536];
	unsigned below = 0;

	frame[0] = frame[65535] = 1;
	if (bytes > sizeof(frame))
		below = deep(bytes - sizeof(frame));
	return below + (unsigned)frame[0];
}

static void limit(pid_t pid, unsigned long soft)
{
	struct rlimit lim, was;

	CHECK(prlimit(pid, RLIMIT_STACK, NULL, &lim) == 0);
	lim.rlim_cur = soft;
	CHECK(prlimit(pid, RLIMIT_STACK, &lim, &was) == 0);
	CHECK(prlimit(pid, RLIMIT_STACK, NULL, &was) == 0 && was.rlim_cur == soft);
}

/* Told by a byte when its limit is what it is to be. */
static pid_t diver(int fd, unsigned long bytes)
{
	pid_t pid = fork();
	char c;

	CHECK(pid >= 0);
	if (pid)
		return pid;
	if (read(fd, &c, 1) != 1)
		_exit(1);
	_exit(deep(bytes) == bytes / 65536 ? 0 : 2);
}

int main(void)
{
	int p[2];
	pid_t pid;

	CHECK(pipe(p) == 0);
	pid = diver(p[0], 40 * MB);
	limit(pid, 64 * MB);
	CHECK(write(p[1], "x", 1) == 1 && guest_wait(pid) == 0);
	pid = diver(p[0], 6 * MB);
	limit(pid, 2 * MB);
	CHECK(write(p[1], "x", 1) == 1 && WTERMSIG(guest_wait(pid)) == SIGSEGV);
	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0) {
		limit(0, 32 * MB);
		CHECK(deep(24 * MB) == 24 * MB / 65536);
		limit(getpid(), 64 * MB);
		_exit(deep(48 * MB) == 48 * MB / 65536 ? 4 : 2);
	}
	CHECK(WEXITSTATUS(guest_wait(pid)) == 4);
	return guest_done();
}
