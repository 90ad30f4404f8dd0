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

/* ---- io.c: the buffer ---- */

void agent_copy(void *to, const void *from, uint64_t n);

#define OUTS_MAX 18
#define AGENT_OUT_MAX 65536   /* bytes: longer outputs are no better off in the buffer than behind a stop */

struct agent_out {
	uint64_t addr;
	uint64_t len;
};
struct agent_outs {
	unsigned n;
	struct agent_out v[OUTS_MAX];
};

/* struct msghdr. */
struct agent_message {
	uint64_t name, name_len, iov, n_iov, control, control_len, flags;
};

/* What this ioctl(2) writes; negative: nothing is known about it. */
int agent_ioctl_bytes(uint64_t request);
/* What a call that ended with this result has written, in order. */
void agent_outs(const struct agent_frame *f, int64_t result, struct agent_outs *o);
/* Whether an entry whose outputs have at most so many bytes fits. */
bool agent_has_room(const struct agent_ctl *ctl, uint64_t out_bytes);
/* Append the call's entry, and make it the call's result. */
int agent_commit(struct agent_ctl *ctl, struct agent_frame *f, int64_t result);
/* Take the call's entry. */
int agent_replay(struct agent_ctl *ctl, struct agent_frame *f);

#endif
