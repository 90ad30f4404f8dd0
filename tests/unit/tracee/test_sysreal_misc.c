/* The table against the running kernel: System V IPC, tasks, memory policy, security modules. */
#include "sys_arena.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <time.h>

/* What a setup made and its undo removes. */
static int ipc_id = -1;

/* --- System V IPC --- */

static void remove_queue(void) { msgctl(ipc_id, IPC_RMID, NULL); }
static void remove_sems(void) { semctl(ipc_id, 0, IPC_RMID); }
static void remove_shm(void) { shmctl(ipc_id, IPC_RMID, NULL); }

static void setup_msgrcv(struct arena *a, uint64_t arg[6])
{
	struct { long type; char text[8]; } msg = { 3, "message" };

	ipc_id = msgget(IPC_PRIVATE, 0600);
	assert_int_equal(msgsnd(ipc_id, &msg, 8, 0), 0);
	ARGS((uint64_t)ipc_id, at(a, 64), 100, 0, 0);
}

static int64_t check_msgrcv(const struct arena *a, const struct sys_call *c)
{
	assert_int_equal(c->ret, 8);
	assert_memory_equal(a->mem + 72, "message", 8);
	return 0;
}

static void setup_msg_stat(struct arena *a, uint64_t arg[6])
{
	ipc_id = msgget(IPC_PRIVATE, 0600);
	ARGS((uint64_t)ipc_id, IPC_STAT, at(a, 64));
}
static void setup_msg_info(struct arena *a, uint64_t arg[6])
{
	ipc_id = msgget(IPC_PRIVATE, 0600);
	ARGS(0, MSG_INFO, at(a, 64));
}
static void setup_sem_stat(struct arena *a, uint64_t arg[6])
{
	ipc_id = semget(IPC_PRIVATE, 300, 0600);
	ARGS((uint64_t)ipc_id, 0, IPC_STAT, at(a, 64));
}
static void setup_sem_getall(struct arena *a, uint64_t arg[6])
{
	setup_sem_stat(a, arg);
	arg[2] = GETALL;
}
static void setup_sem_info(struct arena *a, uint64_t arg[6])
{
	setup_sem_stat(a, arg);
	arg[2] = IPC_INFO;
}
static void setup_shm_stat(struct arena *a, uint64_t arg[6])
{
	ipc_id = shmget(IPC_PRIVATE, 4096, 0600);
	ARGS((uint64_t)ipc_id, IPC_STAT, at(a, 64));
}
static void setup_shm_ipc_info(struct arena *a, uint64_t arg[6])
{
	setup_shm_stat(a, arg);
	arg[1] = IPC_INFO;
}
static void setup_shm_info(struct arena *a, uint64_t arg[6])
{
	setup_shm_stat(a, arg);
	arg[1] = SHM_INFO;
}

static void ipc_calls_write_what_the_table_says(void **state)
{
	static const struct real_call rcv = { __NR_msgrcv, setup_msgrcv, remove_queue, check_msgrcv };

	(void)state;
	check_direct(&rcv);
	check_planned(&rcv);
	check_direct(&(struct real_call){ __NR_msgctl, setup_msg_stat, remove_queue, NULL });
	check_direct(&(struct real_call){ __NR_msgctl, setup_msg_info, remove_queue, NULL });
	check_direct(&(struct real_call){ __NR_semctl, setup_sem_stat, remove_sems, NULL });
	check_direct(&(struct real_call){ __NR_semctl, setup_sem_getall, remove_sems, NULL });
	check_direct(&(struct real_call){ __NR_semctl, setup_sem_info, remove_sems, NULL });
	check_direct(&(struct real_call){ __NR_shmctl, setup_shm_stat, remove_shm, NULL });
	check_direct(&(struct real_call){ __NR_shmctl, setup_shm_ipc_info, remove_shm, NULL });
	check_direct(&(struct real_call){ __NR_shmctl, setup_shm_info, remove_shm, NULL });
}

/* --- the rest --- */

