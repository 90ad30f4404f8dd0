/*
 * Recording: which calls the agent makes itself. Each function returns AGENT_DONE with the call's entry in the buffer,
 * or AGENT_TRACED: then the program has seen no effect yet, and the recorder will see the program's own call.
 */
#include <asm/mman.h>
#include <asm/signal.h>
#include <asm/stat.h>
#include <asm/unistd.h>
#include <asm/poll.h>
#include <linux/errno.h>
#include <linux/fcntl.h>
#include <linux/fs.h>
#include <linux/futex.h>
#include <linux/magic.h>
#include <linux/prctl.h>
#include <linux/stat.h>
#include <linux/wait.h>
#include "agent/call.h"

#define POLL_MAX 64
#define SELECT_MAX 1024

static bool is(struct agent_ctl *ctl, uint64_t fd, uint8_t classes)
{
	return agent_fd_class(ctl, fd) & classes;
}

static int make_if(struct agent_ctl *ctl, struct agent_frame *f, uint8_t classes, uint64_t out_bytes)
{
	return is(ctl, f->rdi, classes) ? make(ctl, f, out_bytes) : AGENT_TRACED;
}

/* A call with its result from elsewhere. */
static int made(struct agent_ctl *ctl, struct agent_frame *f, long result)
{
	return agent_commit(ctl, f, result);
}

/* Copies within the kernel, between files, or to a socket that does not wait. */
static int do_copy(struct agent_ctl *ctl, struct agent_frame *f)
{
	bool range = f->rax == __NR_copy_file_range;
	uint64_t from = range ? f->rdi : f->rsi, to = range ? f->rdx : f->rdi;

	if (!is(ctl, from, AGENT_FD_READ))
		return AGENT_TRACED;
	if (is(ctl, to, AGENT_FD_WRITE) || (!range && is(ctl, to, AGENT_FD_STREAM) && agent_never_waits(to)))
		return make(ctl, f, 16);
	return AGENT_TRACED;
}

/* Opening a FIFO or a device may wait for somebody. */
static int do_open(struct agent_ctl *ctl, struct agent_frame *f)
{
	bool at = f->rax == __NR_openat;
	uint64_t path = at ? f->rsi : f->rdi, flags = at ? f->rdx : f->rsi;
	struct stat st;
	long n;

	if (flags & O_TRUNC || !agent_has_room(ctl, 0))
		return AGENT_TRACED;
	n = agent_syscall(at ? (long)f->rdi : AT_FDCWD, (long)path, (long)&st,
			  flags & O_NOFOLLOW ? AT_SYMLINK_NOFOLLOW : 0, 0, 0, __NR_newfstatat);
	if (n && n != -ENOENT && n != -ENOTDIR && n != -EACCES)
		return AGENT_TRACED;
	if (!n && ((!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode)) || st.st_dev == ctl->proc_dev))
		return AGENT_TRACED;
	/* By the name alone it can be asked only where that is not relative to a descriptor. */
	if (!n && !st.st_size && ((at && (int)f->rdi != AT_FDCWD) || agent_is_proc_fs((long)path, __NR_statfs)))
		return AGENT_TRACED;
	n = raw(f);
	if (n >= 0 && n < AGENT_FDS && !ctl->fds_off)
		ctl->fd_class[n] = 0;
	return made(ctl, f, n);
}

static int do_close(struct agent_ctl *ctl, struct agent_frame *f, uint64_t fd)
{
	if (!agent_has_room(ctl, 0) || !agent_closes_at_once(ctl, fd))
		return AGENT_TRACED;
	agent_forget(ctl, fd);
	return make(ctl, f, 0);
}

static int do_fcntl(struct agent_ctl *ctl, struct agent_frame *f)
{
	switch (f->rsi) {
	case F_GETFD:
	case F_SETFD:
	case F_GETFL:
	case F_SETLK:
	case F_DUPFD:
	case F_DUPFD_CLOEXEC:
		return make(ctl, f, 0);   /* whoever closed the new descriptor has seen to its being forgotten */
	case F_GETLK:
		return make(ctl, f, 32);
	}
	return AGENT_TRACED;
}

