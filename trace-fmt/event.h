/* The events of a recording, as the recorder hands them to the trace and the replayer gets them back. */
#ifndef RELIVE_TRACE_EVENT_H
#define RELIVE_TRACE_EVENT_H

#include <stdint.h>
#include <stdbool.h>
#include <sys/user.h>

/*
 * Every event names one task, and happens at one exact instant of that task's execution. Between two events of a
 * trace only one task executes user code: the one that the later event names.
 *
 * Each kind says how replay reaches the instant:
 *
 *   EV_EXEC           nothing runs; the task's address space becomes checkpoint `ckpt`
 *   EV_SYSCALL        the task's next system call instruction; it began and ended with no other task in between
 *   EV_SYSCALL_ENTER  the same, but the call blocked (or created a vfork child); other tasks' events may follow
 *   EV_SYSCALL_EXIT   nothing runs; the end of the call that the task's EV_SYSCALL_ENTER began
 *   EV_INSN           the task's next trapping instruction (rdtsc, rdtscp, cpuid, rdrand, rdseed, rdpid); or, with
 *                     `insn_len` 0, its next one in memory that it may not execute before the event changes that
 *   EV_CLOCK          the first instant at which the task's state equals `before`, `xstate`, `window` and `pages`;
 *                     its `writes` are some words of memory as they are then, to tell the instant from others cheaply
 *   EV_SIGNAL         SIG_SYNC: the task's next fault. Otherwise nothing runs.
 *                     The delivery of a signal: to a handler (`after` and `writes` hold its frame) or fatal (SIG_FATAL).
 *   EV_EXIT           nothing runs; the task is gone. `status` is what wait(2) would report.
 *                     Its writes are those that the kernel makes at a thread's end.
 *   EV_BUFFER         nothing runs; what the task's agent (agent/abi.h) is to give the program instead of making system
 *                     calls, until the task's next event. `writes` puts it into the agent's buffer
 *   EV_PATCH          nothing runs; a system call site was made to jump to the agent. `writes` holds its new bytes and
 *                     its trampoline, `asops` memory for trampolines; `after`: the task stood in the bytes replaced. Again,
 *                     without the trampoline, for each other task that stood there.
 *                     Without writes: the site at `window_addr` was not, for the reason `nr` (enum patch_refusal).
 *                     With `asops` alone: what another task's call did to this one's address space
 */
enum event_kind {
	EV_EXEC = 1,
	EV_SYSCALL,
	EV_SYSCALL_ENTER,
	EV_SYSCALL_EXIT,
	EV_INSN,
	EV_CLOCK,
	EV_SIGNAL,
	EV_EXIT,
	EV_BUFFER,
	EV_PATCH,
	EV_KIND_MAX = EV_PATCH,
};

enum patch_refusal {
	PATCH_NO_ROOM = 1,      /* for its trampoline, within reach */
	PATCH_NOT_PRIVATE,      /* the code is shared, or relive's own */
	PATCH_NO_SYSCALL,       /* there is no syscall instruction (any more) */
	PATCH_IMMOVABLE,        /* the instructions behind it cannot be executed elsewhere */
	PATCH_JUMPED_INTO,      /* something may jump to one of these */
	PATCH_REFUSAL_END,
};

enum event_flags {
	EVF_SIG_SYNC = 1u << 0,      /* EV_SIGNAL: raised by the instruction at before.rip */
	EVF_SIG_HANDLER = 1u << 1,   /* EV_SIGNAL: a handler's frame was built */
	EVF_SIG_FATAL = 1u << 2,     /* EV_SIGNAL: the process ends by it */
	EVF_RESTART = 1u << 3,       /* EV_SYSCALL[_EXIT]: an ERESTART result; `after` is the state before the restart */
	EVF_PROC_EXIT = 1u << 4,     /* EV_EXIT: the last task of its process */
	EVF_AFTER = 1u << 5,         /* `after` is meaningful: replay sets these registers */
	EVF_BEFORE = 1u << 6,        /* `before` is meaningful: replay must find these registers */
};

/*
 * Bytes the kernel (or the recorder on its behalf) wrote into memory, or, if task is EV_WRITE_OBJECT | object, into
 * that object at the offset addr: what write(2) does to a file that is also mapped shared.
 */
