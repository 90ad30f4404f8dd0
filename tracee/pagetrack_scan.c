/*
 * The scan tier: userfaultfd(2) write-protection that the kernel lifts by itself at the first write
 * (UFFD_FEATURE_WP_ASYNC), and PAGEMAP_SCAN, which lists the pages without it and protects them again in one walk.
 *
 * A userfaultfd belongs to the address space of its maker, so the process makes it; we fetch the descriptor with
 * pidfd_getfd(2) and close the process's own. From then on the process notices nothing and we can register its
 * mappings from outside. Registering is a property of a mapping as /proc/PID/maps lists it, so a mapping that came
 * since (also one that replaced another at the same place, or a moved one: mremap(2) drops the registration) shows in
 * PAGEMAP_SCAN's EPERM; no comparison of lists is needed.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/err.h"
#include "common/grow.h"
#include "common/scope.h"
#include "tracee/pagetrack_abi.h"
#include "tracee/pagetrack_int.h"
#include "tracee/procfile.h"

#ifndef PIDFD_THREAD
#define PIDFD_THREAD O_EXCL   /* Linux 6.9 */
#endif

/* Of this very thread, as its process's first one may have ended; of that one where the kernel knows none of others. */
static int pidfd_of(pid_t tid)
{
	int fd = (int)syscall(SYS_pidfd_open, tid, PIDFD_THREAD);
	char text[2048];

	if (fd < 0 && procfile_read(tid, "status", text, sizeof(text)))
		fd = (int)syscall(SYS_pidfd_open, (pid_t)procfile_number(text, "Tgid:", 10), 0);
	return fd;
}

static int fetch_fd(pid_t tid, int remote_fd)
{
	autoclose int pidfd = pidfd_of(tid);

	if (pidfd < 0)
		return -errno;
	int fd = (int)syscall(SYS_pidfd_getfd, pidfd, remote_fd, 0);

	return fd < 0 ? -errno : fd;
}

int scan_open(struct pagetrack *p, const struct pagetrack_host *h)
{
	const uint64_t make[6] = { O_CLOEXEC | UFFD_USER_MODE_ONLY_FLAG };
	struct uffdio_api api = {
		.api = UFFD_API,
		.features = FEATURE_PAGEFAULT_WP | FEATURE_WP_HUGETLBFS_SHMEM | FEATURE_WP_UNPOPULATED |
			    FEATURE_WP_ASYNC,
	};
	int64_t remote = h->syscall(h->ctx, SYS_userfaultfd, make);

	if (remote < 0)
		return remote == -ESRCH || remote == -RL_EGONE ? -RL_EGONE : -RL_EUNSUPPORTED;
	int fd = fetch_fd(p->pid, (int)remote);

	h->syscall(h->ctx, SYS_close, (const uint64_t[6]){ (uint64_t)remote });
	if (fd < 0)
		return -RL_EUNSUPPORTED;
	p->uffd = fd;
	return ioctl(fd, UFFDIO_API, &api) < 0 ? -RL_EUNSUPPORTED : 0;
}

/*
 * In a private mapping of a file, page cache and zero pages are nobody's writes, and need no protection: the first write
 * replaces them by an unprotected page of the process's own. In anonymous memory only the zero page is so; asking about it
 * would make the walk four times as long.
 */
static uint64_t not_own_pages(const struct mapping *m)
{
	return m->shared || !m->ino ? 0 : SCAN_FILE | SCAN_PFNZERO;
}

/*
 * List, and with SCAN_WP_MATCHING protect again. What is not registered is left out; or, with SCAN_CHECK_WPASYNC: -EPERM,
 * with nothing done.
 */
static int scan_written(struct pagetrack *p, struct collect *c, uint64_t flags, uint64_t not_own, uint64_t start, uint64_t end)
{
	struct scan_region region[256];

	while (start < end) {
		struct scan_arg arg = {
			.size = sizeof arg, .flags = flags,
			.start = start, .end = end,
			.vec = (uintptr_t)region, .vec_len = sizeof region / sizeof region[0],
			.category_inverted = not_own, .category_mask = SCAN_WRITTEN | SCAN_WPALLOWED | not_own,
			/* What is not there counts as written to the kernel, and would get a marker a page. */
			.category_anyof_mask = SCAN_PRESENT | SCAN_SWAPPED, .return_mask = SCAN_WRITTEN,
		};
		int n = ioctl(p->pagemap_fd, SCAN_IOCTL, &arg);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == ESRCH ? -RL_EGONE : -errno;
		for (int i = 0; i < n; i++) {
			int err = page_list_append(c->written, region[i].start, region[i].end);

			if (err)
				return err;
		}
		start = arg.walk_end;
	}
	return 0;
}

