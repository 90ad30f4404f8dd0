/* relive replay: a recorded run again, under gdb or by itself. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/args.h"
#include "cli/say.h"
#include "cli/text.h"
#include "cli/tracefile.h"
#include "cli/where.h"
#include "common/err.h"
#include "common/scope.h"
#include "replayer/replay.h"

enum { OPT_AT = 256, OPT_NO_GDB, OPT_GDB, OPT_VERIFY, OPT_QUIET, OPT_NO_INDEX, OPT_ANY_CPU };

static const struct cli_opt opts[] = {
	{ OPT_AT, "at", "WHERE", "begin there: start (the default), end, or right before the event of that number" },
	{ 'p', "process", "PID|NAME", "debug this process of the recorded tree, by its recorded pid or its program's\n"
				      "name; without this, the first one" },
	{ OPT_GDB, "gdb", "PATH", "the gdb to start; without this $GDB, or gdb" },
	{ OPT_NO_GDB, "no-gdb", NULL, "no debugger: replay to the end, with the program's output and exit status" },
	{ OPT_QUIET, "quiet", NULL, "with --no-gdb: leave the program's output out" },
	{ OPT_VERIFY, "verify", "HOW", "with --no-gdb: full compares all memory that could differ, which is slow;\n"
				       "normal (the default) compares what was recorded" },
	{ OPT_NO_INDEX, "no-index", NULL, "neither use nor write FILE.idx, which keeps what makes the next replay faster" },
	{ OPT_ANY_CPU, "any-cpu", NULL, "replay also where this processor lacks instructions that the program was told of;\n"
					"the replay ends where one of them was executed" },
	{ 0 },
};

static const char help[] =
	"Without a FILE: the newest *.rlv in the current directory. What follows -- is handed to gdb.\n"
	"In gdb, reverse-continue, reverse-step, reverse-next, reverse-finish and watchpoints work in both directions;\n"
	"'monitor help' lists what relive adds, 'run' starts over. Nothing of the recorded run can be changed.\n"
	"\n"
	"Exit status with --no-gdb: the program's own; 128+n if signal n killed it; 124 if the recording was cut short,\n"
	"and all that is there of it was replayed; 125 if the replay diverged from the recording, or if relive failed. A\n"
	"sentence on standard error says which. Under gdb: gdb's.";

struct replay_args {
	const char *process, *at, *gdb, *verify;
	bool no_gdb, quiet, no_index, any_cpu;
};

static void say_report(const char *report)
{
	size_t n = strlen(report);

	text_put(stderr, report, n, TEXT_LINES);
	if (n && report[n - 1] != '\n')
		putc('\n', stderr);
}

static int replay_alone(struct trace *t, const char *path, const struct replay_args *r)
{
	struct replay_opts o = { .verify_full = r->verify && !strcmp(r->verify, "full"), .quiet = r->quiet };
	autofree struct replay_result *result = calloc(1, sizeof(*result));
	char learned[PATH_MAX];
	unsigned long long last;
	int err;

	if (!result)
		return fail("out of memory");
	tracefile_learned(path, learned, sizeof(learned));
	o.learned = r->no_index || !learned[0] ? NULL : learned;
	err = replay_run(t, &o, STDOUT_FILENO, STDERR_FILENO, result);
	last = result->last_event;
	if (err == -RL_EDIVERGED) {
		say_report(result->report);
		return fail("the replay of %s diverged from the recording after event %llu", path, last);
	}
	if (err) {
		say_report(result->report);
		return fail("cannot replay %s beyond event %llu: %s", path, last, rl_strerror(err));
	}
	if (result->incomplete) {
		const char *why = trace_damage(t);

		say("replayed %s to event %llu, its last complete one: the recording was cut short there%s%s%s, so how the program ended is unknown",
		    path, last, *why ? " (" : "", why, *why ? ")" : "");
		return EXIT_INCOMPLETE;
	}
	return status_to_exit(result->wait_status);
}

static bool self_path(char buf[PATH_MAX])
{
	ssize_t n = readlink("/proc/self/exe", buf, PATH_MAX - 1);

	if (n <= 0)
		return false;
	buf[n] = 0;
	return true;
}

/* The command that gdb gives to sh(1) for its end of the connection. */
static int server_command(const char *path, const struct replay_args *r, char *out, size_t n)
{
	char self[PATH_MAX], file[PATH_MAX], word[4 * PATH_MAX];
	const char *const words[] = {
		self, "gdbserver", "--stdio", r->at ? "--at" : NULL, r->at, r->process ? "-p" : NULL, r->process,
		r->no_index ? "--no-index" : NULL, r->any_cpu ? "--any-cpu" : NULL, "--", file,
	};
	size_t at = (size_t)snprintf(out, n, "target extended-remote | exec");

	if (!self_path(self))
		return fail("cannot find relive's own program: /proc is not mounted");
	if (!realpath(path, file))
		return fail("cannot find %s: %s", path, strerror(errno));
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (!words[i])
			continue;
		if (!text_sh_quote(words[i], word, sizeof(word)) || at + strlen(word) + 2 > n)
			return fail("the name %s is too long for gdb", path);
		at += (size_t)snprintf(out + at, n - at, " %s", word);
	}
	return 0;
}

