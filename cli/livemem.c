#include "cli/livemem.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "replayer/session.h"

struct livemem {
	struct session *session;
	uint64_t done;          /* the last event that happened */
	uint32_t task;          /* whose memory is read */
	int err;                /* why the replay went no further */
};

static int read_live(void *ctx, uint64_t addr, void *out, size_t n)
{
	struct livemem *l = ctx;
	struct rtask *t = l->err ? NULL : session_task(l->session, l->task);
	ssize_t got;

	if (!t || t->dead || !t->host || addr > INT64_MAX - n)
		return -EFAULT;
	got = pread(t->host->mem_fd, out, n, (off_t)addr);
	return got == (ssize_t)n ? 0 : -EFAULT;
}

int livemem_open(struct trace *t, struct livemem **ret)
{
	struct livemem *l = calloc(1, sizeof(*l));
	int err = l ? session_open(t, NULL, &l->session) : -ENOMEM;

	if (err) {
		free(l);
		return err;
	}
	*ret = l;
	return 0;
}

void livemem_close(struct livemem *l)
{
	if (!l)
		return;
	session_close(l->session);
	free(l);
}

int livemem_at(struct livemem *l, const struct event *ev, struct sys_mem *ret)
{
	*ret = (struct sys_mem){ read_live, l };
	l->task = ev->task;
	while (!l->err && l->done < ev->no) {
		struct run_result r = { 0 };

		l->err = session_run(l->session, NULL, &r);
		if (!l->err && r.kind == RUN_EVENT)
			l->done = r.event_no;
		else if (!l->err)
			l->err = -ENOENT;
	}
	return l->err;
}
