/* relive record: run a program and write down what it needs to run again. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/args.h"
#include "cli/say.h"
#include "cli/text.h"
#include "cli/tracefile.h"
#include "common/err.h"
#include "recorder/record.h"
#include "tracee/pagetrack.h"
#include "tracee/sysinfo.h"

#define SLICE_MIN_US 100
#define SLICE_MAX_US 10000000   /* longer than any test's patience with a spinning thread */

enum { OPT_SEED = 256, OPT_SLICE, OPT_PAGES, OPT_CHAOS, OPT_AGENT, OPT_NO_AGENT, OPT_VERIFY, OPT_CPUID, OPT_LEARN, OPT_NO_CACHE };

static const struct cli_opt opts[] = {
	{ 'o', "output", "FILE", "write the trace to FILE, replacing it; without this: CMD.rlv, CMD.1.rlv, ...\n"
				 "in the current directory, whichever is free" },
	{ OPT_CHAOS, "chaos", NULL, "random thread order and short slices, to provoke races" },
	{ OPT_SEED, "seed", "N", "seed of the scheduler's random numbers; without this a random one" },
	{ OPT_SLICE, "slice-us", "N", "mean length of a thread's time slice, 100 to 10000000 microseconds" },
	{ OPT_VERIFY, "verify", "HOW", "full: store what --verify full of replay compares with, at every system call. Slow" },
	{ OPT_PAGES, "page-tracking", "HOW", "auto, scan, soft-dirty or hash: how written pages are found\n"
					      "('relive doctor' tells what this machine has)" },
	{ OPT_CPUID, "cpuid", "HOW", "auto or patch: how cpuid is made to trap (patch: by changing the code of files, as is done\n"
				     "where the processor cannot)" },
	{ OPT_LEARN, "learn", "CALLS", "find the outputs of these system calls (names with commas, or all) by watching the memory,\n"
				       "as if relive did not know them; for tests of relive itself. Slow" },
	{ OPT_AGENT, "agent", NULL, "patch frequent system calls so that they do not stop the program (the default)" },
	{ OPT_NO_AGENT, "no-agent", NULL, "stop at every system call instead of patching the program: slower" },
	{ OPT_NO_CACHE, "no-cache", NULL, "neither use nor add to ~/.cache/relive, where packed contents of program files are kept" },
	{ 0 },
};

static const char help[] =
	"The program gets relive's standard input, output and error, its terminal and its signals; relive adds one line\n"
	"on standard error, at the end, with the trace's name. All processes that the program starts are recorded too.\n"
	"\n"
	"Exit status: the program's own; 128+n if signal n killed it; 127 if it was not found, 126 if it cannot be\n"
	"executed; 125 if relive itself failed.";

static bool page_tier_parse(const char *name, int *ret)
{
	static const struct { const char *name; int tier; } tiers[] = {
		{ "auto", PAGE_TIER_AUTO }, { "scan", PAGE_TIER_SCAN }, { "soft-dirty", PAGE_TIER_SOFTDIRTY },
		{ "softdirty", PAGE_TIER_SOFTDIRTY }, { "hash", PAGE_TIER_HASH },
	};

	for (size_t i = 0; i < sizeof(tiers) / sizeof(tiers[0]); i++) {
		if (!strcmp(tiers[i].name, name)) {
			*ret = tiers[i].tier;
			return true;
		}
	}
	fail("--page-tracking is one of auto, scan, soft-dirty and hash, not '%s'", name);
	return false;
}

static bool take_learn(struct record_opts *o, const char *value)
{
	static uint8_t learn[SYS_NR_END];

	o->learn = learn;
	for (const char *at = value; *at; at += *at == ',') {
		size_t n = strcspn(at, ",");
		bool all = n == 3 && !strncmp(at, "all", 3), found = all;

		for (int nr = 0; nr < SYS_NR_END; nr++) {
			const struct sys_desc *d = sys_desc(nr);

			if (d && (all || (strlen(d->name) == n && !strncmp(d->name, at, n))))
				learn[nr] = found = true;
		}
		if (!found)
			return fail("--learn: there is no system call '%.*s'", (int)n, at), false;
		at += n;
	}
	return *value || (fail("--learn needs names of system calls, or all"), false);
}

