/*
 * Calls that are of sockets only. Their outputs have lengths that the program gives and the kernel overwrites: these are kept
 * as they were (struct agent_ctl, `in`), before the call at recording, and before its entry is used at replay. Of a buffer that
 * is filled in part, all of it is output: what is behind stays what it was.
 */
#include <asm/socket.h>
#include <asm/unistd.h>
#include <linux/errno.h>
#include "agent/call.h"

#define MSG_PEEK_ 0x2
#define MSG_DONTWAIT_ 0x40
#define MSG_NOSIGNAL_ 0x4000
#define MSG_MORE_ 0x8000
#define MSG_CMSG_CLOEXEC_ 0x40000000
#define MSG_FLAGS_KNOWN ((uint64_t)(MSG_PEEK_ | MSG_DONTWAIT_ | MSG_NOSIGNAL_ | MSG_MORE_ | MSG_CMSG_CLOEXEC_))
#define SO_PEERSEC_ 31
#define SO_PEERGROUPS_ 59
#define IPPROTO_TCP_ 6
#define TCP_ZEROCOPY_RECEIVE_ 35

static uint32_t at_most(uint64_t n, uint32_t max)
{
	return n < max ? (uint32_t)n : max;
}

/* Of a control buffer: too much, if it is longer. */
static void take_message(struct agent_ctl *ctl, unsigned i, const struct agent_message *m)
{
	ctl->in[2 * i] = m->name ? at_most((uint32_t)m->name_len, AGENT_NAME_MAX) : 0;
	ctl->in[2 * i + 1] = m->control ? at_most(m->control_len, AGENT_CONTROL_MAX + 1) : 0;
}

void agent_take_lengths(struct agent_ctl *ctl, const struct agent_frame *f)
{
	switch (f->rax) {
	case __NR_recvfrom:
		ctl->in[0] = f->r8 ? at_most(*(const uint32_t *)f->r9, AGENT_NAME_MAX) : 0;
		break;
	case __NR_accept:
	case __NR_accept4:
	case __NR_getsockname:
	case __NR_getpeername:
		ctl->in[0] = f->rsi ? at_most(*(const uint32_t *)f->rdx, AGENT_NAME_MAX) : 0;
		break;
	case __NR_getsockopt:
		ctl->in[0] = at_most(*(const uint32_t *)f->r8, AGENT_CONTROL_MAX + 1);
		break;
	case __NR_recvmsg:
		take_message(ctl, 0, (const struct agent_message *)f->rsi);
		break;
	case __NR_recvmmsg:
		for (unsigned i = 0; i < f->rdx && i < AGENT_MESSAGES; i++)
			take_message(ctl, i, &((const struct agent_mmessage *)f->rsi)[i].m);
		break;
	}
}

/* If the kernel could not write there, what it has received would be lost: then the agent shall fault, and call nobody. */
static void probe(uint64_t addr, uint64_t len)
{
	if (!len)
		return;
	__atomic_fetch_or((uint8_t *)addr, 0, __ATOMIC_RELAXED);
	__atomic_fetch_or((uint8_t *)(addr + len - 1), 0, __ATOMIC_RELAXED);
}

static bool clear_of(uint64_t addr, uint64_t len, const struct agent_message *m)
{
	struct iovec v = { addr, len };

	return !agent_overlap(&v, (uint64_t)m, sizeof(struct agent_mmessage)) && !agent_overlap(&v, m->iov, m->n_iov * sizeof(v));
}

/* Whether what arrives for the i-th message leaves another one's header and list alone. */
static bool apart(const struct agent_ctl *ctl, unsigned i, const struct agent_message *m, const struct agent_message *other)
{
	const struct iovec *v = (const struct iovec *)m->iov;

	for (uint64_t k = 0; k < m->n_iov; k++) {
		if (!clear_of(v[k].base, v[k].len, other))
			return false;
	}
	return clear_of(m->name, ctl->in[2 * i], other) && clear_of(m->control, ctl->in[2 * i + 1], other);
}

/* The most that one message brings; 0: it cannot be told. */
static uint64_t message_room(const struct agent_ctl *ctl, unsigned i, struct agent_message *m)
{
	uint32_t name = ctl->in[2 * i], control = ctl->in[2 * i + 1];
	uint64_t total;

	if (control > AGENT_CONTROL_MAX || !agent_vector_bytes(m->iov, m->n_iov, &total) || !apart(ctl, i, m, m))
		return 0;
	probe((uint64_t)&m->control_len, 16);
	probe(m->name, name);
	probe(m->control, control);
	return total + name + control + sizeof(*m);
}

static long try_message(const struct agent_frame *f)
{
	return agent_syscall((long)f->rdi, (long)f->rsi, (long)(f->rdx | MSG_DONTWAIT_), 0, 0, 0, (long)f->rax);
}

int agent_message(struct agent_ctl *ctl, struct agent_frame *f)
{
	struct agent_message *m = (struct agent_message *)f->rsi;
	uint64_t room, total = 0;

	if (!(agent_fd_class(ctl, f->rdi) & AGENT_FD_STREAM) || f->rdx & ~MSG_FLAGS_KNOWN)
		return AGENT_TRACED;
	if (f->rax == __NR_sendmsg) {
		if (!agent_vector_bytes(m->iov, m->n_iov, &total))
			total = SMALL_WRITE + 1;
		return agent_send_whole(ctl, f, total, try_message);
	}
	agent_take_lengths(ctl, f);
	room = message_room(ctl, 0, m);
	if (!room || !agent_has_room(ctl, room))
		return AGENT_TRACED;
	return agent_tried(ctl, f, try_message(f), !(f->rdx & MSG_DONTWAIT_));
}

