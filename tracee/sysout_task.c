/* Outputs of calls on tasks, processors, memory policy, keys and security modules. */
#include "tracee/sysout.h"

#include <asm/prctl.h>
#include <errno.h>
#include <linux/capability.h>
#include <linux/keyctl.h>
#include <linux/mempolicy.h>
#include <linux/prctl.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <string.h>

#include "common/err.h"
#include "tracee/sysinfo_nr.h"

/* prctl and arch_prctl operations that older headers lack. */
enum newer_prctl {
	NEW_PR_GET_MDWE = 66,
	NEW_PR_GET_MEMORY_MERGE = 68,
	NEW_PR_RISCV_V_GET_CONTROL = 70,
	NEW_PR_GET_AUXV = 0x41555856,
	NEW_ARCH_GET_XCOMP_SUPP = 0x1021,
	NEW_ARCH_GET_XCOMP_PERM = 0x1022,
	NEW_ARCH_GET_XCOMP_GUEST_PERM = 0x1024,
	NEW_ARCH_SHSTK_STATUS = 0x5005,
	NEW_ARCH_GET_UNTAG_MASK = 0x4001,
	NEW_ARCH_GET_MAX_TAG_BITS = 0x4003,
};

/* Pages of memory mapped without a hole: 64 GB. A length beyond the address space fails likewise, and writes nothing. */
#define MINCORE_PARTIAL_MAX (16u << 20)

/*
 * A vector of a byte for each page. Where a hole follows mapped pages, those are written before the call fails; how many
 * there were is not told, so all that can be read of the vector counts.
 */
int sysout_mincore(const struct sys_call *c, const struct sys_mem *m, struct sys_ranges *out)
{
	uint64_t n = c->arg[1] / 4096 + (c->arg[1] % 4096 != 0);

	(void)m;
	if (c->ret == -ENOMEM && n > MINCORE_PARTIAL_MAX)
		n = MINCORE_PARTIAL_MAX;
	else if (sys_failed(c->ret) && c->ret != -ENOMEM)
		return 0;
	return sys_ranges_add(out, c->arg[2], n);
}

int sys_clone_decode(const struct sys_call *c, const struct sys_mem *m, struct sys_clone *ret)
{
	uint64_t v[8] = { 0 };     /* struct clone_args, version 0 */

	switch (c->nr) {
	case __NR_fork:
		*ret = (struct sys_clone){ .exit_signal = 17 };
		return 0;
	case __NR_vfork:
		*ret = (struct sys_clone){ .flags = CLONE_VM | CLONE_VFORK, .exit_signal = 17 };
		return 0;
	case __NR_clone:
		*ret = (struct sys_clone){
			.flags = (uint32_t)c->arg[0] & ~(uint64_t)CSIGNAL,
			.exit_signal = (int)(c->arg[0] & CSIGNAL),
			.stack = c->arg[1],
			.parent_tid = c->arg[2],
			.child_tid = c->arg[3],
			.tls = c->arg[4],
		};
		/* The old call has one pointer for both. */
		if (ret->flags & CLONE_PIDFD)
			ret->pidfd = ret->parent_tid;
		return 0;
	case __NR_clone3:
		if (c->arg[1] < sizeof(v))
			return -EINVAL;
		if (m->read(m->ctx, c->arg[0], v, sizeof(v)))
			return -EFAULT;
		*ret = (struct sys_clone){
			.flags = v[0], .pidfd = v[1], .child_tid = v[2], .parent_tid = v[3],
			.exit_signal = (int)v[4], .stack = v[5], .stack_len = v[6], .tls = v[7],
		};
		return 0;
	default:
		return -EINVAL;
	}
}

int sysout_clone(const struct sys_call *c, const struct sys_mem *m, struct sys_ranges *out)
{
	struct sys_clone cl;
	int err;

	if (c->ret <= 0)
		return 0;
	err = sys_clone_decode(c, m, &cl);
	if (err)
		return err;
	if (cl.flags & CLONE_PARENT_SETTID)
		sys_ranges_add(out, cl.parent_tid, 4);
	if (cl.flags & CLONE_PIDFD)
		sys_ranges_add(out, cl.pidfd, 4);
	return out->err;
}