/* Whether a private range holds any page of the process's own: 1, 0, or negative. */
static int has_own_pages(struct pagetrack *p, uint64_t start, uint64_t end)
{
	struct scan_region region;
	struct scan_arg arg = {
		.size = sizeof arg, .start = start, .end = end,
		.vec = (uintptr_t)&region, .vec_len = 1, .max_pages = 1,
		.category_inverted = SCAN_FILE | SCAN_PFNZERO, .category_mask = SCAN_FILE | SCAN_PFNZERO,
		.category_anyof_mask = SCAN_PRESENT | SCAN_SWAPPED, .return_mask = SCAN_PRESENT,
	};
	int n;

	do
		n = ioctl(p->pagemap_fd, SCAN_IOCTL, &arg);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == ESRCH ? -RL_EGONE : -errno;
	return n > 0;
}

static int register_range(struct pagetrack *p, uint64_t start, uint64_t end)
{
	struct uffdio_register r = { .range = { start, end - start }, .mode = UFFDIO_REGISTER_MODE_WP };

	if (ioctl(p->uffd, UFFDIO_REGISTER, &r) == 0)
		return 0;
	return errno == ESRCH ? -RL_EGONE : -errno;
}

int pagetrack_adopt(struct pagetrack *p, uint64_t start, uint64_t end)
{
	if (p->tier != PAGE_TIER_SCAN)
		return 0;
	int err = register_range(p, start, end);

	/* Where it cannot be registered, the next collect copes. */
	return err == -RL_EGONE || err == -ENOMEM ? err : 0;
}

static bool is_excluded_between(const struct collect *c, uint64_t from, uint64_t to)
{
	for (size_t i = 0; i < c->n_exclude; i++) {
		if (c->exclude[i].start < to && c->exclude[i].end > from)
			return true;
	}
	return false;
}

/* The next collect of the same mappings need not look for them. Stacks may have grown downwards by then. */
static int plan_part(struct pagetrack *p, const struct collect *c, const struct mapping *m, const struct page_range *part)
{
	struct scan_part *last = p->n_plan ? &p->plan[p->n_plan - 1] : NULL;
	uint64_t not_own = not_own_pages(m), from = c->floor;

	if (last && last->not_own == not_own && !is_excluded_between(c, last->range.end, part->end)) {
		last->range.end = part->end;
		return 0;
	}
	for (size_t i = 0; i < c->n_exclude; i++) {
		if (c->exclude[i].end > from && c->exclude[i].end <= part->start)
			from = c->exclude[i].end;
	}
	last = GROW(p->plan, p->n_plan, p->cap_plan);
	if (!last)
		return -ENOMEM;
	*last = (struct scan_part){ { from, part->end }, not_own };
	p->n_plan++;
	return 0;
}

#define OPEN_LEAST 4096   /* pages listed, below which it is not worth the trouble */
#define OPEN_RUN 512      /* pages one behind the other that may stay unprotected */
#define OPEN_TIMES 8      /* how often all are protected, to see whether they are still written to */

static int scan_plan(struct pagetrack *p, struct collect *c, uint64_t flags)
{
	int err = 0;

	for (size_t i = 0; !err && i < p->n_plan; i++)
		err = scan_written(p, c, flags, p->plan[i].not_own, p->plan[i].range.start, p->plan[i].range.end);
	return err;
}

/* Protect what was planned in [from, to). */
static int protect(struct pagetrack *p, uint64_t from, uint64_t to)
{
	struct page_list listed = { 0 };
	struct collect c = { .written = &listed };
	int err = 0;

	for (size_t i = 0; !err && i < p->n_plan; i++) {
		uint64_t start = p->plan[i].range.start, end = p->plan[i].range.end;

		start = start > from ? start : from;
		end = end < to ? end : to;
		if (start < end)
			err = scan_written(p, &c, SCAN_WP_MATCHING, p->plan[i].not_own, start, end);
	}
	page_list_free(&listed);
	return err;
}