/* The same for several; 0 also where one of them falls upon another. */
static uint64_t messages_room(const struct agent_ctl *ctl, struct agent_mmessage *v, unsigned n)
{
	uint64_t all = 0, n_iov = 0;

	for (unsigned i = 0; i < n; i++) {
		uint64_t room = message_room(ctl, i, &v[i].m);

		for (unsigned k = 0; room && k < n; k++) {
			if (!apart(ctl, i, &v[i].m, &v[k].m))
				return 0;
		}
		if (!room)
			return 0;
		probe((uint64_t)&v[i].n_bytes, sizeof(v[i].n_bytes));
		all += room;
		n_iov += v[i].m.n_iov;
	}
	return n_iov <= VECTOR_MAX ? all : 0;
}

/* Several messages, where nobody waits for the last of them. */
int agent_messages(struct agent_ctl *ctl, struct agent_frame *f)
{
	struct agent_mmessage *v = (struct agent_mmessage *)f->rsi;
	uint64_t room;

	if (!(agent_fd_class(ctl, f->rdi) & AGENT_FD_STREAM) || f->rdx > AGENT_MESSAGES || f->r10 & ~MSG_FLAGS_KNOWN ||
	    (!(f->r10 & MSG_DONTWAIT_) && !agent_never_waits(f->rdi)))
		return AGENT_TRACED;
	if (f->rax == __NR_sendmmsg)
		return make(ctl, f, f->rdx * sizeof(v->n_bytes));
	if (f->r8)
		return AGENT_TRACED;
	agent_take_lengths(ctl, f);
	room = messages_room(ctl, v, (unsigned)f->rdx);
	return room ? make(ctl, f, room) : AGENT_TRACED;
}

static long try_transfer(const struct agent_frame *f)
{
	return agent_syscall((long)f->rdi, (long)f->rsi, (long)f->rdx, (long)(f->r10 | MSG_DONTWAIT_), (long)f->r8, (long)f->r9, (long)f->rax);
}

int agent_transfer(struct agent_ctl *ctl, struct agent_frame *f)
{
	struct agent_frame part = *f;

	if (!(agent_fd_class(ctl, f->rdi) & AGENT_FD_STREAM) || f->r10 & ~MSG_FLAGS_KNOWN)
		return AGENT_TRACED;
	if (f->rax == __NR_sendto)
		return agent_send_whole(ctl, f, f->rdx, try_transfer);
	part.rdx = agent_stream_room(ctl, f->rdi, f->rdx);
	if ((f->rdx && !part.rdx))
		return AGENT_TRACED;
	if (f->r8) {
		agent_take_lengths(ctl, f);
		if (!agent_has_room(ctl, part.rdx + AGENT_NAME_MAX + sizeof(uint32_t)))
			return AGENT_TRACED;
		probe(f->r8, ctl->in[0]);
		probe(f->r9, sizeof(uint32_t));
	}
	return agent_tried(ctl, f, try_transfer(&part), !(f->r10 & MSG_DONTWAIT_));
}

/* An address and its length are written. */
static int with_name(struct agent_ctl *ctl, struct agent_frame *f)
{
	agent_take_lengths(ctl, f);
	if (f->rsi) {
		probe(f->rsi, ctl->in[0]);
		probe(f->rdx, sizeof(uint32_t));
	}
	return make(ctl, f, AGENT_NAME_MAX + sizeof(uint32_t));
}

/* Options of which the kernel writes no more than it was asked for, and nothing if it fails. */
static int get_option(struct agent_ctl *ctl, struct agent_frame *f)
{
	bool known = (f->rsi == SOL_SOCKET && f->rdx != SO_GET_FILTER && f->rdx != SO_PEERSEC_ && f->rdx != SO_PEERGROUPS_) ||
		     (f->rsi == IPPROTO_TCP_ && f->rdx < TCP_ZEROCOPY_RECEIVE_);

	if (!known)
		return AGENT_TRACED;
	agent_take_lengths(ctl, f);
	if (ctl->in[0] > AGENT_CONTROL_MAX)
		return AGENT_TRACED;
	probe(f->r10, ctl->in[0]);
	probe(f->r8, sizeof(uint32_t));
	return make(ctl, f, AGENT_CONTROL_MAX + sizeof(uint32_t));
}

int agent_socket(struct agent_ctl *ctl, struct agent_frame *f)
{
	switch (f->rax) {
	case __NR_getsockname:
	case __NR_getpeername:
		return with_name(ctl, f);
	case __NR_getsockopt:
		return get_option(ctl, f);
	}
	if (!(agent_fd_class(ctl, f->rdi) & AGENT_FD_STREAM) || !agent_never_waits(f->rdi))
		return AGENT_TRACED;
	return f->rax == __NR_connect ? make(ctl, f, 0) : with_name(ctl, f);
}
