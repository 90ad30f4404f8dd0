/* The gdb server: serves a target to a gdb that is connected through descriptors or TCP. */
#ifndef RELIVE_SERVER_H
#define RELIVE_SERVER_H

#include "gdbserver/target.h"

/**
 * Serve one gdb, until it detaches, kills (unless it asked for extended-remote, where it may run again), or is gone.
 *
 * @t       stopped where the session shall start. Its `interrupted` is set for the time of the call, its breakpoints
 *          are removed at the end.
 * @in_fd, @out_fd  what gdb writes and reads; the same for a socket. Not closed. Blocking or not. For pipes the caller
 *          should ignore SIGPIPE.
 *
 * 0 when the conversation ended in any of those ways; -ENOMEM, or the -errno of a read, write or poll.
 */
int gdbserver_run(struct target *t, int in_fd, int out_fd);

/**
 * Listen on TCP.
 *
 * @host      numeric or a name; NULL: 127.0.0.1. There is no authentication: whoever connects can read all of the trace.
 * @port      0: any free one.
 * @ret_port  the port in the end; may be NULL.
 *
 * A descriptor (close-on-exec) or -errno; -ENOENT if host cannot be resolved.
 */
int gdbserver_listen(const char *host, int port, int *ret_port);

/** Wait for a connection. A descriptor for gdbserver_run, or -errno. */
int gdbserver_accept(int listen_fd);

#endif
