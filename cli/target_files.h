/* Files of the recorded program, found in the trace by the names that a debugger knows them by. */
#ifndef RELIVE_CLI_TARGET_FILES_H
#define RELIVE_CLI_TARGET_FILES_H

#include <stdint.h>

#include "trace-fmt/trace.h"

/**
 * The ELF object that @path means; 0: the trace has none. A library is mapped under its real name, but loaded under
 * another: /lib is a link to /usr/lib, libz.so.1 one to libz.so.1.3. The links themselves are not in the trace.
 */
uint32_t target_file_find(const struct trace *t, const char *path);

#endif
