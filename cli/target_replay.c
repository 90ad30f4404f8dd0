/* The replayer as gdb's target. */
#include "cli/target_replay.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/target_files.h"
#include "common/err.h"
#include "replayer/agent.h"
#include "replayer/codeview.h"
#include "replayer/objelf.h"
#include "replayer/timeline.h"
#include "tracee/elfsym.h"
#include "tracee/remote.h"
#include "tracee/sysfmt.h"
#include "tracee/xstate.h"

struct replay_target {
	struct trace *trace;
	struct timeline *tl;
	uint32_t child;            /* the process made by the fork last reported */
	struct target *target;     /* the server's view of us: where its wish to interrupt is found */
};

static struct rtask *task_of(struct replay_target *rt, int32_t tid)
{
	struct session *s = timeline_now(rt->tl);
	struct rtask *t = tid > 0 ? session_task_by_tid(s, tid) : timeline_task(rt->tl);

	return t && (t->proc == timeline_proc(rt->tl) || t->proc == rt->child) && t->host ? t : NULL;
}

/* ---- looking ---- */

static int rt_threads(void *self, struct target_thread *out, int max)
{
	struct replay_target *rt = self;
	int n = 0;

	for (struct rtask *t = timeline_now(rt->tl)->tasks; t; t = t->next) {
		if (t->proc != timeline_proc(rt->tl) || !t->host)
			continue;
		if (n < max) {
			out[n].pid = t->pid;
			out[n].tid = t->tid;
			snprintf(out[n].name, sizeof(out[n].name), "%s", t->name);
		}
		n++;
	}
	/* The list is kept newest first; a debugger numbers threads in the order they began. */
	for (int i = 0, k = (n < max ? n : max) - 1; i < k; i++, k--) {
		struct target_thread x = out[i];

		out[i] = out[k];
		out[k] = x;
	}
	return n;
}

static int32_t rt_current_tid(void *self)
{
	struct rtask *t = timeline_task(((struct replay_target *)self)->tl);

	return t ? t->tid : 0;
}

static int32_t rt_current_pid(void *self)
{
	struct replay_target *rt = self;
	struct rproc *p = session_proc(timeline_now(rt->tl), timeline_proc(rt->tl));

	return p ? p->pid : 0;
}

static int rt_regs(void *self, int32_t tid, struct user_regs_struct *ret)
{
	struct rtask *t = task_of(self, tid);

	if (!t)
		return -ESRCH;
	*ret = agent_regs(t);
	return 0;
}

static int rt_xsave(void *self, int32_t tid, void *buf, size_t max, size_t *ret_n)
{
	struct rtask *t = task_of(self, tid);
	static struct xstate x;
	int err;

	if (!t)
		return -ESRCH;
	err = xstate_read(t->host_tid, &x);
	if (err)
		return err;
	*ret_n = x.n < max ? x.n : max;
	memcpy(buf, x.bytes, *ret_n);
	return 0;
}

static uint64_t rt_xcr0(void *self)
{
	return trace_header(((struct replay_target *)self)->trace)->xcr0;
}

static int64_t rt_read(void *self, uint64_t addr, void *out, size_t n)
{
	struct rtask *t = task_of(self, 0);
	size_t got;

	if (!t)
		return -ESRCH;
	got = codeview_read(timeline_now(((struct replay_target *)self)->tl), t, addr, out, n);
	return got || !n ? (int64_t)got : -EFAULT;
}

static int memory_read(void *ctx, uint64_t addr, void *out, size_t n)
{
	return rt_read(ctx, addr, out, n) == (int64_t)n ? 0 : -EFAULT;
}

/* ---- breakpoints ---- */

static int set_break(struct replay_target *rt, enum target_bp_kind kind, uint64_t addr, uint64_t len, bool on)
{
	switch (kind) {
	case BP_SOFT:
	case BP_HARD:
		return timeline_break(rt->tl, addr, on);
	case WP_WRITE:
		return timeline_watch(rt->tl, addr, len, false, true, on);
	case WP_READ:
		return timeline_watch(rt->tl, addr, len, true, false, on);
	case WP_ACCESS:
		return timeline_watch(rt->tl, addr, len, true, true, on);
	}
	return -EINVAL;
}

static int rt_add_break(void *self, enum target_bp_kind kind, uint64_t addr, uint64_t len)
{
	return set_break(self, kind, addr, len, true);
}

static int rt_del_break(void *self, enum target_bp_kind kind, uint64_t addr, uint64_t len)
{
	return set_break(self, kind, addr, len, false);
}

/* ---- moving ---- */

static void stop_at(struct replay_target *rt, struct target_stop *ret)
{
	struct rtask *t = timeline_task(rt->tl);

	ret->pid = rt_current_pid(rt);
	ret->tid = t ? t->tid : ret->pid;
}

static void stop_exec(struct replay_target *rt, struct target_stop *ret)
{
	struct rproc *p = session_proc(timeline_now(rt->tl), timeline_proc(rt->tl));
	const struct trace_ckpt *c;

	ret->kind = STOP_EXEC;
	if (p && trace_ckpt(rt->trace, p->ckpt, &c) == 0)
		snprintf(ret->text, sizeof(ret->text), "%s", c->exe);
}

