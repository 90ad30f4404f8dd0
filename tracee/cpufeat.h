/*
 * Instruction sets: which ones a processor says it has, and which of those another one lacks. Of interest are those whose
 * instructions programs choose by cpuid; what relive emulates or hides (rdrand, rdtscp, transactions) is not.
 */
#ifndef RELIVE_TRACEE_CPUFEAT_H
#define RELIVE_TRACEE_CPUFEAT_H

#include <stddef.h>
#include <stdint.h>

#define CPUFEAT_WORDS 6     /* leaf, subleaf, eax, ebx, ecx, edx */
#define CPUFEAT_LEAVES 16

/* What a processor says of itself. */
struct cpufeat {
	uint64_t xcr0;                              /* the register sets that the system saves */
	const uint32_t (*leaf)[CPUFEAT_WORDS];
	uint32_t n;
};

/** Ask this processor. The number of leaves, CPUFEAT_LEAVES at most, at @out. */
uint32_t cpufeat_read(uint32_t (*out)[CPUFEAT_WORDS]);

/** The names of what @had has and @here lacks, separated by ", ", cut off if they are more than fit. Their number. */
unsigned cpufeat_missing(const struct cpufeat *had, const struct cpufeat *here, char *out, size_t n);

#endif
