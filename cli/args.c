#include "cli/args.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/say.h"

#define WORD_MAX 32

static size_t min3(size_t a, size_t b, size_t c)
{
	size_t m = a < b ? a : b;

	return m < c ? m : c;
}

/* Insertions, deletions, replacements and swaps of neighbours (Damerau 1964, optimal string alignment). */
static size_t edit_distance(const char *a, const char *b)
{
	size_t d[WORD_MAX + 1][WORD_MAX + 1];
	size_t na = strlen(a), nb = strlen(b);

	if (na > WORD_MAX || nb > WORD_MAX)
		return WORD_MAX;
	for (size_t i = 0; i <= na; i++)
		d[i][0] = i;
	for (size_t j = 0; j <= nb; j++)
		d[0][j] = j;
	for (size_t i = 1; i <= na; i++) {
		for (size_t j = 1; j <= nb; j++) {
			d[i][j] = min3(d[i - 1][j] + 1, d[i][j - 1] + 1, d[i - 1][j - 1] + (a[i - 1] != b[j - 1]));
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && d[i - 2][j - 2] + 1 < d[i][j])
				d[i][j] = d[i - 2][j - 2] + 1;
		}
	}
	return d[na][nb];
}

const char *nearest_word(const char *word, const void *words, size_t n, size_t stride)
{
	size_t len = strlen(word), best = len / 3 + 2;
	const char *ret = NULL;

	for (size_t i = 0; i < n; i++) {
		const char *w = *(const char *const *)((const char *)words + i * stride);
		size_t d = len >= 3 && !strncmp(w, word, len) ? 1 : edit_distance(word, w);

		if (d < best && d < strlen(w)) {
			best = d;
			ret = w;
		}
	}
	return ret;
}

static size_t count_opts(const struct command *cmd)
{
	size_t n = 0;

	while (cmd->opts[n].name)
		n++;
	assert(n < ARGS_MAX_OPTS);
	return n;
}

static void split_tail(struct args *a)
{
	for (int i = 1; i < a->argc; i++) {
		if (!strcmp(a->argv[i], "--")) {
			a->tail = a->argv + i + 1;
			a->argc = i;
			return;
		}
	}
}

void args_init(struct args *a, const struct command *cmd, int argc, char **argv)
{
	size_t n = count_opts(cmd);
	char *s = a->shorts;

	*a = (struct args){ .cmd = cmd, .argc = argc, .argv = argv };
	if (cmd->flags & CMD_STOPS_AT_OPERAND)
		*s++ = '+';
	*s++ = ':';
	*s++ = 'h';
	for (size_t i = 0; i < n; i++) {
		const struct cli_opt *o = &cmd->opts[i];

		if (o->id < 128) {
			*s++ = (char)o->id;
			if (o->arg)
				*s++ = ':';
		}
		a->longs[i] = (struct option){ o->name, o->arg ? required_argument : no_argument, NULL, o->id };
	}
	a->longs[n] = (struct option){ "help", no_argument, NULL, 'h' };
	if (cmd->flags & CMD_HAS_TAIL)
		split_tail(a);
	opterr = 0;
	optind = 0;     /* glibc: start over, also with the ordering that the short options ask for */
}

static const char *long_name(const struct args *a, int id)
{
	for (const struct option *o = a->longs; o->name; o++)
		if (o->val == id)
			return o->name;
	return "";
}

static void say_unknown_long(const struct args *a, const char *word)
{
	char name[WORD_MAX + 1];
	const char *near;
	size_t len = strcspn(word, "="), n_like = 0, n = count_opts(a->cmd) + 1;

	snprintf(name, sizeof(name), "%.*s", (int)(len < WORD_MAX ? len : WORD_MAX), word);
	for (size_t i = 0; i < n; i++)
		n_like += !strncmp(a->longs[i].name, name, strlen(name));
	near = nearest_word(name, &a->longs[0].name, n, sizeof(a->longs[0]));
	if (n_like > 1)
		say("--%s could mean more than one option of 'relive %s'; write it out", name, a->cmd->name);
	else if (near)
		say("'relive %s' has no option --%s; did you mean --%s?", a->cmd->name, name, near);
	else
		say("'relive %s' has no option --%s; 'relive help %s' lists them", a->cmd->name, name, a->cmd->name);
}

static int reject(struct args *a, int what)
{
	const char *name = long_name(a, optopt);

	if (what == ':')
		say("option --%s needs an argument; see 'relive help %s'", name, a->cmd->name);
	else if (optopt && *name)
		say("option --%s takes no argument", name);
	else if (optopt)
		say("'relive %s' has no option -%c; 'relive help %s' lists them", a->cmd->name, optopt, a->cmd->name);
	else
		say_unknown_long(a, a->argv[optind - 1] + 2);
	a->status = EXIT_RELIVE;
	return ARGS_DONE;
}

int args_next(struct args *a)
{
	int opt = getopt_long(a->argc, a->argv, a->shorts, a->longs, NULL);

	a->value = optarg;
	switch (opt) {
	case -1:
		a->operands = a->argv + optind;
		a->n_operands = a->argc - optind;
		return ARGS_END;
	case ':':
	case '?':
		return reject(a, opt);
	case 'h':
		command_help(a->cmd);
		a->status = 0;
		return ARGS_DONE;
	}
	return opt;
}

int args_usage(const struct args *a)
{
	fprintf(stderr, "usage: relive %s\n", a->cmd->usage);
	return EXIT_RELIVE;
}

bool args_number(const char *what, const char *text, uint64_t min, uint64_t max, uint64_t *ret)
{
	bool hex = text[0] == '0' && (text[1] == 'x' || text[1] == 'X');
	char first = text[hex ? 2 : 0];
	char *end;
	unsigned long long v;

	errno = 0;
	v = strtoull(text, &end, hex ? 16 : 10);
	/* strtoull takes signs and blanks, which are no numbers here. */
	if (*end || errno || v < min || v > max || !strchr("0123456789abcdefABCDEF", first) || !first) {
		fail("%s must be a number from %llu to %llu, not '%s'", what, (unsigned long long)min,
		     (unsigned long long)max, text);
		return false;
	}
	*ret = v;
	return true;
}

static void opt_help(const struct cli_opt *o)
{
	char left[64];
	const char *line = o->help;
	int n = o->id < 128 ? snprintf(left, sizeof(left), "-%c, ", o->id) : snprintf(left, sizeof(left), "    ");

	snprintf(left + n, sizeof(left) - (size_t)n, "--%s%s%s", o->name, o->arg ? " " : "", o->arg ? o->arg : "");
	if (strlen(left) > 24) {
		printf("  %s\n", left);
		left[0] = 0;
	}
	for (const char *nl; line; line = nl ? nl + 1 : NULL, left[0] = 0) {
		nl = strchr(line, '\n');
		printf("  %-24s  %.*s\n", left, (int)(nl ? nl - line : (long)strlen(line)), line);
	}
}

void command_help(const struct command *cmd)
{
	static const struct cli_opt help = { 'h', "help", NULL, "print this" };

	printf("usage: relive %s\n\n%s\n\nOptions:\n", cmd->usage, cmd->summary);
	for (const struct cli_opt *o = cmd->opts; o->name; o++)
		opt_help(o);
	opt_help(&help);
	if (*cmd->help)
		printf("\n%s\n", cmd->help);
}
