#include "cli/procs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli/text.h"
#include "common/scope.h"

#define NONE UINT32_MAX

static size_t slot_of(const struct idmap *m, uint32_t key)
{
	size_t i = (key * 2654435761u) & (m->n_slots - 1);

	while (m->values[i] != NONE && m->keys[i] != key)
		i = (i + 1) & (m->n_slots - 1);
	return i;
}

static uint32_t idmap_get(const struct idmap *m, uint32_t key)
{
	return m->n_slots ? m->values[slot_of(m, key)] : NONE;
}

static int idmap_grow(struct idmap *m)
{
	struct idmap old = *m, big = { .n_slots = old.n_slots ? 2 * old.n_slots : 64 };

	big.keys = calloc(big.n_slots, sizeof(*big.keys));
	big.values = malloc(big.n_slots * sizeof(*big.values));
	if (!big.keys || !big.values) {
		free(big.keys);
		free(big.values);
		return -ENOMEM;
	}
	memset(big.values, 0xff, big.n_slots * sizeof(*big.values));
	for (size_t i = 0; i < old.n_slots; i++) {
		if (old.values[i] != NONE) {
			size_t at = slot_of(&big, old.keys[i]);

			big.keys[at] = old.keys[i];
			big.values[at] = old.values[i];
		}
	}
	free(old.keys);
	free(old.values);
	*m = big;
	return 0;
}

/* @n_now: how many keys the map holds. */
static int idmap_put(struct idmap *m, size_t n_now, uint32_t key, uint32_t value)
{
	size_t at;

	if (2 * (n_now + 1) > m->n_slots) {
		int err = idmap_grow(m);

		if (err)
			return err;
	}
	at = slot_of(m, key);
	m->keys[at] = key;
	m->values[at] = value;
	return 0;
}

/* Room for one more, growing at powers of two. */
static int grow(void **array, size_t n, size_t size)
{
	void *more;

	if (n & (n - 1))
		return 0;
	more = realloc(*array, (n ? 2 * n : 1) * size);
	if (!more)
		return -ENOMEM;
	*array = more;
	return 0;
}

static int add_proc(struct procs *p, uint32_t no, uint32_t *ret_index)
{
	struct proc *proc;
	int err = grow((void **)&p->procs, p->n_procs, sizeof(*p->procs));

	if (!err)
		err = idmap_put(&p->proc_by_no, p->n_procs, no, (uint32_t)p->n_procs);
	if (err)
		return err;
	proc = &p->procs[p->n_procs];
	*proc = (struct proc){ .no = no, .exe = strdup(""), .command = strdup("") };
	*ret_index = (uint32_t)p->n_procs++;
	return proc->exe && proc->command ? 0 : -ENOMEM;
}

static int need_proc(struct procs *p, uint32_t no, uint32_t *ret_index)
{
	*ret_index = idmap_get(&p->proc_by_no, no);
	return *ret_index == NONE ? add_proc(p, no, ret_index) : 0;
}

static int need_task(struct procs *p, uint32_t no, uint32_t proc_no, int32_t tid)
{
	uint32_t proc, at = idmap_get(&p->task_by_no, no);
	int err = need_proc(p, proc_no, &proc);

	if (err)
		return err;
	if (at == NONE) {
		err = grow((void **)&p->tasks, p->n_tasks, sizeof(*p->tasks));
		if (!err)
			err = idmap_put(&p->task_by_no, p->n_tasks, no, (uint32_t)p->n_tasks);
		if (err)
			return err;
		p->tasks[p->n_tasks++] = (struct proc_task){ .no = no, .tid = tid, .proc = proc };
		p->procs[proc].n_threads++;
		return 0;
	}
	p->tasks[at].tid = tid;
	p->tasks[at].proc = proc;
	return 0;
}

static int set_command(struct proc *proc, const struct trace_ckpt *c)
{
	char *exe = strdup(c->exe), *text = NULL;
	size_t n;
	FILE *f = exe ? open_memstream(&text, &n) : NULL;

	if (!f) {
		free(exe);
		return -ENOMEM;
	}
	text_put_argv(f, c->n_argv, c->argv);
	if (fclose(f)) {
		free(exe);
		free(text);
		return -ENOMEM;
	}
	free(proc->exe);
	free(proc->command);
	proc->exe = exe;
	proc->command = text;
	return 0;
}

