/* Reading and writing: files, whose data are there, and pipes, sockets and counters of events, which are tried without waiting. */
#include <asm/ioctls.h>
#include <asm/stat.h>
#include <asm/unistd.h>
#include <linux/errno.h>
#include <linux/fcntl.h>
#include <linux/fs.h>
#include <linux/stat.h>
#include "agent/call.h"

int agent_tried(struct agent_ctl *ctl, struct agent_frame *f, long n, bool waits)
{
	if (n == -EOPNOTSUPP) {
		ctl->fd_class[f->rdi] = AGENT_FD_SLOW;
		return AGENT_TRACED;
	}
	if (n == -EFAULT || (n == -EAGAIN && waits && !agent_never_waits(f->rdi)))
		return AGENT_TRACED;
	return agent_commit(ctl, f, n);
}

#define ROOM_MAX (AGENT_OUT_MAX - 256)   /* and the rest for whose message it is */

uint64_t agent_stream_room(const struct agent_ctl *ctl, uint64_t fd, uint64_t len)
{
	int n = -1;

	if (len <= ROOM_MAX)
		return agent_has_room(ctl, len) ? len : 0;
	if (!agent_has_room(ctl, ROOM_MAX) || agent_syscall((long)fd, FIONREAD, (long)&n, 0, 0, 0, __NR_ioctl) || n < 0 || n > (int)ROOM_MAX)
		return 0;
	return ROOM_MAX;
}

/* As one buffer of a pipe or socket, without waiting. */
static int stream_read(struct agent_ctl *ctl, struct agent_frame *f)
{
	struct iovec v = { f->rsi, agent_stream_room(ctl, f->rdi, f->rdx) };

	if (!v.len)
		return AGENT_TRACED;
	return agent_tried(ctl, f, agent_syscall((long)f->rdi, (long)&v, 1, -1, 0, RWF_NOWAIT, __NR_preadv2), true);
}

int agent_send_whole(struct agent_ctl *ctl, struct agent_frame *f, uint64_t len, long (*send)(const struct agent_frame *f))
{
	if (!agent_has_room(ctl, 0))
		return AGENT_TRACED;
	if (len <= SMALL_WRITE && agent_is_writable(f->rdi))
		return agent_tried(ctl, f, send(f), true);
	return agent_never_waits(f->rdi) ? make(ctl, f, 0) : AGENT_TRACED;
}

static long try_write(const struct agent_frame *f)
{
	struct iovec v = { f->rsi, f->rdx };

	return agent_syscall((long)f->rdi, (long)&v, 1, -1, 0, RWF_NOWAIT, __NR_pwritev2);
}

/*
 * What is left of a file, if it fits though the program has room for more than that. That it was all tells that the program's own
 * call would have read no more; else the file is put back to where it was.
 */
static int read_rest(struct agent_ctl *ctl, struct agent_frame *f)
{
	bool moves = f->rax == __NR_read;
	struct stat st;
	long at = moves ? agent_syscall((long)f->rdi, 0, SEEK_CUR, 0, 0, 0, __NR_lseek) : (long)f->r10, n;

	if (!agent_has_room(ctl, AGENT_OUT_MAX) || agent_syscall((long)f->rdi, (long)&st, 0, 0, 0, 0, __NR_fstat) || !S_ISREG(st.st_mode) ||
	    at < 0 || st.st_size - at >= (long)AGENT_OUT_MAX)
		return AGENT_TRACED;
	n = agent_syscall((long)f->rdi, (long)f->rsi, AGENT_OUT_MAX, (long)f->r10, 0, 0, (long)f->rax);
	if (n != AGENT_OUT_MAX)
		return agent_commit(ctl, f, n);
	if (moves)
		(void)agent_syscall((long)f->rdi, at, SEEK_SET, 0, 0, 0, __NR_lseek);
	return AGENT_TRACED;
}

/* eventfd(2) and the like. Not all of them can be tried. */
static int events_read(struct agent_ctl *ctl, struct agent_frame *f)
{
	struct iovec v = { f->rsi, f->rdx };
	long n;

	if (!agent_has_room(ctl, v.len))
		return AGENT_TRACED;
	n = agent_syscall((long)f->rdi, (long)&v, 1, -1, 0, RWF_NOWAIT, __NR_preadv2);
	if (n == -EOPNOTSUPP)
		return agent_never_waits(f->rdi) ? make(ctl, f, v.len) : AGENT_TRACED;
	return agent_tried(ctl, f, n, true);
}

