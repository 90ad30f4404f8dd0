/* Contents of pages: process_vm_readv(2) in batches, /proc/PID/mem for what it refuses. Many are hashed by several threads. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/uio.h>
#include <unistd.h>
#include <xxhash.h>

#include "common/err.h"
#include "common/scope.h"
#include "tracee/maps.h"
#include "tracee/pagetrack.h"
#include "tracee/pin.h"

/* Pages a batch: so few that hashing finds them in the cache, and that little of what the program had there is driven out. */
enum { BATCH = 16 };

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

/* One list that several threads work on. */
struct hashing {
	pid_t pid;
	struct page_list *l;
	atomic_size_t next;     /* the first page that nobody has taken */
	atomic_int err;
};

enum {
	GROUP = 16 * BATCH,       /* pages that a thread takes at once, */
	HELPED_FROM = 4 * GROUP,  /* of a list of so many: for less it is not worth starting any */
	HELPERS_MAX = 3,
};

/* No page has this address: it could not be read. */
static const uint64_t unreadable = ~0ull;

static int hash_group(pid_t pid, int *mem_fd, struct page_hash *v, size_t n, uint8_t *bytes)
{
	for (size_t at = 0; at < n;) {
		size_t want = n - at < BATCH ? n - at : BATCH;
		int64_t got = read_some(pid, mem_fd, v + at, want, bytes);

		if (got < 0)
			return (int)got;
		for (size_t i = 0; i < (size_t)got; i++)
			v[at + i].hash = page_hash_of(bytes + i * MAPS_PAGE);
		at += (size_t)got;
		if ((size_t)got < want)
			v[at++].addr = unreadable;   /* a guard page, a file's end */
	}
	return 0;
}

static void *hash_groups(void *arg)
{
	struct hashing *h = arg;
	autoclose int mem_fd = -1;
	uint8_t bytes[BATCH * MAPS_PAGE];

	while (!atomic_load(&h->err)) {
		size_t at = atomic_fetch_add(&h->next, GROUP);
		int err;

		if (at >= h->l->n)
			break;
		err = hash_group(h->pid, &mem_fd, h->l->v + at, h->l->n - at < GROUP ? h->l->n - at : GROUP, bytes);
		if (err)
			atomic_store(&h->err, err);
	}
	return NULL;
}

/* Threads on the processors that the supervisor leaves free. How many; 0 is fine too. */
static size_t start_helpers(struct hashing *h, pthread_t helper[HELPERS_MAX])
{
	cpu_set_t cpus;
	size_t want = (size_t)pin_others(&cpus), n = 0;
	pthread_attr_t attr;
	sigset_t all, old;

	if (want > HELPERS_MAX)
		want = HELPERS_MAX;
	if (h->l->n < HELPED_FROM || !want || pthread_attr_init(&attr))
		return 0;
	/* Signals are for the supervisor's own thread. */
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &old);
	if (!pthread_attr_setaffinity_np(&attr, sizeof cpus, &cpus)) {
		while (n < want && !pthread_create(&helper[n], &attr, hash_groups, h))
			n++;
	}
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_attr_destroy(&attr);
	return n;
}

int pages_hash(pid_t pid, struct page_list *l)
{
	struct hashing h = { .pid = pid, .l = l };
	pthread_t helper[HELPERS_MAX];
	size_t kept = 0, n_helpers = start_helpers(&h, helper);

	hash_groups(&h);
	for (size_t i = 0; i < n_helpers; i++)
		pthread_join(helper[i], NULL);
	if (h.err)
		return h.err;
	for (size_t i = 0; i < l->n; i++) {
		if (l->v[i].addr != unreadable)
			l->v[kept++] = l->v[i];
	}
	l->n = kept;
	l->hashed = true;
	return 0;
}
