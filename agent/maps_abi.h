/*
 * Calls of the agent that change the address space: at recording it makes them without a stop where all of the memory is its
 * program's own, private and anonymous; at replay it does to the memory what the entry says. So these are the only calls that a
 * replayed process makes by itself.
 */
#ifndef RELIVE_AGENT_MAPS_ABI_H
#define RELIVE_AGENT_MAPS_ABI_H

#include <stdbool.h>
#include <stdint.h>

#define AGENT_PAGE 4096ull
#define AGENT_PAGE_UP(n) (((n) + AGENT_PAGE - 1) & ~(AGENT_PAGE - 1))

enum agent_op_kind { AGENT_OP_NONE, AGENT_OP_MAP, AGENT_OP_UNMAP, AGENT_OP_PROTECT, AGENT_OP_ZERO };

/* What a call did to [addr, addr + len): the outputs, so to speak, of an entry. */
struct agent_op {
	uint64_t addr, len;
	uint32_t kind, prot;
};
_Static_assert(sizeof(struct agent_op) == 24, "part of entries");

#define AGENT_PROTS 3u       /* PROT_READ | PROT_WRITE: code is the recorder's affair */
#define AGENT_MAP_FLAGS 0x4032u   /* MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS | MAP_NORESERVE: how memory is mapped at replay */

/* Memory of which the agent may dispose: mapped, private, anonymous, of no special kind. */
struct agent_range {
	uint64_t start, end;
};

#define AGENT_OWN_MAX 64

/* Ranges that do not touch each other, in no order. */
static inline bool agent_owns(const struct agent_range *v, uint32_t n, uint64_t start, uint64_t end)
{
	for (uint32_t i = 0; i < n; i++) {
		if (v[i].start <= start && end <= v[i].end)
			return start < end;
	}
	return false;
}

/* Both return how many there are then. Where there is no room for one, the smaller one is forgotten: its calls stop. */
static inline uint32_t agent_own(struct agent_range *v, uint32_t n, uint64_t start, uint64_t end)
{
	uint32_t least = 0;

	for (uint32_t i = 0; i < n; ) {
		if (v[i].start > end || start > v[i].end) {
			i++;
			continue;
		}
		start = v[i].start < start ? v[i].start : start;
		end = v[i].end > end ? v[i].end : end;
		v[i] = v[--n];
		i = 0;
	}
	if (n < AGENT_OWN_MAX) {
		v[n++] = (struct agent_range){ start, end };
		return n;
	}
	for (uint32_t i = 1; i < n; i++) {
		if (v[i].end - v[i].start < v[least].end - v[least].start)
			least = i;
	}
	if (end - start > v[least].end - v[least].start)
		v[least] = (struct agent_range){ start, end };
	return n;
}

static inline uint32_t agent_disown(struct agent_range *v, uint32_t n, uint64_t start, uint64_t end)
{
	for (uint32_t i = 0; i < n; ) {
		struct agent_range below = { v[i].start, start }, above = { end, v[i].end };
		bool has_below = below.start < below.end, has_above = above.start < above.end;

		if (v[i].start >= end || start >= v[i].end) {
			i++;
			continue;
		}
		v[i] = v[--n];
		if (has_below && has_above && n + 2 > AGENT_OWN_MAX) {
			has_below = below.end - below.start >= above.end - above.start;
			has_above = !has_below;
		}
		/* Neither meets what is disowned: to look at them again does no harm. */
		if (has_below)
			v[n++] = below;
		if (has_above)
			v[n++] = above;
	}
	return n;
}

#endif
