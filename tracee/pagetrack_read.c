/* Contents of pages: process_vm_readv(2) in batches, /proc/PID/mem for what it refuses. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/uio.h>
#include <unistd.h>
#include <xxhash.h>

#include "common/err.h"
#include "common/scope.h"
#include "tracee/maps.h"
#include "tracee/pagetrack.h"

/* Pages a batch: small enough that hashing finds them in the second-level cache. */
enum { BATCH = 64 };

/* Pages read, from the first on; 0: process_vm_readv cannot read the first one. */
static int64_t read_batch(pid_t pid, const struct page_hash *pages, size_t n, uint8_t *out)
{
	struct iovec remote[BATCH], local = { out, n * MAPS_PAGE };
	size_t n_remote = 0;

	for (size_t i = 0; i < n; i++) {
		struct iovec *last = n_remote ? &remote[n_remote - 1] : NULL;

		if (last && (uintptr_t)last->iov_base + last->iov_len == pages[i].addr)
			last->iov_len += MAPS_PAGE;
		else
			remote[n_remote++] = (struct iovec){ (void *)(uintptr_t)pages[i].addr, MAPS_PAGE };
	}
	ssize_t got = process_vm_readv(pid, &local, 1, remote, n_remote, 0);

	if (got < 0)
		return errno == ESRCH ? -RL_EGONE : 0;
	return got / (int64_t)MAPS_PAGE;
}

/* Adjoining pages whatever their protection. How many were read; 0: the first one cannot be. */
static int64_t read_forced(pid_t pid, int *mem_fd, const struct page_hash *pages, size_t n, uint8_t *out)
{
	size_t run = 1;
	ssize_t got;

	if (*mem_fd < 0) {
		char path[64];

		snprintf(path, sizeof path, "/proc/%d/mem", (int)pid);
		*mem_fd = open(path, O_RDONLY | O_CLOEXEC);
		if (*mem_fd < 0)
			return errno == ENOENT ? -RL_EGONE : -errno;
	}
	while (run < n && pages[run].addr == pages[0].addr + run * MAPS_PAGE)
		run++;
	got = pread(*mem_fd, out, run * MAPS_PAGE, (off_t)pages[0].addr);
	return got < 0 ? 0 : got / (int64_t)MAPS_PAGE;
}

static int64_t read_some(pid_t pid, int *mem_fd, const struct page_hash *pages, size_t n, uint8_t *out)
{
	size_t done = 0;

	while (done < n) {
		size_t want = n - done < BATCH ? n - done : BATCH;
		int64_t got = read_batch(pid, pages + done, want, out + done * MAPS_PAGE);

		if (got == 0)
			got = read_forced(pid, mem_fd, pages + done, want, out + done * MAPS_PAGE);
		if (got < 0)
			return got;
		if (got == 0)
			break;
		done += (size_t)got;
	}
	return (int64_t)done;
}

int64_t pages_read(pid_t pid, const struct page_hash *pages, size_t n, uint8_t *out)
{
	autoclose int mem_fd = -1;

	return read_some(pid, &mem_fd, pages, n, out);
}

uint64_t page_hash_of(const uint8_t bytes[4096])
{
	return XXH3_64bits(bytes, MAPS_PAGE);
}

int pages_hash(pid_t pid, struct page_list *l)
{
	autoclose int mem_fd = -1;
	autofree uint8_t *bytes = l->n ? malloc(BATCH * MAPS_PAGE) : NULL;
	size_t kept = 0;

	if (l->n && !bytes)
		return -ENOMEM;
	for (size_t at = 0; at < l->n;) {
		size_t want = l->n - at < BATCH ? l->n - at : BATCH;
		int64_t got = read_some(pid, &mem_fd, l->v + at, want, bytes);

		if (got < 0)
			return (int)got;
		for (size_t i = 0; i < (size_t)got; i++)
			l->v[kept++] = (struct page_hash){ l->v[at + i].addr, page_hash_of(bytes + i * MAPS_PAGE) };
		at += (size_t)got;
		if ((size_t)got < want)
			at++;   /* unreadable: a guard page, a file's end */
	}
	l->n = kept;
	l->hashed = true;
	return 0;
}
