/* Calls that fail and write all the same; settings that the recorder needs for itself. */
#include "guest.h"
#include <asm/prctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

int main(void)
{
	int sv[2] = { -1, -1 }, mode = 0;

	CHECK(socketpair(AF_INET, SOCK_STREAM, 0, sv) == -1);
	printf("after the failure: %d %d\n", sv[0], sv[1]);
	CHECK(prctl(PR_GET_TSC, &mode) == 0 && mode == PR_TSC_ENABLE);
	CHECK(syscall(SYS_arch_prctl, ARCH_GET_CPUID, 0) == 1);
	CHECK(prctl(PR_SET_DUMPABLE, 0) == 0 && prctl(PR_GET_DUMPABLE) == 0);
	CHECK(prctl(PR_SET_DUMPABLE, 1) == 0 && prctl(PR_GET_DUMPABLE) == 1);
	CHECK(prctl(PR_SET_DUMPABLE, 7) == -1 && errno == EINVAL);
	return guest_done();
}