static int do_ioctl(struct agent_ctl *ctl, struct agent_frame *f)
{
	int bytes = agent_ioctl_bytes(f->rsi);

	if (f->rsi == FICLONE)
		return make_if(ctl, f, AGENT_FD_WRITE, 0);
	return bytes < 0 ? AGENT_TRACED : make(ctl, f, (uint64_t)bytes);
}

/* Advice; what becomes of memory in a fork is for replay to do as well. */
static int do_madvise(struct agent_ctl *ctl, struct agent_frame *f)
{
	switch (f->rdx) {
	case MADV_NORMAL:
	case MADV_RANDOM:
	case MADV_SEQUENTIAL:
	case MADV_WILLNEED:
	case MADV_HUGEPAGE:
	case MADV_NOHUGEPAGE:
	case MADV_DONTDUMP:
	case MADV_DODUMP:
		return make(ctl, f, 0);
	case MADV_DONTNEED:
	case MADV_FREE:
		return agent_discard(ctl, f);
	}
	return AGENT_TRACED;
}

/* ---- waiting, if there is nothing to wait for ---- */

static int do_poll(struct agent_ctl *ctl, struct agent_frame *f, bool waits)
{
	uint64_t fds[POLL_MAX];
	long n = (long)f->rsi;

	/* On a copy: revents of a poll that has to wait are no output yet. */
	if (f->rsi > POLL_MAX || !f->rsi || !agent_has_room(ctl, f->rsi * 8))
		return AGENT_TRACED;
	for (long i = 0; i < n; i++)
		fds[i] = ((const uint64_t *)f->rdi)[i];
	n = agent_syscall((long)fds, n, 0, 0, 0, 0, __NR_poll);
	if (n < 0 || (!n && waits))
		return AGENT_TRACED;
	for (uint64_t i = 0; i < f->rsi; i++)
		((uint64_t *)f->rdi)[i] = fds[i];
	return made(ctl, f, n);
}

static int do_epoll(struct agent_ctl *ctl, struct agent_frame *f)
{
	long n;

	if ((f->rax == __NR_epoll_pwait && f->r8) || f->rdx > 1024 || !agent_has_room(ctl, f->rdx * 12))
		return AGENT_TRACED;
	n = agent_syscall((long)f->rdi, (long)f->rsi, (long)f->rdx, 0, 0, 0, __NR_epoll_wait);
	if (n < 0 || (!n && (int)f->r10))
		return AGENT_TRACED;
	return made(ctl, f, n);
}

struct timespec64 {
	int64_t sec, nsec;
};

static int do_ppoll(struct agent_ctl *ctl, struct agent_frame *f)
{
	const struct timespec64 *ts = (const struct timespec64 *)f->rdx;

	return f->r10 ? AGENT_TRACED : do_poll(ctl, f, !ts || ts->sec || ts->nsec);
}

/* On copies, as in do_poll. What time is left is what there was. */
static int do_select(struct agent_ctl *ctl, struct agent_frame *f)
{
	const uint64_t *mask = (const uint64_t *)f->r9, addr[3] = { f->rsi, f->rdx, f->r10 };
	const struct timespec64 *limit = (const struct timespec64 *)f->r8;
	struct timespec64 none = { 0, 0 };
	uint64_t sets[3][SELECT_MAX / 64], words = ((uint32_t)f->rdi + 63) / 64;
	bool waits = !limit || limit->sec || limit->nsec;
	long n;

	if ((uint32_t)f->rdi > SELECT_MAX || !agent_has_room(ctl, 3 * words * 8) || (f->rax == __NR_pselect6 && mask && *mask) ||
	    (limit && (limit->sec < 0 || (uint64_t)limit->nsec >= 1000000)))
		return AGENT_TRACED;
	for (unsigned k = 0; k < 3; k++)
		for (uint64_t i = 0; addr[k] && i < words; i++)
			sets[k][i] = ((const uint64_t *)addr[k])[i];
	n = agent_syscall((long)f->rdi, addr[0] ? (long)sets[0] : 0, addr[1] ? (long)sets[1] : 0, addr[2] ? (long)sets[2] : 0, (long)&none, 0,
			  __NR_select);
	if (n < 0 || (!n && waits))
		return AGENT_TRACED;
	for (unsigned k = 0; k < 3; k++)
		for (uint64_t i = 0; addr[k] && i < words; i++)
			((uint64_t *)addr[k])[i] = sets[k][i];
	return made(ctl, f, n);
}

