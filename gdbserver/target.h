/* What the gdb server drives: a program in time. Knows nothing of traces; the replayer and the tests implement it. */
#ifndef RELIVE_TARGET_H
#define RELIVE_TARGET_H

#include <stddef.h>
#include <stdint.h>
#include <stdbool.h>
#include <sys/user.h>

/* A thread as gdb sees it: ids are those of the recorded run. */
struct target_thread {
	int32_t pid, tid;
	char name[64];
};

enum target_dir { TARGET_FORWARD, TARGET_BACKWARD };

enum target_stop_kind {
	STOP_STEP,             /* the requested single step is done */
	STOP_BREAK,            /* at a software or hardware breakpoint */
	STOP_WATCH,            /* a watchpoint: watch_addr, watch_kind */
	STOP_SIGNAL,           /* signo is about to be delivered to thread tid (forward) or was (backward) */
	STOP_BEGIN,            /* the beginning of the recording (replaylog:begin) */
	STOP_END,              /* the end of the recording (replaylog:end) */
	STOP_INTERRUPTED,      /* gdb asked (target_ops.interrupted returned true) */
	STOP_FORK,             /* the process forked: other_pid (vfork if is_vfork) */
	STOP_EXEC,             /* the process has become the program `text`, or, going back, is that program again */
	STOP_SYSCALL_ENTRY,    /* syscall_nr; only if catching was asked for */
	STOP_SYSCALL_RETURN,
	STOP_EXITED,           /* the process is about to end: wait_status. Backward from here still works */
	STOP_ERROR,            /* a divergence or a broken trace: message */
	STOP_VFORK_DONE,       /* made by the server; a target need not report it */
};

enum target_bp_kind {           /* the numbers of gdb's Z packets */
	BP_SOFT = 0, BP_HARD = 1, WP_WRITE = 2, WP_READ = 3, WP_ACCESS = 4,
};

struct target_stop {
	enum target_stop_kind kind;
	int32_t pid, tid;
	int signo;
	enum target_bp_kind bp_kind;
	uint64_t watch_addr;
	int32_t other_pid;
	bool is_vfork;
	int syscall_nr;
	int wait_status;
	char text[512];        /* exec path or error message */
};

struct target_resume {
	enum target_dir dir;
	bool step;             /* one instruction of thread tid; else continue */
	int32_t tid;
	uint64_t range_start, range_end;   /* step: keep stepping while rip is in [start, end); 0,0: a single step */
};

/*
 * All functions return 0 or a negative code (common/err.h), unless said otherwise.
 * The target is always stopped when these are called.
 */
struct target_ops {
	/* Threads of the debugged process at this instant. Number of threads; fills at most max. */
	int (*threads)(void *t, struct target_thread *out, int max);
	int32_t (*current_tid)(void *t);
	int32_t (*current_pid)(void *t);

	int (*regs)(void *t, int32_t tid, struct user_regs_struct *ret);
	/* The XSAVE area in standard (non-compacted) format; *ret_n bytes used. */
	int (*xsave)(void *t, int32_t tid, void *buf, size_t max, size_t *ret_n);
	uint64_t (*xcr0)(void *t);

	/* Bytes read (may be fewer than n, at a hole), or negative. Breakpoints are never visible. */
	int64_t (*read)(void *t, uint64_t addr, void *out, size_t n);

	int (*add_break)(void *t, enum target_bp_kind kind, uint64_t addr, uint64_t len);
	int (*del_break)(void *t, enum target_bp_kind kind, uint64_t addr, uint64_t len);

	int (*resume)(void *t, const struct target_resume *r, struct target_stop *ret_stop);
	int (*restart)(void *t, struct target_stop *ret_stop);      /* back to the first instruction */

	/* *ret is malloc'ed. */
	int (*auxv)(void *t, void **ret, size_t *ret_n);
	int (*exec_file)(void *t, char *buf, size_t max);
	/* Files of the recorded program: size and content by path. -ENOENT if the trace has none. */
	int (*file_size)(void *t, const char *path, uint64_t *ret_size);
	int64_t (*file_read)(void *t, const char *path, uint64_t off, void *out, size_t n);
	/* The address of thread-local storage offset of the module whose link_map is at lm. */
	int (*tls_addr)(void *t, int32_t tid, uint64_t lm, uint64_t offset, uint64_t *ret);

	/* Which system calls to stop at; n = 0 with catch: all. */
	int (*catch_syscalls)(void *t, bool on, const int *nrs, size_t n);

	/* `monitor` commands: text answer, malloc'ed, newline at the end; -ENOENT for an unknown command. */
	int (*monitor)(void *t, const char *cmd, char **ret_text);
	/* siginfo of the current stop, 128 bytes; -ENOENT if none */
	int (*siginfo)(void *t, void *buf, size_t max, size_t *ret_n);
	/*
	 * Optional: like restart, but to the place named by gdb's `starti WHERE` or `run WHERE`, say an event number. gdb
	 * has no other command that jumps and forgets all it knew. -ENOENT: no such place.
	 */
	/*
	 * Optional: from now on debug the process pid, made by the last STOP_FORK, which regs() has to know from then on.
	 * Breakpoints are gone. restart() leads back to the first process. Without it a fork's child cannot be followed.
	 */
	int (*follow)(void *t, int32_t pid);
	/* May be NULL. Something was refused for which gdb has no words: tell the user by other means. */
	void (*refused)(void *t, const char *sentence);
	int (*restart_at)(void *t, const char *where, struct target_stop *ret_stop);
};

struct target {
	const struct target_ops *ops;
	void *self;
	/* Set by the server: polled by resume during long work; true: gdb wants a stop. */
	bool (*interrupted)(void *arg);
	void *interrupted_arg;
};

#endif
