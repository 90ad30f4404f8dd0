/* Which process and which instant of a recording a command line asks for: -p and --at. */
#ifndef RELIVE_CLI_WHERE_H
#define RELIVE_CLI_WHERE_H

#include "replayer/timeline.h"
#include "trace-fmt/trace.h"

/**
 * @process  a pid, or the name of a program; NULL: the root process.
 * @at       "start", "end" or an event number; NULL: the start.
 *
 * 0; or, after saying what there is to choose from, EXIT_RELIVE.
 */
int where_parse(struct trace *t, const char *process, const char *at, struct timeline_opts *ret);

#endif