static void put_caps(struct arena *a, uint64_t arg[6], uint32_t version)
{
	uint32_t hdr[2] = { version, 0 };

	put(a, 0, hdr, sizeof(hdr));
	ARGS(at(a, 0), at(a, 64));
}
static void setup_capget1(struct arena *a, uint64_t arg[6]) { put_caps(a, arg, _LINUX_CAPABILITY_VERSION_1); }
static void setup_capget3(struct arena *a, uint64_t arg[6]) { put_caps(a, arg, _LINUX_CAPABILITY_VERSION_3); }
static void setup_capget_bad(struct arena *a, uint64_t arg[6]) { put_caps(a, arg, 0x1234); }
static void setup_get_name(struct arena *a, uint64_t arg[6]) { ARGS(16, at(a, 64)); }
static void setup_get_auxv(struct arena *a, uint64_t arg[6]) { ARGS(0x41555856, at(a, 64), 40); }
static void setup_get_tsc(struct arena *a, uint64_t arg[6]) { ARGS(25, at(a, 64)); }
static void setup_get_tid_address(struct arena *a, uint64_t arg[6]) { ARGS(40, at(a, 64)); }
static void setup_subreaper(struct arena *a, uint64_t arg[6]) { ARGS(37, at(a, 64)); }
static void setup_get_fs(struct arena *a, uint64_t arg[6]) { ARGS(0x1003, at(a, 64)); }
static void setup_xcomp(struct arena *a, uint64_t arg[6]) { ARGS(0x1021, at(a, 64)); }
static void setup_notif_sizes(struct arena *a, uint64_t arg[6]) { ARGS(3, 0, at(a, 64)); }
static void setup_mempolicy(struct arena *a, uint64_t arg[6]) { ARGS(at(a, 64), at(a, 128), 1024, 0, 0); }
static void setup_mempolicy_small(struct arena *a, uint64_t arg[6]) { ARGS(at(a, 64), at(a, 128), 65, 0, 0); }
static void setup_ldt(struct arena *a, uint64_t arg[6]) { ARGS(2, at(a, 64), 100); }
static void setup_perf(struct arena *a, uint64_t arg[6])
{
	uint32_t attr[2] = { 0, 4000 };

	put(a, 64, attr, sizeof(attr));
	ARGS(at(a, 64), 0, (uint64_t)-1, (uint64_t)-1, 0);
}
static void setup_sched_setattr(struct arena *a, uint64_t arg[6])
{
	uint32_t size = 3000;

	put(a, 64, &size, 4);
	ARGS(0, at(a, 64), 0);
}
static void setup_lsm_list(struct arena *a, uint64_t arg[6])
{
	uint32_t size = 800;

	put(a, 0, &size, 4);
	ARGS(at(a, 64), at(a, 0), 0);
}
static void setup_lsm_list_small(struct arena *a, uint64_t arg[6])
{
	setup_lsm_list(a, arg);
	memset(a->mem, 0, 4);
}
static void setup_lsm_attr(struct arena *a, uint64_t arg[6])
{
	uint32_t size = 800;

	put(a, 0, &size, 4);
	ARGS(100, at(a, 64), at(a, 0), 0);
}
static void setup_statmount(struct arena *a, uint64_t arg[6])
{
	struct statx sx;
	uint64_t req[4] = { 24, 0, 0x1f, 0 };

	assert_int_equal(statx(AT_FDCWD, "/", 0, 0x4000 /* STATX_MNT_ID_UNIQUE */, &sx), 0);
	memcpy(&req[1], (char *)&sx + 144, 8);       /* stx_mnt_id */
	put(a, 0, req, sizeof(req));
	ARGS(at(a, 0), at(a, 64), 4096, 0);
}
static void setup_listmount(struct arena *a, uint64_t arg[6])
{
	uint64_t req[4] = { 24, UINT64_MAX, 0, 0 };  /* LSMT_ROOT */

	put(a, 0, req, sizeof(req));
	ARGS(at(a, 0), at(a, 64), 3, 0);
}
static void setup_cachestat(struct arena *a, uint64_t arg[6])
{
	uint64_t range[2] = { 0, 0 };

	fds[0] = open("/proc/self/exe", O_RDONLY);
	put(a, 0, range, sizeof(range));
	ARGS(fds[0], at(a, 0), at(a, 64), 0);
}
static void setup_vm_readv(struct arena *a, uint64_t arg[6])
{
	static const char text[] = "remote bytes";
	uint64_t local[2][2] = { { at(a, 512), 3 }, { at(a, 1024), 100 } };
	uint64_t remote[1][2] = { { (uint64_t)text, sizeof(text) } };

	put(a, 0, local, sizeof(local));
	put(a, 64, remote, sizeof(remote));
	ARGS((uint64_t)getpid(), at(a, 0), 2, at(a, 64), 1, 0);
}
static void setup_futex_wake_op(struct arena *a, uint64_t arg[6])
{
	/* *uaddr2 |= 0xff, compared with 0 */
	ARGS(at(a, 64), 5, 1, 1, at(a, 128), 2u << 28 | 0u << 24 | 0xffu << 12);
}
static void setup_futex_trylock(struct arena *a, uint64_t arg[6])
{
	memset(a->mem + 64, 0, 4);
	ARGS(at(a, 64), 8);
}
static void setup_xattrat(struct arena *a, uint64_t arg[6])
{
	uint64_t xa[2] = { at(a, 1024), 100 };

	put_path(a, "/");
	put(a, 16, "user.none", 10);
	put(a, 64, xa, sizeof(xa));
	ARGS((uint64_t)AT_FDCWD, at(a, 0), 0, at(a, 16), at(a, 64), 16);
}
static void setup_file_getattr(struct arena *a, uint64_t arg[6])
{
	put_path(a, "/");
	ARGS((uint64_t)AT_FDCWD, at(a, 0), at(a, 64), 24, 0);
}
static void setup_syslog(struct arena *a, uint64_t arg[6]) { ARGS(3, at(a, 64), 1000); }
static void setup_keyctl(struct arena *a, uint64_t arg[6]) { ARGS(6, (uint64_t)-1, at(a, 64), 100); }
static void setup_keyctl_caps(struct arena *a, uint64_t arg[6]) { ARGS(31, at(a, 64), 100); }
static void setup_timer_create(struct arena *a, uint64_t arg[6]) { ARGS(CLOCK_MONOTONIC, 0, at(a, 64)); }
static void setup_move_pages(struct arena *a, uint64_t arg[6])
{
	uint64_t pages[2] = { at(a, 0), at(a, 4096) };

	put(a, 0, pages, sizeof(pages));
	ARGS(0, 2, at(a, 0), 0, at(a, 64), 0);
}

