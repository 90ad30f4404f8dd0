/* A seccomp filter whose answers another one is to give: where it can be had it works, recorded it cannot be had. */
#include "guest.h"
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

int main(void)
{
	struct sock_filter code[] = { BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW) };
	struct sock_fprog prog = { 1, code };
	struct seccomp_notif_sizes sizes;
	uint32_t notif = SECCOMP_RET_USER_NOTIF, err = SECCOMP_RET_ERRNO;
	int fd;

	CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	CHECK(syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &err) == 0);
	printf("the action: %s\n", syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &notif) == 0 ? "yes" : strerror(errno));
	printf("the sizes: %s\n", syscall(SYS_seccomp, SECCOMP_GET_NOTIF_SIZES, 0, &sizes) == 0 ? "yes" : strerror(errno));
	fd = (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &prog);
	printf("the listener: %s\n", fd >= 0 ? "yes" : strerror(errno));
	return guest_done();
}
