/* relive: record a run of a program once, replay it as often as you like. */
#include <stdio.h>
#include <string.h>

#include "cli/args.h"
#include "cli/command.h"
#include "cli/say.h"
#include "cli/text.h"

static const struct command *const commands[] = {
	&cmd_record, &cmd_replay, &cmd_gdbserver, &cmd_dump, &cmd_info, &cmd_locks, &cmd_ps, &cmd_doctor,
};
#define N_COMMANDS (sizeof(commands) / sizeof(commands[0]))

static const struct command *command_find(const char *name)
{
	for (size_t i = 0; i < N_COMMANDS; i++)
		if (!strcmp(commands[i]->name, name))
			return commands[i];
	return NULL;
}

static void overview(FILE *f)
{
	fputs("usage: relive COMMAND [OPTIONS] ...\n\n"
	      "Record a run of a program; replay that very run, as often as you like, under gdb, backwards too.\n\n", f);
	for (size_t i = 0; i < N_COMMANDS; i++)
		fprintf(f, "  %-10s %s\n", commands[i]->name, commands[i]->summary);
	fputs("\n  relive help COMMAND   what a command does, and its options\n"
	      "  relive --version      the version\n\n"
	      "Begin with:   relive record -- ./your-test   and then   relive replay\n", f);
}

static int unknown_command(const char *name)
{
	const char *names[N_COMMANDS + 1];
	const char *near;

	for (size_t i = 0; i < N_COMMANDS; i++)
		names[i] = commands[i]->name;
	names[N_COMMANDS] = "help";
	near = nearest_word(name, names, N_COMMANDS + 1, sizeof(names[0]));
	if (near)
		return fail("there is no command '%s'; did you mean 'relive %s'?", name, near);
	return fail("there is no command '%s'; 'relive help' lists them, and a program is recorded with 'relive record -- %s'",
		    name, name);
}

static int help(int argc, char **argv)
{
	const struct command *cmd;

	if (argc < 2) {
		overview(stdout);
		return stdout_finish();
	}
	if (argc > 2)
		return fail("'relive help' explains one command at a time");
	cmd = command_find(argv[1]);
	if (!cmd)
		return unknown_command(argv[1]);
	command_help(cmd);
	return stdout_finish();
}

int main(int argc, char **argv)
{
	const char *word = argc > 1 ? argv[1] : NULL;
	const struct command *cmd;

	if (!word) {
		overview(stderr);
		return EXIT_RELIVE;
	}
	if (!strcmp(word, "--version") || !strcmp(word, "-V") || !strcmp(word, "version")) {
		puts("relive " RELIVE_VERSION);
		return stdout_finish();
	}
	if (!strcmp(word, "help") || !strcmp(word, "--help") || !strcmp(word, "-h"))
		return help(argc - 1, argv + 1);
	cmd = command_find(word);
	if (cmd)
		return cmd->run(cmd, argc - 1, argv + 1);
	if (word[0] == '-')
		return fail("options stand after the command, as in 'relive record %s ...'; 'relive help' lists the commands", word);
	return unknown_command(word);
}
