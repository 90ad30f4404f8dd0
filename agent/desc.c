/* Descriptors: what is known of them, and what may be done with them without waiting for anybody. */
#include <asm/poll.h>
#include <asm/socket.h>
#include <asm/stat.h>
#include <asm/unistd.h>
#include <linux/errno.h>
#include <linux/fcntl.h>
#include <linux/magic.h>
#include <linux/stat.h>
#include "agent/call.h"

/* /proc may be mounted several times, each time with another device. Its files claim to be empty. */
bool agent_is_proc_fs(long what, long nr)
{
	long fs[16];   /* struct statfs: 120 bytes, its type first */

	return agent_syscall(what, (long)fs, 0, 0, 0, 0, nr) == 0 && fs[0] == PROC_SUPER_MAGIC;
}

/* Files that claim to be empty may be a kernel's way to hand out data that it waits for. */
static uint8_t class_of(const struct agent_ctl *ctl, long fd, const struct stat *st)
{
	unsigned bit;

	if (st->st_dev == ctl->proc_dev || st->st_dev == ctl->copy_dev ||
	    (S_ISREG(st->st_mode) && !st->st_size && agent_is_proc_fs(fd, __NR_fstatfs)))
		return 0;
	if (S_ISDIR(st->st_mode))
		return AGENT_FD_DIR | AGENT_FD_CLOSE;
	if (!(st->st_mode & S_IFMT))
		return AGENT_FD_EVENTS;
	bit = agent_ino_bit(st->st_ino);
	if (S_ISFIFO(st->st_mode) || S_ISSOCK(st->st_mode))
		return ctl->inos[bit / 8] >> bit % 8 & 1 ? 0 : AGENT_FD_STREAM | (S_ISFIFO(st->st_mode) ? AGENT_FD_CLOSE : 0);
	if (!S_ISREG(st->st_mode))
		return 0;
	return (uint8_t)(AGENT_FD_CLOSE | (st->st_size > 0 ? AGENT_FD_READ : 0) |
			 (ctl->inos[bit / 8] >> bit % 8 & 1 ? 0 : AGENT_FD_WRITE));
}

uint8_t agent_fd_class(struct agent_ctl *ctl, uint64_t fd)
{
	struct stat st;

	if (fd >= AGENT_FDS || ctl->fds_off)
		return 0;
	if (!ctl->fd_class[fd] && agent_syscall((long)fd, (long)&st, 0, 0, 0, 0, __NR_fstat) == 0)
		ctl->fd_class[fd] = class_of(ctl, (long)fd, &st);
	return ctl->fd_class[fd];
}

void agent_forget(struct agent_ctl *ctl, uint64_t fd)
{
	if (fd < AGENT_FDS)
		ctl->fd_class[fd] = 0;
}

bool agent_never_waits(uint64_t fd)
{
	long flags = agent_syscall((long)fd, F_GETFL, 0, 0, 0, 0, __NR_fcntl);

	return flags >= 0 && flags & O_NONBLOCK;
}

bool agent_is_writable(uint64_t fd)
{
	struct pollfd p = { .fd = (int)fd, .events = POLLOUT };

	return agent_syscall((long)&p, 1, 0, 0, 0, 0, __NR_poll) == 1 && p.revents & POLLOUT;
}

/* It waits until all is sent, if it was told to. */
static bool lingers(uint64_t fd)
{
	struct { int on, seconds; } linger = { 1, 0 };
	int len = sizeof(linger);

	return agent_syscall((long)fd, SOL_SOCKET, SO_LINGER, (long)&linger, (long)&len, 0, __NR_getsockopt) || linger.on;
}

bool agent_closes_at_once(struct agent_ctl *ctl, uint64_t fd)
{
	uint8_t class = agent_fd_class(ctl, fd);

	if (class & AGENT_FD_STREAM && !(class & AGENT_FD_CLOSE))
		return !lingers(fd);
	return class & AGENT_FD_CLOSE || agent_syscall((long)fd, F_GETFD, 0, 0, 0, 0, __NR_fcntl) == -EBADF;
}