/* One that can be written to has room for 1. */
static int events_write(struct agent_ctl *ctl, struct agent_frame *f)
{
	bool one = f->rdx == 8 && *(const uint64_t *)f->rsi == 1;

	return (one && agent_is_writable(f->rdi)) || agent_never_waits(f->rdi) ? make(ctl, f, 0) : AGENT_TRACED;
}

int agent_read(struct agent_ctl *ctl, struct agent_frame *f)
{
	uint8_t class = agent_fd_class(ctl, f->rdi);

	if (class & AGENT_FD_READ)
		return f->rdx > AGENT_OUT_MAX ? read_rest(ctl, f) : make(ctl, f, f->rdx);
	if (f->rax != __NR_read || !f->rdx)
		return AGENT_TRACED;
	return class & AGENT_FD_STREAM ? stream_read(ctl, f) : class & AGENT_FD_EVENTS ? events_read(ctl, f) : AGENT_TRACED;
}

int agent_write(struct agent_ctl *ctl, struct agent_frame *f)
{
	uint8_t class = agent_fd_class(ctl, f->rdi);

	if (class & AGENT_FD_WRITE)
		return make(ctl, f, 0);
	if (f->rax != __NR_write || !f->rdx)
		return AGENT_TRACED;
	return class & AGENT_FD_STREAM ? agent_send_whole(ctl, f, f->rdx, try_write) :
	       class & AGENT_FD_EVENTS ? events_write(ctl, f) : AGENT_TRACED;
}

bool agent_overlap(const struct iovec *a, uint64_t addr, uint64_t len)
{
	return a->base < addr + len && a->base + a->len > addr;
}

bool agent_vector_bytes(uint64_t addr, uint64_t n, uint64_t *ret)
{
	const struct iovec *v = (const struct iovec *)addr;

	*ret = 0;
	if (n > VECTOR_MAX)
		return false;
	for (uint64_t i = 0; i < n; i++) {
		if (v[i].len > AGENT_OUT_MAX || agent_overlap(&v[i], addr, n * sizeof(*v)))
			return false;
		*ret += v[i].len;
	}
	return true;
}

static long try_vector(const struct agent_frame *f, long nr)
{
	return agent_syscall((long)f->rdi, (long)f->rsi, (long)f->rdx, -1, 0, RWF_NOWAIT, nr);
}

static long try_writev(const struct agent_frame *f)
{
	return try_vector(f, __NR_pwritev2);
}

int agent_readv(struct agent_ctl *ctl, struct agent_frame *f)
{
	uint8_t class = agent_fd_class(ctl, f->rdi);
	uint64_t total;

	if (!(class & (AGENT_FD_READ | AGENT_FD_STREAM)) || !agent_vector_bytes(f->rsi, f->rdx, &total))
		return AGENT_TRACED;
	if (class & AGENT_FD_READ)
		return make(ctl, f, total);
	if (f->rax != __NR_readv || !total || !agent_has_room(ctl, total))
		return AGENT_TRACED;
	return agent_tried(ctl, f, try_vector(f, __NR_preadv2), true);
}

/* Bytes of a list of buffers to be sent; it may be long. 0: none, or too many to count. */
static uint64_t sent_bytes(const struct agent_frame *f)
{
	const struct iovec *v = (const struct iovec *)f->rsi;
	uint64_t total = 0;

	for (uint64_t i = 0; i < f->rdx; i++) {
		if (f->rdx > IOV_MAX || v[i].len > INT32_MAX)
			return 0;
		total += v[i].len;
	}
	return total;
}

int agent_writev(struct agent_ctl *ctl, struct agent_frame *f)
{
	uint8_t class = agent_fd_class(ctl, f->rdi);
	uint64_t total;

	if (class & AGENT_FD_WRITE)
		return make(ctl, f, 0);
	if (!(class & AGENT_FD_STREAM))
		return AGENT_TRACED;
	total = sent_bytes(f);
	return total ? agent_send_whole(ctl, f, total, try_writev) : AGENT_TRACED;
}
