/* The buffer: entries written at recording, taken back at replay. */
#include <asm/termbits.h>
#include <asm/unistd.h>
#include <linux/fcntl.h>
#include <asm/ioctls.h>
#include <linux/fs.h>
#include "agent/call.h"

#define BIG_COPY 32

void agent_copy(void *to, const void *from, uint64_t n)
{
	uint8_t *d = to;
	const uint8_t *s = from;

	if (n >= BIG_COPY) {
		__asm__ volatile("rep movsb" : "+D"(d), "+S"(s), "+c"(n) : : "memory");
		return;
	}
	for (; n >= 8; n -= 8, d += 8, s += 8)
		*(uint64_t *)d = *(const uint64_t *)s;
	for (; n; n--)
		*d++ = *s++;
}

static void add(struct agent_outs *o, uint64_t addr, uint64_t len)
{
	if (!addr || !len || o->n == OUTS_MAX)
		return;
	o->v[o->n].addr = addr;
	o->v[o->n].len = len;
	o->n++;
}

static void add_iov(struct agent_outs *o, uint64_t iov, uint64_t n, uint64_t bytes)
{
	const struct iovec *v = (const struct iovec *)iov;

	for (uint64_t i = 0; i < n && bytes; i++) {
		uint64_t part = v[i].len < bytes ? v[i].len : bytes;

		add(o, v[i].base, part);
		bytes -= part;
	}
}

#define STAT_BYTES 144
#define STATX_BYTES 256
#define STATFS_BYTES 120
#define RUSAGE_BYTES 144

int agent_ioctl_bytes(uint64_t request)
{
	switch ((uint32_t)request) {
	case TCGETS:
		return (int)sizeof(struct termios);
	case TIOCGWINSZ:
		return 8;
	case TIOCGPGRP:
	case FIONREAD:
		return 4;
	case FIONBIO:
	case FIOCLEX:
	case FICLONE:
	case FIONCLEX:
		return 0;
	}
	return -1;
}

static void add_name(struct agent_outs *o, uint64_t name, uint32_t len, uint64_t len_addr)
{
	add(o, name, len);
	add(o, name ? len_addr : 0, sizeof(uint32_t));
}

/* @in: how long its name and its control data may be. */
static void add_message(struct agent_outs *o, const struct agent_message *m, uint64_t bytes, const uint32_t in[2])
{
	add_iov(o, m->iov, m->n_iov, bytes);
	add_name(o, m->name, in[0], (uint64_t)&m->name_len);
	add(o, m->control, in[1]);
	add(o, (uint64_t)&m->control_len, sizeof(m->control_len) + sizeof(m->flags));
}

/* The lengths come first: the rest depends on them. */
static void add_messages(struct agent_outs *o, const struct agent_mmessage *v, uint64_t n, const uint32_t *in)
{
	for (uint64_t i = 0; i < n; i++)
		add(o, (uint64_t)&v[i].n_bytes, sizeof(v[i].n_bytes));
	for (uint64_t i = 0; in && i < n; i++)
		add_message(o, &v[i].m, v[i].n_bytes, in + 2 * i);
}

static void outs_of_sockets(const struct agent_frame *f, uint64_t result, struct agent_outs *o)
{
	const uint32_t *in = agent_ctl()->in;

	switch (f->rax) {
	case __NR_recvfrom:
		add(o, f->rsi, result);
		add_name(o, f->r8, in[0], f->r9);
		break;
	case __NR_accept:
	case __NR_accept4:
	case __NR_getsockname:
	case __NR_getpeername:
		add_name(o, f->rsi, in[0], f->rdx);
		break;
	case __NR_getsockopt:
		add_name(o, f->r10, in[0], f->r8);
		break;
	case __NR_recvmsg:
		add_message(o, (const struct agent_message *)f->rsi, result, in);
		break;
	case __NR_recvmmsg:
		add_messages(o, (const struct agent_mmessage *)f->rsi, result, in);
		break;
	case __NR_sendmmsg:
		add_messages(o, (const struct agent_mmessage *)f->rsi, result, NULL);
		break;
	}
}

static void outs_of_signals_and_timers(const struct agent_frame *f, struct agent_outs *o)
{
	switch (f->rax) {
	case __NR_rt_sigprocmask:
		add(o, f->rdx, 8);
		break;
	case __NR_rt_sigaction:
	case __NR_setitimer:
		add(o, f->rdx, 32);
		break;
	case __NR_getitimer:
	case __NR_timer_gettime:
	case __NR_timerfd_gettime:
		add(o, f->rsi, 32);
		break;
	case __NR_timer_settime:
	case __NR_timerfd_settime:
		add(o, f->r10, 32);
		break;
	case __NR_getresuid:
	case __NR_getresgid:
		add(o, f->rdi, 4);
		add(o, f->rsi, 4);
		add(o, f->rdx, 4);
		break;
	}
}

