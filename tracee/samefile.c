#include "tracee/samefile.h"

#include <fcntl.h>
#include <linux/kcmp.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tracee/procfile.h"

struct look {
	struct stat st;
	uint64_t pos, flags;
};

static bool look_at(pid_t tid, int fd, struct look *ret)
{
	char path[64], text[1024];

	snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)tid, fd);
	if (stat(path, &ret->st) < 0)
		return false;
	snprintf(path, sizeof(path), "fdinfo/%d", fd);
	if (!procfile_read(tid, path, text, sizeof(text)))
		return false;
	ret->pos = procfile_number(text, "pos:", 10);
	/* Closing on exec is the descriptor's, not the description's. */
	ret->flags = procfile_number(text, "flags:", 8) & ~(uint64_t)O_CLOEXEC;
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
