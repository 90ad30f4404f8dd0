#include "tracee/procfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/err.h"
#include "common/scope.h"

int procfile_open(pid_t pid, const char *file)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, file);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT || errno == ESRCH ? -RL_EGONE : -errno;
	return fd;
}

size_t procfile_read(pid_t pid, const char *file, char *out, size_t size)
{
	autoclose int fd = procfile_open(pid, file);
	ssize_t n;

	n = fd < 0 ? 0 : read(fd, out, size - 1);
	if (n < 0)
		n = 0;
	out[n] = '\0';
	return (size_t)n;
}

const char *procfile_stat_fields(const char *stat)
{
	const char *paren = strrchr(stat, ')');

	return paren && paren[1] == ' ' ? paren + 2 : "";
}

uint64_t procfile_number(const char *text, const char *key, int base)
{
	const char *at = strstr(text, key);

	return at ? strtoull(at + strlen(key), NULL, base) : 0;
}
