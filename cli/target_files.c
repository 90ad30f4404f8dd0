#include "cli/target_files.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static const char *base_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* Whether two paths are the same once "/usr" and " (deleted)" are left out. */
static bool same_path(const char *a, const char *b)
{
	size_t n = strlen(b);
	static const char gone[] = " (deleted)";

	if (strncmp(a, "/usr/", 5) == 0)
		a += 4;
	if (strncmp(b, "/usr/", 5) == 0) {
		b += 4;
		n -= 4;
	}
	if (n >= sizeof(gone) - 1 && strcmp(b + n - (sizeof(gone) - 1), gone) == 0)
		n -= sizeof(gone) - 1;
	return strlen(a) == n && strncmp(a, b, n) == 0;
}

static bool same_name(const char *wanted, const char *have)
{
	return strcmp(base_of(wanted), base_of(have)) == 0;
}

/* libz.so.1 is libz.so.1.3. */
static bool longer_version(const char *wanted, const char *have)
{
	size_t n = strlen(base_of(wanted));

	return strstr(base_of(wanted), ".so") && strncmp(base_of(wanted), base_of(have), n) == 0 &&
	       base_of(have)[n] == '.';
}

/* libc.so.6 was libc-2.31.so. */
static bool version_in_stem(const char *wanted, const char *have)
{
	const char *w = base_of(wanted), *so = strstr(w, ".so");

	return so && strncmp(w, base_of(have), (size_t)(so - w)) == 0 && base_of(have)[so - w] == '-';
}

uint32_t target_file_find(const struct trace *t, const char *path)
{
	static bool (*const ways[])(const char *, const char *) = {
		same_path, same_name, longer_version, version_in_stem,
	};

	for (size_t w = 0; w < sizeof(ways) / sizeof(ways[0]); w++) {
		for (uint32_t id = 1; id <= trace_n_objects(t); id++) {
			const struct trace_object *o = trace_object(t, id);

			if (o && o->flags & OBJ_ELF && ways[w](path, o->path))
				return id;
		}
	}
	return 0;
}