static void stop_of(struct replay_target *rt, const struct timeline_stop *s, struct target_stop *ret)
{
	static const enum target_stop_kind kinds[] = {
		[TL_STEP] = STOP_STEP, [TL_BREAK] = STOP_BREAK, [TL_WATCH] = STOP_WATCH, [TL_SIGNAL] = STOP_SIGNAL,
		[TL_CALL] = STOP_SYSCALL_ENTRY, [TL_RETURN] = STOP_SYSCALL_RETURN, [TL_EXEC] = STOP_EXEC,
		[TL_FORK] = STOP_FORK, [TL_INTERRUPTED] = STOP_INTERRUPTED, [TL_BEGIN] = STOP_BEGIN, [TL_END] = STOP_END,
	};

	stop_at(rt, ret);
	ret->kind = kinds[s->kind];
	ret->signo = s->signo;
	ret->syscall_nr = s->syscall_nr;
	if (s->kind == TL_WATCH) {
		ret->watch_addr = s->watch_addr;
		ret->bp_kind = s->watch_read ? (s->watch_write ? WP_ACCESS : WP_READ) : WP_WRITE;
	}
	if (s->kind == TL_EXEC)
		stop_exec(rt, ret);
	if (s->kind == TL_FORK) {
		struct rtask *made = session_task_by_tid(timeline_now(rt->tl), s->other_pid);

		ret->other_pid = s->other_pid;
		ret->is_vfork = s->is_vfork;
		rt->child = made ? made->proc : 0;
	}
}

static bool is_interrupted(void *arg)
{
	struct replay_target *rt = arg;

	return rt->target->interrupted && rt->target->interrupted(rt->target->interrupted_arg);
}

static int rt_resume(void *self, const struct target_resume *r, struct target_stop *ret)
{
	struct replay_target *rt = self;
	struct rtask *step = r->step ? task_of(rt, r->tid) : NULL;
	struct timeline_stop s;
	int err;

	memset(ret, 0, sizeof(*ret));
	rt->child = 0;
	if (r->step && !step)
		return -ESRCH;
	if (r->dir == TARGET_FORWARD)
		err = timeline_forward(rt->tl, step ? step->no : 0, r->range_start, r->range_end, &s);
	else
		err = timeline_backward(rt->tl, step ? step->no : 0, &s);
	if (err) {
		stop_at(rt, ret);
		ret->kind = STOP_ERROR;
		snprintf(ret->text, sizeof(ret->text), "%.*s", (int)sizeof(ret->text) - 1,
			 err == -RL_EDIVERGED && timeline_now(rt->tl)->report[0] ? timeline_now(rt->tl)->report :
			 rl_strerror(err));
		return 0;
	}
	stop_of(rt, &s, ret);
	return 0;
}

static int rt_restart(void *self, struct target_stop *ret)
{
	struct replay_target *rt = self;
	int err = timeline_restart(rt->tl);

	memset(ret, 0, sizeof(*ret));
	stop_at(rt, ret);
	ret->kind = STOP_STEP;
	return err;
}

static int rt_follow(void *self, int32_t pid)
{
	struct replay_target *rt = self;

	rt->child = 0;
	return timeline_follow(rt->tl, pid);
}

static int rt_catch_syscalls(void *self, bool on, const int *nrs, size_t n)
{
	return timeline_catch_calls(((struct replay_target *)self)->tl, on, nrs, n);
}

/* ---- files ---- */

static const struct trace_ckpt *ckpt_now(struct replay_target *rt)
{
	struct rproc *p = session_proc(timeline_now(rt->tl), timeline_proc(rt->tl));
	const struct trace_ckpt *c;

	return p && trace_ckpt(rt->trace, p->ckpt, &c) == 0 ? c : NULL;
}

static int rt_auxv(void *self, void **ret, size_t *ret_n)
{
	const struct trace_ckpt *c = ckpt_now(self);

	if (!c)
		return -ENOENT;
	*ret_n = c->n_auxv * sizeof(*c->auxv);
	*ret = malloc(*ret_n + 1);
	if (!*ret)
		return -ENOMEM;
	memcpy(*ret, c->auxv, *ret_n);
	return 0;
}

static int rt_exec_file(void *self, char *buf, size_t max)
{
	const struct trace_ckpt *c = ckpt_now(self);

	if (!c)
		return -ENOENT;
	snprintf(buf, max, "%s", c->exe);
	return 0;
}

static int rt_file_size(void *self, const char *path, uint64_t *ret_size)
{
	struct replay_target *rt = self;
	uint32_t id = target_file_find(rt->trace, path);

	if (!id)
		return -ENOENT;
	*ret_size = trace_object(rt->trace, id)->size;
	return 0;
}

static int64_t rt_file_read(void *self, const char *path, uint64_t off, void *out, size_t n)
{
	struct replay_target *rt = self;
	uint32_t id = target_file_find(rt->trace, path);

	return id ? trace_object_read(rt->trace, id, off, out, n) : -ENOENT;
}

