#include "cli/info_agent.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "agent/abi.h"
#include "cli/text.h"
#include "replayer/agent.h"
#include "tracee/agentcode.h"
#include "tracee/sysfmt.h"

#define LISTED 12   /* calls, the most frequent ones */

const char *patch_refusal_text(int why)
{
	static const char *const text[PATCH_REFUSAL_END] = {
		[PATCH_NO_ROOM] = "no room within reach of it",
		[PATCH_NOT_PRIVATE] = "it is in shared code",
		[PATCH_NO_SYSCALL] = "it is no syscall instruction any more",
		[PATCH_IMMOVABLE] = "the instructions behind it have to stay",
		[PATCH_JUMPED_INTO] = "something may jump behind it",
	};

	return why > 0 && why < PATCH_REFUSAL_END ? text[why] : "an unknown reason";
}

uint64_t agent_buffer_bytes(const struct event *ev)
{
	uint64_t n = 0;

	for (uint32_t i = 0; i < ev->n_writes; i++)
		n += ev->writes[i].addr >= AGENT_BUF ? ev->writes[i].len : 0;
	return n;
}

static void count_entries(struct agent_counts *c, const struct event *ev)
{
	static uint8_t bytes[AGENT_BUF_BYTES];
	uint32_t n = agent_buffer_join(ev, bytes);
	struct agent_entry e;

	for (uint32_t at = 0; n - at >= sizeof(e); at += AGENT_ENTRY_BYTES(e.head)) {
		memcpy(&e, bytes + at, sizeof(e));
		if (AGENT_ENTRY_BYTES(e.head) < sizeof(e) || AGENT_ENTRY_BYTES(e.head) > n - at)
			return;
		c->n_buffered++;
		if (AGENT_ENTRY_NR(e.head) < SYS_NR_END)
			c->buffered[AGENT_ENTRY_NR(e.head)]++;
	}
}

/* Each patched place has its trampoline. */
static int count_tramps(struct agent_counts *c, uint32_t proc, uint64_t addr, const uint8_t *bytes, size_t n)
{
	struct agent_tramp tramp;
	int err = 0;

	for (size_t at = 0; !err && n - at >= AGENT_TRAMP_BYTES; at += AGENT_TRAMP_BYTES) {
		if (agent_tramp_decode(bytes + at, addr + at, &tramp))
			err = place_set_add(tramp.call ? &c->calls : &c->insns, code_maps_find(&c->maps, proc, tramp.site));
	}
	return err;
}

/* Those that an exec begins with. */
static int count_ckpt(struct agent_counts *c, struct trace *t, uint32_t proc, uint32_t id)
{
	const struct trace_ckpt *k;
	int err = 0;

	if (trace_ckpt(t, id, &k))
		return 0;
	for (uint32_t m = 0, p = 0; m < k->n_maps; m++) {
		const struct ckpt_map *map = &k->maps[m];

		for (; !err && p < k->n_pages && k->pages[p].addr < map->addr + map->len; p++) {
			bool code = !map->obj && map->prot & PROT_EXEC && k->pages[p].addr >= map->addr;
			const uint8_t *bytes = code ? trace_page(t, k->pages[p].page_id) : NULL;

			if (bytes)
				err = count_tramps(c, proc, k->pages[p].addr, bytes, TRACE_PAGE);
		}
	}
	return err;
}

static int count_places(struct agent_counts *c, struct trace *t, uint32_t proc, const struct event *ev)
{
	int err = ev->kind == EV_EXEC ? count_ckpt(c, t, proc, ev->ckpt) : 0;

	for (uint32_t i = 0; !err && ev->kind != EV_BUFFER && i < ev->n_writes; i++)
		if (ev->writes[i].addr % AGENT_TRAMP_BYTES == 0)
			err = count_tramps(c, proc, ev->writes[i].addr, ev->writes[i].bytes, ev->writes[i].len);
	if (!err && ev->kind == EV_PATCH && !ev->n_asops && !ev->n_writes)
		err = place_set_add(&c->refused[ev->nr > 0 && ev->nr < PATCH_REFUSAL_END ? ev->nr : 0],
				    code_maps_find(&c->maps, proc, ev->window_addr));
	return err;
}