static int do_futex(struct agent_ctl *ctl, struct agent_frame *f)
{
	static const struct timespec64 none = { 0, 0 };
	long n;

	if (!agent_has_room(ctl, 0))
		return AGENT_TRACED;
	switch ((int)f->rsi & FUTEX_CMD_MASK) {
	case FUTEX_WAKE:
	case FUTEX_WAKE_BITSET:
	case FUTEX_REQUEUE:
	case FUTEX_CMP_REQUEUE:
		return make(ctl, f, 0);
	case FUTEX_WAIT:
	case FUTEX_WAIT_BITSET:
		n = agent_syscall((long)f->rdi, ((long)f->rsi & FUTEX_PRIVATE_FLAG) | FUTEX_WAIT, (long)f->rdx, (long)&none, 0, 0,
				  __NR_futex);
		return n == -EAGAIN || !n ? made(ctl, f, n) : AGENT_TRACED;
	}
	return AGENT_TRACED;
}

/* ---- clocks: what the kernel puts into every process, and the program cannot see here ---- */

#define CLOCKS 12   /* those beyond are of processes, or devices */

static bool read_clock(const struct agent_ctl *ctl, uint64_t id, struct timespec64 *ret)
{
	long (*clock)(uint64_t, struct timespec64 *) = (long (*)(uint64_t, struct timespec64 *))ctl->clock;

	return clock && id < CLOCKS && clock(id, ret) == 0;
}

static int do_clock(struct agent_ctl *ctl, struct agent_frame *f)
{
	struct timespec64 now;

	if (!agent_has_room(ctl, sizeof(now)) || !read_clock(ctl, f->rdi, &now))
		return make(ctl, f, sizeof(now));
	*(struct timespec64 *)f->rsi = now;
	return made(ctl, f, 0);
}

static int do_timeofday(struct agent_ctl *ctl, struct agent_frame *f)
{
	struct timespec64 now;

	if (!f->rdi || f->rsi || !agent_has_room(ctl, sizeof(now)) || !read_clock(ctl, 0, &now))
		return make(ctl, f, 24);
	now.nsec = (int64_t)((uint64_t)now.nsec / 1000);
	*(struct timespec64 *)f->rdi = now;
	return made(ctl, f, 0);
}