/* $XDG_CACHE_HOME, or ~/.cache; made if it does not exist. NULL: there is none. */
static const char *cache_home(void)
{
	static char path[4096];
	const char *xdg = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
	int n = xdg && xdg[0] == '/' ? snprintf(path, sizeof(path), "%s", xdg) :
		home && home[0] == '/' ? snprintf(path, sizeof(path), "%s/.cache", home) : 0;

	if (n <= 0 || n >= (int)sizeof(path) || (mkdir(path, 0700) && errno != EEXIST))
		return NULL;
	return path;
}

static bool take_option(struct record_opts *o, int opt, const char *value)
{
	switch (opt) {
	case 'o':
		o->out_path = value;
		return *value || (fail("-o needs the name of a file"), false);
	case OPT_CHAOS:
		o->chaos = true;
		return true;
	case OPT_SEED:
		o->have_seed = true;
		return args_number("--seed", value, 0, UINT64_MAX, &o->seed);
	case OPT_SLICE:
		return args_number("--slice-us", value, SLICE_MIN_US, SLICE_MAX_US, &o->slice_us);
	case OPT_PAGES:
		return page_tier_parse(value, &o->page_tier);
	case OPT_VERIFY:
		o->verify_full = !strcmp(value, "full");
		return o->verify_full || !strcmp(value, "normal") ||
		       (fail("--verify is full or normal, not '%s'", value), false);
	case OPT_CPUID:
		o->patch_cpuid = !strcmp(value, "patch");
		return o->patch_cpuid || !strcmp(value, "auto") ||
		       (fail("--cpuid is auto or patch, not '%s'", value), false);
	case OPT_LEARN:
		return take_learn(o, value);
	case OPT_NO_CACHE:
		o->cache_home = NULL;
		return true;
	case OPT_AGENT:
		o->agent = true;
		return true;
	case OPT_NO_AGENT:
		o->agent = false;
		return true;
	}
	return false;
}

/* 0, or why a file cannot be run. */
static int executable_errno(const char *path)
{
	struct stat st;

	if (stat(path, &st))
		return errno;
	if (S_ISDIR(st.st_mode))
		return EISDIR;
	return access(path, X_OK) ? errno : 0;
}

/* What execvp(3) would find: like it, go on searching after a file that cannot be run, and tell of that one. */
static int program_errno(const char *name)
{
	const char *path = getenv("PATH");
	int ret = ENOENT;

	if (!*name)
		return ENOENT;
	if (strchr(name, '/'))
		return executable_errno(name);
	for (const char *dir = path && *path ? path : "/bin:/usr/bin"; dir;) {
		const char *colon = strchrnul(dir, ':');
		int len = (int)(colon - dir), err;
		char file[8192];

		if (snprintf(file, sizeof(file), "%.*s/%s", len ? len : 1, len ? dir : ".", name) < (int)sizeof(file)) {
			err = executable_errno(file);
			if (!err)
				return 0;
			/* A directory that we cannot search hides nothing that a shell would speak of. */
			if (err == EACCES && access(file, F_OK) == 0)
				ret = EACCES;
		}
		dir = *colon ? colon + 1 : NULL;
	}
	return ret;
}

/* The exit status that a shell gives, after a sentence. */
static int not_runnable(const char *name, int err)
{
	if (err == ENOENT && !strchr(name, '/'))
		say("there is no program '%s' in PATH", name);
	else if (err == ENOENT)
		say("there is no program %s (or the interpreter it names is missing)", name);
	else if (err == EISDIR)
		say("%s is a directory, not a program", name);
	else if (err == EACCES)
		say("%s is not executable; 'chmod +x' it, or check the permissions of its directories", name);
	else if (err == ENOEXEC)
		say("%s has no format that the kernel can run; a script needs a first line like #!/bin/sh", name);
	else
		say("cannot run %s: %s", name, strerror(err));
	return err == ENOENT || err == ENOTDIR ? 127 : 126;
}

/* One line: the trace's name, its size, and what to type next. */
static void say_recorded(const struct record_opts *o, const struct record_result *r)
{
	char size[TEXT_BYTES_MAX], count[TEXT_COUNT_MAX], seed[64] = "";
	char *name = NULL;
	size_t n;
	FILE *f = open_memstream(&name, &n);

	if (!f)
		return;
	text_put(f, o->out_path, strlen(o->out_path), TEXT_ARG);
	if (fclose(f))
		return;
	if (o->chaos && o->have_seed)
		snprintf(seed, sizeof(seed), ", seed %llu", (unsigned long long)o->seed);
	say("recorded %s events (%s%s) in %s; replay with: relive replay %s%s", text_count(r->n_events, count),
	    text_bytes(r->trace_bytes, size), seed, o->out_path, o->out_path[0] == '-' ? "./" : "", name);
	free(name);
}

