/*
 * A thread's extended processor state (x87, SSE, AVX, AVX-512, AMX, ...) and its canonical form.
 *
 * What XSAVE writes depends on more than the registers: components "not in use" are left out or not depending on
 * history, a few fields are saved differently by different processors, and reserved bytes hold the kernel's notes.
 * The CANONICAL form depends on the register values alone, so it can be compared, hashed and stored:
 *  - standard (non-compacted) layout with Intel's component offsets, also on processors that use others;
 *  - all components have values: the initial ones if XSTATE_BV said so (fcw 0x37f, mxcsr 0x1f80, else zero);
 *  - XSTATE_BV has a component's bit exactly if its value is not the initial one (mxcsr counts as SSE's);
 *    XCOMP_BV is zero;
 *  - zero: x87's last instruction and operand pointers and opcode, mxcsr_mask, reserved and software bytes;
 *  - trailing zero bytes are cut.
 */
#ifndef RELIVE_TRACEE_XSTATE_H
#define RELIVE_TRACEE_XSTATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define XSTATE_MAX 16384

/* The kernel's regset NT_X86_XSTATE: standard layout, this processor's offsets. */
struct xstate {
	size_t n;
	uint8_t bytes[XSTATE_MAX];
};

/* Registers of a ptrace-stopped thread. 0, -RL_EGONE, or -errno. */
int xstate_read(pid_t tid, struct xstate *ret);
int xstate_write(pid_t tid, const struct xstate *x);

/* The components that the kernel has switched on (XGETBV of register 0); x87 and SSE alone where that can't be asked. */
uint64_t xstate_xcr0(void);

/* Make the canonical form of x in out (XSTATE_MAX bytes, all of them written); returns its length. Cannot fail. */
size_t xstate_canon(const struct xstate *x, uint8_t *out);

/**
 * The regset with the values of a canonical form.
 *
 * @full_size  size of this machine's regset, as a struct xstate just read from any thread has it (xstate.n).
 *
 * 0; -RL_ECORRUPT (not a canonical form); -RL_EUNSUPPORTED (holds a component that this machine lacks or whose place
 * is outside of full_size).
 */
int xstate_from_canon(const uint8_t *c, size_t n, size_t full_size, struct xstate *ret);

struct xstate_part {
	uint32_t off, len;
};
#define XSTATE_PARTS 24

/**
 * What an XSAVE or XSAVEC instruction writes, were every component of the request in use: so it depends on the register
 * values alone. (XSAVE's bits of XSTATE_BV for components that were not asked for stay as memory has them.)
 *
 * @canon    the registers' canonical form, XSTATE_MAX bytes.
 * @request  components in edx:eax of those that XCR0 has.
 * @old_bv   the 8 bytes at 512 of the area in memory.
 * @out      the area, XSTATE_MAX bytes; only the parts' bytes are written.
 *
 * Returns the number of parts, at most XSTATE_PARTS; 0: it does not fit.
 */
unsigned xstate_save_area(const uint8_t *canon, uint64_t request, bool compact, uint64_t old_bv, uint8_t *out,
			  struct xstate_part *parts);

/* Whether two canonical forms are the same registers. */
bool xstate_canon_equal(const uint8_t *a, size_t na, const uint8_t *b, size_t nb);

/**
 * Name the first register in which two canonical forms differ: "st3", "fcw", "mxcsr", "xmm3", "ymm_hi 5", "k1",
 * "zmm_hi 2", "zmm17", "pkru", "tile 2"...
 *
 * @name  at least 24 bytes; "" if they are equal.
 *
 * Returns whether they differ.
 */
bool xstate_canon_diff(const uint8_t *a, size_t na, const uint8_t *b, size_t nb, char *name, size_t size);

#endif
