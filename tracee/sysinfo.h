/*
 * What is known about the system calls of Linux on x86-64: names, classes, and which memory each call writes.
 * The knowledge itself is the table syscalls.def. Pure functions: nothing here touches a process but by sys_mem.
 */
#ifndef RELIVE_TRACEE_SYSINFO_H
#define RELIVE_TRACEE_SYSINFO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SYS_NR_END 472             /* numbers at and above it are unknown to the table */

/* What a recorder has to do with a call. */
enum sys_class {
	SC_UNKNOWN,                /* a hole in the table; sys_desc() gives NULL */
	SC_PLAIN,                  /* its result and its outputs are recorded; replay never makes it */
	SC_ASPACE,                 /* changes the address space: translated into ev_asop */
	SC_TASK,                   /* makes, replaces or ends a task */
	SC_SIGRETURN,
	SC_RESTART,                /* restart_syscall: the outputs are those of the call it continues */
	SC_REFUSE,                 /* not made: the program gets -sys_desc.err */
	SC_LEARN,                  /* outputs unknown: found by watching the pages */
};

enum sys_flags {
	SYSF_MAY_BLOCK = 1u << 0,      /* may sleep until another task does something (see sys_may_block()) */
	SYSF_WRITES_FILE = 1u << 1,    /* write-like: bytes go from memory to descriptor arg 0 (see sys_written()) */
	SYSF_FD0 = 1u << 2,            /* arg 0 is a descriptor */
	SYSF_RET_FD = 1u << 3,         /* the result is a new descriptor */
	SYSF_RET_ADDR = 1u << 4,       /* the result is an address */
	SYSF_SETS_REGS = 1u << 5,      /* registers other than rax, rcx and r11 may change */
	SYSF_REMOTE_WRITE = 1u << 6,   /* may change another process's memory */
	SYSF_IN_PLACE = 1u << 7,       /* outputs cannot be redirected to scratch memory */
};

/* The memory of the caller. */
struct sys_mem {
	/* Copy n bytes at addr to out: 0, or -EFAULT if any of them is unmapped. */
	int (*read)(void *ctx, uint64_t addr, void *out, size_t n);
	void *ctx;
};

struct sys_call {
	int nr;
	uint64_t arg[6];           /* rdi, rsi, rdx, r10, r8, r9 as they were when the call began */
	int64_t ret;               /* rax after it */
};

struct sys_range {
	uint64_t addr;             /* in the caller's memory */
	uint64_t len;              /* bytes; above 0 */
	uint64_t from;             /* where the bytes lie now: addr itself, or scratch memory (sysplan.h) */
};

/* A growable list. Zero-initialised is empty; may be reused after sys_ranges_clear(). */
struct sys_ranges {
	struct sys_range *v;
	size_t n, cap;
	int err;                   /* the first error of an addition; latched until cleared */
};

void sys_ranges_clear(struct sys_ranges *r);
void sys_ranges_free(struct sys_ranges *r);
/* Append; nothing is appended for a null address or length 0. Returns r->err. */
int sys_ranges_add(struct sys_ranges *r, uint64_t addr, uint64_t len);
int sys_ranges_add_from(struct sys_ranges *r, uint64_t addr, uint64_t len, uint64_t from);
/*
 * Join neighbours that are in address order and at most `gap` bytes apart. The bytes between them become part of a
 * range, so a gap above 0 is right only if no other task ran between the call's beginning and now.
 */
void sys_ranges_join(struct sys_ranges *r, uint64_t gap);

struct sys_out;                    /* sysout.h */

#define SYS_OUTS_MAX 3

/*
 * args holds a letter for each argument:
 *   f descriptor    a directory descriptor  i int       l long      u unsigned  x hexadecimal  o octal
 *   p pointer       s string     y string array   b bytes that the call wrote (result)   w bytes (length: next argument)
 *   v iovec array (count: next)  O open flags  N the same without access mode  P protection  M mmap flags  R mremap flags  A advice  C clone flags
 *   G AT_ flags     g signal     m sigprocmask how  S signal set  H sigaction   t timespec   T timespec (written)
 *   V timeval       k clock      j pollfd array (count: next)  E two descriptors (written)  L whence  D address family
 *   Y socket type   h socket address (length: next)  W wait status (written)  B wait options  c fcntl command
 *   r resource      F futex operation  I ioctl request  Z prctl option  z arch_prctl option  Q epoll_ctl operation
 *   e epoll event
 */
struct sys_desc {
	const char *name;
	const char *args;
	uint8_t class;             /* enum sys_class */
	uint8_t flags;             /* enum sys_flags */
	int err;                   /* SC_REFUSE: the errno, positive */
	const struct sys_out *out; /* SYS_OUTS_MAX of them */
};

/* The table's line for a call, or NULL if there is none. Static storage. */
const struct sys_desc *sys_desc(int nr);

/* Whether a result is an error: -4095 to -1. */
static inline bool sys_failed(int64_t ret)
{
	return ret < 0 && ret >= -4095;
}

/**
 * The memory that the kernel may have written on behalf of a call that has ended.
 *
 * @c    with its result; an ERESTART* result counts as an error.
 * @m    the caller's memory as it is after the call.
 * @out  is cleared first. Ranges keep the kernel's order and may overlap; bytes that the kernel did not write can be
 *       among them (a buffer whose size was a value-result argument), so their bytes must be taken from memory.
 *       Parts of a range may be unmapped: the kernel has written nothing there.
 *
 * Outputs in the memory of other tasks (process_vm_writev, a child's CLONE_CHILD_SETTID) are not among them.
 * 0; -RL_EUNSUPPORTED (outputs unknown: class LEARN, an unknown number or ioctl); -EFAULT (a structure that tells
 * where the outputs are cannot be read); -ENOMEM.
 */
int sys_outputs(const struct sys_call *c, const struct sys_mem *m, struct sys_ranges *out);

/**
 * The bytes that a SYSF_WRITES_FILE call has sent, at most its result. Empty after an error.
 * 0, -RL_EUNSUPPORTED (not such a call), -EFAULT, -ENOMEM.
 */
int sys_written(const struct sys_call *c, const struct sys_mem *m, struct sys_ranges *out);

/**
 * Whether this very call may sleep until another task does something: SYSF_MAY_BLOCK refined by its arguments
 * (MSG_DONTWAIT, WNOHANG, a zero timeout, FUTEX_WAKE and the like cannot). Says nothing of O_NONBLOCK descriptors.
 * @m may be NULL: then timeouts in memory are taken to be long.
 */
bool sys_may_block(const struct sys_call *c, const struct sys_mem *m);

/* What clone, clone3, fork and vfork ask for. */
struct sys_clone {
	uint64_t flags;            /* CLONE_*, without the exit signal */
	int exit_signal;
	uint64_t stack;            /* lowest address of the new stack if stack_len, else its top; 0: the parent's */
	uint64_t stack_len;        /* 0: unknown (clone) */
	uint64_t parent_tid;       /* addresses; 0: none. Written in the parent's memory */
	uint64_t child_tid;        /* for CLONE_CHILD_SETTID and CLONE_CHILD_CLEARTID, in the child's memory */
	uint64_t pidfd;            /* address */
	uint64_t tls;
};

/* 0, -EINVAL (not such a call, or a size that the kernel rejects), -EFAULT. */
int sys_clone_decode(const struct sys_call *c, const struct sys_mem *m, struct sys_clone *ret);

#endif
