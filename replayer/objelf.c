#include "replayer/objelf.h"

#include <errno.h>
#include "common/err.h"
#include "trace-fmt/trace.h"

static int object_read(void *ctx, uint64_t off, void *out, size_t n)
{
	struct object_ref *ref = ctx;

	return trace_object_read(ref->trace, ref->id, off, out, n) == (int64_t)n ? 0 : -RL_ECORRUPT;
}

int object_elf_open(struct object_ref *ref, struct elfsym **ret)
{
	const struct trace_object *o = trace_object(ref->trace, ref->id);

	if (!o || !(o->flags & OBJ_ELF))
		return -ENOENT;
	return elfsym_open(&(struct elf_source){ .read = object_read, .ctx = ref, .size = o->size }, ret);
}
