#include "tracee/confine.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent/abi.h"
#include "common/scope.h"
#include "tracee/layout.h"

static int install(struct sock_filter *code, size_t n)
{
	struct sock_fprog prog = { .len = (unsigned short)n, .filter = code };

	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog) == 0)
		return 0;
	if (errno != EACCES)
		return -errno;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -errno;
	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog) == 0 ? 0 : -errno;
}

#define LOAD(offset) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)(offset))
#define LOAD_IP LOAD(offsetof(struct seccomp_data, instruction_pointer))
#define LOAD_IP_HIGH LOAD(offsetof(struct seccomp_data, instruction_pointer) + 4)
#define LOAD_ARG(i) LOAD(offsetof(struct seccomp_data, args) + 8 * (i))
#define LOAD_ARG_HIGH(i) LOAD(offsetof(struct seccomp_data, args) + 8 * (i) + 4)
#define IF(how, value, yes, no) BPF_JUMP(BPF_JMP | (how) | BPF_K, (uint32_t)(value), yes, no)
#define RETURN(what) BPF_STMT(BPF_RET | BPF_K, what)

int confine_recorded(uint64_t allowed_ip, uint64_t also_allowed)
{
	uint64_t also = also_allowed ? also_allowed : allowed_ip;   /* both lie below 4 GB */
	struct sock_filter code[] = {
		LOAD_IP_HIGH,
		IF(BPF_JEQ, 0, 0, 4),
		LOAD_IP,
		IF(BPF_JEQ, also, 1, 0),
		IF(BPF_JEQ, allowed_ip, 0, 1),
		RETURN(SECCOMP_RET_ALLOW),
		RETURN(SECCOMP_RET_TRACE),
	};

	return install(code, sizeof(code) / sizeof(code[0]));
}

#define N_CODE 39
#define TO_ALLOW(from) (N_CODE - 2 - (from) - 1)
#define TO_TRAP(from) (N_CODE - 1 - (from) - 1)

int confine_replayed(uint64_t allowed_ip, uint64_t agent_ip)
{
	struct sock_filter code[] = {
		[0] = LOAD(offsetof(struct seccomp_data, arch)),
		[1] = IF(BPF_JEQ, AUDIT_ARCH_X86_64, 0, TO_TRAP(1)),
		[2] = LOAD_IP_HIGH,
		[3] = IF(BPF_JEQ, 0, 0, TO_TRAP(3)),
		[4] = LOAD_IP,
		[5] = IF(BPF_JEQ, allowed_ip, TO_ALLOW(5), 0),
		[6] = IF(BPF_JEQ, agent_ip, 0, TO_TRAP(6)),
		[7] = LOAD(offsetof(struct seccomp_data, nr)),
		[8] = IF(BPF_JEQ, SYS_munmap, 25 - 9, 0),
		[9] = IF(BPF_JEQ, SYS_mprotect, 21 - 10, 0),
		[10] = IF(BPF_JEQ, SYS_mmap, 17 - 11, 0),
		[11] = IF(BPF_JEQ, SYS_madvise, 0, TO_TRAP(11)),
		[12] = LOAD_ARG_HIGH(2),
		[13] = IF(BPF_JEQ, 0, 0, TO_TRAP(13)),
		[14] = LOAD_ARG(2),
		[15] = IF(BPF_JEQ, MADV_DONTNEED, 0, TO_TRAP(15)),
		[16] = BPF_STMT(BPF_JMP | BPF_JA, 25 - 17),
		/* mmap */
		[17] = LOAD_ARG_HIGH(3),
		[18] = IF(BPF_JEQ, 0, 0, TO_TRAP(18)),
		[19] = LOAD_ARG(3),
		[20] = IF(BPF_JEQ, AGENT_MAP_FLAGS, 0, TO_TRAP(20)),
		/* mprotect, too */
		[21] = LOAD_ARG_HIGH(2),
		[22] = IF(BPF_JEQ, 0, 0, TO_TRAP(22)),
		[23] = LOAD_ARG(2),
		[24] = IF(BPF_JSET, ~AGENT_PROTS, TO_TRAP(24), 0),
		/* all: memory above ours, */
		[25] = LOAD_ARG_HIGH(0),
		[26] = IF(BPF_JEQ, 0, 0, TO_ALLOW(26)),
		[27] = LOAD_ARG(0),
		[28] = IF(BPF_JGE, RL_END, TO_ALLOW(28), 0),
		/* or below it: start and length are then less than 2 GB each */
		[29] = LOAD_ARG_HIGH(1),
		[30] = IF(BPF_JEQ, 0, 0, TO_TRAP(30)),
		[31] = LOAD_ARG(1),
		[32] = IF(BPF_JGT, RL_BASE, TO_TRAP(32), 0),
		[33] = BPF_STMT(BPF_MISC | BPF_TAX, 0),
		[34] = LOAD_ARG(0),
		[35] = BPF_STMT(BPF_ALU | BPF_ADD | BPF_X, 0),
		[36] = IF(BPF_JGT, RL_BASE, TO_TRAP(36), TO_ALLOW(36)),
		[37] = RETURN(SECCOMP_RET_ALLOW),
		[38] = RETURN(SECCOMP_RET_TRAP),
	};

	return install(code, sizeof(code) / sizeof(code[0]));
}

bool confined_by_others(void)
{
	static const char key[] = "\nSeccomp:";
	autoclose int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
	char text[4096];
	const char *at;
	ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);

	text[n > 0 ? n : 0] = '\0';
	at = strstr(text, key);
	return at && strtol(at + strlen(key), NULL, 10) == SECCOMP_MODE_FILTER;
}
