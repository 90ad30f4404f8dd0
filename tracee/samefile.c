#include "tracee/samefile.h"

#include <fcntl.h>
#include <linux/kcmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/scope.h"

struct look {
	struct stat st;
	uint64_t pos, flags;
};

static uint64_t number_after(const char *text, const char *key, int base)
{
	const char *at = strstr(text, key);

	return at ? strtoull(at + strlen(key), NULL, base) : 0;
}

static bool look_at(pid_t tid, int fd, struct look *ret)
{
	char path[64], text[1024];
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)tid, fd);
	if (stat(path, &ret->st) < 0)
		return false;
	snprintf(path, sizeof(path), "/proc/%d/fdinfo/%d", (int)tid, fd);
	autoclose int info = open(path, O_RDONLY | O_CLOEXEC);

	n = info < 0 ? -1 : read(info, text, sizeof(text) - 1);
	if (n <= 0)
		return false;
	text[n] = '\0';
	ret->pos = number_after(text, "pos:", 10);
	/* Closing on exec is the descriptor's, not the description's. */
	ret->flags = number_after(text, "flags:", 8) & ~(uint64_t)O_CLOEXEC;
	return true;
}

bool same_open_file(pid_t tid, int fd, int own_fd)
{
	long order = syscall(SYS_kcmp, getpid(), tid, KCMP_FILE, own_fd, fd);
	struct look ours, theirs;

	if (order >= 0)
		return order == 0;
	return look_at(getpid(), own_fd, &ours) && look_at(tid, fd, &theirs) && ours.st.st_dev == theirs.st.st_dev &&
	       ours.st.st_ino == theirs.st.st_ino && ours.st.st_rdev == theirs.st.st_rdev && ours.pos == theirs.pos &&
	       ours.flags == theirs.flags;
}
