/* Trace files as a command line names them. */
#ifndef RELIVE_CLI_TRACEFILE_H
#define RELIVE_CLI_TRACEFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cli/args.h"
#include "trace-fmt/trace.h"

/**
 * The path of the trace that @a's operands name: the only operand or, without one, the newest *.rlv in the current
 * directory. Written to @buf. 0; or, after saying what to do, EXIT_RELIVE.
 */
int tracefile_name(const struct args *a, char *buf, size_t n);

/**
 * Open @path for reading. 0; or, after saying why not and what to do, EXIT_RELIVE, or EXIT_INCOMPLETE for a recording
 * that was cut short before its first event.
 */
int tracefile_open(const char *path, struct trace **ret_t);

/**
 * Open @path for replaying. As tracefile_open(); also refused where this processor lacks an instruction set that the program
 * was told of, unless @any_cpu.
 */
int tracefile_open_replay(const char *path, bool any_cpu, struct trace **ret_t);

/** The name of the side file of the trace @path: what replays of it have learned. Empty if that is too long for a name. */
void tracefile_learned(const char *path, char *buf, size_t n);

/**
 * Make the file for a new trace of program @argv0 in the current directory: CMD.rlv, CMD.1.rlv, ... The file is created,
 * empty, so that two recorders never share one. 0; or, after saying so, EXIT_RELIVE.
 */
int tracefile_create(const char *argv0, char *buf, size_t n);

#endif
