/* What a recording cannot have, asked for once, twice, three times: each is refused, and the program goes on. */
#include "guest.h"
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <sys/syscall.h>

#define IO_URING_SETUP 425
#define RSEQ 334
#define MEMFD_SECRET 447
#define MAP_SHADOW_STACK 453

int main(void)
{
	static char params[120], area[32] __attribute__((aligned(32)));
	aio_context_t ctx = 0;

	for (int i = 0; i < 3; i++)
		CHECK(syscall(IO_URING_SETUP, 4, params) == -1 && errno == ENOSYS);
	for (int i = 0; i < 2; i++)
		CHECK(syscall(SYS_userfaultfd, 1) == -1 && errno == ENOSYS);
	CHECK(syscall(SYS_io_setup, 4, &ctx) == -1 && errno == ENOSYS && ctx == 0);
	CHECK(syscall(RSEQ, area, sizeof(area), 0, 0x53053053) == -1 && errno == ENOSYS);
	CHECK(syscall(MEMFD_SECRET, 0) == -1 && errno == ENOSYS);
	CHECK(syscall(MAP_SHADOW_STACK, 0, 4096, 0) == -1 && errno == ENOSYS);
	CHECK(syscall(SYS_iopl, 3) == -1 && errno == EPERM);
	CHECK(syscall(SYS_ioperm, 0, 1, 1) == -1 && errno == EPERM);
	CHECK(open("/dev/kvm", O_RDWR) == -1 && errno == ENOENT);
	CHECK(open("/dev/dri/card0", O_RDWR) == -1 && errno == ENOENT);
	CHECK(open("/dev/nvidiactl", O_RDWR) == -1 && errno == ENOENT);
	return guest_done();
}
