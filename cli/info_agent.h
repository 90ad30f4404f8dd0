/* What the agent did in a recording: which calls it made, which stopped the program, which sites were patched. */
#ifndef RELIVE_CLI_INFO_AGENT_H
#define RELIVE_CLI_INFO_AGENT_H

#include <stdint.h>

#include "cli/codeplace.h"
#include "cli/json.h"
#include "trace-fmt/event.h"
#include "trace-fmt/trace.h"
#include "tracee/sysinfo.h"

struct agent_counts {
	uint64_t buffered[SYS_NR_END], stopped[SYS_NR_END];
	uint64_t n_buffered;
	struct code_maps maps;
	struct place_set calls, insns, refused[PATCH_REFUSAL_END];   /* in all processes together */
};

/** Count the next event, of process @proc. All must be given, in order. 0 or -ENOMEM. */
int agent_count(struct agent_counts *c, struct trace *t, uint32_t proc, const struct event *ev);
void agent_counts_free(struct agent_counts *c);
/* How much an EV_BUFFER gives the agent, in bytes. */
uint64_t agent_buffer_bytes(const struct event *ev);
void agent_put(const struct agent_counts *c);
void agent_put_json(struct json *j, const struct agent_counts *c);

/* Why a site was not patched; any number may be asked for. */
const char *patch_refusal_text(int why);

#endif
