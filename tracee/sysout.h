/* Private to the system call table: how outputs are declared, and the functions behind CUSTOM lines. */
#ifndef RELIVE_TRACEE_SYSOUT_H
#define RELIVE_TRACEE_SYSOUT_H

#include "tracee/sysinfo.h"

/* Sizes of the kernel's own structures, where the C library has others or none. */
enum sys_struct_size {
	K_TIMEVAL = 16,
	K_TIMESPEC = 16,
	K_ITIMERVAL = 32,
	K_ITIMERSPEC = 32,
	K_STAT = 144,
	K_STATX = 256,
	K_STATFS = 120,
	K_USTAT = 32,
	K_SIGACTION = 32,          /* handler, flags, restorer, a 64-bit mask */
	K_SIGINFO = 128,
	K_STACK = 24,
	K_RUSAGE = 144,
	K_RLIMIT = 16,
	K_UTSNAME = 390,
	K_SYSINFO = 112,
	K_TMS = 32,
	K_TIMEX = 208,
	K_USER_DESC = 16,
	K_EPOLL_EVENT = 12,        /* packed */
	K_POLLFD = 8,
	K_MQ_ATTR = 64,
	K_CACHESTAT = 40,
	K_IOVEC = 16,
	K_MSGHDR = 56,
	K_MMSGHDR = 64,
	K_SOCKADDR_MAX = 128,      /* struct sockaddr_storage: no address is longer */
	K_IOV_MAX = 1024,          /* UIO_MAXIOV: the kernel refuses more */
};

/* Results that only a tracer sees: the call was interrupted and may be restarted (linux/errno.h). */
enum sys_restart {
	K_ERESTARTSYS = 512,
	K_ERESTARTNOINTR = 513,
	K_ERESTARTNOHAND = 514,
	K_ERESTART_RESTARTBLOCK = 516,
};

typedef int sysout_fn(const struct sys_call *c, const struct sys_mem *m, struct sys_ranges *out);

enum sys_out_kind {
	SO_NONE,
	SO_FIXED,                  /* unit bytes at arg */
	SO_POSITIVE,               /* the same, for results above 0 */
	SO_RESULT,                 /* min(result, arg[count]) * unit bytes at arg */
	SO_ARRAY,                  /* arg[count] * unit bytes at arg */
	SO_CUSTOM,
};

struct sys_out {
	uint8_t kind;              /* enum sys_out_kind */
	uint8_t arg, count;        /* argument numbers */
	uint16_t unit;             /* bytes */
	sysout_fn *fn;             /* SO_CUSTOM */
};

/* Whether the call ended because a signal came. */
bool sysout_interrupted(int64_t ret);

/* One field of the caller's memory. 0 or -EFAULT. */
int sysout_u32(const struct sys_mem *m, uint64_t addr, uint32_t *ret);
int sysout_u64(const struct sys_mem *m, uint64_t addr, uint64_t *ret);

/* Append the first n_bytes of the buffers of an iovec array, or fewer if the array is shorter. */
int sysout_iov(const struct sys_mem *m, uint64_t iov, uint64_t iovcnt, uint64_t n_bytes, struct sys_ranges *out);

/* How many headers sendmmsg and recvmmsg look at. */
uint64_t sysout_n_messages(const struct sys_call *c);

/*
 * After EFAULT the kernel may have written some of the outputs, or a part of one up to the page that is missing:
 * append what is mapped, at most 1 MiB of it.
 */
int sysout_mapped(const struct sys_mem *m, uint64_t addr, uint64_t len, struct sys_ranges *out);

sysout_fn sysout_poll, sysout_ppoll, sysout_select, sysout_pselect6, sysout_nanosleep, sysout_clock_nanosleep;
sysout_fn sysout_waitid, sysout_futex;
sysout_fn sysout_readv, sysout_sockaddr, sysout_recvfrom, sysout_recvmsg, sysout_recvmmsg, sysout_sendmmsg;
sysout_fn sysout_getsockopt;
sysout_fn sysout_ioctl, sysout_fcntl, sysout_name_to_handle_at, sysout_quotactl, sysout_quotactl_fd, sysout_getxattrat;
sysout_fn sysout_statmount;
sysout_fn sysout_shmctl, sysout_semctl, sysout_msgctl, sysout_msgrcv;
sysout_fn sysout_mincore, sysout_clone, sysout_clone3, sysout_syslog, sysout_capget, sysout_capset, sysout_sysfs;
sysout_fn sysout_modify_ldt, sysout_prctl, sysout_arch_prctl, sysout_get_mempolicy, sysout_keyctl;
sysout_fn sysout_perf_event_open, sysout_sched_setattr, sysout_seccomp, sysout_lsm_get_self_attr;
sysout_fn sysout_lsm_list_modules;

#endif
