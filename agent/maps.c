/*
 * Calls that change the address space: see maps_abi.h. What is not certainly the program's own private memory, without code, is
 * left to the recorder.
 */
#include <linux/mman.h>
#include <asm/unistd.h>
#include <linux/errno.h>
#include "agent/call.h"

#define FLAGS_NEEDED (uint64_t)(MAP_PRIVATE | MAP_ANONYMOUS)
#define FLAGS_KNOWN (FLAGS_NEEDED | MAP_NORESERVE | MAP_FIXED)

_Static_assert(AGENT_MAP_FLAGS == (MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE), "as the kernel has them");
_Static_assert(AGENT_PROTS == (PROT_READ | PROT_WRITE), "as the kernel has them");

static bool may(const struct agent_ctl *ctl)
{
	return !ctl->maps_off && agent_has_room(ctl, sizeof(struct agent_op));
}

/* Whether the call is about memory of which we may dispose. */
static bool owns(const struct agent_ctl *ctl, uint64_t addr, uint64_t bytes)
{
	return !(addr % AGENT_PAGE) && agent_owns(ctl->own, ctl->n_own, addr, addr + AGENT_PAGE_UP(bytes));
}

static int made(struct agent_ctl *ctl, struct agent_frame *f, long result, const struct agent_op *op)
{
	return result < 0 && result >= -4095 ? agent_commit(ctl, f, result) : agent_commit_op(ctl, f, result, op);
}

int agent_mmap(struct agent_ctl *ctl, struct agent_frame *f)
{
	uint64_t len = AGENT_PAGE_UP(f->rsi);
	struct agent_op op = { .len = len, .kind = AGENT_OP_MAP, .prot = (uint32_t)f->rdx };
	long at;

	if (!may(ctl) || !len || f->rdx & ~(uint64_t)AGENT_PROTS || f->r10 & ~FLAGS_KNOWN || (f->r10 & FLAGS_NEEDED) != FLAGS_NEEDED ||
	    (f->r10 & MAP_FIXED && !owns(ctl, f->rdi, len)))
		return AGENT_TRACED;
	at = agent_syscall((long)f->rdi, (long)f->rsi, (long)f->rdx, (long)f->r10, (long)f->r8, (long)f->r9, __NR_mmap);
	op.addr = (uint64_t)at;
	if (at > 0)
		ctl->n_own = agent_own(ctl->own, ctl->n_own, op.addr, op.addr + len);
	return made(ctl, f, at, &op);
}

int agent_munmap(struct agent_ctl *ctl, struct agent_frame *f)
{
	struct agent_op op = { f->rdi, AGENT_PAGE_UP(f->rsi), AGENT_OP_UNMAP, 0 };
	long n;

	if (!may(ctl) || !owns(ctl, op.addr, op.len))
		return AGENT_TRACED;
	n = agent_syscall((long)f->rdi, (long)f->rsi, 0, 0, 0, 0, __NR_munmap);
	if (!n)
		ctl->n_own = agent_disown(ctl->own, ctl->n_own, op.addr, op.addr + op.len);
	return made(ctl, f, n, &op);
}

int agent_mprotect(struct agent_ctl *ctl, struct agent_frame *f)
{
	struct agent_op op = { f->rdi, AGENT_PAGE_UP(f->rsi), AGENT_OP_PROTECT, (uint32_t)f->rdx };

	if (!may(ctl) || f->rdx & ~(uint64_t)AGENT_PROTS || !owns(ctl, op.addr, op.len))
		return AGENT_TRACED;
	return made(ctl, f, agent_syscall((long)f->rdi, (long)f->rsi, (long)f->rdx, 0, 0, 0, __NR_mprotect), &op);
}

/* What may go at the kernel's leisure goes now, as it does behind a stop. */
int agent_discard(struct agent_ctl *ctl, struct agent_frame *f)
{
	struct agent_op op = { f->rdi, AGENT_PAGE_UP(f->rsi), AGENT_OP_ZERO, 0 };

	if (!may(ctl) || !owns(ctl, op.addr, op.len))
		return AGENT_TRACED;
	return made(ctl, f, agent_syscall((long)f->rdi, (long)f->rsi, MADV_DONTNEED, 0, 0, 0, __NR_madvise), &op);
}

/* It answers with where it is, not with an error. */
int agent_brk(struct agent_ctl *ctl, struct agent_frame *f)
{
	uint64_t from = AGENT_PAGE_UP(ctl->brk), to;
	struct agent_op op = { .addr = from, .prot = PROT_READ | PROT_WRITE };

	if (!ctl->brk || !may(ctl))
		return AGENT_TRACED;
	ctl->brk = (uint64_t)agent_syscall((long)f->rdi, 0, 0, 0, 0, 0, __NR_brk);
	to = AGENT_PAGE_UP(ctl->brk);
	if (to > from) {
		op.kind = AGENT_OP_MAP;
		op.len = to - from;
		ctl->n_own = agent_own(ctl->own, ctl->n_own, from, to);
	} else if (to < from) {
		op.kind = AGENT_OP_UNMAP;
		op.addr = to;
		op.len = from - to;
		ctl->n_own = agent_disown(ctl->own, ctl->n_own, to, from);
	}
	ctl->mapped = 1;   /* the recorder is to know where it is */
	return op.kind ? agent_commit_op(ctl, f, (int64_t)ctl->brk, &op) : agent_commit(ctl, f, (int64_t)ctl->brk);
}

bool agent_redo(const struct agent_op *op)
{
	long addr = (long)op->addr, len = (long)op->len;

	switch (op->kind) {
	case AGENT_OP_MAP:
		return agent_syscall(addr, len, op->prot, AGENT_MAP_FLAGS, -1, 0, __NR_mmap) == addr;
	case AGENT_OP_UNMAP:
		return !agent_syscall(addr, len, 0, 0, 0, 0, __NR_munmap);
	case AGENT_OP_PROTECT:
		return !agent_syscall(addr, len, op->prot, 0, 0, 0, __NR_mprotect);
	case AGENT_OP_ZERO:
		return !agent_syscall(addr, len, MADV_DONTNEED, 0, 0, 0, __NR_madvise);
	}
	return false;
}
