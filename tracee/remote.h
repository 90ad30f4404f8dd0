/* Mechanism on a stopped task: registers, memory, calls run inside it. Follows ptrace(2) and proc(5). */
#ifndef RELIVE_REMOTE_H
#define RELIVE_REMOTE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/user.h>
#include "tracee/stop.h"

/** Registers of a task in a ptrace-stop. 0 or -RL_EGONE (it was killed) or -errno. */
int remote_getregs(pid_t tid, struct user_regs_struct *ret);
int remote_setregs(pid_t tid, const struct user_regs_struct *regs);

/**
 * Let a stopped task go on. @request: PTRACE_CONT, PTRACE_SYSCALL, PTRACE_SYSEMU, PTRACE_SINGLESTEP, ...
 * 0, -RL_EGONE or -errno.
 */
int remote_resume(pid_t tid, int request, int sig);

/** Wait until this very task stops or dies; EINTR is waited out. 0, -RL_EGONE (no such child). */
int remote_wait(pid_t tid, struct stop *ret);

/** Open /proc/TID/mem. The descriptor serves as the address space's handle. Descriptor or -errno. */
int remote_open_mem(pid_t tid);

/** All or nothing: 0, -EFAULT. Protections do not matter; holes do. */
int mem_read(int mem_fd, uint64_t addr, void *out, size_t n);
int mem_write(int mem_fd, uint64_t addr, const void *bytes, size_t n);
/** As many bytes as can be read before the first hole. */
size_t mem_read_some(int mem_fd, uint64_t addr, void *out, size_t n);
/** A NUL-terminated string; cut at max - 1. 0 or -EFAULT. */
int mem_read_string(int mem_fd, uint64_t addr, char *out, size_t max);

/*
 * Calls run inside a task. It must be in a ptrace-stop at the border to user mode (not between a system call's entry
 * and exit); its registers are as before afterwards. The caller masks signals. What cannot be masked, a SIGSTOP or a stop of
 * the whole process, is put off: the caller is told, and has to send a SIGSTOP again.
 */
struct remote {
	pid_t tid;
	uint64_t site;     /* address of remote_stub's bytes in the task; for single calls, of REMOTE_STUB_CALL */
	enum halt *ret_halted;  /* set if the task was to stop meanwhile; NULL: nobody cares */
};
/** *ret_result is the call's own result, e.g. -ENOENT. 0 if it ran, -RL_EGONE, -errno. */
int remote_call(const struct remote *r, long nr, const uint64_t arg[6], int64_t *ret_result);

/* The code of injected calls, for wherever a task can execute it. Its system call instruction is its first one. */
#define REMOTE_STUB_BYTES 50
#define REMOTE_STUB_CALL 6      /* so many of them are enough for single calls: "syscall; jmp *%r13; int3" */
extern const uint8_t remote_stub[REMOTE_STUB_BYTES];

/* One of several calls, as the stub's loop finds it in memory. */
struct remote_op {
	uint64_t nr, arg[6];
	int64_t ret;       /* its own result */
};

/**
 * Make @n calls, one after the other whatever their results, with one stop for all of them.
 *
 * @table  where in the task's memory (@mem_fd) the calls stand meanwhile: n * sizeof(struct remote_op) bytes that it can
 *         write to, which no call may take away.
 *
 * 0: all were made; -RL_EGONE; -EFAULT: the table is not writable; -errno.
 */
int remote_calls(const struct remote *r, int mem_fd, uint64_t table, struct remote_op *ops, size_t n);

#define REMOTE_ARGS(...) ((const uint64_t[6]){ __VA_ARGS__ })

#endif
