/*
 * The soft-dirty tier (Documentation/admin-guide/mm/soft-dirty.rst): a write of "4" to clear_refs protects all pages
 * and clears their bits, a write to a page sets its bit again; all pages of a new mapping have it.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/err.h"
#include "common/scope.h"
#include "tracee/pagetrack_int.h"

static int clear_refs(pid_t pid)
{
	char path[64];

	snprintf(path, sizeof path, "/proc/%d/clear_refs", (int)pid);
	autoclose int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return errno == ENOENT ? -RL_EGONE : -errno;
	return write(fd, "4", 1) < 0 ? -errno : 0;
}

/* A kernel without soft-dirty bits takes the "4" and does nothing, so look for a bit that must be there. */
bool softdirty_works(void)
{
	volatile char *page = mmap(NULL, MAPS_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	autoclose int fd = pagemap_open(getpid());
	uint8_t flags = 0;

	if (page == MAP_FAILED)
		return false;
	*page = 1;
	if (fd < 0 || pagemap_read(fd, (uintptr_t)page, 1, &flags))
		flags = 0;
	munmap((void *)page, MAPS_PAGE);
	return flags & PAGE_SOFT_DIRTY;
}

int softdirty_rearm(const struct pagetrack *p)
{
	return clear_refs(p->pid);
}

static bool is_written(const struct mapping *m, unsigned flags)
{
	if (!(flags & PAGE_SOFT_DIRTY) || !(flags & (PAGE_PRESENT | PAGE_SWAPPED)))
		return false;
	return m->shared ? (m->prot & PROT_WRITE) : page_is_anon(flags);
}

int softdirty_collect_part(struct pagetrack *p, struct collect *c, const struct mapping *m,
			   const struct page_range *part)
{
	/* pagemap has an entry for each page of a mapping, present or not: look only at what is there. */
	p->runs.n = 0;
	int err = pagemap_runs(p->pagemap_fd, part->start, part->end, &p->runs);

	for (size_t i = 0; !err && i < p->runs.n; i++) {
		uint8_t flags[512];

		for (uint64_t at = p->runs.v[i].start; !err && at < p->runs.v[i].end;) {
			size_t n = (p->runs.v[i].end - at) / MAPS_PAGE;

			if (n > sizeof flags)
				n = sizeof flags;
			err = pagemap_read(p->pagemap_fd, at, n, flags);
			for (size_t k = 0; !err && k < n; k++)
				if (is_written(m, flags[k]))
					err = page_list_append(c->written, at + k * MAPS_PAGE,
							       at + (k + 1) * MAPS_PAGE);
			at += n * MAPS_PAGE;
		}
	}
	return err;
}
