/*
 * as_in_container CMD...: run a command under a seccomp filter which denies what default container profiles deny, the way
 * they do: with EPERM, and clone3 with ENOSYS, so that C libraries fall back to clone. Sets no_new_privs.
 */
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <linux/sched.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SAYS_NO(nr) \
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (nr), 0, 1), \
	BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM)

#define NAMESPACES (CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET)
#define ADDR_NO_RANDOMIZE_ 0x0040000

int main(int argc, char **argv)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		SAYS_NO(SYS_userfaultfd), SAYS_NO(SYS_perf_event_open), SAYS_NO(SYS_bpf),
		SAYS_NO(SYS_process_vm_readv), SAYS_NO(SYS_process_vm_writev), SAYS_NO(SYS_kcmp), SAYS_NO(SYS_pidfd_getfd),
		SAYS_NO(SYS_keyctl), SAYS_NO(SYS_add_key), SAYS_NO(SYS_request_key),
		SAYS_NO(SYS_mount), SAYS_NO(SYS_umount2), SAYS_NO(SYS_pivot_root), SAYS_NO(SYS_unshare), SAYS_NO(SYS_setns),
		SAYS_NO(SYS_open_by_handle_at), SAYS_NO(SYS_fanotify_init), SAYS_NO(SYS_io_uring_setup),
		SAYS_NO(SYS_move_pages), SAYS_NO(SYS_mbind), SAYS_NO(SYS_set_mempolicy), SAYS_NO(SYS_get_mempolicy),
		SAYS_NO(SYS_syslog), SAYS_NO(SYS_acct), SAYS_NO(SYS_quotactl), SAYS_NO(SYS_reboot), SAYS_NO(SYS_kexec_load),
		SAYS_NO(SYS_init_module), SAYS_NO(SYS_finit_module), SAYS_NO(SYS_delete_module), SAYS_NO(SYS_iopl),
		SAYS_NO(SYS_ioperm), SAYS_NO(SYS_swapon), SAYS_NO(SYS_swapoff), SAYS_NO(SYS_settimeofday),
		SAYS_NO(SYS_clock_settime), SAYS_NO(SYS_vhangup),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone3, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
		/* Two that depend on an argument: new namespaces, and a process's personality. */
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0])),
		BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, NAMESPACES, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_personality, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0])),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ADDR_NO_RANDOMIZE_, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = { .len = sizeof(code) / sizeof(code[0]), .filter = code };

	if (argc < 2) {
		fprintf(stderr, "usage: as_in_container CMD...\n");
		return 2;
	}
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog)) {
		perror("as_in_container: seccomp");
		return 2;
	}
	execvp(argv[1], argv + 1);
	perror(argv[1]);
	return 127;
}
