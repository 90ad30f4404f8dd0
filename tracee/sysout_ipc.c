/* Outputs of System V IPC. */
#include "tracee/sysout.h"

#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>

#define CMD_MASK 0xff       /* IPC_64 and the like are above it */

int sysout_shmctl(const struct sys_call *c, const struct sys_mem *m, struct sys_ranges *out)
{
	uint64_t size = 0;

	(void)m;
	if (sys_failed(c->ret))
		return 0;
	switch (c->arg[1] & CMD_MASK) {
	case IPC_STAT:
	case SHM_STAT:
	case 15:              /* SHM_STAT_ANY */
		size = sizeof(struct shmid_ds);
		break;
	case IPC_INFO:
		size = sizeof(struct shminfo);
		break;
	case SHM_INFO:
		size = sizeof(struct shm_info);
		break;
	}
	return sys_ranges_add(out, c->arg[2], size);
}

int sysout_msgctl(const struct sys_call *c, const struct sys_mem *m, struct sys_ranges *out)
{
	uint64_t size = 0;

	(void)m;
	if (sys_failed(c->ret))
		return 0;
	switch (c->arg[1] & CMD_MASK) {
	case IPC_STAT:
	case MSG_STAT:
	case 13:              /* MSG_STAT_ANY */
		size = sizeof(struct msqid_ds);
		break;
	case IPC_INFO:
	case MSG_INFO:
		size = sizeof(struct msginfo);
		break;
	}
	return sys_ranges_add(out, c->arg[2], size);
}

/*
 * GETALL writes a short for each semaphore of the set, and only the kernel knows how many those are. Sets hold at
 * most SEMMSL (32000 by default), so this asks for what is mapped of that, page by page: the bytes behind the array
 * are the program's own, and recording them does no harm.
 */
static int add_all_semaphores(const struct sys_call *c, const struct sys_mem *m, struct sys_ranges *out)
{
	uint64_t addr = c->arg[3], len = 0, most = 32000 * 2;

	while (len < most) {
		uint64_t step = 4096 - (addr + len) % 4096;
		uint8_t byte;

		if (m->read(m->ctx, addr + len, &byte, 1))
			break;
		len += step < most - len ? step : most - len;
	}
	return sys_ranges_add(out, addr, len);
}

int sysout_semctl(const struct sys_call *c, const struct sys_mem *m, struct sys_ranges *out)
{
	uint64_t size = 0;

	if (sys_failed(c->ret))
		return 0;
	switch (c->arg[2] & CMD_MASK) {
	case IPC_STAT:
	case SEM_STAT:
	case 20:              /* SEM_STAT_ANY */
		size = sizeof(struct semid_ds);
		break;
	case IPC_INFO:
	case SEM_INFO:
		size = sizeof(struct seminfo);
		break;
	case GETALL:
		return add_all_semaphores(c, m, out);
	}
	return sys_ranges_add(out, c->arg[3], size);
}

int sysout_msgrcv(const struct sys_call *c, const struct sys_mem *m, struct sys_ranges *out)
{
	(void)m;
	return sys_failed(c->ret) ? 0 : sys_ranges_add(out, c->arg[1], 8 + (uint64_t)c->ret);
}