static void outs_of_size(const struct agent_frame *f, struct agent_outs *o)
{
	switch (f->rax) {
	case __NR_stat:
	case __NR_fstat:
	case __NR_lstat:
		add(o, f->rsi, STAT_BYTES);
		break;
	case __NR_newfstatat:
		add(o, f->rdx, STAT_BYTES);
		break;
	case __NR_statx:
		add(o, f->r8, STATX_BYTES);
		break;
	case __NR_statfs:
	case __NR_fstatfs:
		add(o, f->rsi, STATFS_BYTES);
		break;
	case __NR_clock_gettime:
	case __NR_clock_getres:
	case __NR_getrlimit:
		add(o, f->rsi, 16);
		break;
	case __NR_prlimit64:
		add(o, f->r10, 16);
		break;
	case __NR_ioctl:
		add(o, f->rdx, (uint64_t)agent_ioctl_bytes(f->rsi));
		break;
	case __NR_fcntl:
		if (f->rsi == F_GETLK)
			add(o, f->rdx, 32);
		break;
	case __NR_copy_file_range:
		add(o, f->rsi, 8);
		add(o, f->r10, 8);
		break;
	case __NR_sendfile:
		add(o, f->rdx, 8);
		break;
	case __NR_pipe:
	case __NR_pipe2:
		add(o, f->rdi, 8);
		break;
	case __NR_getrusage:
		add(o, f->rsi, RUSAGE_BYTES);
		break;
	case __NR_times:
		add(o, f->rdi, 32);
		break;
	case __NR_gettimeofday:
		add(o, f->rdi, 16);
		add(o, f->rsi, 8);
		break;
	case __NR_time:
		add(o, f->rdi, 8);
		break;
	case __NR_getcpu:
		add(o, f->rdi, 4);
		add(o, f->rsi, 4);
		break;
	case __NR_uname:
		add(o, f->rdi, 390);
		break;
	case __NR_sysinfo:
		add(o, f->rdi, 112);
		break;
	case __NR_poll:
	case __NR_ppoll:
		add(o, f->rdi, f->rsi * 8);
		break;
	case __NR_select:
	case __NR_pselect6:
		add(o, f->rsi, (f->rdi + 63) / 64 * 8);
		add(o, f->rdx, (f->rdi + 63) / 64 * 8);
		add(o, f->r10, (f->rdi + 63) / 64 * 8);
		break;
	default:
		outs_of_signals_and_timers(f, o);
	}
}

void agent_outs(const struct agent_frame *f, int64_t result, struct agent_outs *o)
{
	o->n = 0;
	if (result < 0)
		return;
	switch (f->rax) {
	case __NR_read:
	case __NR_pread64:
	case __NR_getdents64:
	case __NR_readlink:
		add(o, f->rsi, (uint64_t)result);
		break;
	case __NR_readlinkat:
		add(o, f->rdx, (uint64_t)result);
		break;
	case __NR_getrandom:
	case __NR_getcwd:
		add(o, f->rdi, (uint64_t)result);
		break;
	case __NR_readv:
	case __NR_preadv:
		add_iov(o, f->rsi, f->rdx, (uint64_t)result);
		break;
	case __NR_recvfrom:
	case __NR_accept:
	case __NR_accept4:
	case __NR_getsockname:
	case __NR_getpeername:
	case __NR_getsockopt:
	case __NR_recvmsg:
	case __NR_recvmmsg:
	case __NR_sendmmsg:
		outs_of_sockets(f, (uint64_t)result, o);
		break;
	case __NR_getxattr:
	case __NR_lgetxattr:
	case __NR_fgetxattr:
		add(o, f->rdx, f->r10 ? (uint64_t)result : 0);
		break;
	case __NR_listxattr:
	case __NR_llistxattr:
	case __NR_flistxattr:
		add(o, f->rsi, f->rdx ? (uint64_t)result : 0);
		break;
	case __NR_epoll_wait:
	case __NR_epoll_pwait:
		add(o, f->rsi, (uint64_t)result * 12);
		break;
	case __NR_wait4:
		add(o, f->rsi, result ? 4 : 0);
		add(o, f->r10, result ? RUSAGE_BYTES : 0);
		break;
	default:
		outs_of_size(f, o);
	}
}

/* Products of odd constants: the top bits depend on all arguments. */
static uint32_t args_hash(const struct agent_frame *f)
{
	uint64_t h = f->rdi * 0x9e3779b97f4a7c15ull + f->rsi * 0xc2b2ae3d27d4eb4full + f->rdx * 0x165667b19e3779f9ull +
		     f->r10 * 0xd6e8feb86659fd93ull + f->r8 * 0xa0761d6478bd642full + f->r9 * 0xe7037ed1a0b428dbull +
		     agent_ctl()->saved_rsp * 0x8ebc6af09c88c6e3ull;

	return (uint32_t)(h >> 56) << 24;
}

