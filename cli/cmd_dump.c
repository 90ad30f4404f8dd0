/* relive dump: every event of a trace, a line each. */
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>

#include "cli/args.h"
#include "cli/eventtext.h"
#include "cli/json.h"
#include "cli/livemem.h"
#include "cli/procs.h"
#include "cli/say.h"
#include "cli/text.h"
#include "cli/tracefile.h"
#include "common/err.h"

enum { OPT_JSON = 256, OPT_FROM, OPT_TO, OPT_TASK, OPT_MEMORY };

static const struct cli_opt opts[] = {
	{ OPT_JSON, "json", NULL, "a JSON array with one object a line, one for each event" },
	{ OPT_FROM, "from", "N", "begin at event N" },
	{ OPT_TO, "to", "N", "end after event N" },
	{ OPT_TASK, "task", "TID", "only this thread's events, by its recorded thread id (a process's first thread\n"
				   "has the id of the process), or by its number in the trace as #N" },
	{ OPT_MEMORY, "memory", NULL, "replay alongside, to show the strings and structures that arguments point to" },
	{ 0 },
};

static const char help[] =
	"Without a FILE: the newest *.rlv in the current directory. The columns: the event's number, seconds since the\n"
	"recording began, process and thread as the program saw their ids, what happened, and @ the instruction pointer.\n"
	"Without --memory, an argument that points to memory is shown as an address, unless the call wrote that memory.";

struct dump {
	struct trace *t;
	struct procs procs;
	bool json;
	uint64_t from, to;
	bool has_task, task_is_no;
	uint64_t task;
	uint64_t n_written;
	bool memory;
	struct livemem *live;
	uint64_t diverged_at;   /* the first event whose memory could not be had; 0: none */
};

static void write_line(const struct dump *d, const struct event *ev, const struct sys_mem *live)
{
	const struct proc_task *task = procs_task(&d->procs, ev->task);
	const struct proc *proc = procs_of_task(&d->procs, ev->task);
	uint64_t rip;

	printf("%7" PRIu64 " %4" PRIu64 ".%06" PRIu64 " %7d %7d  %-8s ", ev->no, ev->time_ns / 1000000000,
	       ev->time_ns / 1000 % 1000000, proc ? proc->pid : 0, task ? task->tid : 0, event_kind_name(ev->kind));
	event_put_text(stdout, d->t, ev, live);
	if (event_rip(d->t, ev, &rip))
		printf("  @%#" PRIx64, rip);
	putchar('\n');
}

static void write_json(const struct dump *d, const struct event *ev, const struct sys_mem *live)
{
	const struct proc_task *task = procs_task(&d->procs, ev->task);
	const struct proc *proc = procs_of_task(&d->procs, ev->task);
	struct json j = { .f = stdout, .style = JSON_ONE_LINE };

	fputs(d->n_written ? ",\n" : "\n", stdout);
	json_object(&j, NULL);
	json_u64(&j, "event", ev->no);
	json_u64(&j, "time_ns", ev->time_ns);
	json_i64(&j, "pid", proc ? proc->pid : 0);
	json_i64(&j, "tid", task ? task->tid : 0);
	json_u64(&j, "process", proc ? proc->no : 0);
	json_u64(&j, "task", ev->task);
	event_put_json(&j, d->t, ev, live);
	json_object_end(&j);
}

static bool is_wanted(const struct dump *d, const struct event *ev)
{
	const struct proc_task *task;

	if (ev->no < d->from || ev->no > d->to)
		return false;
	if (!d->has_task)
		return true;
	if (d->task_is_no)
		return ev->task == d->task;
	task = procs_task(&d->procs, ev->task);
	return task && (uint64_t)task->tid == d->task;
}

static void write_event(struct dump *d, const struct event *ev)
{
	struct sys_mem memory;
	const struct sys_mem *live = NULL;

	if (d->live && !d->diverged_at) {
		if (livemem_at(d->live, ev, &memory))
			d->diverged_at = ev->no;
		else
			live = &memory;
	}
	if (d->json)
		write_json(d, ev, live);
	else
		write_line(d, ev, live);
	d->n_written++;
}