/* A file that the failed recording has not filled is of no use; one it never touched is not ours to delete. */
static void drop_trace(const char *path, bool existed, const struct stat *before)
{
	struct stat now;

	if (stat(path, &now) || !S_ISREG(now.st_mode))
		return;
	if (existed && now.st_ino == before->st_ino && now.st_size == before->st_size &&
	    now.st_mtim.tv_sec == before->st_mtim.tv_sec && now.st_mtim.tv_nsec == before->st_mtim.tv_nsec)
		return;
	unlink(path);
}

static int recording_failed(const struct record_opts *o, const struct record_result *r, int err)
{
	char count[TEXT_COUNT_MAX];

	if (r->warning[0])
		say("%s", r->warning);
	if (r->n_events)
		return fail("recording stopped: %s; %s holds the first %s events and can be replayed up to there",
			    rl_strerror(err), o->out_path, text_count(r->n_events, count));
	if (err == -EPERM || err == -EACCES)
		return fail("cannot record: %s; a container or a security policy may forbid ptrace(2) or the trace's place: 'relive doctor' tells",
			    rl_strerror(err));
	return fail("cannot record: %s; 'relive doctor' tells what this machine lacks", rl_strerror(err));
}

static void on_file_size_limit(int signo)
{
	(void)signo;
}

/*
 * Beyond a file size limit, writing the trace shall fail and not kill. A handler and not SIG_IGN, so that the program,
 * after its execve, finds the signal as we found it.
 */
static void survive_file_size_limit(void)
{
	struct sigaction now, act = { .sa_handler = on_file_size_limit, .sa_flags = SA_RESTART };

	if (!sigaction(SIGXFSZ, NULL, &now) && now.sa_handler == SIG_DFL)
		sigaction(SIGXFSZ, &act, NULL);
}

static int record(const struct record_opts *o)
{
	struct record_result result = { 0 };
	struct stat before;
	bool existed = !stat(o->out_path, &before) && before.st_size > 0;
	int err;

	if (existed && S_ISDIR(before.st_mode))
		return fail("%s is a directory; name a file with -o", o->out_path);
	survive_file_size_limit();
	err = record_run(o, &result);
	if ((err || result.exec_failed) && !result.n_events)
		drop_trace(o->out_path, existed, &before);
	if (result.exec_failed)
		return not_runnable(o->argv[0], result.exec_errno);
	if (err)
		return recording_failed(o, &result, err);
	if (result.warning[0])
		say("%s", result.warning);
	say_recorded(o, &result);
	return status_to_exit(result.wait_status);
}

static int run(const struct command *self, int argc, char **argv)
{
	struct record_opts o = { .page_tier = PAGE_TIER_AUTO, .agent = true, .cache_home = cache_home() };
	char name[256];
	struct args a;
	int opt, err;

	args_init(&a, self, argc, argv);
	while ((opt = args_next(&a)) >= 0)
		if (!take_option(&o, opt, a.value))
			return EXIT_RELIVE;
	if (opt == ARGS_DONE)
		return a.status;
	if (!a.n_operands)
		return fail("which program? As in: relive record -- ./your-test --its-option");
	err = program_errno(a.operands[0]);
	if (err)
		return not_runnable(a.operands[0], err);
	if (o.chaos && !o.have_seed)
		o.have_seed = getrandom(&o.seed, sizeof(o.seed), 0) == sizeof(o.seed);
	if (!o.out_path) {
		err = tracefile_create(a.operands[0], name, sizeof(name));
		if (err)
			return err;
		o.out_path = name;
	}
	o.argv = a.operands;
	if (o.learn)
		o.agent = false;   /* calls made by it are not seen one by one */
	return record(&o);
}

const struct command cmd_record = {
	.name = "record",
	.summary = "Run a program and record it into a trace.",
	.usage = "record [OPTIONS] [--] CMD [ARG...]",
	.help = help,
	.opts = opts,
	.flags = CMD_STOPS_AT_OPERAND,
	.run = run,
};
