/*
 * A filter at a code site, in machine code: each time the program passes the site, registers or memory words are
 * compared with wanted values inside the program itself, and only a pass where all are equal stops it. A pass costs
 * about a nanosecond, a stop some microseconds: what makes finding the right one of 10^8 passes possible.
 *
 * The site gets a 5-byte jump to a stub. The stub preserves all registers and flags, and writes no memory but its own
 * slots and the counter; nothing at or below the stack pointer either (red zone). It has no place for two threads:
 * none may run in it while another one is stopped in the middle of it (filter_original_ip tells).
 *
 * Where the jump takes the place of several instructions, the program may still jump into their midst: through a switch's
 * table, an interpreter's, a generated one; no look at the code can rule that out. So the stub lies where the jump's own
 * bytes are opcodes that fault, wherever such an instruction began: the thread stops there (filter_midst) and goes on in the
 * instruction's copy. (The idea of using a jump's bytes twice is known as instruction punning.)
 *
 * Building is all that happens here; the caller writes jump and stub into the stopped process, after making sure that
 * no thread's rip lies inside the displaced bytes (above the site), and puts the original bytes back to remove it.
 */
#ifndef RELIVE_TRACEE_FILTER_H
#define RELIVE_TRACEE_FILTER_H

#include <stddef.h>
#include <stdint.h>

#include "tracee/insn.h"

#define FILTER_MAX_TESTS 8
#define FILTER_MAX_CODE 1024
#define FILTER_SLOT_BYTES 576
#define FILTER_MAX_DISPLACED (4 + INSN_MAX_BYTES)
/*
 * So much code from the site on is to be looked at. What is cut off at its end counts as data, in which any byte may begin a jump;
 * a short one does not reach back from there.
 */
#define FILTER_CODE_AHEAD 160

enum filter_kind {
	FILTER_REG,     /* reg == want */
	FILTER_MEM,     /* size bytes at [reg + disp], zero-extended, == want; reg may be INSN_RSP */
	FILTER_ABS,     /* size bytes at addr, zero-extended, == want */
	FILTER_PASS,    /* the counter, after counting this pass, == want; needs a counter */
	FILTER_XMM,     /* the low 8 bytes of xmm register reg == want; 16 to 31 need AVX-512 */
	FILTER_YMM_HI,  /* 8 bytes at disp (0 or 8) of the upper half of ymm register reg == want; needs AVX */
	FILTER_FX,      /* 8 bytes at disp of the FXSAVE64 image == want: x87 registers, upper halves of xmm; some 50 ns */
};

struct filter_test {
	enum filter_kind kind;
	uint8_t reg;    /* enum insn_reg, 0 to 15; or a vector register */
	uint8_t size;   /* 1, 2, 4 or 8 */
	int32_t disp;
	uint64_t addr;
	uint64_t want;
};

struct filter_spec {
	struct insn_code code;   /* original bytes around the site, FILTER_CODE_AHEAD from it on if there are; known <= site */
	uint64_t site;
	uint64_t stub;           /* where the stub's code will be: FILTER_MAX_CODE bytes, executable; see filter_stub_place */
	uint64_t slots;          /* FILTER_SLOT_BYTES writable bytes near the stub, aligned to 64, on another page */
	uint64_t counter;        /* address near the stub of 8 writable bytes that count the passes; 0: don't count */
	uint64_t stop_count;     /* stop when the counter gets here, whatever the tests say; 0: no such stop */
	const struct filter_test *tests;
	size_t n_tests;          /* 0 stops at every pass */
};

/* An instruction that the jump displaced. */
struct filter_insn {
	uint8_t orig_off;        /* from the site */
	uint16_t stub_off;       /* of its copy */
};

struct filter {
	uint64_t site, stub;
	uint8_t jmp[5];          /* to be written at the site */
	uint8_t n_displaced;     /* bytes from the site on that never run there any more, 5 or more */
	uint8_t n_insns;
	struct filter_insn insns[5];
	uint16_t match_off;      /* of the stub's int3: after its trap, rip is stub + match_off + 1 */
	uint16_t continue_off;   /* where to go on after a match, all registers as at the site */
	uint16_t back_off;       /* of the jump back behind the displaced bytes */
	uint16_t n;              /* bytes of code */
	uint8_t code[FILTER_MAX_CODE];
};

/**
 * Make jump and stub.
 *
 * A test of memory reads it at every pass that the earlier tests let through: it must be readable then. Put the test
 * that most passes fail first.
 *
 * 0; -EINVAL (a test or an address breaks the rules above); -RL_EUNSUPPORTED: the site cannot take a jump (the code shows a
 * jump into the displaced bytes, an instruction that cannot be moved, a call or jump that is not the last of them,
 * too far from the stub), or not to this stub.
 */
int filter_build(const struct filter_spec *spec, struct filter *ret);

/**
 * The lowest address in [lo, hi) at which the site's stub can be: in reach of the jump, whose bytes fault where they must.
 * 0: none, or the site cannot take a jump at all.
 */
uint64_t filter_stub_place(const struct insn_code *code, uint64_t site, uint64_t lo, uint64_t hi);

/** Whether rip is at an instruction in the midst of the jump: with the jump in place, a SIGILL there is no doing of the program's. */
bool filter_midst(const struct filter *f, uint64_t rip);

/**
 * What a stop with rip in the stub means. At its beginning, before a displaced instruction, and before the jump back,
 * the thread stands at an original instruction with the original registers: *ret is its address. After the match's int3 it stands at the
 * site. 0; -EAGAIN (in the midst of things: single-step and ask again); -EINVAL (not in this stub).
 */
int filter_original_ip(const struct filter *f, uint64_t rip, uint64_t *ret);

#endif