#define EV_WRITE_OBJECT (1u << 31)
struct ev_write {
	uint32_t task;         /* whose address space */
	uint64_t addr;
	uint32_t len;          /* bytes; at most EV_WRITE_MAX, longer ones are split */
	const uint8_t *bytes;
};
#define EV_WRITE_MAX (1u << 20)

/* A change of the address space, to be performed by replay at exactly these addresses, before the writes. */
enum as_kind {
	AS_MAP = 1,    /* addr len prot flags obj obj_off; replaces what was there */
	AS_UNMAP,      /* addr len */
	AS_PROTECT,    /* addr len prot */
	AS_REMAP,      /* addr len -> new_addr new_len; flags: AS_DONTUNMAP */
	AS_ZERO,       /* addr len: private pages revert to their backing (madvise MADV_DONTNEED) */
	AS_RESIZE,     /* obj len: a shared object has this many bytes now; what is cut off is lost */
	AS_PUNCH,      /* obj obj_off len: these pages of a shared object are zero now */
	AS_KIND_MAX = AS_PUNCH,
};
enum as_flags {
	AS_SHARED = 1u << 0,     /* MAP_SHARED of object obj (obj != 0) */
	AS_STACK = 1u << 1,      /* certainly a thread's stack: dead bytes below sp may be masked */
	AS_DONTUNMAP = 1u << 2,
	AS_GROWSDOWN = 1u << 3,
};
struct ev_asop {
	uint8_t kind;          /* enum as_kind */
	uint8_t prot;          /* PROT_* */
	uint16_t flags;        /* enum as_flags */
	uint32_t obj;          /* 0: anonymous; else an object of the trace */
	uint64_t addr, len;
	uint64_t obj_off;      /* bytes, a multiple of 4096 */
	uint64_t new_addr, new_len;
};

/* A page's hash at a clock point: XXH3_64bits of its 4096 bytes, the first dead_bytes taken as zero. */
struct ev_page {
	uint64_t addr;         /* a multiple of 4096 */
	uint64_t hash;
	uint32_t dead_bytes;   /* 0..4095 */
};

/* Bytes of the task's memory that its call sent to the recorder's standard output or error. */
struct ev_output {
	uint8_t stream;        /* 1 or 2 */
	uint64_t addr;
	uint32_t len;
};

/* The task that a clone, fork or vfork made. */
enum new_task_flags {
	NT_VM = 1u << 0,       /* shares the parent's memory */
	NT_THREAD = 1u << 1,   /* of the parent's thread group */
	NT_VFORK = 1u << 2,
};
struct ev_new_task {
	uint32_t task;         /* its number in this trace; 0: no task was made */
	uint32_t proc;         /* its process's number in this trace */
	int32_t tid, pid;      /* as the recorded program saw them (in the recorder's pid namespace) */
	uint32_t flags;        /* enum new_task_flags */
	struct user_regs_struct regs;   /* its first registers */
};

struct event {
	uint64_t no;           /* 1, 2, 3, ... without gaps; set by trace_append() */
	uint64_t time_ns;      /* since the recording's start, monotonic */
	uint32_t task;
	uint8_t kind;          /* enum event_kind */
	uint32_t flags;        /* enum event_flags */

	int32_t nr;            /* EV_SYSCALL*: the call's number */
	int32_t signo;         /* EV_SIGNAL */
	int32_t status;        /* EV_EXIT: wait status; EV_CLOCK: microseconds that the task ran in its slice, 0: not known */
	uint32_t ckpt;         /* EV_EXEC */
	uint8_t insn_len;      /* EV_INSN: bytes that `after.rip` is past `before.rip` */

	struct user_regs_struct before, after;

	uint32_t n_writes, n_asops, n_pages, n_outputs;
	const struct ev_write *writes;
	const struct ev_asop *asops;
	const struct ev_page *pages;          /* EV_CLOCK */
	const struct ev_output *outputs;

	/* Canonical XSAVE image (tracee/xstate.h), trailing zeros cut. EV_CLOCK: replay must find it.
	 * EV_SIGNAL to a handler, EV_SYSCALL of rt_sigreturn: replay sets it. Empty: not given. */
	uint32_t n_xstate;
	const uint8_t *xstate;

	/* EV_CLOCK: the bytes at window_addr. */
	uint64_t window_addr;
	uint32_t n_window;
	const uint8_t *window;

	uint32_t n_siginfo;    /* EV_SIGNAL: a siginfo_t's first bytes; 0 or 128 */
	const uint8_t *siginfo;

	struct ev_new_task new_task;
};

#endif
