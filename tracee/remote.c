#include "tracee/remote.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>
#include "common/err.h"
#include "common/log.h"

static int ptrace_err(void)
{
	return errno == ESRCH ? -RL_EGONE : -errno;
}

int remote_getregs(pid_t tid, struct user_regs_struct *ret)
{
	return ptrace(PTRACE_GETREGS, tid, 0, ret) < 0 ? ptrace_err() : 0;
}

int remote_setregs(pid_t tid, const struct user_regs_struct *regs)
{
	return ptrace(PTRACE_SETREGS, tid, 0, regs) < 0 ? ptrace_err() : 0;
}

int remote_resume(pid_t tid, int request, int sig)
{
	return ptrace(request, tid, 0, (long)sig) < 0 ? ptrace_err() : 0;
}

int remote_wait(pid_t tid, struct stop *ret)
{
	int status;

	while (waitpid(tid, &status, __WALL) < 0) {
		if (errno != EINTR)
			return errno == ECHILD ? -RL_EGONE : -errno;
	}
	*ret = stop_decode(status);
	return 0;
}

int remote_open_mem(pid_t tid)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/mem", tid);
	fd = open(path, O_RDWR | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

size_t mem_read_some(int mem_fd, uint64_t addr, void *out, size_t n)
{
	size_t done = 0;

	while (done < n) {
		ssize_t got = pread(mem_fd, (char *)out + done, n - done, (off_t)(addr + done));

		if (got <= 0)
			break;
		done += (size_t)got;
	}
	return done;
}

int mem_read(int mem_fd, uint64_t addr, void *out, size_t n)
{
	return mem_read_some(mem_fd, addr, out, n) == n ? 0 : -EFAULT;
}

int mem_write(int mem_fd, uint64_t addr, const void *bytes, size_t n)
{
	size_t done = 0;

	while (done < n) {
		ssize_t put = pwrite(mem_fd, (const char *)bytes + done, n - done, (off_t)(addr + done));

		if (put <= 0)
			return -EFAULT;
		done += (size_t)put;
	}
	return 0;
}

int mem_read_string(int mem_fd, uint64_t addr, char *out, size_t max)
{
	size_t done = 0;

	while (done + 1 < max) {
		size_t chunk = 4096 - (addr + done) % 4096;
		size_t got;
		char *nul;

		if (chunk > max - 1 - done)
			chunk = max - 1 - done;
		got = mem_read_some(mem_fd, addr + done, out + done, chunk);
		nul = memchr(out + done, 0, got);
		if (nul)
			return 0;
		if (got < chunk)
			return -EFAULT;
		done += got;
	}
	out[done] = '\0';
	return 0;
}

static int run_to_trap(const struct remote *r)
{
	for (;;) {
		struct user_regs_struct now;
		struct stop s;
		int err = remote_resume(r->tid, PTRACE_CONT, 0);

		if (err || (err = remote_wait(r->tid, &s)))
			return err;
		switch (s.kind) {
		case TS_DEAD:
		case TS_EXITING:
			return -RL_EGONE;
		case TS_SIGNAL:
			if (s.sig == SIGTRAP) {
				err = remote_getregs(r->tid, &now);
				if (err || now.rip == r->site + 3)
					return err;
			}
			if (r->on_signal)
				r->on_signal(r->ctx, s.sig);
			break;
		default:
			break;   /* a new task's event, an interruption: not the call's end */
		}
	}
}

int remote_call(const struct remote *r, long nr, const uint64_t arg[6], int64_t *ret_result)
{
	struct user_regs_struct saved, regs;
	int err = remote_getregs(r->tid, &saved);

	if (err)
		return err;
	regs = saved;
	regs.rip = r->site;
	regs.rax = (uint64_t)nr;
	regs.orig_rax = -1ull;   /* no restart logic on the way out */
	regs.rdi = arg[0];
	regs.rsi = arg[1];
	regs.rdx = arg[2];
	regs.r10 = arg[3];
	regs.r8 = arg[4];
	regs.r9 = arg[5];
	regs.eflags &= ~0x100ull;
	err = remote_setregs(r->tid, &regs);
	if (!err)
		err = run_to_trap(r);
	if (!err)
		err = remote_getregs(r->tid, &regs);
	if (err)
		return err;
	*ret_result = (int64_t)regs.rax;
	return remote_setregs(r->tid, &saved);
}
