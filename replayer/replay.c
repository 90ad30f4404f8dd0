/* From the beginning to the end, verifying. */
#include "replayer/replay.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "common/err.h"
#include "replayer/session.h"

struct sink {
	int fd[3];
};

static void put(void *arg, int stream, const void *bytes, size_t n)
{
	struct sink *s = arg;

	while (n) {
		ssize_t k = write(s->fd[stream], bytes, n);

		if (k < 0 && errno == EINTR)
			continue;
		if (k <= 0)
			return;
		bytes = (const char *)bytes + k;
		n -= (size_t)k;
	}
}

int replay_run(struct trace *t, const struct replay_opts *o, int out_fd, int err_fd, struct replay_result *ret)
{
	struct sink sink = { .fd = { -1, out_fd, err_fd } };
	struct run_ctl ctl = { .output = o->quiet ? NULL : put, .output_arg = &sink };
	struct run_result got;
	struct session *s;
	int err;

	memset(ret, 0, sizeof(*ret));
	err = session_open(t, o->learned, &s);
	if (err)
		return err;
	do {
		err = session_run(s, &ctl, &got);
		if (!err && got.kind == RUN_EVENT)
			ret->last_event = got.event_no;
	} while (!err && got.kind != RUN_END);
	if (err)
		snprintf(ret->report, sizeof(ret->report), "%s", s->report);
	ret->incomplete = !trace_complete(t, &ret->wait_status);
	session_close(s);
	return err;
}