static void remaining_calls_write_what_the_table_says(void **state)
{
	static const struct real_call calls[] = {
		{ __NR_capget, setup_capget1, NULL, NULL },
		{ __NR_capget, setup_capget3, NULL, NULL },
		{ __NR_capget, setup_capget_bad, NULL, NULL },
		{ __NR_capset, setup_capget_bad, NULL, NULL },
		{ __NR_prctl, setup_get_name, NULL, NULL },
		{ __NR_prctl, setup_get_auxv, NULL, NULL },
		{ __NR_prctl, setup_get_tsc, NULL, NULL },
		{ __NR_prctl, setup_get_tid_address, NULL, NULL },
		{ __NR_prctl, setup_subreaper, NULL, NULL },
		{ __NR_arch_prctl, setup_get_fs, NULL, NULL },
		{ __NR_arch_prctl, setup_xcomp, NULL, NULL },
		{ __NR_seccomp, setup_notif_sizes, NULL, NULL },
		{ __NR_get_mempolicy, setup_mempolicy, NULL, NULL },
		{ __NR_get_mempolicy, setup_mempolicy_small, NULL, NULL },
		{ __NR_modify_ldt, setup_ldt, NULL, NULL },
		{ __NR_perf_event_open, setup_perf, NULL, NULL },
		{ __NR_sched_setattr, setup_sched_setattr, NULL, NULL },
		{ __NR_lsm_list_modules, setup_lsm_list, NULL, NULL },
		{ __NR_lsm_list_modules, setup_lsm_list_small, NULL, NULL },
		{ __NR_lsm_get_self_attr, setup_lsm_attr, NULL, NULL },
		{ __NR_statmount, setup_statmount, NULL, NULL },
		{ __NR_listmount, setup_listmount, NULL, NULL },
		{ __NR_cachestat, setup_cachestat, close_fds, NULL },
		{ __NR_process_vm_readv, setup_vm_readv, NULL, NULL },
		{ __NR_futex, setup_futex_wake_op, NULL, NULL },
		{ __NR_futex, setup_futex_trylock, NULL, NULL },
		{ __NR_getxattrat, setup_xattrat, NULL, NULL },
		{ __NR_file_getattr, setup_file_getattr, NULL, NULL },
		{ __NR_syslog, setup_syslog, NULL, NULL },
		{ __NR_keyctl, setup_keyctl, NULL, NULL },
		{ __NR_keyctl, setup_keyctl_caps, NULL, NULL },
		{ __NR_timer_create, setup_timer_create, NULL, NULL },
		{ __NR_move_pages, setup_move_pages, NULL, NULL },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
		check_direct(&calls[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ipc_calls_write_what_the_table_says),
		cmocka_unit_test(remaining_calls_write_what_the_table_says),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
