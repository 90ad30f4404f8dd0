/*
 * Instructions whose results are not determined by the program's state: cpuid, rdrand, rdseed and rdpid, which the
 * processor cannot always be told to trap; rdtsc and rdtscp, which it need not be told where all their places are known;
 * and xsave, xsavec and xsaveopt, which tell what is "in use": on some processors a component whose values are the initial
 * ones stays that until the next context switch, so an interrupt shows in what they write. Where a file's code has them,
 * and how a place of theirs is made to trap.
 *
 * The first byte of the opcode, 0x0f, becomes hlt: in user mode that is a general protection fault, with rip still on
 * the instruction, just as a cpuid that was made to fault. All other bytes stay, so the site tells what it was.
 */
#ifndef RELIVE_TRACEE_INSN_SITE_H
#define RELIVE_TRACEE_INSN_SITE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tracee/insn.h"

#define INSN_SITE_TRAP 0xf4   /* hlt */

struct insn_site {
	uint64_t off;     /* of the opcode's first byte, in the file */
	bool is_cpuid;    /* which may trap by itself */
	bool is_tsc;      /* rdtsc or rdtscp: so may they */
	bool is_xsave;
	uint8_t prefixes; /* bytes before it */
	uint8_t room;     /* of a cpuid: so many bytes, from its first, before one to which a direct jump leads */
	uint8_t lead;     /* of a cpuid: the few bytes before it are whole instructions, 5 bytes or more; jumps lead to the first only; 0: none */
};

struct insn_sites {
	struct insn_site *v;
	size_t n;
	size_t n_unsure;  /* such bytes that may as well be data or part of another instruction: left alone */
	bool tsc_unsure;  /* rdtsc's bytes are among them, or not all code was looked through */
	uint64_t code_off, code_len;   /* the executable segment's place in the file; tsc_unsure if there are more */
	uint64_t clear_end;            /* behind it, up to here, the file has no bytes like rdtsc's; UINT64_MAX: nowhere */
};

/**
 * Find all sites in the executable segments of an ELF file.
 *
 * Bytes that look like one count only where the call frame information or a function's symbol tells where instructions
 * begin; in a file with neither, where decoding falls into step on them from wherever it starts. What looks like an rdtsc, and is
 * described by neither, is certainly none where decoding falls into step on another instruction in a long run of code.
 *
 * 0; -RL_EUNSUPPORTED: not such a file; -ENOMEM; or an error of mmap(2).
 */
int insn_sites_find(int fd, struct insn_sites *ret);
void insn_sites_free(struct insn_sites *s);

/* Decode what stood at a site that was made to trap. 0, or -RL_EUNSUPPORTED: this is none. */
int insn_site_decode(const uint8_t *b, size_t n, uint64_t addr, struct insn *ret);

#endif
