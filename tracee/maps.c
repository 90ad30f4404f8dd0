#include "tracee/maps.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "common/err.h"
#include "common/scope.h"
#include "tracee/pagetrack_abi.h"
#include "tracee/procfile.h"

/* The kernel hands out about a page a read whatever we ask for, so a big buffer saves copies, not calls. */
static int read_all(int fd, char **ret, size_t *ret_n)
{
	size_t cap = 64 << 10, n = 0;
	char *buf = malloc(cap);

	if (!buf)
		return -ENOMEM;
	for (;;) {
		if (cap - n < 8192) {
			char *grown = realloc(buf, cap * 2);

			if (!grown) {
				free(buf);
				return -ENOMEM;
			}
			buf = grown;
			cap *= 2;
		}
		ssize_t got = read(fd, buf + n, cap - n - 1);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0) {
			int err = errno == ESRCH ? -RL_EGONE : -errno;

			free(buf);
			return err;
		}
		if (got == 0)
			break;
		n += (size_t)got;
	}
	buf[n] = 0;
	*ret = buf;
	*ret_n = n;
	return 0;
}

static bool parse_hex(char **p, uint64_t *ret, char stop)
{
	uint64_t v = 0;
	char *s = *p;

	for (;; s++) {
		unsigned digit;

		if (*s >= '0' && *s <= '9')
			digit = (unsigned)(*s - '0');
		else if (*s >= 'a' && *s <= 'f')
			digit = (unsigned)(*s - 'a' + 10);
		else
			break;
		v = v << 4 | digit;
	}
	if (s == *p || *s != stop)
		return false;
	*p = s + 1;
	*ret = v;
	return true;
}

static bool parse_decimal(char **p, uint64_t *ret)
{
	uint64_t v = 0;
	char *s = *p;

	for (; *s >= '0' && *s <= '9'; s++)
		v = v * 10 + (uint64_t)(*s - '0');
	if (s == *p)
		return false;
	*p = s;
	*ret = v;
	return true;
}

static bool parse_perms(char **p, struct mapping *m)
{
	const char *s = *p;

	if (strnlen(s, 5) < 5 || s[4] != ' ' || (s[3] != 'p' && s[3] != 's'))
		return false;
	m->prot = (s[0] == 'r' ? PROT_READ : 0) | (s[1] == 'w' ? PROT_WRITE : 0) | (s[2] == 'x' ? PROT_EXEC : 0);
	m->shared = s[3] == 's';
	*p += 5;
	return true;
}

/* The kernel escapes a newline in a name, and nothing else. */
static void unescape_newlines(char *s)
{
	char *at = strstr(s, "\\012");

	if (!at)
		return;
	char *to = at;

	while (*at) {
		if (strncmp(at, "\\012", 4) == 0) {
			*to++ = '\n';
			at += 4;
		} else {
			*to++ = *at++;
		}
	}
	*to = 0;
}

/* One line, its newline already replaced by NUL. */
static bool parse_line(char *line, struct mapping *ret)
{
	uint64_t major, minor;
	char *p = line;

	if (!parse_hex(&p, &ret->start, '-') || !parse_hex(&p, &ret->end, ' ') || !parse_perms(&p, ret) ||
	    !parse_hex(&p, &ret->off, ' ') || !parse_hex(&p, &major, ':') || !parse_hex(&p, &minor, ' ') ||
	    !parse_decimal(&p, &ret->ino) || ret->start >= ret->end)
		return false;
	ret->dev = makedev((unsigned)major, (unsigned)minor);
	while (*p == ' ')
		p++;
	ret->name = p;
	unescape_newlines(p);
	return true;
}

static size_t count_lines(const char *text, size_t n)
{
	size_t lines = 0;

	for (const char *p = text; (p = memchr(p, '\n', n - (size_t)(p - text))); p++)
		lines++;
	return lines;
}

int maps_parse(char *text, size_t n, struct maps *ret)
{
	struct maps m = { .text = text };
	size_t cap = count_lines(text, n);
	char *at = text;

	m.v = malloc((cap + 1) * sizeof *m.v);
	if (!m.v)
		return -ENOMEM;
	while (at < text + n) {
		char *eol = memchr(at, '\n', n - (size_t)(at - text));

		if (eol)
			*eol = 0;
		if (!eol || !parse_line(at, &m.v[m.n]) || (m.n && m.v[m.n].start < m.v[m.n - 1].end)) {
			free(m.v);
			return -EBADMSG;
		}
		m.n++;
		at = eol + 1;
	}
	*ret = m;
	return 0;
}

int maps_read(pid_t pid, struct maps *ret)
{
	autoclose int fd = procfile_open(pid, "maps");
	char *text = NULL;
	size_t n = 0;

	if (fd < 0)
		return fd;
	int err = read_all(fd, &text, &n);

	if (err)
		return err;
	/* A process that has exited but is not reaped has an empty file: no live process has. */
	err = n ? maps_parse(text, n, ret) : -RL_EGONE;
	if (err)
		free(text);
	return err;
}

void maps_free(struct maps *m)
{
	free(m->v);
	free(m->text);
	*m = (struct maps){ 0 };
}