int agent_count(struct agent_counts *c, struct trace *t, uint32_t proc, const struct event *ev)
{
	int err = code_maps_feed(&c->maps, t, proc, ev);

	if (ev->kind == EV_BUFFER) {
		count_entries(c, ev);
	} else if ((ev->kind == EV_SYSCALL || ev->kind == EV_SYSCALL_ENTER) && ev->nr >= 0 && ev->nr < SYS_NR_END) {
		c->stopped[ev->nr]++;
	}
	return err == -ENOMEM ? err : count_places(c, t, proc, ev);
}

void agent_counts_free(struct agent_counts *c)
{
	code_maps_free(&c->maps);
	place_set_free(&c->calls);
	place_set_free(&c->insns);
	for (int why = 0; why < PATCH_REFUSAL_END; why++)
		place_set_free(&c->refused[why]);
}

/* The most frequent one that is rarer than the last, or as frequent and of a greater number. */
static int next_most(const uint64_t *n, int last)
{
	int best = -1;

	for (int nr = 0; nr < SYS_NR_END; nr++) {
		bool later = last < 0 || n[nr] < n[last] || (n[nr] == n[last] && nr > last);

		if (n[nr] && later && (best < 0 || n[nr] > n[best]))
			best = nr;
	}
	return best;
}

static void put_calls(const char *title, const uint64_t *n)
{
	char count[TEXT_COUNT_MAX];
	int nr = -1;

	for (unsigned i = 0; i < LISTED && (nr = next_most(n, nr)) >= 0; i++) {
		const struct sys_desc *d = sys_desc(nr);

		printf("  %-10s %12s  %s\n", i ? "" : title, text_count(n[nr], count), d ? d->name : "an unknown call");
	}
}

/* A place of a file counts once, in however many programs it was. */
static void put_places(const char *title, const struct place_set *s, const char *what)
{
	char n[TEXT_COUNT_MAX], all[TEXT_COUNT_MAX];

	if (s->n)
		printf("  %-10s %12s  places %s (%s in all programs executed)\n", title, text_count(s->n, n), what, text_count(s->n_added, all));
}

void agent_put(const struct agent_counts *c)
{
	puts("\nsystem calls");
	put_calls("stopped", c->stopped);
	put_calls("buffered", c->buffered);
	put_places("patched", &c->calls, "go to the agent");
	put_places(c->calls.n ? "" : "patched", &c->insns, "of cpuid and the like do, too");
	for (int why = 0; why < PATCH_REFUSAL_END; why++) {
		char text[128];

		snprintf(text, sizeof(text), "stay as they are: %s", patch_refusal_text(why));
		put_places("not patched", &c->refused[why], text);
	}
}

static void json_counts(struct json *j, const char *key, const uint64_t *n)
{
	json_object(j, key);
	for (int nr = 0; nr < SYS_NR_END; nr++)
		if (n[nr] && sys_desc(nr))
			json_u64(j, sys_desc(nr)->name, n[nr]);
	json_object_end(j);
}

void agent_put_json(struct json *j, const struct agent_counts *c)
{
	json_counts(j, "stopped_calls", c->stopped);
	json_counts(j, "buffered_calls", c->buffered);
	json_u64(j, "patched_sites", c->calls.n);
	json_u64(j, "patched_sites_of_programs", c->calls.n_added);
	json_u64(j, "patched_instructions", c->insns.n);
	json_u64(j, "patched_instructions_of_programs", c->insns.n_added);
	json_object(j, "refused_sites");
	for (int why = 0; why < PATCH_REFUSAL_END; why++)
		if (c->refused[why].n)
			json_u64(j, patch_refusal_text(why), c->refused[why].n);
	json_object_end(j);
}
