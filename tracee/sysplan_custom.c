/* Plans of calls whose outputs the table cannot declare. */
#include "tracee/sysplan_int.h"

#include <errno.h>
#include <linux/futex.h>
#include <string.h>
#include <sys/socket.h>

#include "common/err.h"
#include "tracee/sysinfo_nr.h"
#include "tracee/sysioctl.h"
#include "tracee/sysout.h"

static uint64_t image_u64(const struct plan_builder *b, uint64_t scratch_at)
{
	uint64_t v;

	memcpy(&v, b->plan->image + (scratch_at - b->plan->scratch_addr), sizeof(v));
	return v;
}

/* An address buffer and its value-result length. A length that the kernel refuses is left to it. */
static void plan_sockaddr(struct plan_builder *b, int arg, int len_arg)
{
	uint32_t len;

	if (!b->plan->arg[arg] || sysout_u32(b->m, b->plan->arg[len_arg], &len) || (int32_t)len < 0)
		return;
	plan_arg_inout(b, len_arg, 4);
	plan_arg_out(b, arg, len < K_SOCKADDR_MAX ? len : K_SOCKADDR_MAX);
}

static void plan_recvfrom(struct plan_builder *b)
{
	plan_sockaddr(b, 4, 5);
	plan_arg_out(b, 1, b->plan->arg[2]);
}

/* Replace what a message header inside the image points to. */
static void plan_msghdr(struct plan_builder *b, uint64_t at)
{
	uint32_t namelen = (uint32_t)image_u64(b, at + offsetof(struct msghdr, msg_namelen));
	uint64_t name = image_u64(b, at + offsetof(struct msghdr, msg_name));
	uint64_t iov = image_u64(b, at + offsetof(struct msghdr, msg_iov));
	uint64_t count = image_u64(b, at + offsetof(struct msghdr, msg_iovlen));
	uint64_t control = image_u64(b, at + offsetof(struct msghdr, msg_control));
	uint64_t controllen = image_u64(b, at + offsetof(struct msghdr, msg_controllen));

	if ((int32_t)namelen >= 0)
		plan_rewrite(b, at + offsetof(struct msghdr, msg_name),
			     plan_out(b, name, namelen < K_SOCKADDR_MAX ? namelen : K_SOCKADDR_MAX));
	plan_rewrite(b, at + offsetof(struct msghdr, msg_control), plan_out(b, control, controllen));
	plan_rewrite(b, at + offsetof(struct msghdr, msg_iov), plan_iov(b, iov, &count, false));
}

static void plan_recvmsg(struct plan_builder *b)
{
	uint64_t hdr = b->plan->arg[1];

	plan_arg_inout(b, 1, K_MSGHDR);
	if (!b->err && b->plan->arg[1] != hdr)
		plan_msghdr(b, b->plan->arg[1]);
}

/* Fewer messages than asked for are a legal result: what does not fit is not asked for. */
static void plan_recvmmsg(struct plan_builder *b, const struct sys_call *c)
{
	uint64_t n = sysout_n_messages(c);
	uint64_t hdrs = b->plan->arg[1];

	plan_arg_inout(b, 4, K_TIMESPEC);
	plan_arg_inout(b, 1, n * K_MMSGHDR);
	if (b->err || b->plan->arg[1] == hdrs)
		return;
	for (uint64_t i = 0; i < n; i++) {
		struct plan_mark mark = plan_mark(b);

		plan_msghdr(b, b->plan->arg[1] + i * K_MMSGHDR);
		if (!b->err)
			continue;
		if (b->err != -ENOSPC || i == 0)
			return;
		plan_rollback(b, mark);
		b->plan->flags |= SYSPLAN_SHORTENED;
		b->plan->arg[2] = i;
		return;
	}
}

static void plan_readv(struct plan_builder *b)
{
	uint64_t count = b->plan->arg[2];

	b->plan->arg[1] = plan_iov(b, b->plan->arg[1], &count, true);
	b->plan->arg[2] = count;
}

static void plan_select(struct plan_builder *b)
{
	uint64_t n_bytes = ((uint64_t)(uint32_t)b->plan->arg[0] + 63) / 64 * 8;

	if ((int32_t)b->plan->arg[0] < 0)
		return;
	for (int i = 1; i <= 3; i++)
		plan_arg_inout(b, i, n_bytes);
	plan_arg_inout(b, 4, K_TIMESPEC);
}

