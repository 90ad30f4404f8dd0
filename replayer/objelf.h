/* The ELF files in a trace, for tracee/elfsym.h. */
#ifndef RELIVE_OBJELF_H
#define RELIVE_OBJELF_H

#include <stdint.h>
#include "tracee/elfsym.h"

struct trace;

struct object_ref {
	struct trace *trace;
	uint32_t id;
};

/**
 * Open an object of the trace.
 *
 * @ref  must stay valid until elfsym_close.
 *
 * As elfsym_open; -ENOENT: no such object, or it is no ELF file.
 */
int object_elf_open(struct object_ref *ref, struct elfsym **ret);

#endif
