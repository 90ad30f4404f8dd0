/*
 * Internal to trace-fmt: chunks of files' contents that were packed before, by this or another recording. A directory with a
 * file for each, named by the hash of the contents, which holds the chunk much as it is in a trace. Packing is most of what recording a large program takes, and a program is seldom
 * recorded once. A trace never refers to the directory, which may be deleted at any time.
 *
 * What is in it is used only if directory and file are the user's own, nobody else can write to them, and the file is whole,
 * as its hashes tell.
 */
#ifndef RELIVE_TRACE_PACKCACHE_H
#define RELIVE_TRACE_PACKCACHE_H

#include <stdbool.h>
#include <xxhash.h>
#include "common/buf.h"
#include "trace-fmt/format.h"

struct packcache;

/** Open the directory "relive" in @home, or make it; @home must be the user's own. NULL: it cannot be used. */
struct packcache *packcache_open(const char *home);

/* The next two may be called by several threads at once. */

/**
 * A chunk with @h->raw bytes of these contents: @out becomes room for its header and what they were packed to, and packing, stored
 * and hash in @h are set. False: there is none, and @h is unchanged.
 */
bool packcache_get(struct packcache *c, XXH128_hash_t contents, struct chunk_hdr *h, struct buf *out);
/** Whether it is likely that packcache_get() will find it. */
bool packcache_has(struct packcache *c, XXH128_hash_t contents);
/** Remember a packed chunk; @out as above. Failing to is no error. */
void packcache_put(struct packcache *c, XXH128_hash_t contents, const struct chunk_hdr *h, const struct buf *out);

/** Bytes of any other kind under a name that is as good as a hash. False: there are none; @out is empty then. */
bool packcache_get_note(struct packcache *c, XXH128_hash_t name, struct buf *out);
void packcache_put_note(struct packcache *c, XXH128_hash_t name, const void *bytes, size_t n);

/** Free @c; if something was put, first delete what has not been used for longest, until at most @limit bytes are left. */
void packcache_close(struct packcache *c, uint64_t limit);

#endif