static void plan_poll(struct plan_builder *b)
{
	plan_arg_inout(b, 0, (uint64_t)(uint32_t)b->plan->arg[1] * K_POLLFD);
}

static void plan_futex(struct plan_builder *b)
{
	switch (b->plan->arg[1] & FUTEX_CMD_MASK) {
	case FUTEX_LOCK_PI:
	case FUTEX_LOCK_PI2:
	case FUTEX_TRYLOCK_PI:
	case FUTEX_UNLOCK_PI:
	case FUTEX_WAKE_OP:
	case FUTEX_WAIT_REQUEUE_PI:
	case FUTEX_CMP_REQUEUE_PI:
		b->plan->flags |= SYSPLAN_IN_PLACE;
		break;
	}
}

static void plan_ioctl(struct plan_builder *b, const struct sys_call *c)
{
	uint64_t len;
	int err = sysioctl_out_len(c, &len);

	if (err)
		b->err = err;
	else
		plan_arg_inout(b, 2, len);
}

static void plan_getsockopt(struct plan_builder *b)
{
	uint32_t len;

	if (sysout_u32(b->m, b->plan->arg[4], &len) || (int32_t)len < 0)
		return;
	plan_arg_inout(b, 4, 4);
	plan_arg_inout(b, 3, len);
}

/* Calls whose outputs depend on nothing but their arguments, and lie at an argument. */
static void plan_by_arguments(struct plan_builder *b, const struct sys_call *c)
{
	struct sys_call done = *c;
	struct sys_ranges out = { 0 };

	done.ret = 0;
	if (sys_outputs(&done, b->m, &out))
		b->err = -RL_EUNSUPPORTED;
	for (size_t i = 0; i < out.n; i++)
		for (int k = 0; k < 6; k++)
			if (c->arg[k] == out.v[i].addr) {
				plan_arg_inout(b, k, out.v[i].len);
				break;
			}
	sys_ranges_free(&out);
}

void plan_custom(struct plan_builder *b, const struct sys_call *c)
{
	switch (c->nr) {
	case __NR_readv:
	case __NR_preadv:
	case __NR_preadv2:
	case __NR_process_vm_readv:
		return plan_readv(b);
	case __NR_accept:
	case __NR_accept4:
	case __NR_getsockname:
	case __NR_getpeername:
		return plan_sockaddr(b, 1, 2);
	case __NR_recvfrom:
		return plan_recvfrom(b);
	case __NR_recvmsg:
		return plan_recvmsg(b);
	case __NR_recvmmsg:
		return plan_recvmmsg(b, c);
	case __NR_sendmmsg:
		return plan_arg_inout(b, 1, sysout_n_messages(c) * K_MMSGHDR);
	case __NR_getsockopt:
		return plan_getsockopt(b);
	case __NR_poll:
		return plan_poll(b);
	case __NR_ppoll:
		plan_poll(b);
		return plan_arg_inout(b, 2, K_TIMESPEC);
	case __NR_select:
	case __NR_pselect6:
		return plan_select(b);
	case __NR_nanosleep:
		return plan_arg_inout(b, 1, K_TIMESPEC);
	case __NR_clock_nanosleep:
		return plan_arg_inout(b, 3, K_TIMESPEC);
	case __NR_waitid:
		plan_arg_inout(b, 2, 28);
		return plan_arg_inout(b, 4, K_RUSAGE);
	case __NR_futex:
		return plan_futex(b);
	case __NR_msgrcv:
		if (b->plan->arg[2] < UINT32_MAX)
			plan_arg_out(b, 1, 8 + b->plan->arg[2]);
		return;
	case __NR_syslog:
		if (c->arg[0] >= 2 && c->arg[0] <= 4)
			plan_arg_out(b, 1, (uint32_t)b->plan->arg[2]);
		return;
	case __NR_ioctl:
		return plan_ioctl(b, c);
	case __NR_fcntl:
	case __NR_prctl:
	case __NR_arch_prctl:
	case __NR_mincore:
	case __NR_shmctl:
	case __NR_msgctl:
	case __NR_quotactl:
	case __NR_quotactl_fd:
	case __NR_seccomp:
	case __NR_get_mempolicy:
		return plan_by_arguments(b, c);
	case __NR_statmount:
		return plan_arg_out(b, 1, b->plan->arg[2]);
	default:
		b->err = -RL_EUNSUPPORTED;
	}
}