/* ---- thread-local storage ---- */

/* The C library's own description of its layout: in libc.so.6, or in a static program. */
static int tls_layout(struct replay_target *rt, struct elf_tls_layout *ret)
{
	for (uint32_t id = 1; id <= trace_n_objects(rt->trace); id++) {
		struct object_ref ref = { rt->trace, id };
		struct elfsym *e;
		int err;

		if (object_elf_open(&ref, &e))
			continue;
		err = elfsym_tls_layout(e, ret);
		elfsym_close(e);
		if (!err)
			return 0;
	}
	return -ENOENT;
}

static int rt_tls_addr(void *self, int32_t tid, uint64_t lm, uint64_t offset, uint64_t *ret)
{
	struct rtask *t = task_of(self, tid);
	struct elf_tls_layout layout;
	int err = t ? tls_layout(self, &layout) : -ESRCH;

	return err ? err : elf_tls_address(&layout, memory_read, self, t->regs.fs_base, lm, offset, ret);
}

/* ---- monitor ---- */

static int say(char **ret, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static int say(char **ret, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vasprintf(ret, fmt, ap);
	va_end(ap);
	return n < 0 ? -ENOMEM : 0;
}

static int monitor_when(struct replay_target *rt, char **ret)
{
	struct session *s = timeline_now(rt->tl);
	struct rtask *t = timeline_task(rt->tl);

	if (!t)
		return say(ret, "event %llu of %llu\n", (unsigned long long)s->ev_no,
			   (unsigned long long)trace_n_events(rt->trace));
	return say(ret, "event %llu of %llu comes next; thread %d of process %d at 0x%llx\n",
		   (unsigned long long)s->ev_no, (unsigned long long)trace_n_events(rt->trace), t->tid, t->pid,
		   (unsigned long long)agent_regs(t).rip);
}

static int rt_monitor(void *self, const char *cmd, char **ret_text)
{
	struct replay_target *rt = self;

	if (strcmp(cmd, "help") == 0)
		return say(ret_text,
			   "monitor when    where in the recording this is: event, thread, position\n"
			   "monitor help    this text\n"
			   "run             back to the first instruction; \"starti EVENT\" and \"starti end\" go elsewhere\n");
	if (strcmp(cmd, "when") == 0)
		return monitor_when(rt, ret_text);
	return -ENOENT;
}

static int rt_siginfo(void *self, void *buf, size_t max, size_t *ret_n)
{
	const struct event *ev = timeline_now(((struct replay_target *)self)->tl)->ev;

	if (!ev || ev->kind != EV_SIGNAL || !ev->n_siginfo)
		return -ENOENT;
	*ret_n = ev->n_siginfo < max ? ev->n_siginfo : max;
	memcpy(buf, ev->siginfo, *ret_n);
	return 0;
}

/* A place to start at, as "starti 4711" or "starti end" names it. */
static int rt_restart_at(void *self, const char *where, struct target_stop *ret)
{
	struct replay_target *rt = self;
	char *end;
	unsigned long long no = strtoull(where, &end, 10);
	int err;

	if (strcmp(where, "end") == 0)
		err = timeline_to_end(rt->tl);
	else if (end != where && !*end)
		err = timeline_goto(rt->tl, no);
	else
		return -EINVAL;
	memset(ret, 0, sizeof(*ret));
	stop_at(rt, ret);
	ret->kind = STOP_STEP;
	return err;
}

static void rt_refused(void *self, const char *sentence)
{
	(void)self;
	fprintf(stderr, "relive: %s\n", sentence);
}

static const struct target_ops ops = {
	.threads = rt_threads, .current_tid = rt_current_tid, .current_pid = rt_current_pid, .regs = rt_regs,
	.xsave = rt_xsave, .xcr0 = rt_xcr0, .read = rt_read, .add_break = rt_add_break, .del_break = rt_del_break,
	.resume = rt_resume, .restart = rt_restart, .auxv = rt_auxv, .exec_file = rt_exec_file,
	.file_size = rt_file_size, .file_read = rt_file_read, .tls_addr = rt_tls_addr,
	.follow = rt_follow, .restart_at = rt_restart_at, .refused = rt_refused, .catch_syscalls = rt_catch_syscalls, .monitor = rt_monitor, .siginfo = rt_siginfo,
};

int target_replay_open(struct trace *t, const struct timeline_opts *o, struct target *ret, char *err_text, size_t n_err)
{
	struct replay_target *rt = calloc(1, sizeof(*rt));
	int err;

	if (!rt)
		return -ENOMEM;
	rt->trace = t;
	rt->target = ret;
	err = timeline_open(t, o, &rt->tl, err_text, n_err);
	if (err) {
		free(rt);
		return err;
	}
	memset(ret, 0, sizeof(*ret));
	ret->ops = &ops;
	ret->self = rt;
	timeline_on_interrupt(rt->tl, is_interrupted, rt);
	return 0;
}

void target_replay_close(struct target *t)
{
	struct replay_target *rt = t->self;

	if (!rt)
		return;
	timeline_close(rt->tl);
	free(rt);
	t->self = NULL;
}
