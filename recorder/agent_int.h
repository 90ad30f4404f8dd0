/* Shared by the recorder's agent*.c. */
#ifndef RELIVE_RECORDER_AGENT_INT_H
#define RELIVE_RECORDER_AGENT_INT_H

#include <stddef.h>
#include "agent/abi.h"
#include "recorder/agent.h"

/* A system call, or a cpuid, rdtsc or xsavec, that jumps to its trampoline. */
struct patch {
	uint64_t site, tramp;
	bool is_insn;                        /* an instruction's, not a call's */
	struct agent_tramp_tail tail;
	uint8_t n_displaced;                 /* bytes of the site's instructions; those behind them are padding */
	uint8_t tramp_len;                   /* bytes of its code, so far */
	uint8_t code[AGENT_TRAMP_BYTES];     /* the trampoline */
	uint8_t bytes[AGENT_PATCH_MAX];      /* what the site has now */
};

/* A site that was seen. */
struct site {
	uint64_t addr;
	uint32_t hits;
	bool refused;
};

/* Memory for trampolines. */
struct tramps {
	uint64_t addr;
	uint32_t bytes, used;
};

/* Code of a file, as it is mapped; base: where the file's first byte would be. */
struct code_map {
	uint64_t start, end, base;
	uint32_t obj;
};

struct agent_mm {
	struct code_map *code;
	size_t n_code, cap_code;
	struct site *sites;
	size_t n_sites, cap_sites;
	struct patch *patches;
	size_t n_patches, cap_patches;
	struct tramps *blocks;
	size_t n_blocks, cap_blocks;
	bool vforked;                        /* fds_off until the vfork call ends */
	bool forks;                          /* others begin as its copies */
	uint32_t n_known_calls;              /* of the recording's, how many were looked at */
};

/* PATCH_HERE: of a system call, with an address in it. PATCH_ANYWHERE: without, as those of instructions that trap. PATCH_TSC: rdtscp, too. */
enum patch_form { PATCH_HERE, PATCH_ANYWHERE, PATCH_CPUID, PATCH_TSC, PATCH_XSAVE };

#define TRAMPS_BYTES 0x10000ull
#define REACH 0x60000000ull       /* how far below its sites a block of trampolines is looked for: well within 2 GB */

extern const uint8_t agent_image[], agent_image_end[];

/**
 * Plan the patch of a site: decide, and make its bytes and its trampoline for address tramp.
 * 0, or -RL_EUNSUPPORTED with *ret_why.
 */
int patch_plan(struct task *t, uint64_t site, uint64_t tramp, enum patch_form form, struct patch *ret, enum patch_refusal *ret_why);
/** The same for a cpuid or xsavec at an address, in the form that fits anywhere. Its site may begin before it. */
int patch_plan_insn(struct task *t, const struct insn_site *s, uint64_t at, uint64_t tramp, struct patch *ret);

/**
 * Patch a site of t's, which is at the end of a call. 0; -EAGAIN: somebody stands in it; another error with *ret_why.
 */
int agent_patch_site(struct recording *r, struct task *t, uint64_t site, enum patch_form form, enum patch_refusal *ret_why);
/** What was planned for files' code since t's memory was looked at last is patched there, too, if others are to be its copies. */
void agent_known_catch_up(struct recording *r, struct task *t);

/** Say in the trace that a site stays as it is. */
void agent_refused(struct recording *r, struct task *t, uint64_t site, enum patch_refusal why);
/** The patch of a site; and that whose trampoline holds an address. */
const struct patch *patch_at(const struct agent_mm *a, uint64_t site);
const struct patch *patch_of_tramp(const struct agent_mm *a, uint64_t rip);

/* Members of the task's struct agent_ctl. */
#define CTL(member) (AGENT_DATA + offsetof(struct agent_ctl, member))

static inline int put_u32(struct mm *mm, uint64_t addr, uint32_t v)
{
	return mem_write(mm->mem_fd, addr, &v, sizeof(v));
}

/* agent_maps.c: at an exec; and what calls in the buffer did. */
void agent_maps_start(struct task *t);
void agent_maps_flush(struct recording *r, struct task *t, const struct agent_ctl *ctl);

/* What the calls in the buffer did to whether the program blocks SIGSEGV. */
void agent_take_segv(struct task *t, uint32_t segv);

#endif
