/* relive info: what a trace holds. */
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>

#include "cli/args.h"
#include "cli/eventtext.h"
#include "cli/info_agent.h"
#include "cli/json.h"
#include "cli/procs.h"
#include "cli/say.h"
#include "cli/text.h"
#include "cli/tracefile.h"
#include "common/err.h"
#include "tracee/sysfmt.h"

enum { OPT_JSON = 256 };

static const struct cli_opt opts[] = {
	{ OPT_JSON, "json", NULL, "the same as one JSON object" },
	{ 0 },
};

static const char help[] =
	"What was recorded, where, when and how it ended; whether the trace is complete; the processes; how many events of\n"
	"each kind; which system calls stopped the program and which the agent made; signals; system calls that were\n"
	"refused; what the bytes of the file are spent on.\n"
	"Without a FILE: the newest *.rlv in the current directory.";

#define SIGNALS_MAX 65
#define STATS_MAX 32

struct info {
	const char *path;
	struct trace *t;
	struct procs procs;
	uint64_t n_kind[EV_KIND_MAX + 1];
	uint64_t n_signals[SIGNALS_MAX], n_handled[SIGNALS_MAX], n_fatal[SIGNALS_MAX];
	uint64_t n_refused[SYS_NR_END], n_learned[SYS_NR_END];
	struct agent_counts agent;
	uint64_t n_restarts, last_time_ns;
	int err;                /* why reading the events stopped early */
	bool complete;
	int status;             /* the root process's wait status, if complete */
};

static void count_call(struct info *in, const struct event *ev)
{
	const struct sys_desc *d = ev->nr >= 0 && ev->nr < SYS_NR_END ? sys_desc(ev->nr) : NULL;

	in->n_restarts += !!(ev->flags & EVF_RESTART);
	if (d && d->class == SC_REFUSE && ev->kind == EV_SYSCALL)
		in->n_refused[ev->nr]++;
	if (d && d->class == SC_LEARN && ev->kind != EV_SYSCALL_ENTER)
		in->n_learned[ev->nr]++;
}

static int count_event(struct info *in, const struct event *ev)
{
	const struct proc *proc = procs_of_task(&in->procs, ev->task);

	in->last_time_ns = ev->time_ns;
	if (ev->kind <= EV_KIND_MAX)
		in->n_kind[ev->kind]++;
	if (ev->kind >= EV_SYSCALL && ev->kind <= EV_SYSCALL_EXIT)
		count_call(in, ev);
	if (ev->kind == EV_SIGNAL && ev->signo > 0 && ev->signo < SIGNALS_MAX) {
		in->n_signals[ev->signo]++;
		in->n_handled[ev->signo] += !!(ev->flags & EVF_SIG_HANDLER);
		in->n_fatal[ev->signo] += !!(ev->flags & EVF_SIG_FATAL);
	}
	return agent_count(&in->agent, in->t, proc ? proc->no : 0, ev);
}

static int gather(struct info *in)
{
	const struct event *ev;
	struct trace_iter *it;
	int got, err = trace_iter_open(in->t, 1, &it);

	if (err)
		return err;
	while ((got = trace_next(it, &ev)) > 0) {
		err = procs_feed(&in->procs, in->t, ev);
		if (!err)
			err = count_event(in, ev);
		if (err)
			break;
	}
	in->err = got < 0 ? got : 0;
	in->complete = trace_complete(in->t, &in->status);
	trace_iter_close(it);
	return err;
}

static const char *utc_time(uint64_t unix_ns, char *buf, size_t n)
{
	time_t s = (time_t)(unix_ns / 1000000000);
	struct tm tm;

	if (!gmtime_r(&s, &tm) || !strftime(buf, n, "%Y-%m-%dT%H:%M:%SZ", &tm))
		snprintf(buf, n, "?");
	return buf;
}

static void line_text(const char *label, const char *text)
{
	printf("  %-13s ", label);
	text_put(stdout, text, strlen(text), 0);
	putchar('\n');
}

