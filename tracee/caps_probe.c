#include "tracee/caps_probe.h"

#include <asm/prctl.h>
#include <cpuid.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/kcmp.h>
#include <linux/perf_event.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/scope.h"

/* All children share our text and data addresses, so these are where the probes look in them. */
static volatile uint64_t probe_word __attribute__((aligned(4096)));

static __attribute__((noinline)) void probe_function(void)
{
	__asm__ volatile("" ::: "memory");
}

/* In the child: die rather than linger, dump no core, keep off the parent's signal handlers. */
static void child_begin(void)
{
	static const int reset[] = { SIGSEGV, SIGTRAP, SIGALRM, SIGSYS };
	struct rlimit none = { 0, 0 };
	sigset_t all;

	for (size_t i = 0; i < sizeof reset / sizeof reset[0]; i++)
		signal(reset[i], SIG_DFL);
	sigemptyset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	setrlimit(RLIMIT_CORE, &none);
	alarm(10);
}

static int wait_for(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, __WALL) < 0)
		if (errno != EINTR)
			return -1;
	return status;
}

/* A traced child, stopped; it will call probe_function and write probe_word when it goes on. pid or negative. */
static pid_t start_traced(void)
{
	pid_t pid = fork();

	if (pid < 0)
		return -errno;
	if (!pid) {
		child_begin();
		if (ptrace(PTRACE_TRACEME, 0, 0, 0))
			_exit(errno);
		raise(SIGSTOP);
		probe_function();
		probe_word = 1;
		_exit(0);
	}
	int status = wait_for(pid);

	if (WIFSTOPPED(status)) {
		ptrace(PTRACE_SETOPTIONS, pid, 0, (void *)PTRACE_O_EXITKILL);
		return pid;
	}
	return WIFEXITED(status) && WEXITSTATUS(status) ? -WEXITSTATUS(status) : -EPERM;
}

static void end(pid_t pid)
{
	kill(pid, SIGKILL);
	wait_for(pid);
}

static int on_traced(int (*what)(pid_t))
{
	pid_t pid = start_traced();

	if (pid < 0)
		return pid;
	int err = what(pid);

	end(pid);
	return err;
}

/* Run something that is expected to die of a signal; otherwise it exits with an errno, or 0: nothing happened. */
static int expect_death(void (*what)(void), int sig)
{
	pid_t pid = fork();

	if (pid < 0)
		return -errno;
	if (!pid) {
		child_begin();
		what();
		_exit(0);
	}
	int status = wait_for(pid);

	if (WIFSIGNALED(status))
		return WTERMSIG(status) == sig ? 0 : -PROBE_NO_EFFECT;
	return WEXITSTATUS(status) ? -WEXITSTATUS(status) : -PROBE_NO_EFFECT;
}

static int step(pid_t pid)
{
	if (ptrace(PTRACE_SINGLESTEP, pid, 0, 0))
		return -errno;
	int status = wait_for(pid);

	return WIFSTOPPED(status) ? 0 : -PROBE_NO_EFFECT;
}

int probe_ptrace(void)
{
	return on_traced(step);
}

static void install_filter_and_be_killed(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getppid, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = { sizeof code / sizeof code[0], code };
	uint32_t action = SECCOMP_RET_TRACE;

	if (syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action))
		_exit(errno);
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog))
		_exit(errno);
	syscall(SYS_getppid);
}

int probe_seccomp(void)
{
	return expect_death(install_filter_and_be_killed, SIGSYS);
}

static int read_from(pid_t pid)
{
	uint64_t word;
	struct iovec here = { &word, sizeof word }, there = { (void *)&probe_word, sizeof word };

	return process_vm_readv(pid, &here, 1, &there, 1, 0) == sizeof word ? 0 : -errno;
}

int probe_process_vm(void)
{
	return on_traced(read_from);
}

static int fetch_from(pid_t pid)
{
	autoclose int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);

	if (pidfd < 0)
		return -errno;
	autoclose int fd = (int)syscall(SYS_pidfd_getfd, pidfd, 0, 0);

	return fd >= 0 || errno == EBADF /* no stdin, but the call works */ ? 0 : -errno;
}

int probe_pidfd_getfd(void)
{
	return on_traced(fetch_from);
}

static int compare_with(pid_t pid)
{
	long order = syscall(SYS_kcmp, getpid(), pid, KCMP_VM, 0, 0);

	return order < 0 ? -errno : order == 0 ? -PROBE_NO_EFFECT : 0;
}

int probe_kcmp(void)
{
	return on_traced(compare_with);
}

static void run_cpuid(void)
{
	unsigned a, b, c, d;

	if (syscall(SYS_arch_prctl, ARCH_SET_CPUID, 0))
		_exit(errno);
	__cpuid(0, a, b, c, d);
}

int probe_cpuid_fault(void)
{
	return expect_death(run_cpuid, SIGSEGV);
}

static void run_rdtsc(void)
{
	if (prctl(PR_SET_TSC, PR_TSC_SIGSEGV, 0, 0, 0))
		_exit(errno);
	__builtin_ia32_rdtsc();
}

int probe_tsc_fault(void)
{
	return expect_death(run_rdtsc, SIGSEGV);
}

static int set_debug_register(pid_t pid, size_t n, uint64_t value)
{
	size_t at = offsetof(struct user, u_debugreg) + n * 8;

	return ptrace(PTRACE_POKEUSER, pid, at, value) ? -errno : 0;
}

/* Debug register 0 on an address; does the child stop for it? */
static int stops_at(pid_t pid, uint64_t addr, uint64_t dr7)
{
	int err = set_debug_register(pid, 0, addr);

	if (!err)
		err = set_debug_register(pid, 7, dr7);
	if (err)
		return err;
	if (ptrace(PTRACE_CONT, pid, 0, 0))
		return -errno;
	int status = wait_for(pid);

	if (!WIFSTOPPED(status) || WSTOPSIG(status) != SIGTRAP)
		return -PROBE_NO_EFFECT;
	return ptrace(PTRACE_PEEKUSER, pid, offsetof(struct user, u_debugreg) + 48, 0) & 1 ? 0 : -PROBE_NO_EFFECT;
}

static int stops_at_function(pid_t pid)
{
	return stops_at(pid, (uintptr_t)probe_function, 1);
}

static int stops_at_write(pid_t pid)
{
	return stops_at(pid, (uintptr_t)&probe_word, 1 | 1 << 16 | 2 << 18 /* write, 8 bytes */);
}

int probe_hw_exec(void)
{
	return on_traced(stops_at_function);
}

int probe_hw_data(void)
{
	return on_traced(stops_at_write);
}

int probe_perf_branches(void)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_HARDWARE, .size = sizeof attr, .config = PERF_COUNT_HW_BRANCH_INSTRUCTIONS,
		.exclude_kernel = 1, .exclude_hv = 1,
	};
	autoclose int fd = (int)syscall(SYS_perf_event_open, &attr, 0, -1, -1, 0);
	uint64_t count = 0;

	if (fd < 0)
		return -errno;
	for (volatile int i = 0; i < 10000; i++)
		;
	if (read(fd, &count, sizeof count) != sizeof count)
		return -errno;
	return count >= 10000 ? 0 : -PROBE_NO_EFFECT;
}
