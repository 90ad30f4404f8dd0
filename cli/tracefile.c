#include "cli/tracefile.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/say.h"
#include "common/err.h"
#include "tracee/cpufeat.h"
#include "tracee/xstate.h"

#define SUFFIX ".rlv"
#define STEM_MAX 200    /* bytes; leaves room for .NNNN.rlv below NAME_MAX */
#define MAX_NUMBER 9999

static bool is_trace_name(const char *name)
{
	size_t n = strlen(name), s = strlen(SUFFIX);

	return n > s && !strcmp(name + n - s, SUFFIX);
}

static bool is_newer(const struct stat *a, const struct stat *b)
{
	if (a->st_mtim.tv_sec != b->st_mtim.tv_sec)
		return a->st_mtim.tv_sec > b->st_mtim.tv_sec;
	return a->st_mtim.tv_nsec > b->st_mtim.tv_nsec;
}

static int newest_here(char *buf, size_t n)
{
	DIR *dir = opendir(".");
	struct stat newest = { 0 }, st;
	struct dirent *e;

	if (!dir)
		return fail("cannot list the current directory: %s; name the trace", strerror(errno));
	buf[0] = 0;
	while ((e = readdir(dir))) {
		if (!is_trace_name(e->d_name) || stat(e->d_name, &st) || !S_ISREG(st.st_mode))
			continue;
		if (!buf[0] || is_newer(&st, &newest)) {
			newest = st;
			snprintf(buf, n, "%s", e->d_name);
		}
	}
	closedir(dir);
	if (!buf[0])
		return fail("there is no trace (*.rlv) here; name one, or make one with 'relive record -- CMD'");
	return 0;
}

int tracefile_name(const struct args *a, char *buf, size_t n)
{
	if (a->n_operands > 1)
		return fail("'relive %s' takes one trace, but '%s' follows '%s'", a->cmd->name, a->operands[1], a->operands[0]);
	if (!a->n_operands)
		return newest_here(buf, n);
	if ((size_t)snprintf(buf, n, "%s", a->operands[0]) >= n)
		return fail("the name of the trace is too long");
	return 0;
}

int tracefile_open(const char *path, struct trace **ret_t)
{
	struct stat st;
	int err;

	if (stat(path, &st))
		return fail("cannot open %s: %s", path, strerror(errno));
	if (!S_ISREG(st.st_mode))
		return fail("%s is no file that could hold a trace", path);
	err = st.st_size ? trace_open(path, ret_t) : -RL_ETRUNCATED;
	if (err == -RL_ETRUNCATED) {
		say("%s holds no events: its recording was cut short before the first one was written", path);
		return EXIT_INCOMPLETE;
	}
	if (err == -RL_EVERSION)
		return fail("%s was made by a newer relive than this one (" RELIVE_VERSION "); use that one", path);
	if (err == -RL_ECORRUPT)
		return fail("%s is not a trace of relive, or it is damaged at its very beginning", path);
	if (err)
		return fail("cannot open %s: %s", path, rl_strerror(err));
	return 0;
}

/* What the program was told of may be in its code's way anywhere, and nothing that is executed names it. */
int tracefile_open_replay(const char *path, bool any_cpu, struct trace **ret_t)
{
	uint32_t leaves[CPUFEAT_LEAVES][CPUFEAT_WORDS];
	struct cpufeat here = { .xcr0 = xstate_xcr0(), .leaf = leaves, .n = cpufeat_read(leaves) };
	int ret = tracefile_open(path, ret_t);
	const struct trace_header *h = ret ? NULL : trace_header(*ret_t);
	char names[512];

	if (ret || any_cpu ||
	    !cpufeat_missing(&(struct cpufeat){ .xcr0 = h->xcr0, .leaf = h->cpuid, .n = h->n_cpuid }, &here, names, sizeof(names)))
		return ret;
	trace_close(*ret_t);
	*ret_t = NULL;
	return fail("cannot replay %s here: when it was recorded, the program was told of instructions that this processor lacks: %s; "
		    "replay it on a processor that has them, or with --any-cpu if you know that they were not used", path, names);
}

/* A file name that no command line takes for an option and no shell hides. */
static void stem_of(const char *argv0, char stem[STEM_MAX + 1])
{
	const char *slash = strrchr(argv0, '/');

	snprintf(stem, STEM_MAX + 1, "%s", slash ? slash + 1 : argv0);
	if (stem[0] == '-' || stem[0] == '.')
		stem[0] = '_';
	if (!stem[0])
		strcpy(stem, "trace");
}

int tracefile_create(const char *argv0, char *buf, size_t n)
{
	char stem[STEM_MAX + 1];

	stem_of(argv0, stem);
	for (int i = 0; i <= MAX_NUMBER; i++) {
		int fd;

		if (i)
			snprintf(buf, n, "%s.%d" SUFFIX, stem, i);
		else
			snprintf(buf, n, "%s" SUFFIX, stem);
		fd = open(buf, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0666);
		if (fd >= 0) {
			close(fd);
			return 0;
		}
		if (errno != EEXIST)
			return fail("cannot create the trace %s here: %s; name another place with -o FILE", buf, strerror(errno));
	}
	return fail("%s" SUFFIX " to %s.%d" SUFFIX " all exist; delete some, or name a file with -o FILE", stem, stem, MAX_NUMBER);
}

void tracefile_learned(const char *path, char *buf, size_t n)
{
	if (snprintf(buf, n, "%s.idx", path) >= (int)n)
		buf[0] = 0;
}
