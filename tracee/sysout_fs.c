/* Outputs of calls on files, mounts and quotas. */
#include "tracee/sysout.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/quota.h>

#ifndef F_GETOWNER_UIDS
#define F_GETOWNER_UIDS 17
#endif

int sysout_fcntl(const struct sys_call *c, const struct sys_mem *m, struct sys_ranges *out)
{
	(void)m;
	if (sys_failed(c->ret))
		return 0;
	switch ((int)c->arg[1]) {
	case F_GETLK:
	case F_OFD_GETLK:
		return sys_ranges_add(out, c->arg[2], 32);
	case F_GETOWN_EX:
	case F_GETOWNER_UIDS:
	case F_GET_RW_HINT:
	case F_GET_FILE_RW_HINT:
		return sys_ranges_add(out, c->arg[2], 8);
	default:
		return 0;
	}
}

/* struct file_handle: its size (value-result), type, then that many bytes. Too small a buffer is told of its size. */
int sysout_name_to_handle_at(const struct sys_call *c, const struct sys_mem *m, struct sys_ranges *out)
{
	bool wide_id = c->arg[4] & 1;    /* AT_HANDLE_MNT_ID_UNIQUE */
	uint32_t n_bytes;

	if (sys_failed(c->ret) && c->ret != -EOVERFLOW)
		return 0;
	if (sysout_u32(m, c->arg[2], &n_bytes))
		return -EFAULT;
	sys_ranges_add(out, c->arg[2], c->ret == -EOVERFLOW ? 8 : 8 + (uint64_t)n_bytes);
	return sys_ranges_add(out, c->arg[3], wide_id ? 8 : 4);
}

static uint64_t quota_size(unsigned cmd)
{
	switch (cmd) {
	case Q_GETFMT:
		return 4;
	case Q_GETINFO:
		return 24;
	case Q_GETQUOTA:
		return 72;
	case Q_GETNEXTQUOTA:
		return 80;    /* struct if_nextdqblk */
	case 0x5803:          /* Q_XGETQUOTA */
	case 0x5809:          /* Q_XGETNEXTQUOTA */
		return 112;   /* struct fs_disk_quota */
	case 0x5805:          /* Q_XGETQSTAT */
		return 80;    /* struct fs_quota_stat */
	case 0x5808:          /* Q_XGETQSTATV */
		return 192;   /* struct fs_quota_statv */
	default:
		return 0;
	}
}

int sysout_quotactl(const struct sys_call *c, const struct sys_mem *m, struct sys_ranges *out)
{
	(void)m;
	return sys_failed(c->ret) ? 0 : sys_ranges_add(out, c->arg[3], quota_size((uint32_t)c->arg[0] >> 8));
}

int sysout_quotactl_fd(const struct sys_call *c, const struct sys_mem *m, struct sys_ranges *out)
{
	(void)m;
	return sys_failed(c->ret) ? 0 : sys_ranges_add(out, c->arg[3], quota_size((uint32_t)c->arg[1] >> 8));
}

/* struct xattr_args: the value's address, its size, flags. */
int sysout_getxattrat(const struct sys_call *c, const struct sys_mem *m, struct sys_ranges *out)
{
	uint64_t value;
	uint32_t size;

	if (c->ret <= 0)
		return 0;
	if (sysout_u64(m, c->arg[4], &value) || sysout_u32(m, c->arg[4] + 8, &size))
		return -EFAULT;
	return sys_ranges_add(out, value, (uint64_t)c->ret < size ? (uint64_t)c->ret : size);
}

/* struct statmount begins with its own size, strings included. */
int sysout_statmount(const struct sys_call *c, const struct sys_mem *m, struct sys_ranges *out)
{
	uint32_t size;

	if (sys_failed(c->ret))
		return 0;
	if (sysout_u32(m, c->arg[1], &size))
		return -EFAULT;
	return sys_ranges_add(out, c->arg[1], size < c->arg[2] ? size : c->arg[2]);
}
