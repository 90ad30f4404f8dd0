#include "cli/where.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/args.h"
#include "cli/procs.h"
#include "cli/say.h"
#include "common/err.h"

static int parse_at(struct trace *t, const char *at, struct timeline_opts *ret)
{
	uint64_t n = trace_n_events(t);

	if (!at || !strcmp(at, "start"))
		return 0;
	if (!strcmp(at, "end")) {
		ret->at_end = true;
		return 0;
	}
	if (at[0] < '0' || at[0] > '9')
		return fail("--at is 'start', 'end', or the number of an event (1 to %llu), not '%s'", (unsigned long long)n, at);
	return args_number("--at", at, 1, n, &ret->at_event) ? 0 : EXIT_RELIVE;
}

/* "12 sh, 13 seq, 14 sort": what -p could have been. */
static void list_some(const struct procs *p, char *out, size_t n)
{
	size_t at = 0;

	out[0] = 0;
	for (size_t i = 0; i < p->n_procs && i < 8 && at + 1 < n; i++) {
		const char *slash = strrchr(p->procs[i].exe, '/');
		int len = snprintf(out + at, n - at, "%s%d %.40s", i ? ", " : "", p->procs[i].pid,
				   slash ? slash + 1 : p->procs[i].exe);

		at += len > 0 ? (size_t)len : 0;
	}
	if (p->n_procs > 8 && at + 8 < n)
		strcpy(out + at, ", ...");
}

static int parse_process(struct trace *t, const char *process, struct timeline_opts *ret)
{
	struct procs procs;
	const struct proc *found;
	char some[512];
	int err = procs_read(t, &procs);

	if (err)
		return fail("cannot read the trace: %s", rl_strerror(err));
	found = procs_find(&procs, process);
	if (found)
		ret->pid = found->pid;
	list_some(&procs, some, sizeof(some));
	procs_free(&procs);
	return found ? 0 : fail("the recording has no process '%s'; it has: %s", process, some);
}

int where_parse(struct trace *t, const char *process, const char *at, struct timeline_opts *ret)
{
	struct timeline_opts o = { 0 };
	int err = parse_at(t, at, &o);

	if (!err && process)
		err = parse_process(t, process, &o);
	if (!err)
		*ret = o;
	return err;
}
