/*
 * Machine code that writes down calls of lock functions while a replay runs, without stopping it. A function's first
 * instructions give way to a jump to a stub, which appends a record to a buffer, runs the displaced instructions and
 * goes on behind them. If the return is of interest too, the stub puts the address of the return stub in the place of
 * the return address; the return stub appends a record, puts the address back where it was (it is dead by then, but
 * still looked at by the state clock) and goes there.
 *
 * All registers and flags are kept. All of this lies in memory that no recording uses (tracee/layout.h).
 */
#ifndef RELIVE_LOCKSTUB_H
#define RELIVE_LOCKSTUB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tracee/insn.h"
#include "tracee/layout.h"

#define LOCKSTUB_BASE    (RL_SCRATCH + 0x1000000)
#define LOCKSTUB_VARS    LOCKSTUB_BASE                 /* struct lockstub_vars, then the stubs' addresses */
#define LOCKSTUB_CODE    (LOCKSTUB_BASE + 0x1000)      /* the return stub, then one stub a function */
#define LOCKSTUB_BYTES   256
#define LOCKSTUB_MAX     240
#define LOCKSTUB_BUF     (LOCKSTUB_BASE + 0x20000)
#define LOCKSTUB_RECORDS 32768
#define LOCKSTUB_ALL     (0x20000 + LOCKSTUB_RECORDS * 32)

struct lockstub_vars {
	uint64_t table;        /* not 0: which functions are patched in this memory */
	uint64_t pos;          /* where the next record goes */
	uint64_t rax, rcx;     /* the program's, while a stub runs */
	uint64_t ret;          /* the return address taken away, */
	uint64_t ret_at;       /* and from where; 0: none */
};

struct lockstub_record {
	uint64_t what;         /* index of the function, or LOCKSTUB_RETURNED */
	uint64_t value;        /* first argument, or result */
	uint64_t ret;          /* return address */
	uint64_t rsp;          /* at the entry; behind the return */
};
#define LOCKSTUB_RETURNED 0x7fffffff

#define LOCKSTUB_CAVE 7        /* bytes */

/*
 * How a function is patched. The shorter, the fewer instructions give way, and the seldomer a loop's head or a clock
 * point is among them. But a filter at the very entry (site.h) needs a jump of 5 bytes to stand in for.
 */
enum lockstub_form { LOCKSTUB_SHORT = 2, LOCKSTUB_NEAR = 5, LOCKSTUB_FAR = 7 };

struct lockstub {
	uint64_t addr, stub;           /* of the function, of its code here */
	uint8_t n_patch;               /* bytes replaced at the function */
	uint8_t patch[32], orig[32];
	uint64_t cave;                 /* padding that the patch jumps to, and that jumps on; 0: the patch reaches by itself */
	uint8_t cave_patch[LOCKSTUB_CAVE], cave_orig[LOCKSTUB_CAVE];
	uint8_t n_insns;
	uint8_t from[8];               /* of the displaced instructions: offset in the function, */
	uint8_t to[8];                 /* and in the stub */
	uint8_t full, nested;          /* offsets of its traps: the buffer is full; another function is to return still */
	uint16_t n;
	uint8_t code[LOCKSTUB_BYTES];
};

/**
 * Make patch and stub number @index of a function.
 * @code  bytes from it on, at least 64 if there are, and with its loops.
 * @cave  LOCKSTUB_CAVE bytes of padding that nobody executes, within reach of @form; 0 for LOCKSTUB_FAR.
 * 0, or -RL_EUNSUPPORTED: it cannot be patched in this form.
 */
int lockstub_build(const struct insn_code *code, enum lockstub_form form, uint64_t cave, unsigned index, bool with_return,
		   struct lockstub *ret);

/**
 * Find padding between functions for a cave: behind a jump or return, in [lo, hi), not @taken.
 * @code  bytes around it, at least 32 before lo. 0: there is none.
 */
uint64_t lockstub_find_cave(const struct insn_code *code, uint64_t lo, uint64_t hi, bool (*taken)(const void *arg, uint64_t addr),
			    const void *arg);

/** The return stub: its code, its length, and the offset of its trap at a full buffer. */
size_t lockstub_build_return(uint8_t code[LOCKSTUB_BYTES], uint8_t *ret_full);

static inline bool lockstub_holds(uint64_t addr)
{
	return addr >= LOCKSTUB_CODE && addr < LOCKSTUB_BUF;
}

#endif
