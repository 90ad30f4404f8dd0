/* relive ps: the tree of recorded processes. */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/args.h"
#include "cli/eventtext.h"
#include "cli/json.h"
#include "cli/procs.h"
#include "cli/say.h"
#include "cli/text.h"
#include "cli/tracefile.h"
#include "common/err.h"
#include "common/scope.h"

enum { OPT_JSON = 256 };

static const struct cli_opt opts[] = {
	{ OPT_JSON, "json", NULL, "an array with one object a process" },
	{ 0 },
};

static const char help[] =
	"The recorded processes, each below its parent: pid, its parent's pid, the event that made it, the event that ended\n"
	"it, how it ended, its command line. 'relive replay -p PID' opens gdb on one of them.\n"
	"Without a FILE: the newest *.rlv in the current directory.";

#define NONE SIZE_MAX

/* A process's place in the tree, by index into procs. Children stand in the order they were made. */
struct node {
	size_t first_child, last_child, next;
};

struct tree {
	struct procs procs;
	struct node *nodes;
};

static size_t index_of_proc(const struct procs *p, uint32_t no)
{
	/* Parents stand before their children, and numbers mostly ascend: look from the likeliest place. */
	size_t guess = no && no <= p->n_procs ? no - 1 : 0;

	if (p->n_procs && p->procs[guess].no == no)
		return guess;
	for (size_t i = 0; i < p->n_procs; i++) {
		if (p->procs[i].no == no)
			return i;
	}
	return NONE;
}

static int tree_build(struct tree *t)
{
	size_t n = t->procs.n_procs;

	t->nodes = malloc((n ? n : 1) * sizeof(*t->nodes));
	if (!t->nodes)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		t->nodes[i] = (struct node){ NONE, NONE, NONE };
	for (size_t i = 0; i < n; i++) {
		size_t parent = t->procs.procs[i].parent ? index_of_proc(&t->procs, t->procs.procs[i].parent) : NONE;
		struct node *up = parent != NONE ? &t->nodes[parent] : NULL;

		if (!up || parent >= i)         /* a trace is hostile input: no cycles */
			continue;
		if (up->last_child == NONE)
			up->first_child = i;
		else
			t->nodes[up->last_child].next = i;
		up->last_child = i;
	}
	return 0;
}

static bool is_root(const struct tree *t, size_t i)
{
	uint32_t parent = t->procs.procs[i].parent;
	size_t at = parent ? index_of_proc(&t->procs, parent) : NONE;

	return at == NONE || at >= i;
}

/* Each process before its children, without recursion: a chain of forks may be long. */
static int tree_walk(const struct tree *t, void (*visit)(void *arg, const struct proc *p, unsigned depth), void *arg)
{
	autofree size_t *path = malloc((t->procs.n_procs + 1) * sizeof(*path));

	if (!path)
		return -ENOMEM;
	for (size_t root = 0; root < t->procs.n_procs; root++) {
		unsigned depth = 0;

		if (!is_root(t, root))
			continue;
		path[0] = root;
		visit(arg, &t->procs.procs[root], 0);
		for (size_t next = t->nodes[root].first_child; ; ) {
			if (next != NONE) {
				path[++depth] = next;
				visit(arg, &t->procs.procs[next], depth);
				next = t->nodes[next].first_child;
			} else if (depth) {
				next = t->nodes[path[depth--]].next;
			} else {
				break;
			}
		}
	}
	return 0;
}

static void put_line(void *arg, const struct proc *p, unsigned depth)
{
	char status[TEXT_STATUS_MAX], end[24] = "-";

	(void)arg;
	if (p->exited)
		snprintf(end, sizeof(end), "%" PRIu64, p->last_event);
	printf("%7d %7d %9" PRIu64 " %9s  %-24s ", p->pid, p->ppid, p->start_event, end,
	       p->exited ? text_status(p->status, status) : "not in the trace");
	printf("%*s", 2 * (int)(depth < 40 ? depth : 40), "");
	text_put(stdout, p->command, strlen(p->command), 0);
	putchar('\n');
}

static void put_object(void *arg, const struct proc *p, unsigned depth)
{
	struct json *j = arg;

	json_object(j, NULL);
	json_u64(j, "process", p->no);
	json_i64(j, "pid", p->pid);
	json_i64(j, "parent", p->ppid);
	json_u64(j, "depth", depth);
	json_u64(j, "start_event", p->start_event);
	if (p->exited)
		json_u64(j, "end_event", p->last_event);
	json_str(j, "exe", p->exe);
	json_str(j, "command", p->command);
	if (p->exited)
		json_wait_status(j, p->status);
	json_object_end(j);
}

static int ps(struct trace *t, const char *path, bool json)
{
	struct json j = { .f = stdout, .style = JSON_INDENTED };
	struct tree tree = { 0 };
	int err = procs_read(t, &tree.procs);

	if (!err)
		err = tree_build(&tree);
	if (!err && json) {
		json_array(&j, NULL);
		err = tree_walk(&tree, put_object, &j);
		json_array_end(&j);
		putchar('\n');
	} else if (!err) {
		printf("%7s %7s %9s %9s  %-24s %s\n", "pid", "parent", "start", "end", "ended", "command");
		err = tree_walk(&tree, put_line, NULL);
	}
	free(tree.nodes);
	procs_free(&tree.procs);
	return err ? fail("cannot list the processes of %s: %s", path, rl_strerror(err)) : stdout_finish();
}

static int run(const struct command *self, int argc, char **argv)
{
	char path[PATH_MAX];
	bool json = false;
	struct trace *t;
	struct args a;
	int opt, ret;

	args_init(&a, self, argc, argv);
	while ((opt = args_next(&a)) >= 0)
		json = opt == OPT_JSON || json;
	if (opt == ARGS_DONE)
		return a.status;
	ret = tracefile_name(&a, path, sizeof(path));
	if (!ret)
		ret = tracefile_open(path, &t);
	if (ret)
		return ret;
	ret = ps(t, path, json);
	trace_close(t);
	return ret;
}

const struct command cmd_ps = {
	.name = "ps",
	.summary = "List the tree of recorded processes.",
	.usage = "ps [OPTIONS] [FILE]",
	.help = help,
	.opts = opts,
	.run = run,
};
