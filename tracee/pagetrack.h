/*
 * Which pages of a process were written since we last asked.
 *
 * A page counts as WRITTEN if somebody stored to it through this address space since the last collect: its own code,
 * the kernel on its behalf (a read(2) into a buffer), or a debugger. Listed are
 *  - of private mappings: pages that are the process's own copy (anonymous, not page cache),
 *  - of shared mappings: pages that are present.
 * A list may hold a page that was not written (its mapping is new; a shared page, or an untouched one of anonymous
 * memory, was read). It never lacks one that was, with two exceptions the caller can see coming: pages that are gone
 * again (munmap, MADV_DONTNEED: compare with what is present), and a shared mapping that was made, written and made
 * read-only between two collects. What other processes write to shared memory shows in their lists only, and a
 * write(2) to a mapped file in nobody's.
 *
 * TIERS, best first:
 *  scan       asynchronous userfaultfd write-protection and PAGEMAP_SCAN (Linux 6.7): costs the process 0.7 to 1.4 us at the
 *             first write to a page, a collect some 50 us, 0.1 us for each dirty page, and 1 ms for each
 *             resident gigabyte; unprivileged.
 *  softdirty  soft-dirty bits (CONFIG_MEM_SOFT_DIRTY): a collect reads 8 bytes for each mapped page.
 *  hash       needs no kernel help: a collect hashes all resident pages that can have been written, 0.2 ms a megabyte.
 *
 * The process must be stopped (all threads that share the memory) during every call here. After an execve the owner
 * closes and opens again; threads and CLONE_VM children need nothing.
 */
#ifndef RELIVE_TRACEE_PAGETRACK_H
#define RELIVE_TRACEE_PAGETRACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum page_tier { PAGE_TIER_AUTO, PAGE_TIER_SCAN, PAGE_TIER_SOFTDIRTY, PAGE_TIER_HASH };

/* How to run something inside the stopped process; only used during pagetrack_open and pagetrack_fork. */
struct pagetrack_host {
	/* Run a system call in the process: its result, or -errno. Unused arguments are 0. */
	int64_t (*syscall)(void *ctx, long nr, const uint64_t arg[6]);
	uint64_t scratch;   /* an address in the process with 256 writable bytes; may be 0 */
	void *ctx;
};

struct page_range {
	uint64_t start, end;   /* page-aligned, end exclusive */
};

struct page_hash {
	uint64_t addr;
	uint64_t hash;   /* XXH3_64bits of the 4096 bytes; 0 if the list is not hashed */
};

struct page_list {
	struct page_hash *v;   /* sorted by addr, no duplicates */
	size_t n, cap;
	bool hashed;           /* the hash fields are filled in */
};

void page_list_free(struct page_list *l);

struct pagetrack;

/**
 * Begin tracking; pages written before do not count.
 *
 * @tier  AUTO takes the best that works here; another one is taken or refused.
 * @h     NULL: the scan tier cannot be had.
 *
 * 0; -RL_EUNSUPPORTED (that tier does not work here); -RL_EGONE; -ENOMEM; another -errno. *ret only on success.
 */
int pagetrack_open(pid_t pid, enum page_tier tier, const struct pagetrack_host *h, struct pagetrack **ret);

/**
 * Track the child of a fork of p's process with the tier of p. The child must not have run yet. Its first collect may
 * list pages that p's process wrote between p's last collect and the fork. Errors as in pagetrack_open.
 */
int pagetrack_fork(const struct pagetrack *p, pid_t child, const struct pagetrack_host *h, struct pagetrack **ret);

/**
 * Look through this task from now on, which has the memory in common with the process that was given: that one may have ended, or
 * have executed something else, as a vfork child does.
 */
void pagetrack_follow(struct pagetrack *p, pid_t tid);

/* Stop tracking; the process may be dead. NULL is fine. */
void pagetrack_close(struct pagetrack *p);

/* Which tier it is (never AUTO), and its name: "scan", "soft-dirty", "hash". */
enum page_tier pagetrack_tier(const struct pagetrack *p);
const char *page_tier_name(enum page_tier tier);

/**
 * List the pages written since the last collect (or open), and begin anew.
 *
 * @exclude  ranges, in any order, that are neither listed nor slowed by tracking: give the same ones every time.
 * @ret      appended to nothing: its old content is dropped, its memory reused. Zeroed at first.
 *
 * 0, -RL_EGONE, -ENOMEM, or another -errno. After a failure the list is unspecified and pages may have been lost.
 */
int pagetrack_collect(struct pagetrack *p, const struct page_range *exclude, size_t n_exclude, struct page_list *ret);

/**
 * As pagetrack_collect, for a caller who knows that no mapping came, went, moved or changed its protection since the last
 * one; only stacks may have grown. Scan tier: takes a fifth of the time; and a large area that was written as a whole is then
 * listed without being protected again, seven times of eight, so that writing it again costs no faults.
 *
 * @exclude  as the last time.
 */
int pagetrack_collect_again(struct pagetrack *p, const struct page_range *exclude, size_t n_exclude, struct page_list *ret);

/* How many pages of the last list cost the process a fault when it wrote to them. */
size_t pagetrack_faults(const struct pagetrack *p);

/**
 * Optional: tell at once of writable memory that the process just mapped (mmap, brk, mprotect), before it runs on.
 * Otherwise, in the scan tier, the kernel does not merge it with a tracked mapping next to it as it would untracked,
 * and an mremap(2) across both fails with EFAULT. Costs a microsecond; what is collected does not change.
 *
 * @start, @end  page-aligned; within mappings only.
 *
 * 0, -RL_EGONE, -ENOMEM.
 */
int pagetrack_adopt(struct pagetrack *p, uint64_t start, uint64_t end);

/**
 * Read pages of a process that may have any protection.
 *
 * @pages  sorted by addr.
 * @out    n * 4096 bytes.
 *
 * Returns how many of the first pages were read (fewer than n: the next one cannot be read), or -RL_EGONE or -errno.
 */
int64_t pages_read(pid_t pid, const struct page_hash *pages, size_t n, uint8_t *out);

/* Fill in the hashes of a list, and drop from it the pages that cannot be read. 0, -RL_EGONE, -ENOMEM, or -errno. */
int pages_hash(pid_t pid, struct page_list *l);

/* The hash of one page's bytes, as in struct page_hash. */
uint64_t page_hash_of(const uint8_t bytes[4096]);

#endif
