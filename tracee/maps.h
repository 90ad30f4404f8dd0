/*
 * What a process has mapped (/proc/PID/maps) and which of it is there (/proc/PID/pagemap).
 *
 * Everything here works on any process that ptrace(2) would let us read; none of it needs privileges, and none of it
 * needs the process to be stopped, though only a stopped one gives an answer that is still true afterwards.
 */
#ifndef RELIVE_TRACEE_MAPS_H
#define RELIVE_TRACEE_MAPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define MAPS_PAGE 4096ull

struct mapping {
	uint64_t start, end;   /* addresses in the process; end is exclusive */
	int prot;              /* PROT_READ | PROT_WRITE | PROT_EXEC */
	bool shared;           /* MAP_SHARED */
	uint64_t off;          /* file offset of start, in bytes */
	uint64_t dev, ino;     /* dev as makedev(3) makes it; both 0 for anonymous memory */
	char *name;            /* path, "[heap]", "[stack]"..., or ""; never NULL; owned by the maps */
};

/* Sorted by address, without overlaps, as the kernel gives them. */
struct maps {
	struct mapping *v;
	size_t n;
	char *text;            /* what the names point into */
};

/**
 * Read all mappings of a process.
 *
 * @ret  written on success only; give it to maps_free.
 *
 * 0, -RL_EGONE (no such process, or it has no memory any more), -ENOMEM, or another -errno.
 * A name's "\012" is turned back into a newline; " (deleted)" stays, as it cannot be told from a name that ends so.
 */
int maps_read(pid_t pid, struct maps *ret);

/**
 * The same, of mappings that meet [start, end); on kernels that cannot tell of a part, of all.
 * The cost does not grow with the number of the others.
 */
int maps_read_range(pid_t pid, uint64_t start, uint64_t end, struct maps *ret);

/** At least the shared ones of files that the process may write to; names may be missing. */
int maps_read_written(pid_t pid, struct maps *ret);

/**
 * The same from text in the format of /proc/PID/maps.
 *
 * @text  n bytes and a terminating NUL, from malloc; owned by *ret on success, by the caller on failure.
 *
 * 0, -EBADMSG (not that format), -ENOMEM.
 */
int maps_parse(char *text, size_t n, struct maps *ret);

/* Release and empty; also right for a zeroed struct and a second time. */
void maps_free(struct maps *m);

/* The mapping that holds an address, or NULL. */
const struct mapping *maps_find(const struct maps *m, uint64_t addr);

/* The first mapping that ends above an address (it holds it, or is the next one), or NULL. */
const struct mapping *maps_find_from(const struct maps *m, uint64_t addr);

/* Whether every byte of [start, end) is mapped. True for an empty range. */
bool maps_covers(const struct maps *m, uint64_t start, uint64_t end);

/* The first gap of at least size bytes at or above from and ending at or below to; page-aligned. 0: there is none. */
uint64_t maps_find_gap(const struct maps *m, uint64_t from, uint64_t to, uint64_t size);

enum page_flags {
	PAGE_PRESENT = 1,      /* in memory */
	PAGE_SWAPPED = 2,      /* has content, on swap */
	PAGE_FILE = 4,         /* the page cache's or shared memory's, not private to the process */
	PAGE_ZERO = 8,         /* certainly all zero (the kernel's zero page); only known where PAGEMAP_SCAN exists */
	PAGE_SOFT_DIRTY = 16,  /* written since clear_refs; only from pagemap_read */
};

/* Whether the process's own copy exists: a private page that was written. Such pages are what a checkpoint stores. */
static inline bool page_is_anon(unsigned flags)
{
	return (flags & (PAGE_PRESENT | PAGE_SWAPPED)) && !(flags & PAGE_FILE);
}

struct page_run {
	uint64_t start, end;
	unsigned flags;        /* enum page_flags, the same for all pages of the run */
};

struct page_runs {
	struct page_run *v;
	size_t n, cap;
};

void page_runs_free(struct page_runs *r);

/* A descriptor on /proc/PID/pagemap for the functions below, or -RL_EGONE, or -errno. The caller closes it. */
int pagemap_open(pid_t pid);

/**
 * Flags page by page, by read(2): works on every kernel, costs 8 bytes of reading a page, mapped or not.
 *
 * @start  page-aligned.
 * @ret    n_pages bytes of enum page_flags; 0 for a page that is not there.
 *
 * 0, -RL_EGONE, or -errno.
 */
int pagemap_read(int pagemap_fd, uint64_t start, size_t n_pages, uint8_t *ret);

/**
 * Append the runs of present or swapped pages in [start, end), in order, neighbours with equal flags joined.
 * Uses PAGEMAP_SCAN (cheap in sparse ranges) where the kernel has it, else pagemap_read.
 *
 * @start, @end  page-aligned.
 * @runs         zeroed, or from an earlier call.
 *
 * 0, -RL_EGONE, -ENOMEM, or another -errno; on failure what was appended so far stays.
 */
int pagemap_runs(int pagemap_fd, uint64_t start, uint64_t end, struct page_runs *runs);

#endif
