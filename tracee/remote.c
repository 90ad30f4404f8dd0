#include "tracee/remote.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
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

/*
 * A call ends by a jump through r13: to the int3 if it is a single one, to the loop's second half if it is one of
 * several. rbx is the present struct remote_op, r12 the end of them.
 */
const uint8_t remote_stub[REMOTE_STUB_BYTES] = {
	0x0f, 0x05,               /*  0: syscall */
	0x41, 0xff, 0xe5,         /*  2: jmp *%r13 */
	0xcc,                     /*  5: int3 */
	0x4c, 0x39, 0xe3,         /*  6: cmp %r12, %rbx */
	0x74, 0xfa,               /*  9: je 5 */
	0x48, 0x8b, 0x03,         /* 11: mov (%rbx), %rax */
	0x48, 0x8b, 0x7b, 0x08,   /* 14: mov 8(%rbx), %rdi */
	0x48, 0x8b, 0x73, 0x10,   /* 18: mov 16(%rbx), %rsi */
	0x48, 0x8b, 0x53, 0x18,   /* 22: mov 24(%rbx), %rdx */
	0x4c, 0x8b, 0x53, 0x20,   /* 26: mov 32(%rbx), %r10 */
	0x4c, 0x8b, 0x43, 0x28,   /* 30: mov 40(%rbx), %r8 */
	0x4c, 0x8b, 0x4b, 0x30,   /* 34: mov 48(%rbx), %r9 */
	0xeb, 0xd8,               /* 38: jmp 0 */
	0x48, 0x89, 0x43, 0x38,   /* 40: mov %rax, 56(%rbx) */
	0x48, 0x83, 0xc3, 0x40,   /* 44: add $64, %rbx */
	0xeb, 0xd4,               /* 48: jmp 6 */
};

#define STUB_TRAP 5
#define STUB_LOOP 6
#define STUB_CALLED 40

_Static_assert(sizeof(struct remote_op) == 64 && offsetof(struct remote_op, ret) == 56, "as the stub has it");

static int run_to_trap(const struct remote *r, struct user_regs_struct *ret)
{
	for (;;) {
		struct stop s;
		int err = remote_resume(r->tid, PTRACE_CONT, 0);

		if (err || (err = remote_wait(r->tid, &s)))
			return err;
		if (r->ret_halted)
			stop_put_off(r->ret_halted, &s);
		switch (s.kind) {
		case TS_DEAD:
		case TS_EXITING:
			return -RL_EGONE;
		case TS_SIGNAL:
			if (s.sig == SIGTRAP) {
				err = remote_getregs(r->tid, ret);
				if (err || ret->rip == r->site + STUB_TRAP + 1)
					return err;
			}
			break;
		default:
			break;   /* a new task's event, an interruption: not the call's end */
		}
	}
}

/* From *regs on to the stub's trap, and back to where the task was. */
static int run_stub(const struct remote *r, struct user_regs_struct *regs, const struct user_regs_struct *saved)
{
	int err;

	regs->orig_rax = -1ull;   /* no restart logic on the way out */
	regs->eflags &= ~0x100ull;
	err = remote_setregs(r->tid, regs);
	if (!err)
		err = run_to_trap(r, regs);
	return err ? err : remote_setregs(r->tid, saved);
}

int remote_call(const struct remote *r, long nr, const uint64_t arg[6], int64_t *ret_result)
{
	struct user_regs_struct saved, regs;
	int err = remote_getregs(r->tid, &saved);

	if (err)
		return err;
	regs = saved;
	regs.rip = r->site;
	regs.r13 = r->site + STUB_TRAP;
	regs.rax = (uint64_t)nr;
	regs.rdi = arg[0];
	regs.rsi = arg[1];
	regs.rdx = arg[2];
	regs.r10 = arg[3];
	regs.r8 = arg[4];
	regs.r9 = arg[5];
	err = run_stub(r, &regs, &saved);
	if (!err)
		*ret_result = (int64_t)regs.rax;
	return err;
}

int remote_calls(const struct remote *r, int mem_fd, uint64_t table, struct remote_op *ops, size_t n)
{
	struct user_regs_struct saved, regs;
	int err = remote_getregs(r->tid, &saved);

	if (!err)
		err = mem_write(mem_fd, table, ops, n * sizeof(*ops));
	if (err)
		return err;
	regs = saved;
	regs.rip = r->site + STUB_LOOP;
	regs.r13 = r->site + STUB_CALLED;
	regs.rbx = table;
	regs.r12 = table + n * sizeof(*ops);
	err = run_stub(r, &regs, &saved);
	return err ? err : mem_read(mem_fd, table, ops, n * sizeof(*ops));
}
