/*
 * One gdb's conversation: everything the server remembers between packets. Pure: bytes are fed in, the bytes to send
 * collect in `out`; server.h moves them. Internal to this directory and its tests.
 */
#ifndef RELIVE_GDB_SESSION_H
#define RELIVE_GDB_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gdbserver/arg.h"
#include "gdbserver/text.h"
#include "gdbserver/regs.h"
#include "gdbserver/target.h"
#include "gdbserver/wire.h"

#define SESSION_FILES_MAX 64
#define SESSION_BREAKS_MAX 65536
#define SESSION_THREADS_MAX 65536
#define SESSION_PATH_MAX 4096
#define SESSION_OUT_ENOUGH WIRE_PACKET_MAX

/* What gdb said it understands, and modes it switched on. */
enum session_flags {
	GDB_MULTIPROCESS = 1 << 0,
	GDB_SWBREAK = 1 << 1,
	GDB_HWBREAK = 1 << 2,
	GDB_FORK_EVENTS = 1 << 3,
	GDB_VFORK_EVENTS = 1 << 4,
	GDB_EXEC_EVENTS = 1 << 5,
	GDB_ERROR_MESSAGE = 1 << 6,
	GDB_NO_ACK = 1 << 7,
	GDB_EXTENDED = 1 << 8,
};

enum session_life {
	LIFE_RUNNING,     /* there is a process to debug */
	LIFE_FORKED_OFF,  /* gdb let go of it and holds only the child of a fork, which is not part of the replay */
	LIFE_NONE,        /* killed or detached; `run` brings it back */
	LIFE_OVER,        /* the conversation is finished */
};

struct session_file {
	bool used;
	uint64_t size;
	char path[SESSION_PATH_MAX];
};

struct session_break {
	enum target_bp_kind kind;
	uint64_t addr, len;
};

struct session {
	struct target *t;
	enum session_life life;
	unsigned int flags;             /* enum session_flags */

	struct wire wire;
	struct buf out;                 /* framed bytes to be sent */
	struct buf reply;               /* the payload a handler builds */
	struct buf sent;                /* the last frame */

	struct ptid g, c;               /* what Hg and Hc chose; 0 or negative: the current one */
	struct target_stop stop;        /* the last one */
	enum target_dir stop_dir;
	int32_t fork_child;             /* the process of the fork just reported, 0 if none or resumed since */
	struct session_break *child_breaks; /* inserted in that child, for the case that it is followed */
	size_t n_child_breaks, cap_child_breaks;
	int32_t left;                   /* a vfork's parent, after its child was followed: gdb has yet to let go of it */
	bool just_begun;                /* nothing has run since `run` or `starti` */
	bool vfork_done_due;            /* gdb waits to hear that the vfork child has let go */
	uint64_t pass_signals;          /* bit n - 1: Linux signal n is none of gdb's business */

	struct regs_layout layout;
	bool layout_known;
	int32_t regs_tid;               /* whose registers are cached; 0: nobody's */
	struct regs_state regs;

	struct session_break *breaks;
	size_t n_breaks, cap_breaks;
	struct session_file files[SESSION_FILES_MAX];

	struct buf object;              /* the qXfer document that gdb is reading piece by piece */
	char object_name[128];

	/* Called while the target runs: push into `wire` what has arrived, without blocking. False: gdb is gone. */
	bool (*pump)(void *arg, struct wire *wire);
	/* Called when `out` must not wait for the packet's work to end: an acknowledgement. May leave it as it is. */
	void (*flush)(void *arg, struct buf *out);
	void *hook_arg;                 /* for both */
	bool interrupt_seen;
};

/*
 * Begin a conversation; the target must be stopped. Sets t->interrupted. 0 or -ENOMEM, with *ret_s freed by
 * session_free, which also removes the breakpoints gdb left behind.
 */
int session_new(struct target *t, struct session **ret_s);
void session_free(struct session *s);

