/* What a subcommand is. Each lives in its own cmd_*.c; main.c holds the table. */
#ifndef RELIVE_CLI_COMMAND_H
#define RELIVE_CLI_COMMAND_H

#include <stddef.h>

/* The exit status when relive itself failed, as opposed to the program it runs (as env(1), nohup(1) and timeout(1) do). */
#define EXIT_RELIVE 125
/* The exit status of replaying a recording that was cut short: all that is there replayed, but its end is not there. */
#define EXIT_INCOMPLETE 124

/* One option. The help text and the parser are both made from it. */
struct cli_opt {
	int id;                 /* below 128: also the short option of that letter; unique in its table */
	const char *name;       /* long name, without dashes */
	const char *arg;        /* name of the argument in the help text; NULL: takes none */
	const char *help;       /* a line, or several parted by '\n' */
};

enum command_flags {
	CMD_STOPS_AT_OPERAND = 1u << 0,  /* what follows the first operand belongs to another program */
	CMD_HAS_TAIL = 1u << 1,          /* what follows "--" belongs to another program; operands stand before it */
};

struct command {
	const char *name;
	const char *summary;            /* one line for the list of commands */
	const char *usage;              /* what follows "relive " */
	const char *help;               /* paragraphs printed after the options */
	const struct cli_opt *opts;     /* ends with an entry whose name is NULL; -h, --help is added to all */
	unsigned flags;                 /* enum command_flags */
	int (*run)(const struct command *self, int argc, char **argv);  /* argv[0] is the command's name; returns the exit status */
};

extern const struct command cmd_record, cmd_replay, cmd_gdbserver, cmd_dump, cmd_info, cmd_locks, cmd_ps, cmd_doctor;

#endif