const struct mapping *maps_find_from(const struct maps *m, uint64_t addr)
{
	size_t lo = 0, hi = m->n;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (m->v[mid].end <= addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < m->n ? &m->v[lo] : NULL;
}

const struct mapping *maps_find(const struct maps *m, uint64_t addr)
{
	const struct mapping *at = maps_find_from(m, addr);

	return at && at->start <= addr ? at : NULL;
}

bool maps_covers(const struct maps *m, uint64_t start, uint64_t end)
{
	while (start < end) {
		const struct mapping *at = maps_find(m, start);

		if (!at)
			return false;
		start = at->end;
	}
	return true;
}

uint64_t maps_find_gap(const struct maps *m, uint64_t from, uint64_t to, uint64_t size)
{
	uint64_t at = (from + MAPS_PAGE - 1) & -MAPS_PAGE;

	for (const struct mapping *next = maps_find_from(m, at); next && next < m->v + m->n; next++) {
		if (next->start >= at && next->start - at >= size)
			break;
		at = next->end;
	}
	return at <= to && to - at >= size ? at : 0;
}

void page_runs_free(struct page_runs *r)
{
	free(r->v);
	*r = (struct page_runs){ 0 };
}

static int runs_append(struct page_runs *r, uint64_t start, uint64_t end, unsigned flags)
{
	if (r->n && r->v[r->n - 1].end == start && r->v[r->n - 1].flags == flags) {
		r->v[r->n - 1].end = end;
		return 0;
	}
	if (r->n == r->cap) {
		size_t cap = r->cap ? r->cap * 2 : 64;
		struct page_run *v = reallocarray(r->v, cap, sizeof *v);

		if (!v)
			return -ENOMEM;
		r->v = v;
		r->cap = cap;
	}
	r->v[r->n++] = (struct page_run){ start, end, flags };
	return 0;
}

int pagemap_open(pid_t pid)
{
	return procfile_open(pid, "pagemap");
}

/* Documentation/admin-guide/mm/pagemap.rst */
static uint8_t flags_of_entry(uint64_t e)
{
	unsigned flags = 0;

	if (e >> 63)
		flags |= PAGE_PRESENT;
	if (e >> 62 & 1)
		flags |= PAGE_SWAPPED;
	if (flags && e >> 61 & 1)
		flags |= PAGE_FILE;
	if (e >> 55 & 1)
		flags |= PAGE_SOFT_DIRTY;
	return (uint8_t)flags;
}

int pagemap_read(int pagemap_fd, uint64_t start, size_t n_pages, uint8_t *ret)
{
	uint64_t entry[1024];

	for (size_t done = 0; done < n_pages;) {
		size_t want = n_pages - done < 1024 ? n_pages - done : 1024;
		ssize_t got = pread(pagemap_fd, entry, want * 8, (off_t)((start / MAPS_PAGE + done) * 8));

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return errno == ESRCH ? -RL_EGONE : -errno;
		if (got < 8)
			return -RL_EGONE;   /* the memory is gone, or the range is outside of user space */
		for (size_t i = 0; i < (size_t)got / 8; i++)
			ret[done + i] = flags_of_entry(entry[i]);
		done += (size_t)got / 8;
	}
	return 0;
}

static unsigned flags_of_categories(uint64_t c)
{
	return (c & SCAN_PRESENT ? PAGE_PRESENT : 0u) | (c & SCAN_SWAPPED ? PAGE_SWAPPED : 0u) |
	       (c & SCAN_FILE ? PAGE_FILE : 0u) | (c & SCAN_PFNZERO ? PAGE_ZERO : 0u);
}

static int runs_by_scan(int fd, uint64_t start, uint64_t end, struct page_runs *runs)
{
	struct scan_region region[512];

	while (start < end) {
		struct scan_arg arg = {
			.size = sizeof arg, .start = start, .end = end,
			.vec = (uintptr_t)region, .vec_len = sizeof region / sizeof region[0],
			.category_anyof_mask = SCAN_PRESENT | SCAN_SWAPPED,
			.return_mask = SCAN_PRESENT | SCAN_SWAPPED | SCAN_FILE | SCAN_PFNZERO,
		};
		int n = ioctl(fd, SCAN_IOCTL, &arg);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == ESRCH ? -RL_EGONE : -errno;
		for (int i = 0; i < n; i++) {
			int err = runs_append(runs, region[i].start, region[i].end,
					      flags_of_categories(region[i].categories));

			if (err)
				return err;
		}
		start = arg.walk_end;
	}
	return 0;
}

static int runs_by_read(int fd, uint64_t start, uint64_t end, struct page_runs *runs)
{
	uint8_t flags[2048];

	while (start < end) {
		size_t n = (end - start) / MAPS_PAGE;

		if (n > sizeof flags)
			n = sizeof flags;
		int err = pagemap_read(fd, start, n, flags);

		for (size_t i = 0; !err && i < n; i++)
			if (flags[i] & (PAGE_PRESENT | PAGE_SWAPPED))
				err = runs_append(runs, start + i * MAPS_PAGE, start + (i + 1) * MAPS_PAGE,
						  flags[i] & ~(unsigned)PAGE_SOFT_DIRTY);
		if (err)
			return err;
		start += n * MAPS_PAGE;
	}
	return 0;
}

int pagemap_runs(int pagemap_fd, uint64_t start, uint64_t end, struct page_runs *runs)
{
	size_t before = runs->n;
	uint64_t before_end = before ? runs->v[before - 1].end : 0;
	int err = runs_by_scan(pagemap_fd, start, end, runs);

	if (err != -ENOTTY && err != -EINVAL)
		return err;
	runs->n = before;
	if (before)
		runs->v[before - 1].end = before_end;
	return runs_by_read(pagemap_fd, start, end, runs);
}
