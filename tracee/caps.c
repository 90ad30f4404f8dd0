#include "tracee/caps.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "common/err.h"
#include "common/scope.h"
#include "tracee/caps_probe.h"
#include "tracee/pagetrack_int.h"

struct probe {
	const char *name;
	int (*run)(void);         /* 0: works; negative: why not */
	const char *yes, *no;     /* notes */
};

static int probe_page_scan(void)
{
	int err = scan_probe();

	return err == -RL_EUNSUPPORTED ? -ENOSYS : err == -ENODATA ? -PROBE_NO_EFFECT : err;
}

static int probe_soft_dirty(void)
{
	return softdirty_works() ? 0 : -ENOSYS;
}

static const struct probe probes[N_CAPS] = {
	[CAP_PTRACE] = { "ptrace", probe_ptrace,
		"Programs are supervised with ptrace.",
		"Without ptrace neither recording nor replay is possible: allow the ptrace system call in the "
		"container's seccomp profile." },
	[CAP_SECCOMP] = { "seccomp filters", probe_seccomp,
		"Filters sort out system calls when recording, and confine the program at replay.",
		"Every system call stops, and replay is not confined; a kernel with CONFIG_SECCOMP_FILTER is better." },
	[CAP_PAGE_SCAN] = { "page scan", probe_page_scan,
		"Written pages are found by PAGEMAP_SCAN and asynchronous write-protection, the best way.",
		"Written pages are found in a slower way; Linux 6.7 or newer, and a container that allows userfaultfd, "
		"are better." },
	[CAP_SOFT_DIRTY] = { "soft-dirty bits", probe_soft_dirty,
		"Used to find written pages where page scan does not work.",
		"Not needed where page scan works; otherwise resident pages are hashed." },
	[CAP_PROCESS_VM] = { "process_vm_readv", probe_process_vm,
		"Memory is read with process_vm_readv.",
		"Memory is read through /proc/PID/mem, somewhat slower." },
	[CAP_PIDFD_GETFD] = { "pidfd_getfd", probe_pidfd_getfd,
		"Descriptors are fetched from the program with pidfd_getfd.",
		"Page scan cannot be used; Linux 5.6 or newer is better." },
	[CAP_KCMP] = { "kcmp", probe_kcmp,
		"Shared descriptors and memory of an attached process are told apart with kcmp.",
		"What an attached process's threads share is guessed; a kernel with CONFIG_KCMP is better." },
	[CAP_CPUID_FAULT] = { "cpuid faulting", probe_cpuid_fault,
		"The cpuid instruction traps, so the program sees recorded and masked processor features.",
		"The processor cannot make cpuid trap: its places in the code of files are made to, instead." },
	[CAP_TSC_FAULT] = { "time stamp counter faulting", probe_tsc_fault,
		"The rdtsc instruction traps, so time stamps are recorded.",
		"rdtsc cannot be trapped: programs that read it directly may diverge at replay." },
	[CAP_HW_EXEC] = { "hardware breakpoints", probe_hw_exec,
		"Debug registers can stop at an instruction.",
		"Stops use int3 in the program's code, which is what relive prefers anyway." },
	[CAP_HW_DATA] = { "hardware watchpoints", probe_hw_data,
		"Up to four small watchpoints cost nothing; others use page protection.",
		"All watchpoints use page protection: slower when other data on the page is written often." },
	[CAP_PERF_BRANCHES] = { "hardware branch counter", probe_perf_branches,
		"Not needed, and not used: points are named by the machine's state.",
		"Not needed: points are named by the machine's state." },
};

static void run_probe(const struct probe *p, struct cap *ret)
{
	int err = p->run();

	ret->name = p->name;
	ret->works = err == 0;
	ret->note = err ? p->no : p->yes;
	if (!err)
		snprintf(ret->value, sizeof ret->value, "yes");
	else if (err == -PROBE_NO_EFFECT)
		snprintf(ret->value, sizeof ret->value, "no (accepted, but without effect)");
	else
		snprintf(ret->value, sizeof ret->value, "no (%.40s)", strerror(-err));
}

static int read_yama_scope(void)
{
	autoclose int fd = open("/proc/sys/kernel/yama/ptrace_scope", O_RDONLY | O_CLOEXEC);
	char c = '0';

	if (fd < 0 || read(fd, &c, 1) != 1 || c < '0' || c > '3')
		return 0;
	return c - '0';
}

static int count_cpus(void)
{
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof set, &set))
		return (int)sysconf(_SC_NPROCESSORS_ONLN);
	return CPU_COUNT(&set);
}

enum page_tier caps_page_tier(void)
{
	static enum page_tier tier = PAGE_TIER_AUTO;

	if (tier == PAGE_TIER_AUTO)
		tier = probe_page_scan() == 0 ? PAGE_TIER_SCAN : probe_soft_dirty() == 0 ? PAGE_TIER_SOFTDIRTY : PAGE_TIER_HASH;
	return tier;
}

const struct caps *caps_get(void)
{
	static const char *const yama_notes[] = {
		"Running processes of the same user can be attached to.",
		"Programs started by relive can be recorded; attaching needs root, or kernel.yama.ptrace_scope=0.",
		"Only root can trace: set kernel.yama.ptrace_scope to 1 or 0, or run relive as root.",
		"Nobody can trace until the next boot: kernel.yama.ptrace_scope was set to 3.",
	};
	static struct caps caps;
	static bool known;
	struct utsname name;

	if (known)
		return &caps;
	for (int i = 0; i < N_CAPS; i++)
		run_probe(&probes[i], &caps.cap[i]);
	caps.page_tier = caps_page_tier();
	caps.n_cpus = count_cpus();
	caps.yama_scope = read_yama_scope();
	caps.yama_note = yama_notes[caps.yama_scope];
	if (uname(&name) == 0)
		snprintf(caps.release, sizeof caps.release, "%.64s", name.release);
	known = true;
	return &caps;
}
