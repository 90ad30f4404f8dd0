/*
 * Kernel interfaces newer than the headers we may be built with: PAGEMAP_SCAN (Linux 6.7), PROCMAP_QUERY and userfaultfd's
 * asynchronous write-protection. Names are ours, values are the kernel's (include/uapi/linux/{fs,userfaultfd}.h).
 */
#ifndef RELIVE_TRACEE_PAGETRACK_ABI_H
#define RELIVE_TRACEE_PAGETRACK_ABI_H

#include <stdint.h>
#include <sys/ioctl.h>

struct scan_region {
	uint64_t start, end, categories;
};

struct scan_arg {
	uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages;
	uint64_t category_inverted, category_mask, category_anyof_mask, return_mask;
};

#define SCAN_IOCTL _IOWR('f', 16, struct scan_arg)

enum scan_flags {
	SCAN_WP_MATCHING = 1 << 0,
	SCAN_CHECK_WPASYNC = 1 << 1,
};

enum scan_category {
	SCAN_WPALLOWED = 1 << 0,
	SCAN_WRITTEN = 1 << 1,
	SCAN_FILE = 1 << 2,
	SCAN_PRESENT = 1 << 3,
	SCAN_SWAPPED = 1 << 4,
	SCAN_PFNZERO = 1 << 5,
	SCAN_HUGE = 1 << 6,
	SCAN_SOFT_DIRTY = 1 << 7,
};

/* PROCMAP_QUERY (Linux 6.11), on a descriptor of /proc/PID/maps. */
struct map_query {
	uint64_t size, flags, addr;
	uint64_t vma_start, vma_end, vma_flags, vma_page_size, vma_off, ino;
	uint32_t major, minor, name_size, build_id_size;
	uint64_t name_addr, build_id_addr;
};

#define MAP_QUERY_IOCTL _IOWR('f', 17, struct map_query)

enum map_query_flags {
	MAP_QUERY_READ = 1 << 0,
	MAP_QUERY_WRITE = 1 << 1,
	MAP_QUERY_EXEC = 1 << 2,
	MAP_QUERY_SHARED = 1 << 3,
	MAP_QUERY_OR_NEXT = 1 << 4,
	MAP_QUERY_FILE = 1 << 5,
};

#define UFFD_USER_MODE_ONLY_FLAG 1

enum {
	FEATURE_PAGEFAULT_WP = 1 << 0,
	FEATURE_WP_HUGETLBFS_SHMEM = 1 << 12,
	FEATURE_WP_UNPOPULATED = 1 << 13,
	FEATURE_WP_ASYNC = 1 << 15,
};

#endif
