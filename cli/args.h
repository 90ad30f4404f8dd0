/* Options of a subcommand, read with getopt_long(3), with errors that say what to do. */
#ifndef RELIVE_CLI_ARGS_H
#define RELIVE_CLI_ARGS_H

#include <getopt.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cli/command.h"

enum args_next {
	ARGS_END = -1,          /* no more options: operands and tail are set */
	ARGS_DONE = -2,         /* help was given, or an error was said: return args.status */
};

#define ARGS_MAX_OPTS 24

struct args {
	const struct command *cmd;
	int argc;               /* without the tail */
	char **argv;
	const char *value;      /* the current option's argument, or NULL */
	int status;
	int n_operands;
	char **operands;
	char **tail;            /* CMD_HAS_TAIL: what follows "--", up to a NULL; NULL: there was no "--" */

	char shorts[2 * ARGS_MAX_OPTS + 4];
	struct option longs[ARGS_MAX_OPTS + 1];
};

/** Start reading @argv[1..]. @argv must stay, and is reordered. One at a time in a process (getopt's state is global). */
void args_init(struct args *a, const struct command *cmd, int argc, char **argv);

/** The next option's id, or an enum args_next. Usage: while ((opt = args_next(&a)) >= 0) switch (opt) ... */
int args_next(struct args *a);

/** The usage line and what to type for more, after fail(). Returns EXIT_RELIVE. */
int args_usage(const struct args *a);

/**
 * Read a number: decimal, or hexadecimal after 0x; all of it. Returns true with *ret set, else says that @what must be
 * a number from @min to @max.
 */
bool args_number(const char *what, const char *text, uint64_t min, uint64_t max, uint64_t *ret);

/** Print a command's help on standard output. */
void command_help(const struct command *cmd);

/**
 * The word among @n words (every @stride bytes from @words, each a const char *) nearest to @word by edits, or NULL if
 * none is near.
 */
const char *nearest_word(const char *word, const void *words, size_t n, size_t stride);

#endif
