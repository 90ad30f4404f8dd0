/* One trace file: writing, reading, verifying. The bytes are specified in docs/trace-format.md. */
#ifndef RELIVE_TRACE_H
#define RELIVE_TRACE_H

#include <sched.h>
#include <stddef.h>
#include <stdint.h>
#include <stdbool.h>
#include "trace-fmt/event.h"

#define TRACE_PAGE 4096u

enum header_flags {
	HDR_CPUID_TRAPPED = 1u << 0,    /* cpuid instructions are events: replay must trap them, too */
};

/* What the recorder knows at the start. All strings are NUL-terminated and never NULL once read back. */
struct trace_header {
	const char *relive_version;
	const char *cwd;
	const char *host;               /* uname -n */
	const char *kernel;             /* uname -r */
	const char *cpu_model;
	const char *page_tracking;      /* "scan", "soft-dirty" or "hash" */
	uint64_t start_unix_ns;
	uint64_t seed;                  /* of the scheduler's random numbers */
	uint64_t xcr0;                  /* of the recording processor */
	uint32_t n_cpus;
	uint32_t cpu;                   /* the processor the recording was pinned to */
	uint32_t flags;                 /* enum header_flags */
	uint32_t n_argv;
	const char *const *argv;
	/* cpuid leaves of the recording machine, 6 words each: leaf, subleaf, eax, ebx, ecx, edx */
	uint32_t n_cpuid;
	const uint32_t (*cpuid)[6];
};

/* A file's or shared memory object's content. Pages never given read as zero. */
enum object_flags {
	OBJ_ELF = 1u << 0,              /* stored whole */
	OBJ_SHARED_MEM = 1u << 1,       /* memory shared between recorded processes; content is its initial one */
};
struct trace_object {
	uint32_t id;                    /* 1, 2, ...; set by trace_put_object() */
	uint32_t flags;                 /* enum object_flags */
	uint64_t size;                  /* bytes */
	uint64_t dev, ino;              /* on the recording machine; only to tell objects apart */
	const char *path;               /* as /proc/PID/maps showed it */
};
struct object_page {
	uint64_t index;                 /* page number in the object, below 2^51 */
	uint64_t page_id;               /* from trace_put_page(); 0: a zero page */
};

/* A checkpoint: one address space, written down, with its tasks. */
struct ckpt_map {
	uint64_t addr, len, obj_off;
	uint32_t obj;                   /* 0: anonymous */
	uint8_t prot;                   /* PROT_* */
	uint16_t flags;                 /* enum as_flags */
	const char *name;               /* e.g. "[stack]", "" */
};
struct ckpt_page {                      /* content that differs from the mapping's backing */
	uint64_t addr;
	uint64_t page_id;
};
struct ckpt_task {
	uint32_t task;
	int32_t tid;
	struct user_regs_struct regs;
	uint32_t n_xstate;              /* canonical XSAVE image, trailing zeros cut */
	const uint8_t *xstate;
};
struct trace_ckpt {
	uint32_t id;                    /* 1, 2, ...; set by trace_put_ckpt() */
	uint64_t event_no;              /* taken at this event */
	uint32_t proc;
	int32_t pid, ppid;
	const char *exe;                /* path of the executable */
	uint64_t brk_start, brk;
	uint32_t n_argv;
	const char *const *argv;
	uint32_t n_maps, n_pages, n_tasks, n_auxv;
	const struct ckpt_map *maps;
	const struct ckpt_page *pages;
	const struct ckpt_task *tasks;
	const uint64_t (*auxv)[2];      /* as the program sees it */
};

/* ---- writing ---- */
struct trace_writer;

/** Create (or truncate) @path and write the header chunk. 0 or -errno. */
int trace_create(const char *path, const struct trace_header *h, struct trace_writer **ret_w);

/**
 * From now on chunks are packed and written by a thread, on one of these processors, in the same order; the calls below return
 * before, and give errors of writing at a later call, trace_finish() at the latest. 0; or an -errno, and all is as before.
 */
int trace_writer_thread(struct trace_writer *w, const cpu_set_t *cpus);

/**
 * Take what files' contents are packed to from a directory in @home, a directory of the user's, and keep it there for later
 * traces. Nothing else changes, also if that is not possible. Before trace_writer_thread().
 */
void trace_writer_cache(struct trace_writer *w, const char *home);

/** Store 4096 bytes by content. *ret_id is 0 for a zero page, else the id of equal content. 0 or -errno. */
int trace_put_page(struct trace_writer *w, const void *page, uint64_t *ret_id);

/*
 * Pages of a file, 64 at a time from a multiple of 64 on: a *group*. They are stored once if they are equal as a group, and
 * not compared with other pages. Those in the mask get ids one after the other.
 */
#define TRACE_GROUP 64u
struct trace_group {
	uint64_t mask;                  /* pages of it */
	uint64_t hash[2];               /* of their bytes */
};

/** Room for a group's 64 pages, until the next call but trace_put_object...(); NULL: out of memory. */
uint8_t *trace_group_room(struct trace_writer *w);
/**
 * Store those pages of the room that are in @g->mask and not zeros, and set @g to what was stored. @keep: other traces may hold
 * the same, so what they are packed to is worth keeping. 0, *ret_first being the first one's id, if there is one, or -errno.
 */
int trace_put_group(struct trace_writer *w, bool keep, struct trace_group *g, uint64_t *ret_first);
/**
 * The same without the bytes, which were put with @keep in this trace or another. @fd, which must stay open as long as the writer,
 * is the file, and @index the page there that is the group's first, if the bytes are wanted after all. -ENOENT: they are not kept.
 */
int trace_put_kept_group(struct trace_writer *w, const struct trace_group *g, int fd, uint64_t index, uint64_t *ret_first);