int sysout_clone3(const struct sys_call *c, const struct sys_mem *m, struct sys_ranges *out)
{
	return sysout_clone(c, m, out);
}

int sysout_syslog(const struct sys_call *c, const struct sys_mem *m, struct sys_ranges *out)
{
	int type = (int)c->arg[0];

	(void)m;
	if (c->ret <= 0 || type < 2 || type > 4)    /* SYSLOG_ACTION_READ, _READ_ALL, _READ_CLEAR */
		return 0;
	return sys_ranges_add(out, c->arg[1], (uint64_t)c->ret);
}

/* A wrong version is answered with the preferred one, as an error or, without a data pointer, as a success. */
int sysout_capget(const struct sys_call *c, const struct sys_mem *m, struct sys_ranges *out)
{
	uint32_t version;

	if (sys_failed(c->ret) && c->ret != -EINVAL)
		return 0;
	sys_ranges_add(out, c->arg[0], 4);
	if (c->ret == -EINVAL || !c->arg[1])
		return out->err;
	if (sysout_u32(m, c->arg[0], &version))
		return -EFAULT;
	return sys_ranges_add(out, c->arg[1], version == _LINUX_CAPABILITY_VERSION_1 ? 12 : 24);
}

int sysout_capset(const struct sys_call *c, const struct sys_mem *m, struct sys_ranges *out)
{
	(void)m;
	return c->ret == -EINVAL ? sys_ranges_add(out, c->arg[0], 4) : 0;
}

/* Option 2 turns an index into a file system's name. */
int sysout_sysfs(const struct sys_call *c, const struct sys_mem *m, struct sys_ranges *out)
{
	char byte = 1;
	uint64_t n = 0;

	if (sys_failed(c->ret) || (int)c->arg[0] != 2)
		return 0;
	while (byte && n < 64) {
		if (m->read(m->ctx, c->arg[2] + n, &byte, 1))
			return -EFAULT;
		n++;
	}
	return sys_ranges_add(out, c->arg[2], n);
}

/* Its result is an unsigned int, also for errors. */
int sysout_modify_ldt(const struct sys_call *c, const struct sys_mem *m, struct sys_ranges *out)
{
	int func = (int)c->arg[0];
	int32_t n = (int32_t)c->ret;

	(void)m;
	if (n <= 0 || (func != 0 && func != 2))
		return 0;
	return sys_ranges_add(out, c->arg[1], (uint64_t)n < c->arg[2] ? (uint64_t)n : c->arg[2]);
}

/* Bytes behind arg 1 of the PR_GET_* that use it so. */
static uint64_t prctl_size(int option)
{
	switch (option) {
	case PR_GET_PDEATHSIG:
	case PR_GET_TSC:
	case PR_GET_UNALIGN:
	case PR_GET_FPEMU:
	case PR_GET_FPEXC:
	case PR_GET_ENDIAN:
	case PR_GET_CHILD_SUBREAPER:
		return 4;
	case PR_GET_TID_ADDRESS:
		return 8;
	case PR_GET_NAME:
		return 16;
	default:
		return 0;
	}
}

int sysout_prctl(const struct sys_call *c, const struct sys_mem *m, struct sys_ranges *out)
{
	int option = (int)c->arg[0];

	(void)m;
	if (sys_failed(c->ret))
		return 0;
	if (option == NEW_PR_GET_AUXV)
		return sys_ranges_add(out, c->arg[1], (uint64_t)c->ret < c->arg[2] ? (uint64_t)c->ret : c->arg[2]);
	if (option == PR_SCHED_CORE && c->arg[1] == PR_SCHED_CORE_GET)
		return sys_ranges_add(out, c->arg[4], 8);
	if (option == PR_SET_MM && c->arg[1] == PR_SET_MM_MAP_SIZE)
		return sys_ranges_add(out, c->arg[2], 4);
	return sys_ranges_add(out, c->arg[1], prctl_size(option));
}

