/* Shared by the recorder's agent*.c. */
#ifndef RELIVE_RECORDER_AGENT_INT_H
#define RELIVE_RECORDER_AGENT_INT_H

#include "agent/abi.h"
#include "recorder/agent.h"

/* A system call site that jumps to its trampoline. */
struct patch {
	uint64_t site, tramp;
	struct agent_tramp_tail tail;
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

struct agent_mm {
	struct site *sites;
	size_t n_sites, cap_sites;
	struct patch *patches;
	size_t n_patches, cap_patches;
	struct tramps *blocks;
	size_t n_blocks, cap_blocks;
	bool vforked;                        /* fds_off until the vfork call ends */
};

extern const uint8_t agent_image[], agent_image_end[];

/**
 * Plan the patch of a site: decide, and make its bytes and its trampoline for address tramp.
 * 0, or -RL_EUNSUPPORTED with *ret_why.
 */
int patch_plan(struct task *t, uint64_t site, uint64_t tramp, struct patch *ret, enum patch_refusal *ret_why);

const struct patch *patch_of_tramp(const struct agent_mm *a, uint64_t rip);

#endif