/*
 * run, start and starti begin the recording anew as a whole, so gdb's other inferiors, parents whose children were followed or processes
 * that were kept, are of no more use and go first. Otherwise gdb believes of two that they are the first process, and after starti asks one
 * chosen at random for the stop that it put aside for the other: then it waits for ever (gdb 13).
 */
static char begin_alone[] =
	"python [gdb.execute('define hook-%s\\n"
	"python _others = [i for i in gdb.inferiors() if i != gdb.selected_inferior()]\\n"
	"python [gdb.execute(\"kill inferiors %%d\" %% i.num) for i in _others if i.pid]\\n"
	"python [gdb.execute(\"remove-inferiors %%d\" %% i.num) for i in _others]\\n"
	"end' % c) for c in ('run', 'start', 'starti')]";

static int exec_gdb(const char *path, const struct replay_args *r, char **tail)
{
	char target[8 * PATH_MAX];
	char *first[] = {
		NULL, "-q",
		/* Going to the end of a long trace takes its time before the first answer; a dead server is noticed at once. */
		"-ex", "set remotetimeout 1000000",
		"-ex", "set sysroot target:",
		"-ex", begin_alone,
		"-ex", target,
	};
	size_t n_first = sizeof(first) / sizeof(first[0]), n_tail = 0;
	autofree char **argv = NULL;
	int err = server_command(path, r, target, sizeof(target));

	if (err)
		return err;
	while (tail && tail[n_tail])
		n_tail++;
	argv = calloc(n_first + n_tail + 1, sizeof(*argv));
	if (!argv)
		return fail("out of memory");
	memcpy(argv, first, sizeof(first));
	if (n_tail)
		memcpy(argv + n_first, tail, n_tail * sizeof(*argv));
	argv[0] = (char *)(r->gdb ? r->gdb : getenv("GDB"));
	if (!argv[0] || !*argv[0])
		argv[0] = "gdb";
	execvp(argv[0], argv);
	if (errno == ENOENT)
		return fail("gdb ('%s') was not found; install it (the package is called gdb), name one with --gdb PATH, or replay without it: relive replay --no-gdb",
			    argv[0]);
	return fail("cannot run gdb ('%s'): %s", argv[0], strerror(errno));
}

static bool options_fit(const struct replay_args *r, char **tail)
{
	if (r->verify && strcmp(r->verify, "full") && strcmp(r->verify, "normal"))
		return fail("--verify is full or normal, not '%s'", r->verify), false;
	if (!r->no_gdb && (r->verify || r->quiet))
		return fail("%s goes with --no-gdb", r->verify ? "--verify" : "--quiet"), false;
	if (r->no_gdb && (r->at || r->process || r->gdb || tail))
		return fail("%s is for gdb, and does not go with --no-gdb",
			    r->at ? "--at" : r->process ? "-p" : r->gdb ? "--gdb" : "what follows --"), false;
	return true;
}

static int replay(const char *path, const struct replay_args *r, char **tail)
{
	struct timeline_opts where;
	struct trace *t;
	int ret = tracefile_open_replay(path, r->any_cpu, &t);

	if (ret)
		return ret;
	if (r->no_gdb)
		ret = replay_alone(t, path, r);
	else
		ret = where_parse(t, r->process, r->at, &where);
	if (!r->no_gdb && !ret && *trace_damage(t))
		say("%s was cut short: %s; event %llu is the last one", path, trace_damage(t), (unsigned long long)trace_n_events(t));
	trace_close(t);
	return r->no_gdb || ret ? ret : exec_gdb(path, r, tail);
}

static int run(const struct command *self, int argc, char **argv)
{
	struct replay_args r = { 0 };
	char path[PATH_MAX];
	struct args a;
	int opt, err;

	args_init(&a, self, argc, argv);
	while ((opt = args_next(&a)) >= 0) {
		switch (opt) {
		case OPT_AT: r.at = a.value; break;
		case 'p': r.process = a.value; break;
		case OPT_GDB: r.gdb = a.value; break;
		case OPT_NO_GDB: r.no_gdb = true; break;
		case OPT_QUIET: r.quiet = true; break;
		case OPT_NO_INDEX: r.no_index = true; break;
		case OPT_ANY_CPU: r.any_cpu = true; break;
		case OPT_VERIFY: r.verify = a.value; break;
		}
	}
	if (opt == ARGS_DONE)
		return a.status;
	if (!options_fit(&r, a.tail))
		return EXIT_RELIVE;
	err = tracefile_name(&a, path, sizeof(path));
	if (err)
		return err;
	if (!a.n_operands)
		say("replaying %s, the newest trace here", path);
	return replay(path, &r, a.tail);
}

const struct command cmd_replay = {
	.name = "replay",
	.summary = "Replay a trace under gdb, or to its end.",
	.usage = "replay [OPTIONS] [FILE] [-- GDB-ARG...]",
	.help = help,
	.opts = opts,
	.flags = CMD_HAS_TAIL,
	.run = run,
};
