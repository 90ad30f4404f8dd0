#include "replayer/locks.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/err.h"
#include "replayer/session.h"

static void tell(void *arg, const struct lock_event *e)
{
	lockbook_event(arg, e);
}

static int keep_modules(struct session *s, struct locks_result *ret)
{
	const struct lock_module *m;
	size_t n = lockhooks_modules(s->locks, &m);

	ret->n_functions = lockhooks_functions(s->locks);
	ret->modules = malloc((n + 1) * sizeof(*m));
	if (!ret->modules)
		return -ENOMEM;
	if (n)
		memcpy(ret->modules, m, n * sizeof(*m));
	ret->n_modules = n;
	return 0;
}

int locks_run(struct trace *t, struct locks_result *ret)
{
	struct run_result got = { 0 };
	struct session *s;
	int err, status;

	memset(ret, 0, sizeof(*ret));
	ret->book = lockbook_new();
	err = ret->book ? session_open(t, NULL, &s) : -ENOMEM;
	if (err)
		return err;
	err = lockhooks_open(s, tell, ret->book);
	while (!err && got.kind != RUN_END) {
		err = session_run(s, NULL, &got);
		if (!err && got.kind == RUN_EVENT)
			ret->last_event = got.event_no;
	}
	if (err)
		snprintf(ret->report, sizeof(ret->report), "%s", s->report);
	else
		lockhooks_end(s);
	if (!err)
		err = keep_modules(s, ret);
	if (!err)
		err = lockbook_finish(ret->book);
	ret->incomplete = !trace_complete(t, &status);
	session_close(s);
	return err;
}

void locks_free(struct locks_result *r)
{
	lockbook_free(r->book);
	free(r->modules);
}
