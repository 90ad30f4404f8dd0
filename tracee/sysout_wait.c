/* Outputs of calls that wait: poll, select, sleep, waitid, futex. */
#include "tracee/sysout.h"

#include <errno.h>
#include <linux/futex.h>
#include <signal.h>
#include <time.h>

/* Only `revents`, the last two bytes of each entry: the rest may be changed by other threads during the call. */
int sysout_poll(const struct sys_call *c, const struct sys_mem *m, struct sys_ranges *out)
{
	uint64_t n = (uint32_t)c->arg[1];

	(void)m;
	/* Interrupted calls write too: zeros. */
	if (sys_failed(c->ret) && !sysout_interrupted(c->ret))
		return 0;
	/* More descriptors than any process has: refused, or not yet looked at. */
	if (n > 1u << 20)
		return sys_ranges_add(out, c->arg[0], n * K_POLLFD);
	for (uint64_t i = 0; i < n && !out->err; i++)
		sys_ranges_add(out, c->arg[0] + i * K_POLLFD + 6, 2);
	return out->err;
}

/* The time that was left is written whatever the result, unless the arguments were bad. */
static int add_time_left(const struct sys_call *c, int arg, struct sys_ranges *out)
{
	if (c->ret == -EINVAL || c->ret == -EFAULT)
		return 0;
	return sys_ranges_add(out, c->arg[arg], K_TIMESPEC);
}

int sysout_ppoll(const struct sys_call *c, const struct sys_mem *m, struct sys_ranges *out)
{
	int err = sysout_poll(c, m, out);

	return err ? err : add_time_left(c, 2, out);
}

static int add_fd_sets(const struct sys_call *c, struct sys_ranges *out)
{
	uint64_t n_bytes = ((uint64_t)(uint32_t)c->arg[0] + 63) / 64 * 8;

	if (sys_failed(c->ret) || (int32_t)c->arg[0] < 0)
		return 0;
	for (int i = 1; i <= 3; i++)
		sys_ranges_add(out, c->arg[i], n_bytes);
	return out->err;
}

int sysout_select(const struct sys_call *c, const struct sys_mem *m, struct sys_ranges *out)
{
	int err = add_fd_sets(c, out);

	(void)m;
	return err ? err : add_time_left(c, 4, out);
}

int sysout_pselect6(const struct sys_call *c, const struct sys_mem *m, struct sys_ranges *out)
{
	return sysout_select(c, m, out);
}

int sysout_nanosleep(const struct sys_call *c, const struct sys_mem *m, struct sys_ranges *out)
{
	(void)m;
	return sysout_interrupted(c->ret) ? sys_ranges_add(out, c->arg[1], K_TIMESPEC) : 0;
}

int sysout_clock_nanosleep(const struct sys_call *c, const struct sys_mem *m, struct sys_ranges *out)
{
	(void)m;
	if (!sysout_interrupted(c->ret) || ((int)c->arg[1] & TIMER_ABSTIME))
		return 0;
	return sys_ranges_add(out, c->arg[3], K_TIMESPEC);
}

/*
 * The kernel writes the fields one by one and leaves the four bytes at 12 alone; it writes them even when it fails,
 * as zeros. The usage is written only if there was a child.
 */
int sysout_waitid(const struct sys_call *c, const struct sys_mem *m, struct sys_ranges *out)
{
	uint64_t info = c->arg[2];
	uint32_t signo = SIGCHLD;

	if (c->ret == -EFAULT)
		return 0;
	if (info) {
		if (sysout_u32(m, info, &signo))
			return -EFAULT;
		sys_ranges_add(out, info, 12);
		sys_ranges_add(out, info + 16, 12);
	}
	if (c->ret == 0 && signo != 0)
		sys_ranges_add(out, c->arg[4], K_RUSAGE);
	return out->err;
}

/* Priority-inheritance futexes are written by the kernel, also by calls that then fail. */
int sysout_futex(const struct sys_call *c, const struct sys_mem *m, struct sys_ranges *out)
{
	(void)m;
	if (c->ret == -EFAULT || c->ret == -EINVAL)
		return 0;
	switch (c->arg[1] & FUTEX_CMD_MASK) {
	case FUTEX_LOCK_PI:
	case FUTEX_LOCK_PI2:
	case FUTEX_TRYLOCK_PI:
	case FUTEX_UNLOCK_PI:
		return sys_ranges_add(out, c->arg[0], 4);
	case FUTEX_WAKE_OP:
	case FUTEX_WAIT_REQUEUE_PI:
	case FUTEX_CMP_REQUEUE_PI:
		return sys_ranges_add(out, c->arg[4], 4);
	default:
		return 0;
	}
}