/* From the first event on, whatever --from says: who is who is told by the events before. */
static int write_events(struct dump *d, struct trace_iter *it)
{
	const struct event *ev;
	int got = 0, err = 0;

	while (!ferror(stdout) && (got = trace_next(it, &ev)) > 0 && ev->no <= d->to) {
		err = procs_feed(&d->procs, d->t, ev);
		if (err)
			return err;
		if (!is_wanted(d, ev))
			continue;
		write_event(d, ev);
	}
	return got < 0 ? got : 0;
}

static int dump(struct dump *d, const char *path)
{
	struct trace_iter *it;
	int ended, status, err = trace_iter_open(d->t, 1, &it);

	if (err)
		return fail("cannot read the events of %s: %s", path, rl_strerror(err));
	err = d->memory ? livemem_open(d->t, &d->live) : 0;
	if (err) {
		trace_iter_close(it);
		return fail("cannot replay %s, which --memory needs: %s", path, rl_strerror(err));
	}
	if (d->json)
		putchar('[');
	else
		printf("%7s %11s %7s %7s  %-8s %s\n", "event", "time", "process", "thread", "kind", "what");
	err = write_events(d, it);
	if (d->json)
		puts("\n]");
	trace_iter_close(it);
	livemem_close(d->live);
	status = stdout_finish();
	if (d->diverged_at && !status)
		status = fail("the replay of %s goes no further than to event %" PRIu64 "; from there on --memory shows addresses",
			      path, d->diverged_at - 1);
	if (err)
		status = fail("%s cannot be read further: %s", path, rl_strerror(err));
	if (!trace_complete(d->t, &ended) && !status)
		say("%s was cut short%s%s; event %" PRIu64 " is the last one", path, *trace_damage(d->t) ? ": " : "",
		    trace_damage(d->t), trace_n_events(d->t));
	if (!d->n_written && d->has_task && !status && !err)
		status = fail("%s has no events of that thread in that range; 'relive info' lists the processes", path);
	return status;
}

static bool take_option(struct dump *d, int opt, const char *value)
{
	switch (opt) {
	case OPT_JSON:
		d->json = true;
		return true;
	case OPT_MEMORY:
		d->memory = true;
		return true;
	case OPT_FROM:
		return args_number("--from", value, 1, UINT64_MAX, &d->from);
	case OPT_TO:
		return args_number("--to", value, 1, UINT64_MAX, &d->to);
	case OPT_TASK:
		d->has_task = true;
		d->task_is_no = value[0] == '#';
		return args_number("--task", value + d->task_is_no, 1, INT32_MAX, &d->task);
	}
	return false;
}

static int run(const struct command *self, int argc, char **argv)
{
	struct dump d = { .to = UINT64_MAX };
	char path[PATH_MAX];
	struct args a;
	int opt, ret;

	args_init(&a, self, argc, argv);
	while ((opt = args_next(&a)) >= 0)
		if (!take_option(&d, opt, a.value))
			return EXIT_RELIVE;
	if (opt == ARGS_DONE)
		return a.status;
	if (d.from > d.to)
		return fail("--from %" PRIu64 " is beyond --to %" PRIu64, d.from, d.to);
	ret = tracefile_name(&a, path, sizeof(path));
	if (!ret)
		ret = tracefile_open(path, &d.t);
	if (ret)
		return ret;
	if (d.from > trace_n_events(d.t))
		ret = fail("--from %" PRIu64 " is beyond the last event of %s, %" PRIu64, d.from, path, trace_n_events(d.t));
	else
		ret = dump(&d, path);
	procs_free(&d.procs);
	trace_close(d.t);
	return ret;
}

const struct command cmd_dump = {
	.name = "dump",
	.summary = "Print the events of a trace, one line each.",
	.usage = "dump [OPTIONS] [FILE]",
	.help = help,
	.opts = opts,
	.run = run,
};
