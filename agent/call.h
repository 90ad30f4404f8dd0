/* Inside the agent. Nothing here may use data of its own, or vector registers. */
#ifndef RELIVE_AGENT_CALL_H
#define RELIVE_AGENT_CALL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "agent/abi.h"

/* What entry.S has pushed. */
struct agent_frame {
	uint64_t rax, rdi, rsi, rdx, r10, r8, r9, rcx, r11, flags, ret;
};

enum agent_verdict { AGENT_TRACED, AGENT_DONE };

static inline struct agent_ctl *agent_ctl(void)
{
	return (struct agent_ctl *)AGENT_DATA;
}

/* The kernel's own convention: a result, or -errno. */
long agent_syscall(long a0, long a1, long a2, long a3, long a4, long a5, long nr);

int agent_call(struct agent_frame *f);
/* An rdtsc: its result in the frame, and where to go on in ctl->slow_target. */
void agent_tsc(struct agent_frame *f);
/* An xsavec: the same. */
void agent_xsave(struct agent_frame *f);

/* ---- signal.c ---- */

int agent_sigmask(struct agent_ctl *ctl, struct agent_frame *f);

/* ---- desc.c ---- */

/* Of enum agent_fd. */
uint8_t agent_fd_class(struct agent_ctl *ctl, uint64_t fd);
void agent_forget(struct agent_ctl *ctl, uint64_t fd);
/* What statfs(2) or fstatfs(2), @nr, says of a path or descriptor. */
bool agent_is_proc_fs(long what, long nr);
/* Whether its calls return at once: O_NONBLOCK. */
bool agent_never_waits(uint64_t fd);
/*
 * Whether a stream takes a small write whole: a pipe does, or none of it. What a socket takes without waiting may be a
 * part, which a program that waits never sees; one that says it is writable has a third of its room free.
 */
bool agent_is_writable(uint64_t fd);
bool agent_closes_at_once(struct agent_ctl *ctl, uint64_t fd);

/* ---- stream.c ---- */

#define SMALL_WRITE 4096ull         /* a pipe takes that much whole or not at all: PIPE_BUF */
#define VECTOR_MAX 16
#define IOV_MAX 1024

struct iovec {
	uint64_t base, len;
};

int agent_read(struct agent_ctl *ctl, struct agent_frame *f);
int agent_write(struct agent_ctl *ctl, struct agent_frame *f);
int agent_readv(struct agent_ctl *ctl, struct agent_frame *f);
int agent_writev(struct agent_ctl *ctl, struct agent_frame *f);
/*
 * A call was tried without waiting. Having to wait is no result, unless the program does not want to wait either; and where a
 * pointer is bad the kernel may have written up to there, which it does again. All others are: an error of a socket is told once.
 */
int agent_tried(struct agent_ctl *ctl, struct agent_frame *f, long n, bool waits);
/* How much of @len bytes to ask a stream for, so that all that is there fits; 0: not at all. */
uint64_t agent_stream_room(const struct agent_ctl *ctl, uint64_t fd, uint64_t len);
/* Send so many bytes: all of them, or as many as a program is told of that does not wait. @send: try it. */
int agent_send_whole(struct agent_ctl *ctl, struct agent_frame *f, uint64_t len, long (*send)(const struct agent_frame *f));
bool agent_overlap(const struct iovec *a, uint64_t addr, uint64_t len);
/*
 * The bytes of a list of buffers. False: it is long; or it could be read into itself, and would no longer be there when its
 * outputs are looked for.
 */
bool agent_vector_bytes(uint64_t addr, uint64_t n, uint64_t *ret);

/* ---- socket.c ---- */

/* struct msghdr. */
struct agent_message {
	uint64_t name, name_len, iov, n_iov, control, control_len, flags;
};
/* struct mmsghdr. */
struct agent_mmessage {
	struct agent_message m;
	uint32_t n_bytes, unused;
};

int agent_message(struct agent_ctl *ctl, struct agent_frame *f);
int agent_messages(struct agent_ctl *ctl, struct agent_frame *f);
int agent_transfer(struct agent_ctl *ctl, struct agent_frame *f);
int agent_socket(struct agent_ctl *ctl, struct agent_frame *f);
/* ctl->in, for such calls: before the call is made, or its entry used. */
void agent_take_lengths(struct agent_ctl *ctl, const struct agent_frame *f);

/* ---- maps.c ---- */

int agent_mmap(struct agent_ctl *ctl, struct agent_frame *f);
int agent_munmap(struct agent_ctl *ctl, struct agent_frame *f);
int agent_mprotect(struct agent_ctl *ctl, struct agent_frame *f);
int agent_brk(struct agent_ctl *ctl, struct agent_frame *f);
/* MADV_DONTNEED and MADV_FREE. */
int agent_discard(struct agent_ctl *ctl, struct agent_frame *f);
/* Replay: whether it could be done again. */
bool agent_redo(const struct agent_op *op);

/* ---- io.c: the buffer ---- */

void agent_copy(void *to, const void *from, uint64_t n);

#define OUTS_MAX 64
#define AGENT_OUT_MAX 65536   /* bytes: longer outputs are no better off in the buffer than behind a stop */

struct agent_out {
	uint64_t addr;
	uint64_t len;
};
struct agent_outs {
	unsigned n;
	struct agent_out v[OUTS_MAX];
};

/* What this ioctl(2) writes; negative: nothing is known about it. */
int agent_ioctl_bytes(uint64_t request);
/* What a call that ended with this result has written, in order. */
void agent_outs(const struct agent_frame *f, int64_t result, struct agent_outs *o);
/* Whether an entry whose outputs have at most so many bytes fits. */
bool agent_has_room(const struct agent_ctl *ctl, uint64_t out_bytes);
/* Append the call's entry, and make it the call's result. */
int agent_commit(struct agent_ctl *ctl, struct agent_frame *f, int64_t result);
/* The same for a call that has changed mappings. */
int agent_commit_op(struct agent_ctl *ctl, struct agent_frame *f, int64_t result, const struct agent_op *op);
/* Take the call's entry. */
int agent_replay(struct agent_ctl *ctl, struct agent_frame *f);

static inline long raw(const struct agent_frame *f)
{
	return agent_syscall((long)f->rdi, (long)f->rsi, (long)f->rdx, (long)f->r10, (long)f->r8, (long)f->r9, (long)f->rax);
}

/* Make a call that cannot block, and of which nobody needs to know but its outputs. */
static inline int make(struct agent_ctl *ctl, struct agent_frame *f, uint64_t out_bytes)
{
	if (!agent_has_room(ctl, out_bytes))
		return AGENT_TRACED;
	return agent_commit(ctl, f, raw(f));
}

#endif