static void put_state(const struct info *in)
{
	char size[TEXT_BYTES_MAX], count[TEXT_COUNT_MAX];
	const char *why = trace_damage(in->t);

	text_put(stdout, in->path, strlen(in->path), 0);
	printf(": %s events, %s, ", text_count(trace_n_events(in->t), count), text_bytes(trace_file_bytes(in->t), size));
	if (in->complete && !*why && !in->err) {
		puts("complete");
		return;
	}
	printf("%s%s", in->complete ? "damaged" : "cut short", *why || in->err ? ": " : "");
	if (!*why && in->err)
		why = rl_strerror(in->err);
	text_put(stdout, why, strlen(why), 0);
	putchar('\n');
}

static void put_header(const struct info *in)
{
	const struct trace_header *h = trace_header(in->t);
	char when[64], status[TEXT_STATUS_MAX], line[256];

	printf("  %-13s ", "command");
	text_put_argv(stdout, h->n_argv, h->argv);
	putchar('\n');
	line_text("directory", h->cwd);
	line_text("ended", in->complete ? text_status(in->status, status) : "unknown: the end of the recording is missing");
	snprintf(line, sizeof(line), "%s, %.3f s", utc_time(h->start_unix_ns, when, sizeof(when)), (double)in->last_time_ns / 1e9);
	line_text("recorded", line);
	line_text("machine", h->host);
	line_text("kernel", h->kernel);
	snprintf(line, sizeof(line), "%s (%" PRIu32 " processors, recorded on number %" PRIu32 ")", h->cpu_model, h->n_cpus, h->cpu);
	line_text("processor", line);
	line_text("relive", h->relive_version);
	snprintf(line, sizeof(line), "%" PRIu64, h->seed);
	line_text("seed", line);
	line_text("page tracking", h->page_tracking);
}

static void put_procs(const struct info *in)
{
	char status[TEXT_STATUS_MAX];

	printf("\nprocesses\n  %7s %7s %7s %9s  %-24s %s\n", "pid", "parent", "threads", "events", "ended", "command");
	for (size_t i = 0; i < in->procs.n_procs; i++) {
		const struct proc *p = &in->procs.procs[i];

		printf("  %7d %7d %7" PRIu32 " %9" PRIu64 "  %-24s ", p->pid, p->ppid, p->n_threads, p->n_events,
		       p->exited ? text_status(p->status, status) : "not in the trace");
		text_put(stdout, p->command, strlen(p->command), 0);
		putchar('\n');
	}
}

static void put_events(const struct info *in)
{
	char count[TEXT_COUNT_MAX];

	puts("\nevents");
	for (unsigned kind = 1; kind <= EV_KIND_MAX; kind++)
		if (in->n_kind[kind])
			printf("  %-10s %12s\n", event_kind_name(kind), text_count(in->n_kind[kind], count));
}

static void put_signals(const struct info *in)
{
	char name[TEXT_SIGNAL_MAX];

	if (!in->n_kind[EV_SIGNAL])
		return;
	puts("\nsignals");
	for (int s = 1; s < SIGNALS_MAX; s++)
		if (in->n_signals[s])
			printf("  %-10s %12" PRIu64 "  handled %" PRIu64 ", fatal %" PRIu64 "\n", text_signal(s, name),
			       in->n_signals[s], in->n_handled[s], in->n_fatal[s]);
}

static void put_chunks(const struct info *in)
{
	struct trace_stat stats[STATS_MAX];
	size_t n = trace_stats(in->t, stats, STATS_MAX);
	char stored[TEXT_BYTES_MAX], raw[TEXT_BYTES_MAX];

	printf("\nchunks\n  %-16s %8s %12s %12s\n", "type", "number", "in the file", "unpacked");
	for (size_t i = 0; i < n && i < STATS_MAX; i++)
		printf("  %-16s %8" PRIu64 " %12s %12s\n", stats[i].what, stats[i].chunks,
		       text_bytes(stats[i].stored_bytes, stored), text_bytes(stats[i].raw_bytes, raw));
}

static const char *plural(uint64_t n)
{
	return n == 1 ? "" : "s";
}

static bool put_notes(const struct info *in)
{
	size_t n = trace_n_notes(in->t);

	for (size_t i = 0; i < n; i++) {
		char *text;

		if (trace_note(in->t, i, &text))
			continue;
		printf("%s  ", i ? "" : "\nnotes\n");
		text_put(stdout, text, strlen(text), 0);
		putchar('\n');
		free(text);
	}
	return n;
}