/* Its return comes after a call: see entry.S. */
__attribute__((function_return("thunk-extern"))) int agent_call(struct agent_frame *f)
{
	struct agent_ctl *ctl = agent_ctl();

	ctl->slow_target = f->ret - AGENT_TRAMP_BACK;
	if (!ctl->recording)
		return agent_replay(ctl, f);
	if (ctl->off || (ctl->yield && !--ctl->yield))
		return AGENT_TRACED;
	switch (f->rax) {
	case __NR_getpid:
	case __NR_gettid:
	case __NR_getppid:
	case __NR_getuid:
	case __NR_geteuid:
	case __NR_getgid:
	case __NR_getegid:
	case __NR_getpgrp:
	case __NR_getpgid:
	case __NR_getsid:
		return make(ctl, f, 0);
	case __NR_clock_gettime:
		return do_clock(ctl, f);
	case __NR_gettimeofday:
		return do_timeofday(ctl, f);
	case __NR_clock_getres:
	case __NR_time:
	case __NR_getcpu:
	case __NR_times:
	case __NR_getrlimit:
		return make(ctl, f, 32);
	case __NR_prlimit64:
		return f->rdx ? AGENT_TRACED : make(ctl, f, 16);
	case __NR_read:
	case __NR_pread64:
		return agent_read(ctl, f);
	case __NR_write:
	case __NR_pwrite64:
		return agent_write(ctl, f);
	case __NR_readv:
	case __NR_preadv:
		return agent_readv(ctl, f);
	case __NR_writev:
		return agent_writev(ctl, f);
	case __NR_pwritev:
		return make_if(ctl, f, AGENT_FD_WRITE, 0);
	case __NR_recvmsg:
	case __NR_sendmsg:
		return agent_message(ctl, f);
	case __NR_copy_file_range:
	case __NR_sendfile:
		return do_copy(ctl, f);
	case __NR_recvfrom:
	case __NR_sendto:
		return agent_transfer(ctl, f);
	case __NR_recvmmsg:
	case __NR_sendmmsg:
		return agent_messages(ctl, f);
	case __NR_accept:
	case __NR_accept4:
	case __NR_connect:
	case __NR_getsockname:
	case __NR_getpeername:
	case __NR_getsockopt:
		return agent_socket(ctl, f);
	case __NR_getdents64:
		return make_if(ctl, f, AGENT_FD_DIR, f->rdx);
	case __NR_lseek:
		return make_if(ctl, f, AGENT_FD_DIR | AGENT_FD_READ | AGENT_FD_WRITE, 0);
	case __NR_fsync:
	case __NR_fdatasync:
	case __NR_fadvise64:
	case __NR_fchmod:
	case __NR_fchown:
	case __NR_sync_file_range:
		return make_if(ctl, f, AGENT_FD_DIR | AGENT_FD_READ | AGENT_FD_WRITE, 0);
	case __NR_ftruncate:
	case __NR_fallocate:
		return make_if(ctl, f, AGENT_FD_WRITE, 0);
	case __NR_open:
	case __NR_openat:
		return do_open(ctl, f);
	case __NR_close:
		return do_close(ctl, f, f->rdi);
	case __NR_dup2:
	case __NR_dup3:
		return do_close(ctl, f, f->rsi);
	case __NR_fcntl:
		return do_fcntl(ctl, f);
	case __NR_ioctl:
		return do_ioctl(ctl, f);
	case __NR_stat:
	case __NR_fstat:
	case __NR_lstat:
	case __NR_newfstatat:
	case __NR_getrusage:
	case __NR_statfs:
	case __NR_fstatfs:
	case __NR_sysinfo:
		return make(ctl, f, 144);
	case __NR_statx:
		return make(ctl, f, 256);
	case __NR_uname:
		return make(ctl, f, 390);
	case __NR_access:
	case __NR_faccessat:
	case __NR_faccessat2:
	case __NR_mkdir:
	case __NR_mkdirat:
	case __NR_unlink:
	case __NR_unlinkat:
	case __NR_utimensat:
	case __NR_fchmodat:
	case __NR_fchownat:
	case __NR_chmod:
	case __NR_chown:
	case __NR_lchown:
	case __NR_rename:
	case __NR_renameat:
	case __NR_renameat2:
	case __NR_link:
	case __NR_linkat:
	case __NR_symlink:
	case __NR_symlinkat:
	case __NR_rmdir:
	case __NR_chdir:
	case __NR_fchdir:
	case __NR_umask:
	case __NR_epoll_ctl:
	case __NR_epoll_create1:
	case __NR_eventfd2:
	case __NR_timerfd_create:
	case __NR_socket:
	case __NR_setsockopt:
	case __NR_shutdown:
	case __NR_bind:
	case __NR_listen:
	case __NR_getpriority:
	case __NR_dup:
		return make(ctl, f, 0);
	case __NR_pipe:
	case __NR_pipe2:
	case __NR_getresuid:
	case __NR_getresgid:
	case __NR_getitimer:
	case __NR_timer_gettime:
	case __NR_timerfd_gettime:
	case __NR_timerfd_settime:
		return make(ctl, f, 32);
	case __NR_readlink:
	case __NR_listxattr:
	case __NR_llistxattr:
	case __NR_flistxattr:
		return make(ctl, f, f->rdx);
	case __NR_readlinkat:
	case __NR_getxattr:
	case __NR_lgetxattr:
	case __NR_fgetxattr:
		return make(ctl, f, f->r10);
	case __NR_getcwd:
	case __NR_getrandom:
		return make(ctl, f, f->rsi);
	case __NR_poll:
		return do_poll(ctl, f, f->rdx);
	case __NR_ppoll:
		return do_ppoll(ctl, f);
	case __NR_epoll_wait:
	case __NR_epoll_pwait:
		return do_epoll(ctl, f);
	case __NR_select:
	case __NR_pselect6:
		return do_select(ctl, f);
	case __NR_futex:
		return do_futex(ctl, f);
	case __NR_rt_sigprocmask:
		return agent_sigmask(ctl, f);
	/* What was sent before such a call has come before it returns. */
	case __NR_setitimer:
	case __NR_timer_settime:
		return ctl->masked ? AGENT_TRACED : make(ctl, f, 32);
	case __NR_rt_sigaction:   /* the recorder knows what the program wants to do about SIGSEGV, which its own traps raise */
		return ctl->masked || (int)f->rdi == SIGSEGV ? AGENT_TRACED : make(ctl, f, 32);
	case __NR_wait4:
		return f->rdx & WNOHANG ? make(ctl, f, 4 + 144) : AGENT_TRACED;
	case __NR_madvise:
		return do_madvise(ctl, f);
	case __NR_mmap:
		return agent_mmap(ctl, f);
	case __NR_munmap:
		return agent_munmap(ctl, f);
	case __NR_mprotect:
		return agent_mprotect(ctl, f);
	case __NR_brk:
		return agent_brk(ctl, f);
	}
	return AGENT_TRACED;
}