int sysout_arch_prctl(const struct sys_call *c, const struct sys_mem *m, struct sys_ranges *out)
{
	(void)m;
	if (sys_failed(c->ret))
		return 0;
	switch ((int)c->arg[0]) {
	case ARCH_GET_FS:
	case ARCH_GET_GS:
	case NEW_ARCH_GET_XCOMP_SUPP:
	case NEW_ARCH_GET_XCOMP_PERM:
	case NEW_ARCH_GET_XCOMP_GUEST_PERM:
	case NEW_ARCH_SHSTK_STATUS:
	case NEW_ARCH_GET_UNTAG_MASK:
	case NEW_ARCH_GET_MAX_TAG_BITS:
		return sys_ranges_add(out, c->arg[1], 8);
	default:
		return 0;
	}
}

/* The mask's length is maxnode - 1 bits, in whole longs (the kernel's copy_nodes_to_user). */
int sysout_get_mempolicy(const struct sys_call *c, const struct sys_mem *m, struct sys_ranges *out)
{
	uint64_t maxnode = c->arg[2];

	(void)m;
	if (sys_failed(c->ret))
		return 0;
	sys_ranges_add(out, c->arg[0], 4);
	if (maxnode < 2 || maxnode > 8 * 4096)
		return out->err;
	return sys_ranges_add(out, c->arg[1], (maxnode - 1 + 63) / 64 * 8);
}

int sysout_keyctl(const struct sys_call *c, const struct sys_mem *m, struct sys_ranges *out)
{
	uint64_t buf = c->arg[2], len = c->arg[3];

	(void)m;
	if (c->ret <= 0 && c->arg[0] != KEYCTL_PKEY_QUERY)
		return 0;
	switch ((int)c->arg[0]) {
	case KEYCTL_DESCRIBE:
	case KEYCTL_READ:
	case KEYCTL_GET_SECURITY:
	case KEYCTL_DH_COMPUTE:
		break;
	case KEYCTL_CAPABILITIES:
		/* Fills what it does not need with zeros. */
		return sys_ranges_add(out, c->arg[1], c->arg[2]);
	case KEYCTL_PKEY_QUERY:
		return c->ret == 0 ? sys_ranges_add(out, c->arg[4], 48) : 0;
	case KEYCTL_PKEY_ENCRYPT:
	case KEYCTL_PKEY_DECRYPT:
	case KEYCTL_PKEY_SIGN:
		buf = c->arg[4];
		len = (uint64_t)c->ret;
		break;
	default:
		return 0;
	}
	/* The result is the whole size; too small a buffer gets what fits, or nothing. */
	return sys_ranges_add(out, buf, (uint64_t)c->ret < len ? (uint64_t)c->ret : len);
}

/* E2BIG comes with the size that the kernel knows, in the structure's own size field. */
int sysout_perf_event_open(const struct sys_call *c, const struct sys_mem *m, struct sys_ranges *out)
{
	(void)m;
	return c->ret == -E2BIG ? sys_ranges_add(out, c->arg[0] + 4, 4) : 0;
}

int sysout_sched_setattr(const struct sys_call *c, const struct sys_mem *m, struct sys_ranges *out)
{
	(void)m;
	return c->ret == -E2BIG ? sys_ranges_add(out, c->arg[1], 4) : 0;
}

int sysout_seccomp(const struct sys_call *c, const struct sys_mem *m, struct sys_ranges *out)
{
	(void)m;
	if (sys_failed(c->ret) || c->arg[0] != SECCOMP_GET_NOTIF_SIZES)
		return 0;
	return sys_ranges_add(out, c->arg[2], 6);
}

/* Contexts and their total size, a value-result argument that errors write too. */
static int add_sized(const struct sys_call *c, const struct sys_mem *m, uint64_t buf, uint64_t size_addr,
		     struct sys_ranges *out)
{
	uint32_t size;

	if (sysout_u32(m, size_addr, &size))
		return 0;
	sys_ranges_add(out, size_addr, 4);
	return sys_failed(c->ret) ? out->err : sys_ranges_add(out, buf, size);
}

int sysout_lsm_get_self_attr(const struct sys_call *c, const struct sys_mem *m, struct sys_ranges *out)
{
	return add_sized(c, m, c->arg[1], c->arg[2], out);
}

int sysout_lsm_list_modules(const struct sys_call *c, const struct sys_mem *m, struct sys_ranges *out)
{
	return add_sized(c, m, c->arg[0], c->arg[1], out);
}
