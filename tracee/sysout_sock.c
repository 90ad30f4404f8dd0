/* Outputs of vectored reads and of sockets. */
#include "tracee/sysout.h"

#include <errno.h>
#include <sys/socket.h>

static int add_mapped_iov(const struct sys_mem *m, uint64_t iov, uint64_t iovcnt, struct sys_ranges *out)
{
	for (uint64_t i = 0; i < iovcnt && i < K_IOV_MAX; i++) {
		uint64_t v[2];

		if (m->read(m->ctx, iov + i * K_IOVEC, v, sizeof(v)))
			break;
		sysout_mapped(m, v[0], v[1], out);
	}
	return out->err;
}

int sysout_readv(const struct sys_call *c, const struct sys_mem *m, struct sys_ranges *out)
{
	if (c->ret == -EFAULT)
		return add_mapped_iov(m, c->arg[1], c->arg[2], out);
	return c->ret <= 0 ? 0 : sysout_iov(m, c->arg[1], c->arg[2], (uint64_t)c->ret, out);
}

/*
 * An address and its length, a value-result argument. After the call it holds the address's full length, which may
 * be more than the buffer could take, and what it held before is gone: the range may be too long, never too short.
 */
static int add_sockaddr(const struct sys_mem *m, uint64_t addr, uint64_t len_addr, struct sys_ranges *out)
{
	uint32_t len;

	if (!addr || !len_addr)
		return 0;
	if (sysout_u32(m, len_addr, &len))
		return -EFAULT;
	sys_ranges_add(out, addr, len < K_SOCKADDR_MAX ? len : K_SOCKADDR_MAX);
	return sys_ranges_add(out, len_addr, 4);
}

int sysout_sockaddr(const struct sys_call *c, const struct sys_mem *m, struct sys_ranges *out)
{
	return sys_failed(c->ret) ? 0 : add_sockaddr(m, c->arg[1], c->arg[2], out);
}

int sysout_recvfrom(const struct sys_call *c, const struct sys_mem *m, struct sys_ranges *out)
{
	uint64_t n;

	if (c->ret == -EFAULT)
		return sysout_mapped(m, c->arg[1], c->arg[2], out);
	if (sys_failed(c->ret))
		return 0;
	n = (uint64_t)c->ret;      /* more than the buffer took, with MSG_TRUNC */
	sys_ranges_add(out, c->arg[1], n < c->arg[2] ? n : c->arg[2]);
	return add_sockaddr(m, c->arg[4], c->arg[5], out);
}

/* What the kernel writes for one received message of n_bytes: data, name, control, and the header's own fields. */
static int add_message(const struct sys_mem *m, uint64_t hdr, uint64_t n_bytes, struct sys_ranges *out)
{
	struct msghdr h;
	int err;

	if (m->read(m->ctx, hdr, &h, sizeof(h)))
		return -EFAULT;
	err = sysout_iov(m, (uint64_t)h.msg_iov, h.msg_iovlen, n_bytes, out);
	if (err)
		return err;
	if (h.msg_name) {
		sys_ranges_add(out, (uint64_t)h.msg_name, h.msg_namelen < K_SOCKADDR_MAX ? h.msg_namelen
											  : K_SOCKADDR_MAX);
		sys_ranges_add(out, hdr + offsetof(struct msghdr, msg_namelen), 4);
	}
	sys_ranges_add(out, (uint64_t)h.msg_control, h.msg_controllen);
	sys_ranges_add(out, hdr + offsetof(struct msghdr, msg_controllen), 8);
	return sys_ranges_add(out, hdr + offsetof(struct msghdr, msg_flags), 4);
}

int sysout_recvmsg(const struct sys_call *c, const struct sys_mem *m, struct sys_ranges *out)
{
	uint64_t iov[2];

	if (c->ret == -EFAULT && !m->read(m->ctx, c->arg[1] + 16, iov, sizeof(iov)))
		return add_mapped_iov(m, iov[0], iov[1], out);
	return sys_failed(c->ret) ? 0 : add_message(m, c->arg[1], (uint64_t)c->ret, out);
}

uint64_t sysout_n_messages(const struct sys_call *c)
{
	return (uint32_t)c->arg[2] < K_IOV_MAX ? (uint32_t)c->arg[2] : K_IOV_MAX;
}

int sysout_recvmmsg(const struct sys_call *c, const struct sys_mem *m, struct sys_ranges *out)
{
	if (c->ret <= 0)
		return 0;
	for (uint64_t i = 0; i < (uint64_t)c->ret && i < sysout_n_messages(c); i++) {
		uint64_t at = c->arg[1] + i * K_MMSGHDR;
		uint32_t len;
		int err;

		if (sysout_u32(m, at + K_MSGHDR, &len))
			return -EFAULT;
		err = add_message(m, at, len, out);
		if (err)
			return err;
		sys_ranges_add(out, at + K_MSGHDR, 4);
	}
	return sys_ranges_add(out, c->arg[4], K_TIMESPEC);
}

int sysout_sendmmsg(const struct sys_call *c, const struct sys_mem *m, struct sys_ranges *out)
{
	(void)m;
	if (c->ret <= 0)
		return 0;
	for (uint64_t i = 0; i < (uint64_t)c->ret && i < sysout_n_messages(c); i++)
		sys_ranges_add(out, c->arg[1] + i * K_MMSGHDR + K_MSGHDR, 4);
	return out->err;
}

int sysout_getsockopt(const struct sys_call *c, const struct sys_mem *m, struct sys_ranges *out)
{
	uint32_t len;

	/* SO_PEERGROUPS and SO_PEERSEC say how much they need. */
	if (c->ret == -ERANGE)
		return sys_ranges_add(out, c->arg[4], 4);
	if (sys_failed(c->ret) || !c->arg[4])
		return 0;
	if (sysout_u32(m, c->arg[4], &len))
		return -EFAULT;
	/* The length of a classic BPF program is in instructions of 8 bytes. */
	if (c->arg[1] == SOL_SOCKET && c->arg[2] == SO_GET_FILTER)
		len *= 8;
	sys_ranges_add(out, c->arg[3], len);
	return sys_ranges_add(out, c->arg[4], 4);
}