/*
 * Handle what is queued in s->wire; replies are appended to s->out. True: `out` has grown enough to be sent first, call
 * again. Stops early when life is LIFE_OVER.
 */
bool session_work(struct session *s);

/* For handlers */

/* How a handler ended, besides 0 (send s->reply; empty means "not supported") and negative error codes. */
#define REPLY_NONE 1

/* Make s->reply an error with a sentence. Returns 0, so that handlers can return it. */
int reply_refuse(struct session *s, const char *sentence);
int reply_ok(struct session *s);
void reply_ptid(struct session *s, int32_t pid, int32_t tid);
/* Frame a payload at once, ahead of the reply: console output. */
void session_console(struct session *s, const char *text);

/* The thread that Hg chose (or c), or the current one; negative error if it does not exist. */
int32_t session_thread(struct session *s, struct ptid id);
bool thread_exists(struct session *s, int32_t tid);
/* All threads; *ret is malloc'ed. Number or negative. */
int session_threads(struct session *s, struct target_thread **ret);
/* Registers of a thread, cached until the next resume. */
int session_regs(struct session *s, int32_t tid, const struct regs_state **ret);
const struct regs_layout *session_layout(struct session *s);
void session_forget(struct session *s);
/* Whether packets with this process id are about the child of the fork just reported. */
bool session_is_child(const struct session *s, struct ptid id);
/* Whether they are about the debugged process, or such a child: until something runs it is the process's equal. */
bool session_is_here(struct session *s, struct ptid id);
/* Whether they are about the parent that was left behind when its vfork's child was followed. */
bool session_is_left(const struct session *s, struct ptid id);

/* breaks.c: the list exists because gdb may insert twice, remove twice, and go away without removing. */
int break_insert(struct session *s, enum target_bp_kind kind, uint64_t addr, uint64_t len);
int break_remove(struct session *s, enum target_bp_kind kind, uint64_t addr, uint64_t len);
void break_remove_all(struct session *s);
/* The same for the child of the last fork: kept until it is followed, or forgotten. */
int break_note_child(struct session *s, const struct session_break *b, bool insert);
void break_forget_child(struct session *s);

/* resume.c */
/* Debug the child of the last fork in place of its parent. The target must be able to. */
int session_follow_child(struct session *s);
int packet_vcont(struct session *s, struct arg *a);
int packet_vcont_query(struct session *s, struct arg *a);
int packet_continue(struct session *s, struct arg *a);
int packet_continue_signal(struct session *s, struct arg *a);
int packet_step(struct session *s, struct arg *a);
int packet_step_signal(struct session *s, struct arg *a);
int packet_reverse_continue(struct session *s, struct arg *a);
int packet_reverse_step(struct session *s, struct arg *a);
int packet_run(struct session *s, struct arg *a);
int packet_restart(struct session *s, struct arg *a);
int packet_why(struct session *s, struct arg *a);
/* stop.c: append the stop reply for s->stop. */
void stop_describe(struct session *s);
/* A plain T05 at the current thread, whatever the reason of the last stop. */
void stop_describe_plainly(struct session *s);

/* files.c, xfer.c, state.c: what the names say */
int packet_file(struct session *s, struct arg *a);
int packet_xfer(struct session *s, struct arg *a);
int packet_regs_read(struct session *s, struct arg *a);
int packet_reg_read(struct session *s, struct arg *a);
int packet_mem_read(struct session *s, struct arg *a);
int packet_mem_read_binary(struct session *s, struct arg *a);
int packet_mem_write(struct session *s, struct arg *a);
int packet_mem_search(struct session *s, struct arg *a);
int packet_refuse_write(struct session *s, struct arg *a);
int packet_reg_write(struct session *s, struct arg *a);
int packet_tls(struct session *s, struct arg *a);

/* packets.c: find the handler and make the reply. */
int packet_dispatch(struct session *s, const char *data, size_t n);

#endif
