/* Which calls may sleep until another task does something. */
#include "tracee/sysinfo.h"

#include <asm/ioctls.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <linux/vt.h>
#include <sys/ipc.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "tracee/sysinfo_nr.h"
#include "tracee/sysioctl.h"

/* A timeout of zero in memory. */
static bool is_zero_time(const struct sys_mem *m, uint64_t addr)
{
	uint64_t t[2];

	return m && addr && !m->read(m->ctx, addr, t, sizeof(t)) && t[0] == 0 && t[1] == 0;
}

static bool futex_blocks(uint64_t op)
{
	switch (op & FUTEX_CMD_MASK) {
	case FUTEX_WAIT:
	case FUTEX_WAIT_BITSET:
	case FUTEX_LOCK_PI:
	case FUTEX_LOCK_PI2:
	case FUTEX_WAIT_REQUEUE_PI:
		return true;
	default:
		return false;
	}
}

/* Known requests that wait, and all unknown ones: a driver may do anything. */
static bool ioctl_blocks(uint32_t request)
{
	switch (request) {
	case TCSBRK:
	case TCSBRKP:
	case TCSETSW:
	case TCSETSF:
	case TCSETAW:
	case TCSETAF:
	case TIOCMIWAIT:
	case VT_WAITACTIVE:
		return true;
	default:
		return !sysioctl_name(request);
	}
}

bool sys_may_block(const struct sys_call *c, const struct sys_mem *m)
{
	const struct sys_desc *d = sys_desc(c->nr);

	if (!d || !(d->flags & SYSF_MAY_BLOCK))
		return false;
	switch (c->nr) {
	case __NR_futex:
		return futex_blocks(c->arg[1]);
	case __NR_fcntl:
		return (int)c->arg[1] == F_SETLKW || (int)c->arg[1] == F_OFD_SETLKW;
	case __NR_ioctl:
		return ioctl_blocks((uint32_t)c->arg[1]);
	case __NR_flock:
		return !(c->arg[1] & 4);                /* LOCK_NB */
	case __NR_poll:
		return (int)c->arg[2] != 0;
	case __NR_epoll_wait:
	case __NR_epoll_pwait:
		return (int)c->arg[3] != 0;
	case __NR_epoll_pwait2:
		return !is_zero_time(m, c->arg[3]);
	case __NR_ppoll:
		return !is_zero_time(m, c->arg[2]);
	case __NR_select:
	case __NR_pselect6:
	case __NR_io_getevents:
	case __NR_io_pgetevents:
		return !is_zero_time(m, c->arg[4]);
	case __NR_rt_sigtimedwait:
		return !is_zero_time(m, c->arg[2]);
	case __NR_wait4:
		return !(c->arg[2] & WNOHANG);
	case __NR_waitid:
		return !(c->arg[3] & WNOHANG);
	case __NR_recvfrom:
	case __NR_sendto:
	case __NR_recvmmsg:
	case __NR_sendmmsg:
		return !(c->arg[3] & MSG_DONTWAIT);
	case __NR_recvmsg:
	case __NR_sendmsg:
		return !(c->arg[2] & MSG_DONTWAIT);
	case __NR_msgsnd:
		return !(c->arg[3] & IPC_NOWAIT);
	case __NR_msgrcv:
		return !(c->arg[4] & IPC_NOWAIT);
	case __NR_open:
		return !(c->arg[1] & (O_NONBLOCK | O_PATH | O_DIRECTORY));
	case __NR_openat:
		return !(c->arg[2] & (O_NONBLOCK | O_PATH | O_DIRECTORY));
	case __NR_preadv2:
	case __NR_pwritev2:
		return !(c->arg[5] & 8);                /* RWF_NOWAIT */
	case __NR_syslog:
		return (int)c->arg[0] == 2;             /* SYSLOG_ACTION_READ */
	default:
		return true;
	}
}
