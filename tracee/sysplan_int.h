/* Private to sysplan*.c: building a plan's blocks. Errors latch in the builder. */
#ifndef RELIVE_TRACEE_SYSPLAN_INT_H
#define RELIVE_TRACEE_SYSPLAN_INT_H

#include "tracee/sysplan.h"

struct plan_builder {
	const struct sys_mem *m;
	struct sysplan *plan;
	uint64_t low, high;        /* free scratch memory; copies grow up from below, empty buffers down from above */
	int err;                   /* -ENOSPC, -ENOMEM, -RL_EUNSUPPORTED */
};

/* A point to return to, when the next part of a plan does not fit. */
struct plan_mark {
	uint64_t low, high;
	size_t n_image, n_blocks, n_fixups;
};

struct plan_mark plan_mark(const struct plan_builder *b);
void plan_rollback(struct plan_builder *b, struct plan_mark mark);

/* Free scratch bytes, as one buffer. */
uint64_t plan_room(const struct plan_builder *b);

/*
 * A stand-in that the kernel only writes, or one that starts as a copy. Both return its scratch address, or `user`
 * itself when there is none: for null, for length 0, for unreadable memory, and after an error.
 */
uint64_t plan_out(struct plan_builder *b, uint64_t user, uint64_t len);
uint64_t plan_inout(struct plan_builder *b, uint64_t user, uint64_t len);

/* The same for what argument i points to. */
void plan_arg_out(struct plan_builder *b, int i, uint64_t len);
void plan_arg_inout(struct plan_builder *b, int i, uint64_t len);

/* Rewrite the pointer (or any 8-byte field) at an address inside a copy. */
void plan_rewrite(struct plan_builder *b, uint64_t scratch_at, uint64_t value);

/*
 * Stand-ins for an iovec array and its buffers. Returns the array's scratch address. With `shorten`, what does not
 * fit is cut off and *count lowered; without, it is -ENOSPC.
 */
uint64_t plan_iov(struct plan_builder *b, uint64_t iov, uint64_t *count, bool shorten);

/* The plans of calls whose outputs are CUSTOM. */
void plan_custom(struct plan_builder *b, const struct sys_call *c);

#endif
