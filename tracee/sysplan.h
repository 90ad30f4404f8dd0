/*
 * Scratch plans: how to make a call that may block while other threads run in the same memory, so that what the
 * kernel writes late never touches the program's own memory. Each output buffer is replaced by scratch memory;
 * after the call its bytes are copied to where they belong, at the instant that the recording gives to the call's end.
 *
 *	sysplan_make()    -> write plan.image at plan.scratch_addr, run the call with plan.arg
 *	sysplan_finish()  -> for each range: copy range.len bytes from range.from to range.addr
 *
 * Pure inputs (data to write, futex words, timeouts) stay where they are.
 */
#ifndef RELIVE_TRACEE_SYSPLAN_H
#define RELIVE_TRACEE_SYSPLAN_H

#include "tracee/sysinfo.h"

/* A piece of the caller's memory with a stand-in. */
struct sysplan_block {
	uint64_t user_addr;
	uint64_t len;              /* bytes */
	uint64_t scratch_addr;
};

/* A pointer in the image that the plan has rewritten. */
struct sysplan_fixup {
	uint64_t scratch_addr;     /* where */
	uint64_t user_value;       /* what the program has there */
};

enum sysplan_flags {
	SYSPLAN_SHORTENED = 1u << 0,   /* a count was lowered to what fits: a short read is possible */
	SYSPLAN_IN_PLACE = 1u << 1,    /* outputs remain in the caller's memory: the kernel cannot be told otherwise
	                                * (priority-inheritance futexes, vmsplice) */
};

/* Zero-initialised is an empty plan that may be given to sysplan_make(); reusable; free with sysplan_free(). */
struct sysplan {
	uint64_t arg[6];           /* the arguments to run with */
	uint32_t flags;            /* enum sysplan_flags */
	uint64_t scratch_addr;
	uint8_t *image;            /* to be written at scratch_addr before the call */
	size_t n_image;            /* bytes; the scratch memory behind it need not be written */
	struct sysplan_block *blocks;
	size_t n_blocks;           /* 0: the call can be made as it is */
	struct sysplan_fixup *fixups;
	size_t n_fixups;
	size_t blocks_cap, fixups_cap, image_cap;
};

/**
 * Plan a call.
 *
 * @c             the call that is about to be made; c->ret is ignored.
 * @m             the caller's memory.
 * @scratch_addr  multiple of 16; scratch_len bytes there belong to this call until it has ended.
 * @ret           its former contents are reused.
 *
 * Buffers whose address is not readable stay where they are, so that the kernel fails with EFAULT as it would have.
 * Memory that the program has made read-only is not noticed: the call succeeds where it would have failed.
 *
 * read, readv, getrandom and the like may be shortened; recv and its kin never (it would cut datagrams).
 *
 * 0; -ENOSPC (does not fit); -RL_EUNSUPPORTED (the outputs are not known before the call); -ENOMEM.
 */
int sysplan_make(const struct sys_call *c, const struct sys_mem *m, uint64_t scratch_addr, size_t scratch_len,
		 struct sysplan *ret);

/**
 * What a planned call has written.
 *
 * @c    the original call, with its original arguments and the result.
 * @m    the caller's memory, which also holds the scratch memory.
 * @out  is cleared first. Each range: where it belongs (addr), and where its bytes lie (from). Ranges of an empty or
 *       in-place plan have from == addr and need no copy.
 *
 * Errors as for sys_outputs().
 */
int sysplan_finish(const struct sysplan *p, const struct sys_call *c, const struct sys_mem *m,
		   struct sys_ranges *out);

void sysplan_free(struct sysplan *p);

#endif