/* ---- the time stamp counter ---- */

static void set_tsc(const struct agent_ctl *ctl, long mode)
{
	if (ctl->tsc == AGENT_TSC_SWITCHES)
		(void)agent_syscall(PR_SET_TSC, mode, 0, 0, 0, 0, __NR_prctl);
}

static bool may_read_tsc(const struct agent_ctl *ctl)
{
	return ctl->tsc == AGENT_TSC_READS || (ctl->tsc == AGENT_TSC_SWITCHES && !ctl->off);
}

/* An entry of its own, of which the result stays in the frame's rax. */
static int entry(struct agent_ctl *ctl, struct agent_frame *f, uint64_t nr, uint64_t value)
{
	f->rax = nr;
	return ctl->recording ? agent_commit(ctl, f, (int64_t)value) : agent_replay(ctl, f);
}

/* What the processor says, at recording. */
static int read_tsc(struct agent_ctl *ctl, uint64_t *ret, unsigned *ret_aux)
{
	if (!may_read_tsc(ctl) || !agent_has_room(ctl, sizeof(struct agent_entry)))
		return AGENT_TRACED;
	set_tsc(ctl, PR_TSC_ENABLE);
	*ret = __builtin_ia32_rdtscp(ret_aux);
	set_tsc(ctl, PR_TSC_SIGSEGV);
	return AGENT_DONE;
}

void agent_tsc(struct agent_frame *f)
{
	struct agent_ctl *ctl = agent_ctl();
	const struct agent_tramp_tail *tail;
	uint64_t rax = f->rax, tsc = 0;
	unsigned aux = 0;

	ctl->slow_target = f->ret - AGENT_TRAMP_BACK;
	tail = (const struct agent_tramp_tail *)(ctl->slow_target + AGENT_TRAMP_TAIL);
	if ((ctl->recording && read_tsc(ctl, &tsc, &aux) == AGENT_TRACED) || entry(ctl, f, AGENT_NR_TSC, tsc) == AGENT_TRACED) {
		f->rax = rax;
		return;
	}
	tsc = f->rax;
	if (agent_is_rdtscp(tail)) {
		(void)entry(ctl, f, AGENT_NR_TSC_AUX, aux);
		f->rcx = (uint32_t)f->rax;
	}
	ctl->slow_target = f->ret;
	f->rdx = tsc >> 32;
	f->rax = (uint32_t)tsc;
}
