/* What ioctl requests write through their argument. Knowledge only; the table's line for ioctl ends up here. */
#ifndef RELIVE_TRACEE_SYSIOCTL_H
#define RELIVE_TRACEE_SYSIOCTL_H

#include "tracee/sysinfo.h"

/**
 * The outputs of an ioctl that has ended: appended to out.
 *
 * Known requests first; of others, those encoded with _IOR and _IOWR write the size that they name, _IOW nothing.
 * 0; -RL_EUNSUPPORTED (an unencoded number that is not known, or a driver whose requests reach beyond their
 * argument: GPU, video, KVM, USB); -EFAULT; -ENOMEM.
 */
int sysioctl_outputs(const struct sys_call *c, const struct sys_mem *m, struct sys_ranges *out);

/*
 * Bytes at arg 2 that an ioctl can write, before the call is made: for scratch plans.
 * 0 and *ret_len; -RL_EUNSUPPORTED (unknown, or it writes elsewhere too); -EFAULT.
 */
int sysioctl_out_len(const struct sys_call *c, uint64_t *ret_len);

/* The request's name, or NULL. Static storage. */
const char *sysioctl_name(uint32_t request);

#endif
