/*
 * Internal to trace-fmt: chunks on their way to the file. They are compressed by a thread, and by whoever has to wait for
 * it, several at a time; they are written one after the other, in the order in which they came.
 */
#ifndef RELIVE_TRACE_PACKER_H
#define RELIVE_TRACE_PACKER_H

#include <sched.h>
#include <stdbool.h>
#include <xxhash.h>
#include "common/buf.h"
#include "trace-fmt/format.h"

struct packer;

/** @fd is the packer's from now on, even on error; @offset is its end. 0 or -ENOMEM. */
int packer_open(int fd, uint64_t offset, struct packer **ret_p);

/**
 * From now on a thread packs and writes, on one of these processors; without one, packer_put() does all. No signal is
 * delivered to it. 0, -EALREADY or another -errno: there is none, and nothing has changed.
 */
int packer_thread(struct packer *p, const cpu_set_t *cpus);

/** Keep packed contents in a directory of the user's in @home, and take them from there: see packcache.h. Before packer_thread(). */
void packer_cache(struct packer *p, const char *home);

/**
 * Put a chunk: @h->type, first and count are set; @raw is its contents. These are taken: what *raw is then is another
 * buffer, empty. Waits, packing meanwhile, when much is under way already. @again: other traces are likely to have the same
 * contents, of which this is the hash; else NULL.
 *
 * 0, -E2BIG: too long; nothing was put. Or the first error that writing has met, now or before: -EFBIG (too much that readers
 * must keep in memory), -ENOMEM, -errno of write(2). From then on nothing is written any more.
 */
int packer_put(struct packer *p, const struct chunk_hdr *h, struct buf *raw, const XXH128_hash_t *again);

/* Where a file has a chunk's pages: those of the 64 from page @index on that are in @mask. */
struct pack_source {
	int fd;                          /* stays open until the chunk is written */
	uint64_t index, mask;
};

/** Whether packer_put_kept() needs not read the file. */
bool packer_has(struct packer *p, XXH128_hash_t contents);

/**
 * Put a chunk of pages without its contents, which were kept. Should they not be there any more they are read from the file, and
 * -ESTALE is latched if that has others by now. 0 or as above.
 */
int packer_put_kept(struct packer *p, const struct chunk_hdr *h, XXH128_hash_t contents, const struct pack_source *from);

/** The directory that packer_cache() has opened, or NULL. */
struct packcache *packer_cache_of(struct packer *p);

/** Wait until all that was put is in the file. 0 or the error as above. */
int packer_drain(struct packer *p);

/* After a packer_drain(): the end of the file, and the index chunk's contents so far. */
uint64_t packer_offset(struct packer *p);
struct buf *packer_index(struct packer *p, uint32_t *ret_n_chunks);

/** Writes what was put, unless an error was met; closes the file and frees @p. 0 or the error. */
int packer_close(struct packer *p);

#endif