static void put_warnings(const struct info *in)
{
	bool any = put_notes(in);

	for (int nr = 0; nr < SYS_NR_END; nr++) {
		const struct sys_desc *d = in->n_refused[nr] || in->n_learned[nr] ? sys_desc(nr) : NULL;

		if (!d || nr == SYS_rseq)       /* every C library tries rseq, and does as well without */
			continue;
		if (!any)
			puts("\nnotes");
		any = true;
		if (in->n_refused[nr])
			printf("  %s cannot be recorded: refused with %s, %" PRIu64 " time%s; the program has to do without\n",
			       d->name, sys_errno_name(d->err), in->n_refused[nr], plural(in->n_refused[nr]));
		else
			printf("  %s is not in the table: what it wrote was found by watching the memory, %" PRIu64 " time%s\n",
			       d->name, in->n_learned[nr], plural(in->n_learned[nr]));
	}
}

static void json_header(struct json *j, const struct info *in)
{
	const struct trace_header *h = trace_header(in->t);
	char buf[64];

	json_array(j, "command");
	for (uint32_t i = 0; i < h->n_argv; i++)
		json_str(j, NULL, h->argv[i]);
	json_array_end(j);
	json_str(j, "directory", h->cwd);
	json_str(j, "recorded", utc_time(h->start_unix_ns, buf, sizeof(buf)));
	json_u64(j, "duration_ns", in->last_time_ns);
	json_str(j, "machine", h->host);
	json_str(j, "kernel", h->kernel);
	json_str(j, "processor", h->cpu_model);
	json_u64(j, "n_cpus", h->n_cpus);
	json_u64(j, "cpu", h->cpu);
	json_hex(j, "xcr0", h->xcr0);
	json_str(j, "relive", h->relive_version);
	snprintf(buf, sizeof(buf), "%" PRIu64, h->seed);
	json_str(j, "seed", buf);       /* a string: beyond 2^53 many readers lose digits */
	json_str(j, "page_tracking", h->page_tracking);
}

static void json_procs(struct json *j, const struct procs *procs)
{
	json_array(j, "processes");
	for (size_t i = 0; i < procs->n_procs; i++) {
		const struct proc *p = &procs->procs[i];

		json_object(j, NULL);
		json_u64(j, "process", p->no);
		json_i64(j, "pid", p->pid);
		json_i64(j, "parent", p->ppid);
		json_str(j, "exe", p->exe);
		json_str(j, "command", p->command);
		json_u64(j, "threads", p->n_threads);
		json_u64(j, "events", p->n_events);
		json_u64(j, "first_event", p->first_event);
		json_u64(j, "last_event", p->last_event);
		if (p->exited)
			json_wait_status(j, p->status);
		json_object_end(j);
	}
	json_array_end(j);
}

static void json_tasks(struct json *j, const struct procs *procs)
{
	json_array(j, "tasks");
	for (size_t i = 0; i < procs->n_tasks; i++) {
		const struct proc_task *t = &procs->tasks[i];

		json_object(j, NULL);
		json_u64(j, "task", t->no);
		json_i64(j, "tid", t->tid);
		json_i64(j, "pid", procs->procs[t->proc].pid);
		json_u64(j, "events", t->n_events);
		json_u64(j, "first_event", t->first_event);
		json_u64(j, "last_event", t->last_event);
		if (t->exited)
			json_wait_status(j, t->status);
		json_object_end(j);
	}
	json_array_end(j);
}

static void json_signals(struct json *j, const struct info *in)
{
	char name[TEXT_SIGNAL_MAX];

	json_array(j, "signals");
	for (int s = 1; s < SIGNALS_MAX; s++) {
		if (!in->n_signals[s])
			continue;
		json_object(j, NULL);
		json_i64(j, "signo", s);
		json_str(j, "name", text_signal(s, name));
		json_u64(j, "count", in->n_signals[s]);
		json_u64(j, "handled", in->n_handled[s]);
		json_u64(j, "fatal", in->n_fatal[s]);
		json_object_end(j);
	}
	json_array_end(j);
}

