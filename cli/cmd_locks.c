/* relive locks: in which order threads took which locks, and whether they could have locked each other out. */
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/args.h"
#include "cli/lockprint.h"
#include "cli/say.h"
#include "cli/text.h"
#include "cli/tracefile.h"
#include "common/err.h"
#include "common/scope.h"

enum { OPT_JSON = 256, OPT_ALL, OPT_ANY_CPU };

static const struct cli_opt opts[] = {
	{ OPT_ALL, "all", NULL, "print the whole order of each lock's holders; without this, its beginning" },
	{ OPT_JSON, "json", NULL, "as JSON, with the whole order" },
	{ OPT_ANY_CPU, "any-cpu", NULL, "replay also where this processor lacks instructions that the program was told of" },
	{ 0 },
};

static const char help[] =
	"Without a FILE: the newest *.rlv in the current directory.\n"
	"The trace is replayed, and the calls of the C library's lock functions are written down on the way: mutexes,\n"
	"read-write locks, spin locks, semaphores, condition variables, barriers, pthread_once and pthread_join. So every\n"
	"trace can be asked, and recording costs nothing extra. A program that brings the C library with it (a static one)\n"
	"must have its symbols.\n"
	"\n"
	"For each lock: how often it was taken, how often it was found taken, the longest time it was held and waited for\n"
	"at least, and who took it, in order. Then cycles: locks that were taken in opposite orders by different threads,\n"
	"which can end in a deadlock, even if this run did not. Then deadlocks: threads that wait for one another at the\n"
	"end of this trace.\n"
	"\n"
	"Exit status: 0; 124 if the recording was cut short; 125 if it could not be read or replayed.";

static int locks(const char *path, enum lockprint_style style, bool any_cpu)
{
	autofree struct locks_result *r = calloc(1, sizeof(*r));
	struct procs procs;
	struct trace *t;
	int err, status;

	if (!r)
		return fail("out of memory");
	status = tracefile_open_replay(path, any_cpu, &t);
	if (status)
		return status;
	err = locks_run(t, r);
	if (err) {
		text_put(stderr, r->report, strlen(r->report), TEXT_LINES);
		status = err == -RL_EDIVERGED ? fail("the replay of %s diverged from the recording after event %" PRIu64, path, r->last_event) :
			 fail("cannot replay %s beyond event %" PRIu64 ": %s", path, r->last_event, rl_strerror(err));
	}
	if (!err) {
		err = procs_read(t, &procs);
		if (!err)
			err = lockprint(t, &procs, r, style);
		procs_free(&procs);
		status = err ? fail("cannot print the locks of %s: %s", path, rl_strerror(err)) : stdout_finish();
	}
	if (!status && r->incomplete) {
		say("%s was cut short: %s; event %" PRIu64 " is the last one", path, trace_damage(t), r->last_event);
		status = EXIT_INCOMPLETE;
	}
	locks_free(r);
	trace_close(t);
	return status;
}

static int run(const struct command *self, int argc, char **argv)
{
	bool json = false, all = false, any_cpu = false;
	char path[PATH_MAX];
	struct args a;
	int opt, err;

	args_init(&a, self, argc, argv);
	while ((opt = args_next(&a)) >= 0) {
		json |= opt == OPT_JSON;
		all |= opt == OPT_ALL;
		any_cpu |= opt == OPT_ANY_CPU;
	}
	if (opt == ARGS_DONE)
		return a.status;
	err = tracefile_name(&a, path, sizeof(path));
	return err ? err : locks(path, json ? LOCKPRINT_JSON : all ? LOCKPRINT_ALL : LOCKPRINT_SOME, any_cpu);
}

const struct command cmd_locks = {
	.name = "locks",
	.summary = "Show who took which lock in which order, and possible deadlocks.",
	.usage = "locks [OPTIONS] [FILE]",
	.help = help,
	.opts = opts,
	.run = run,
};
