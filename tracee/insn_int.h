/* What insn.c knows beyond capstone; nobody else includes this. */
#ifndef RELIVE_TRACEE_INSN_INT_H
#define RELIVE_TRACEE_INSN_INT_H

#include "tracee/insn.h"

/* Whether the bytes begin a VEX or EVEX encoded instruction. */
bool insn_is_vector(const uint8_t *b, size_t n);

enum { INSN_ACCESS_READ = 1, INSN_ACCESS_WRITE = 2 };

/* What a valid instruction does to its ModRM memory operand: enum above, 0 for lea, prefetches and the like. */
unsigned insn_access(const uint8_t *b, size_t n);

/**
 * Decode the length and the memory operand of any VEX or EVEX encoded instruction by the rules of the encoding alone.
 * The size of the access stays open (0). 0, or -RL_EUNSUPPORTED.
 */
int insn_decode_vector(const uint8_t *b, size_t n, uint64_t addr, struct insn *ret);

/* Decode rdpid, rdpkru, wrpkru and serialize, which are newer than some decoders. 0, or -RL_EUNSUPPORTED: it is something else. */
int insn_decode_newer(const uint8_t *b, size_t n, uint64_t addr, struct insn *ret);

/* The length of a common instruction; 0: ask insn_decode(). It does not tell whether the processor would refuse it. */
size_t insn_length_known(const uint8_t *b, size_t n);

#endif
