/* The mappings of a part of an address space, asked for one by one: of thousands, most calls concern one or two. */
#include "tracee/maps.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "common/err.h"
#include "common/grow.h"
#include "common/scope.h"
#include "tracee/pagetrack_abi.h"
#include "tracee/procfile.h"

struct list {
	struct maps m;
	size_t cap;
	size_t n_text, cap_text;   /* names stand one behind the other in m.text; until the end by their offsets */
};

static int list_add(struct list *l, const struct mapping *one, const char *name)
{
	size_t n = strlen(name) + 1;
	struct mapping *at = GROW(l->m.v, l->m.n, l->cap);

	if (!at)
		return -ENOMEM;
	if (l->cap_text - l->n_text < n) {
		char *more = realloc(l->m.text, l->cap_text * 2 + n);

		if (!more)
			return -ENOMEM;
		l->m.text = more;
		l->cap_text = l->cap_text * 2 + n;
	}
	memcpy(l->m.text + l->n_text, name, n);
	*at = *one;
	at->name = (char *)l->n_text;
	l->n_text += n;
	l->m.n++;
	return 0;
}

/* The mapping at an address or above, of those with these flags. -ENOENT: there is none; -ENOTTY: a kernel before 6.11. */
static int query(int fd, uint64_t addr, uint64_t flags, char name[PATH_MAX], struct mapping *ret)
{
	struct map_query q = { .size = sizeof(q), .flags = MAP_QUERY_OR_NEXT | flags, .addr = addr };

	if (!flags) {   /* a name is most of the work */
		q.name_addr = (uintptr_t)name;
		q.name_size = PATH_MAX;
	}

	name[0] = '\0';
	if (ioctl(fd, MAP_QUERY_IOCTL, &q) < 0)
		return errno == ESRCH ? -RL_EGONE : -errno;
	*ret = (struct mapping){
		.start = q.vma_start, .end = q.vma_end, .off = q.vma_off, .ino = q.ino, .dev = makedev(q.major, q.minor),
		.prot = (q.vma_flags & MAP_QUERY_READ ? PROT_READ : 0) | (q.vma_flags & MAP_QUERY_WRITE ? PROT_WRITE : 0) |
			(q.vma_flags & MAP_QUERY_EXEC ? PROT_EXEC : 0),
		.shared = q.vma_flags & MAP_QUERY_SHARED,
	};
	if (!q.name_size)
		name[0] = '\0';
	return 0;
}

static int query_all(int fd, uint64_t start, uint64_t end, uint64_t flags, struct list *l)
{
	char name[PATH_MAX];
	struct mapping one;
	int err = 0;

	while (!err && start < end) {
		err = query(fd, start, flags, name, &one);
		if (err == -ENOENT || (!err && one.start >= end))
			return 0;
		if (!err)
			err = list_add(l, &one, name);
		start = one.end;
	}
	return err;
}

static int read_some(pid_t pid, uint64_t start, uint64_t end, uint64_t flags, struct maps *ret)
{
	struct list l = { 0 };
	autoclose int fd = procfile_open(pid, "maps");
	int err;

	if (fd < 0)
		return fd;
	err = query_all(fd, start, end, flags, &l);
	if (err) {
		maps_free(&l.m);
		/* Whatever it dislikes, the text always says. */
		return err == -RL_EGONE || err == -ENOMEM ? err : maps_read(pid, ret);
	}
	for (size_t i = 0; i < l.m.n; i++)
		l.m.v[i].name = l.m.text + (size_t)l.m.v[i].name;
	*ret = l.m;
	return 0;
}

int maps_read_range(pid_t pid, uint64_t start, uint64_t end, struct maps *ret)
{
	return read_some(pid, start, end, 0, ret);
}

int maps_read_written(pid_t pid, struct maps *ret)
{
	return read_some(pid, 0, UINT64_MAX, MAP_QUERY_WRITE | MAP_QUERY_SHARED | MAP_QUERY_FILE, ret);
}