static void json_calls(struct json *j, const char *key, const uint64_t counts[SYS_NR_END])
{
	json_object(j, key);
	for (int nr = 0; nr < SYS_NR_END; nr++)
		if (counts[nr] && sys_desc(nr))
			json_u64(j, sys_desc(nr)->name, counts[nr]);
	json_object_end(j);
}

static void json_notes(struct json *j, const struct info *in)
{
	json_array(j, "notes");
	for (size_t i = 0; i < trace_n_notes(in->t); i++) {
		char *text;

		if (trace_note(in->t, i, &text))
			continue;
		json_str(j, NULL, text);
		free(text);
	}
	json_array_end(j);
}

static void json_chunks(struct json *j, const struct info *in)
{
	struct trace_stat stats[STATS_MAX];
	size_t n = trace_stats(in->t, stats, STATS_MAX);

	json_array(j, "chunks");
	for (size_t i = 0; i < n && i < STATS_MAX; i++) {
		json_object(j, NULL);
		json_str(j, "type", stats[i].what);
		json_u64(j, "number", stats[i].chunks);
		json_u64(j, "stored_bytes", stats[i].stored_bytes);
		json_u64(j, "raw_bytes", stats[i].raw_bytes);
		json_object_end(j);
	}
	json_array_end(j);
}

static void put_json(const struct info *in)
{
	struct json j = { .f = stdout, .style = JSON_INDENTED };

	json_object(&j, NULL);
	json_str(&j, "file", in->path);
	json_u64(&j, "bytes", trace_file_bytes(in->t));
	json_u64(&j, "events", trace_n_events(in->t));
	json_bool(&j, "complete", in->complete);
	json_str(&j, "damage", *trace_damage(in->t) || !in->err ? trace_damage(in->t) : rl_strerror(in->err));
	if (in->complete)
		json_wait_status(&j, in->status);
	json_header(&j, in);
	json_object(&j, "event_kinds");
	for (unsigned kind = 1; kind <= EV_KIND_MAX; kind++)
		json_u64(&j, event_kind_name(kind), in->n_kind[kind]);
	json_object_end(&j);
	json_u64(&j, "restarts", in->n_restarts);
	json_procs(&j, &in->procs);
	json_tasks(&j, &in->procs);
	json_signals(&j, in);
	json_calls(&j, "refused_calls", in->n_refused);
	json_calls(&j, "learned_calls", in->n_learned);
	agent_put_json(&j, &in->agent);
	json_notes(&j, in);
	json_chunks(&j, in);
	json_object_end(&j);
	putchar('\n');
}

static int info(struct info *in, bool json)
{
	int err = gather(in);

	if (err)
		return fail("cannot read the events of %s: %s", in->path, rl_strerror(err));
	if (json) {
		put_json(in);
		return stdout_finish();
	}
	put_state(in);
	put_header(in);
	put_procs(in);
	put_events(in);
	agent_put(&in->agent);
	put_signals(in);
	put_warnings(in);
	put_chunks(in);
	return stdout_finish();
}

static int run(const struct command *self, int argc, char **argv)
{
	struct info *in;
	char path[PATH_MAX];
	bool json = false;
	struct args a;
	int opt, ret;

	args_init(&a, self, argc, argv);
	while ((opt = args_next(&a)) >= 0)
		json = opt == OPT_JSON || json;
	if (opt == ARGS_DONE)
		return a.status;
	ret = tracefile_name(&a, path, sizeof(path));
	if (ret)
		return ret;
	in = calloc(1, sizeof(*in));
	if (!in)
		return fail("out of memory");
	in->path = path;
	ret = tracefile_open(path, &in->t);
	if (!ret) {
		ret = info(in, json);
		procs_free(&in->procs);
		agent_counts_free(&in->agent);
		trace_close(in->t);
	}
	free(in);
	return ret;
}

const struct command cmd_info = {
	.name = "info",
	.summary = "Tell what a trace holds.",
	.usage = "info [OPTIONS] [FILE]",
	.help = help,
	.opts = opts,
	.run = run,
};
