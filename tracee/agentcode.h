/* Reading the agent's trampolines (agent/abi.h) back out of memory: what a patched place is for the program. */
#ifndef RELIVE_TRACEE_AGENTCODE_H
#define RELIVE_TRACEE_AGENTCODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/abi.h"

struct agent_tramp {
	uint64_t addr;                           /* of its first byte */
	uint64_t site;                           /* where it is jumped to: of a system call, a cpuid or the like, or what comes before that */
	uint64_t after;                          /* behind the instruction */
	bool call;                               /* a system call's */
	bool traps;                              /* no system call: at its first byte, what was at the site is about to be executed */
	struct agent_tramp_tail tail;
};

/** Whether these AGENT_TRAMP_BYTES, of memory at addr, are a trampoline; and which. */
bool agent_tramp_decode(const uint8_t *code, uint64_t addr, struct agent_tramp *ret);

/** The trampoline that holds an address. False: there is none, or its memory cannot be read. */
bool agent_tramp_at(int mem_fd, uint64_t addr, struct agent_tramp *ret);

/** The trampoline of the patched site whose bytes hold an address. */
bool agent_tramp_of_site(int mem_fd, uint64_t addr, struct agent_tramp *ret);

/** Whether an address is in the agent itself. */
bool agent_holds(uint64_t addr);

/** The program's idea of a place: what is in a trampoline is at its site, all else where it is. */
uint64_t agent_view(int mem_fd, uint64_t rip);

/** Where the instruction at an address is executed now. 0: at no single place. */
uint64_t agent_place(int mem_fd, uint64_t addr);

/** In bytes read from memory at addr, put the program's own in place of patched sites. */
void agent_unpatch(int mem_fd, uint64_t addr, uint8_t *bytes, size_t n);

/**
 * The next entry from *at on in the n bytes of a buffer that changed mappings, with *at moved behind it. The bytes may be anything.
 * False: there is none.
 */
bool agent_next_op(const uint8_t *bytes, uint32_t n, uint32_t *at, struct agent_op *ret);

/** Whether the agent may make this call at replay: it changes nothing but mappings of the program's own. */
bool agent_may_redo(uint64_t nr, const uint64_t arg[6]);

#endif
