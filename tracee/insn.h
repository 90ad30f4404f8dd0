/*
 * x86-64 instructions: length, kind, memory operands, and moving them elsewhere.
 *
 * capstone does the decoding, behind this header. One decoder serves the whole process: call from one thread only.
 */
#ifndef RELIVE_TRACEE_INSN_H
#define RELIVE_TRACEE_INSN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/user.h>

#define INSN_MAX_BYTES 15
#define INSN_MAX_RELOCATED 32

enum insn_flags {
	INSN_STRING = 1 << 0,      /* movs, cmps, scas, lods, stos, ins, outs */
	INSN_REP = 1 << 1,         /* and repeated: a trap may find it half done, rip still on it */
	INSN_BRANCH = 1 << 2,      /* jmp, jcc, loop, jrcxz; not call or ret */
	INSN_CONDITIONAL = 1 << 3, /* such a branch that may fall through */
	INSN_CALL = 1 << 4,
	INSN_RET = 1 << 5,
	INSN_INDIRECT = 1 << 6,    /* branch or call through a register or memory */
	INSN_SYSCALL = 1 << 7,     /* syscall */
	INSN_INT = 1 << 8,         /* sysenter, int N, into, iret, ud2, hlt: other ways into the kernel */
	INSN_INT3 = 1 << 9,
	INSN_RDTSC = 1 << 10,
	INSN_RDTSCP = 1 << 11,
	INSN_CPUID = 1 << 12,
	INSN_RDRAND = 1 << 13,     /* rdrand and rdseed */
	INSN_XGETBV = 1 << 14,
	INSN_RDPID = 1 << 15,
	INSN_XBEGIN = 1 << 16,     /* xbegin, xabort, xend, xtest */
	INSN_READS = 1 << 17,      /* reads memory */
	INSN_WRITES = 1 << 18,     /* writes memory */
	INSN_RIP_RELATIVE = 1 << 19,
	INSN_LOCK = 1 << 20,
	INSN_XSAVE = 1 << 21,      /* xsave, xsavec, xsaveopt, fxsave: what they write depends on what is "in use" */
};

/* Registers by their number in the encoding, so INSN_RSP is 4 and r8 is 8. */
enum insn_reg {
	INSN_RAX, INSN_RCX, INSN_RDX, INSN_RBX, INSN_RSP, INSN_RBP, INSN_RSI, INSN_RDI, INSN_R8,
	INSN_R15 = 15, INSN_RIP = 16, INSN_NO_REG = 0xff,
};

enum insn_segment { INSN_SEG_FLAT, INSN_SEG_FS, INSN_SEG_GS };

struct insn_mem {
	uint8_t segment;       /* enum insn_segment */
	uint8_t base, index;   /* enum insn_reg */
	uint8_t scale;
	bool read, write;      /* neither: lea */
	bool implicit;         /* the stack slot of push, pop, call, ret, leave... */
	bool no_ea;            /* no single address (gather, scatter), or one that insn_ea cannot compute */
	uint32_t size;         /* bytes, of one element for string instructions; 0: not known (XSAVE family, new instructions) */
	int64_t disp;
};

struct insn {
	uint8_t len;
	uint8_t addr_size;     /* 8, or 4 with an address-size prefix */
	uint8_t n_mem;
	uint32_t flags;        /* enum insn_flags */
	uint64_t addr;
	uint64_t target;       /* of a direct branch or call; else 0 */
	struct insn_mem mem[4];
	char name[16];         /* mnemonic */
};

/**
 * Decode one instruction.
 *
 * @b, @n  its bytes and how many there are at most; more than INSN_MAX_BYTES are never looked at.
 *
 * 0, or -RL_EUNSUPPORTED: not an instruction, cut off, or one that the decoder does not know.
 */
int insn_decode(const uint8_t *b, size_t n, uint64_t addr, struct insn *ret);

/**
 * The instruction that ends where the n bytes before `end` end: where decoding that starts at many places before it
 * falls into step. A guess, though seldom a wrong one.
 *
 * 0, or -RL_EUNSUPPORTED: they do not agree, or too few bytes (less than 32).
 */
int insn_before(const uint8_t *b, size_t n, uint64_t end, struct insn *ret);

/**
 * The address of a memory operand before the instruction runs.
 *
 * 0, -EINVAL (no such operand), -RL_EUNSUPPORTED (no_ea).
 */
int insn_ea(const struct insn *insn, unsigned operand, const struct user_regs_struct *regs, uint64_t *ret);

/* The value of a register, as its 64 bits. INSN_RIP and INSN_NO_REG give rip and 0. */
uint64_t insn_reg_value(const struct user_regs_struct *regs, enum insn_reg reg);

/**
 * Code that does at address to what one instruction does at from.
 *
 * rip-relative operands still mean the same place, direct branches go to the same target, and a call pushes the same
 * return address (the one after from). No flags, registers or memory beyond the instruction's own are touched. Where
 * it falls through, execution goes on after the last byte of out.
 *
 * @out, @max  INSN_MAX_RELOCATED bytes are enough.
 *
 * The number of bytes; or -RL_EUNSUPPORTED: cannot be moved (out of reach, system calls, traps, transactions, the
 * instructions that a supervisor emulates), or -ENOSPC.
 */
int insn_relocate(const uint8_t *b, size_t n, uint64_t from, uint64_t to, uint8_t *out, size_t max);

/* "jmp rel32" from one address to another in 5 bytes. 0, or -RL_EUNSUPPORTED: more than 2 GB apart. */
int insn_encode_jmp(uint64_t from, uint64_t to, uint8_t out[5]);

/* Code around a site. Instructions begin at known (a function's start, or the site); what comes before is guessed. */
struct insn_code {
	const uint8_t *bytes;
	size_t n;
	uint64_t addr;    /* of bytes[0] */
	uint64_t known;   /* within [addr, addr + n] */
};

/**
 * The targets of direct jumps and calls that lie in [lo, hi).
 *
 * From known on the code is decoded straight on. Before it, each byte is taken for a possible instruction, unless what
 * follows from it is plain code that runs across known in the middle of an instruction; so too many targets may be
 * found there, not too few. Where decoding fails, it goes on byte by byte in the same way.
 *
 * @ret  up to max targets, in no order.
 *
 * How many there are, also if more than max.
 */
size_t insn_jump_targets(const struct insn_code *code, uint64_t lo, uint64_t hi, uint64_t *ret, size_t max);

#endif