/* Protect all but the long runs of a list. */
static int protect_others(struct pagetrack *p, const struct page_list *l)
{
	uint64_t from = 0;
	int err = 0;

	for (size_t i = 0, run; !err && i < l->n; i += run) {
		for (run = 1; i + run < l->n && l->v[i + run].addr == l->v[i].addr + run * MAPS_PAGE; run++)
			;
		if (run < OPEN_RUN)
			continue;
		err = protect(p, from, l->v[i].addr);
		from = l->v[i].addr + run * MAPS_PAGE;
		p->n_open += run;
	}
	return err ? err : protect(p, from, UINT64_MAX);
}

/*
 * A fault a page costs more than hashing it. So large areas that are written all the time stay as they are, and are
 * listed as long as they do.
 */
int scan_collect_again(struct pagetrack *p, struct collect *c)
{
	size_t open = p->n_open;
	int err;

	p->n_open = 0;
	if (p->n_listed < OPEN_LEAST || ++p->n_again % OPEN_TIMES == 0) {
		err = scan_plan(p, c, SCAN_WP_MATCHING);
	} else {
		err = scan_plan(p, c, 0);
		if (!err)
			err = protect_others(p, c->written);
	}
	p->n_listed = c->written->n;
	p->n_faults = p->n_listed > open ? p->n_listed - open : 0;
	return err;
}

int scan_collect_part(struct pagetrack *p, struct collect *c, const struct mapping *m, const struct page_range *part)
{
	int err = scan_written(p, c, SCAN_WP_MATCHING | SCAN_CHECK_WPASYNC, not_own_pages(m), part->start, part->end);

	if (!err)
		return plan_part(p, c, m, part);
	if (err != -EPERM)
		return err;
	if (!(m->prot & PROT_WRITE)) {
		/* Text and the like stay unregistered, as registering turns fault-around off. But what was written
		 * and then made read-only (RELRO, code of a JIT) counts. */
		int own = m->shared ? 0 : has_own_pages(p, part->start, part->end);

		if (own <= 0)
			return own;
	}
	err = register_range(p, m->start, m->end);
	if (!err)
		err = scan_written(p, c, SCAN_WP_MATCHING | SCAN_CHECK_WPASYNC, not_own_pages(m), part->start, part->end);
	if (!err)
		return plan_part(p, c, m, part);
	if (err == -RL_EGONE || err == -ENOMEM)
		return err;
	p->planned = false;
	return hash_collect_part(p, c, m, part);   /* a device, or a mapping with a userfaultfd of its own */
}

static int64_t own_call(void *ctx, long nr, const uint64_t arg[6])
{
	long ret = syscall(nr, arg[0], arg[1], arg[2], arg[3], arg[4], arg[5]);

	(void)ctx;
	return ret < 0 ? -errno : ret;
}

static int sees_a_write(struct pagetrack *p, volatile char *page)
{
	struct page_list written = { 0 };
	struct collect c = { .written = &written };
	struct mapping m = { .start = (uintptr_t)page, .end = (uintptr_t)page + MAPS_PAGE, .prot = PROT_READ | PROT_WRITE };
	struct page_range part = { m.start, m.end };
	int err;

	*page = 1;
	err = scan_collect_part(p, &c, &m, &part);
	written.n = 0;
	*page = 2;
	if (!err)
		err = scan_collect_part(p, &c, &m, &part);
	if (!err && written.n != 1)
		err = -ENODATA;
	page_list_free(&written);
	page_list_free(&c.candidates);
	return err;
}

int scan_probe(void)
{
	const struct pagetrack_host host = { .syscall = own_call };
	struct pagetrack p = { .pid = getpid(), .tier = PAGE_TIER_SCAN, .uffd = -1, .pagemap_fd = pagemap_open(getpid()) };
	char *page = mmap(NULL, MAPS_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int err = p.pagemap_fd < 0 ? p.pagemap_fd : page == MAP_FAILED ? -ENOMEM : 0;

	if (!err)
		err = scan_open(&p, &host);
	if (!err)
		err = sees_a_write(&p, page);
	if (p.uffd >= 0)
		close(p.uffd);
	if (p.pagemap_fd >= 0)
		close(p.pagemap_fd);
	if (page != MAP_FAILED)
		munmap(page, MAPS_PAGE);
	return err;
}
