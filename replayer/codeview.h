/* A debugger's look at code: as the program's files have it, whatever was changed there for recording. */
#ifndef RELIVE_CODEVIEW_H
#define RELIVE_CODEVIEW_H

#include <stddef.h>
#include <stdint.h>
#include "replayer/session.h"

/**
 * Read a task's memory with the program's own bytes in the places that were patched or made to trap.
 * Bytes read, fewer than n at a hole.
 */
size_t codeview_read(struct session *s, const struct rtask *t, uint64_t addr, void *out, size_t n);

#endif