/** A note for later recordings, in the cache of trace_writer_cache(). False: there is none of that name; @out is empty then. */
struct buf;
bool trace_get_note(struct trace_writer *w, const uint64_t name[2], struct buf *out);
void trace_keep_note(struct trace_writer *w, const uint64_t name[2], const void *bytes, size_t n);

/**
 * Declare an object; its pages follow by trace_put_object_pages(), in any order, any number of times; of several pages
 * with one index the last one counts. 0, the latched error, or -EINVAL: unknown object or page, size or index too great.
 */
int trace_put_object(struct trace_writer *w, const struct trace_object *o, uint32_t *ret_id);
int trace_put_object_pages(struct trace_writer *w, uint32_t obj, size_t n, const struct object_page *pages);

/**
 * Store a checkpoint; the event that refers to it is appended after it. 0, the latched error, -EINVAL: not made of whole
 * pages, or naming what was not put; -E2BIG: over 65536 tasks, or over 64 MiB when encoded (some 30 million pages).
 */
int trace_put_ckpt(struct trace_writer *w, const struct trace_ckpt *c, uint32_t *ret_id);

/** Add a sentence for whoever asks what is in the trace; at most 4096 bytes of it. 0, -EINVAL (it is empty) or as above. */
int trace_put_note(struct trace_writer *w, const char *text);

/**
 * Append an event, setting @ev->no. The event is copied. Everything it refers to (tasks excepted) must have been put.
 * Chunks go to the file when they are full or 50 ms old (by @ev->time_ns), in an order that leaves the file valid.
 * Nothing is flushed while no event comes: call trace_flush() before waiting long.
 *
 * -EINVAL: it breaks a rule of event.h, or refers to what was not put; -E2BIG: over 2 GiB of writes, or over 32 MiB of
 * the rest. Then nothing was appended, and the next call may succeed.
 * 0, or -errno of the first failed write ever (e.g. -ENOSPC): the file keeps its valid prefix.
 */
int trace_append(struct trace_writer *w, struct event *ev);
int trace_flush(struct trace_writer *w);

/** Write index and end chunks, close, free. @exit_status is the root process's wait status. Frees @w even on error. */
int trace_finish(struct trace_writer *w, int exit_status);

uint64_t trace_writer_events(const struct trace_writer *w);
/** The file's length; waits until all chunks so far are in it. */
uint64_t trace_writer_bytes(struct trace_writer *w);

/* ---- reading ---- */
struct trace;

/**
 * Open a trace and read all chunk headers. A file cut short anywhere opens, up to its last complete chunk.
 * 0, -errno, -RL_ECORRUPT (not a trace, or damaged before the first event), -RL_EVERSION.
 * Everything handed out lives as long as the trace unless said otherwise. One thread at a time.
 */
int trace_open(const char *path, struct trace **ret_t);
void trace_close(struct trace *t);

const struct trace_header *trace_header(const struct trace *t);
/** Tells this trace from others: a hash of its header, which holds when it was recorded to the nanosecond. */
uint64_t trace_id(const struct trace *t);
/** True if the end chunk is there; then *ret_exit_status is set. */
bool trace_complete(const struct trace *t, int *ret_exit_status);
/** Why reading stopped before the file's end: "" or a sentence naming the byte offset. */
const char *trace_damage(const struct trace *t);
/** The highest readable event number; lowered when reading finds damage that opening could not see. */
uint64_t trace_n_events(const struct trace *t);
uint64_t trace_file_bytes(const struct trace *t);

/**
 * The content of a page: 4096 bytes, valid for the next 64 calls of trace_page(); copy what must live longer.
 * page_id 0 gives a zero page. NULL: no such page, or damaged (then trace_damage() says where), or out of memory.
 */
const uint8_t *trace_page(struct trace *t, uint64_t page_id);
uint32_t trace_n_objects(const struct trace *t);
const struct trace_object *trace_object(const struct trace *t, uint32_t id);      /* NULL: no such object */
/** Page ids of an object, sorted by index. */
int trace_object_pages(struct trace *t, uint32_t id, const struct object_page **ret_pages, size_t *ret_n);
/** Copy bytes of an object; short only at its end. Number of bytes, or negative. */
int64_t trace_object_read(struct trace *t, uint32_t id, uint64_t off, void *out, size_t n);

/* What trace_put_note() left, as many bytes as it holds and a NUL: any bytes. */
size_t trace_n_notes(const struct trace *t);
/** *ret_text is the caller's to free. 0, -ENOENT, -RL_ECORRUPT, -ENOMEM or another -errno. */
int trace_note(struct trace *t, size_t i, char **ret_text);

uint32_t trace_n_ckpts(const struct trace *t);
int trace_ckpt(struct trace *t, uint32_t id, const struct trace_ckpt **ret_c);   /* 0, -ENOENT, -RL_ECORRUPT */

/** A reading position. Several may be open; the chunk each stands in stays decoded. */
struct trace_iter;
int trace_iter_open(struct trace *t, uint64_t first_event, struct trace_iter **ret_it);
void trace_iter_close(struct trace_iter *it);
/** The next event: 1 and *ret_ev (valid until the next call on @it), 0 at the end, negative when damaged. */
int trace_next(struct trace_iter *it, const struct event **ret_ev);
/** Position so that trace_next() gives event @no. -ENOENT beyond the end. */
int trace_seek(struct trace_iter *it, uint64_t no);

/** Chunk statistics for `relive info`: by type, stored and raw bytes. */
struct trace_stat { const char *what; uint64_t chunks, stored_bytes, raw_bytes; };
size_t trace_stats(const struct trace *t, struct trace_stat *out, size_t max);

#endif