static int feed_exec(struct procs *p, struct trace *t, const struct event *ev)
{
	const struct trace_ckpt *c;
	int32_t tid = 0;
	uint32_t proc;
	int err;

	if (trace_ckpt(t, ev->ckpt, &c))
		return 0;       /* damaged: the event still stands for itself */
	for (uint32_t i = 0; i < c->n_tasks; i++)
		if (c->tasks[i].task == ev->task)
			tid = c->tasks[i].tid;
	err = need_task(p, ev->task, c->proc, tid ? tid : c->pid);
	if (!err)
		err = need_proc(p, c->proc, &proc);
	if (err)
		return err;
	p->procs[proc].pid = c->pid;
	if (!p->procs[proc].ppid)
		p->procs[proc].ppid = c->ppid;
	return set_command(&p->procs[proc], c);
}

static int feed_new_task(struct procs *p, const struct event *ev)
{
	const struct ev_new_task *n = &ev->new_task;
	const struct proc *parent;
	struct proc *proc;
	uint32_t at;
	int err = need_task(p, n->task, n->proc, n->tid);

	if (!err)
		err = need_proc(p, n->proc, &at);
	if (err)
		return err;
	proc = &p->procs[at];
	parent = procs_of_task(p, ev->task);
	if (!(n->flags & NT_THREAD) && parent && parent != proc) {
		char *exe = strdup(parent->exe), *command = strdup(parent->command);

		free(proc->exe);
		free(proc->command);
		proc->exe = exe;
		proc->command = command;
		proc->ppid = parent->pid;
		proc->parent = parent->no;
		proc->start_event = ev->no;
		if (!exe || !command)
			return -ENOMEM;
	}
	proc->pid = n->pid;
	return 0;
}

static void count(struct procs *p, const struct event *ev)
{
	uint32_t at = idmap_get(&p->task_by_no, ev->task);
	struct proc_task *task;
	struct proc *proc;

	if (at == NONE)
		return;
	task = &p->tasks[at];
	proc = &p->procs[task->proc];
	if (!task->n_events++)
		task->first_event = ev->no;
	if (!proc->n_events++)
		proc->first_event = ev->no;
	if (!proc->start_event)
		proc->start_event = ev->no;
	task->last_event = proc->last_event = ev->no;
	if (ev->kind != EV_EXIT)
		return;
	task->exited = true;
	task->status = ev->status;
	if (ev->flags & EVF_PROC_EXIT) {
		proc->exited = true;
		proc->status = ev->status;
	}
}

int procs_feed(struct procs *p, struct trace *t, const struct event *ev)
{
	int err = 0;

	if (ev->kind == EV_EXEC)
		err = feed_exec(p, t, ev);
	if (!err && ev->new_task.task)
		err = feed_new_task(p, ev);
	if (!err)
		count(p, ev);
	return err;
}

int procs_read(struct trace *t, struct procs *ret)
{
	struct procs p = { 0 };
	const struct event *ev;
	struct trace_iter *it;
	int err = trace_iter_open(t, 1, &it);

	if (err)
		return err;
	while (trace_next(it, &ev) > 0) {
		err = procs_feed(&p, t, ev);
		if (err)
			break;
	}
	trace_iter_close(it);
	if (err)
		procs_free(&p);
	else
		*ret = p;
	return err;
}

void procs_free(struct procs *p)
{
	for (size_t i = 0; i < p->n_procs; i++) {
		free(p->procs[i].exe);
		free(p->procs[i].command);
	}
	free(p->procs);
	free(p->tasks);
	free(p->proc_by_no.keys);
	free(p->proc_by_no.values);
	free(p->task_by_no.keys);
	free(p->task_by_no.values);
	*p = (struct procs){ 0 };
}

const struct proc_task *procs_task(const struct procs *p, uint32_t no)
{
	uint32_t at = idmap_get(&p->task_by_no, no);

	return at == NONE ? NULL : &p->tasks[at];
}

const struct proc *procs_of_task(const struct procs *p, uint32_t task)
{
	const struct proc_task *t = procs_task(p, task);

	return t ? &p->procs[t->proc] : NULL;
}

static bool has_name(const struct proc *proc, const char *name)
{
	const char *slash = strrchr(proc->exe, '/');

	return !strcmp(proc->exe, name) || (slash && !strcmp(slash + 1, name));
}

const struct proc *procs_find(const struct procs *p, const char *pid_or_command)
{
	char *end;
	long pid = strtol(pid_or_command, &end, 10);
	bool is_pid = !*end && pid > 0;

	for (size_t i = 0; is_pid && i < p->n_procs; i++)
		if (p->procs[i].pid == pid)
			return &p->procs[i];
	for (size_t i = 0; i < p->n_procs; i++)
		if (has_name(&p->procs[i], pid_or_command))
			return &p->procs[i];
	return NULL;
}
