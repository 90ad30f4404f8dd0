/* relive gdbserver: the far end of gdb's `target extended-remote`. */
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/args.h"
#include "cli/say.h"
#include "cli/target_replay.h"
#include "cli/tracefile.h"
#include "cli/where.h"
#include "common/err.h"
#include "common/scope.h"
#include "gdbserver/server.h"

enum { OPT_STDIO = 256, OPT_PORT, OPT_HOST, OPT_AT, OPT_NO_INDEX, OPT_ANY_CPU };

static const struct cli_opt opts[] = {
	{ OPT_STDIO, "stdio", NULL, "talk through standard input and output" },
	{ OPT_PORT, "port", "N", "listen on this TCP port; 0: any free one, which is printed" },
	{ OPT_HOST, "host", "ADDRESS", "with --port: listen there, instead of on 127.0.0.1 only. There is no password:\n"
				       "whoever can connect can read all of the recording" },
	{ OPT_AT, "at", "WHERE", "begin there: start (the default), end, or right before the event of that number" },
	{ 'p', "process", "PID|NAME", "debug this process of the recorded tree; without this, the first one" },
	{ OPT_NO_INDEX, "no-index", NULL, "neither use nor write FILE.idx, which keeps what makes the next replay faster" },
	{ OPT_ANY_CPU, "any-cpu", NULL, "replay also where this processor lacks instructions that the program was told of" },
	{ 0 },
};

static const char help[] =
	"In gdb:   target extended-remote | relive gdbserver --stdio FILE\n"
	"or:       target extended-remote :N\n"
	"With --port one gdb is served, and the command ends when it goes. 'relive replay' does all of this by itself.\n"
	"\n"
	"Exit status: 0, or 125 after an error.";

struct server_args {
	const char *process, *at, *host, *port_text;
	uint64_t port;
	bool stdio, no_index, any_cpu;
};

/*
 * gdb's Ctrl-C goes to its whole process group. The server gets it as a byte of the protocol, and the replayed
 * processes must not get it at all.
 */
static void leave_terminal(void)
{
	setpgid(0, 0);
	signal(SIGINT, SIG_IGN);
	signal(SIGQUIT, SIG_IGN);
	signal(SIGTTOU, SIG_IGN);
}

static int connect_tcp(const struct server_args *s, int *ret_fd)
{
	int port, fd;
	autoclose int listener = gdbserver_listen(s->host, (int)s->port, &port);

	if (listener == -ENOENT)
		return fail("there is no host '%s'; --host takes an address of this machine", s->host);
	if (listener == -EADDRINUSE)
		return fail("port %d is in use; choose another one, or --port 0 for any", (int)s->port);
	if (listener < 0)
		return fail("cannot listen on port %d: %s", (int)s->port, rl_strerror(listener));
	say("waiting for gdb: target extended-remote %s:%d", s->host ? s->host : "127.0.0.1", port);
	fd = gdbserver_accept(listener);
	if (fd < 0)
		return fail("cannot take gdb's connection: %s", rl_strerror(fd));
	*ret_fd = fd;
	return 0;
}

static int serve(struct target *target, const struct server_args *s)
{
	autoclose int fd = -1;
	int err;

	if (!s->stdio) {
		err = connect_tcp(s, &fd);
		if (err)
			return err;
	}
	err = gdbserver_run(target, s->stdio ? STDIN_FILENO : fd, s->stdio ? STDOUT_FILENO : fd);
	if (err == -EPIPE || err == -ECONNRESET)
		err = 0;        /* gdb left */
	return err ? fail("the connection to gdb broke: %s", rl_strerror(err)) : 0;
}

static int serve_trace(const char *path, const struct server_args *s)
{
	struct timeline_opts where;
	struct target target = { 0 };
	char sentence[1024] = "", learned[PATH_MAX];
	struct trace *t;
	int err, ret = tracefile_open_replay(path, s->any_cpu, &t);

	if (ret)
		return ret;
	ret = where_parse(t, s->process, s->at, &where);
	if (!ret) {
		tracefile_learned(path, learned, sizeof(learned));
		where.learned = s->no_index || !learned[0] ? NULL : learned;
		err = target_replay_open(t, &where, &target, sentence, sizeof(sentence));
		if (err) {
			ret = fail("cannot replay %s: %s", path, sentence[0] ? sentence : rl_strerror(err));
		} else {
			ret = serve(&target, s);
			target_replay_close(&target);
		}
	}
	trace_close(t);
	return ret;
}

static int run(const struct command *self, int argc, char **argv)
{
	struct server_args s = { 0 };
	char path[PATH_MAX];
	struct args a;
	int opt, err;

	args_init(&a, self, argc, argv);
	while ((opt = args_next(&a)) >= 0) {
		switch (opt) {
		case OPT_STDIO: s.stdio = true; break;
		case OPT_PORT: s.port_text = a.value; break;
		case OPT_HOST: s.host = a.value; break;
		case OPT_AT: s.at = a.value; break;
		case OPT_NO_INDEX: s.no_index = true; break;
		case OPT_ANY_CPU: s.any_cpu = true; break;
		case 'p': s.process = a.value; break;
		}
	}
	if (opt == ARGS_DONE)
		return a.status;
	if (s.stdio == !!s.port_text)
		return fail("'relive gdbserver' needs %s --stdio and --port N", s.stdio ? "only one of" : "one of");
	if (s.host && !s.port_text)
		return fail("--host goes with --port");
	if (s.port_text && !args_number("--port", s.port_text, 0, 65535, &s.port))
		return EXIT_RELIVE;
	err = tracefile_name(&a, path, sizeof(path));
	if (err)
		return err;
	signal(SIGPIPE, SIG_IGN);
	if (s.stdio)
		leave_terminal();
	return serve_trace(path, &s);
}

const struct command cmd_gdbserver = {
	.name = "gdbserver",
	.summary = "Serve a replay to a gdb that connects by itself.",
	.usage = "gdbserver [OPTIONS] --stdio | --port N  [FILE]",
	.help = help,
	.opts = opts,
	.run = run,
};
