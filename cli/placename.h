/* Names for addresses in a recorded process: function, variable, file and line, from the ELF files in the trace. */
#ifndef RELIVE_CLI_PLACENAME_H
#define RELIVE_CLI_PLACENAME_H

#include "replayer/lockhook.h"
#include "trace-fmt/trace.h"

struct place_name {
	const char *symbol;       /* NULL: not known; owned by the names */
	uint64_t offset;          /* from its beginning */
	const char *file;         /* source file; NULL: not known */
	int line;
	const char *object;       /* path of the ELF file; NULL: the address is in none */
};

struct placenames;

/** @modules  must live on. NULL: no memory. */
struct placenames *placenames_open(struct trace *t, const struct lock_module *modules, size_t n_modules);
void placenames_close(struct placenames *p);

/** @code  a return address: the call before it is meant; else data. */
struct place_name placename(struct placenames *p, uint32_t proc, uint64_t addr, bool code);

#endif