#define ENTRY_MAX (sizeof(struct agent_entry) + 8)

bool agent_has_room(const struct agent_ctl *ctl, uint64_t out_bytes)
{
	return out_bytes <= AGENT_OUT_MAX && ctl->pos + ENTRY_MAX + out_bytes + 8 <= AGENT_BUF_BYTES;
}

static int commit(struct agent_ctl *ctl, struct agent_frame *f, int64_t result, const struct agent_outs *o)
{
	uint8_t *start = (uint8_t *)AGENT_BUF + ctl->pos, *at = start;
	struct agent_entry *e = (struct agent_entry *)start;
	uint64_t n;

	e->result = (int32_t)result;
	at += sizeof(*e);
	if (result != (int32_t)result || result == AGENT_WIDE) {
		e->result = AGENT_WIDE;
		*(int64_t *)at = result;
		at += 8;
	}
	for (unsigned i = 0; i < o->n; i++) {
		agent_copy(at, (const void *)o->v[i].addr, o->v[i].len);
		at += o->v[i].len;
	}
	for (; (uint64_t)at % 8; at++)
		*at = 0;
	n = (uint64_t)(at - start);
	e->head = (uint32_t)f->rax | (uint32_t)(n / 8) << 10 | args_hash(f);
	ctl->pos += n;
	f->rax = (uint64_t)result;
	return AGENT_DONE;
}

int agent_commit(struct agent_ctl *ctl, struct agent_frame *f, int64_t result)
{
	struct agent_outs o;

	agent_outs(f, result, &o);
	return commit(ctl, f, result, &o);
}

int agent_commit_op(struct agent_ctl *ctl, struct agent_frame *f, int64_t result, const struct agent_op *op)
{
	struct agent_outs o;

	o.n = 1;
	o.v[0] = (struct agent_out){ (uint64_t)op, sizeof(*op) };
	ctl->mapped = 1;
	return commit(ctl, f, result, &o);
}

static bool maps(uint64_t nr)
{
	return nr == __NR_mmap || nr == __NR_munmap || nr == __NR_mprotect || nr == __NR_brk || nr == __NR_madvise;
}

/* The buffer does not fit the program: the replayer sees a fault here, and reports that the replay diverged. */
static int misfit(void)
{
	__builtin_trap();
}

/* What the outputs' places depend on: what the program has in these, and how long the messages were. */
static bool take_lengths(struct agent_ctl *ctl, const struct agent_frame *f, int64_t result, const uint8_t *at, uint64_t left)
{
	struct agent_mmessage *v = (struct agent_mmessage *)f->rsi;

	if (result < 0)
		return true;
	agent_take_lengths(ctl, f);
	if (f->rax != __NR_recvmmsg)
		return true;
	if ((uint64_t)result > AGENT_MESSAGES || (uint64_t)result > left / sizeof(v->n_bytes))
		return false;
	for (int64_t i = 0; i < result; i++, at += sizeof(v->n_bytes))
		agent_copy(&v[i].n_bytes, at, sizeof(v->n_bytes));
	return true;
}

int agent_replay(struct agent_ctl *ctl, struct agent_frame *f)
{
	const uint8_t *start = (const uint8_t *)AGENT_BUF + ctl->pos, *at = start;
	const struct agent_entry *e = (const struct agent_entry *)start;
	struct agent_outs o;
	int64_t result;
	uint64_t left;

	if (ctl->pos >= ctl->end)
		return AGENT_TRACED;
	left = AGENT_ENTRY_BYTES(e->head);
	if (AGENT_ENTRY_NR(e->head) != f->rax || e->head >> 24 != args_hash(f) >> 24 || left < ENTRY_MAX - 8 ||
	    left > AGENT_BUF_BYTES - ctl->pos)
		return misfit();
	result = e->result;
	at += sizeof(*e);
	if (result == AGENT_WIDE) {
		result = *(const int64_t *)at;
		at += 8;
	}
	left = (uint64_t)(start + left - at);
	if (!take_lengths(ctl, f, result, at, left))
		return misfit();
	agent_outs(f, result, &o);
	if (maps(f->rax) && left) {
		if (left != sizeof(struct agent_op) || !agent_redo((const struct agent_op *)at))
			return misfit();
		left = 0;
	}
	for (unsigned i = 0; i < o.n; i++) {
		if (o.v[i].len > left)
			return misfit();
		agent_copy((void *)o.v[i].addr, at, o.v[i].len);
		at += o.v[i].len;
		left -= o.v[i].len;
	}
	if (left > 7)
		return misfit();
	ctl->pos += AGENT_ENTRY_BYTES(e->head);
	f->rax = (uint64_t)result;
	return AGENT_DONE;
}
