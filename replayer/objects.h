/* Contents of the trace's objects as memory files, made when first needed. */
#ifndef RELIVE_OBJECTS_H
#define RELIVE_OBJECTS_H

#include <stdbool.h>
#include <stdint.h>
#include "trace-fmt/trace.h"

struct objects;

int objects_open(struct trace *t, struct objects **ret);
void objects_close(struct objects *o);

/** The same private contents, but copies of all shared memory as it is now. */
int objects_clone(struct objects *o, struct objects **ret);

/** The memory file of an object; stays ours. A descriptor, -RL_ECORRUPT (no such object, damaged) or -errno. */
int objects_fd(struct objects *o, uint32_t id);

/** Whether an object changes: it is memory that processes share. */
bool objects_change(const struct objects *o, uint32_t id);

/** Which object a memory file is, by its inode number. 0: none. */
uint32_t objects_find(const struct objects *o, uint64_t ino);

/** A shared object's own bytes change: by write(2), ftruncate(2), or a hole punched into it. 0 or negative. */
int objects_write(struct objects *o, uint32_t id, uint64_t off, const void *bytes, size_t n);
int objects_resize(struct objects *o, uint32_t id, uint64_t size);
int objects_punch(struct objects *o, uint32_t id, uint64_t off, uint64_t len);

#endif
