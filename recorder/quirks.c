/*
 * Calls whose effect differs under a recorder, put right: the program sees the machine's processors, not the one it
 * is pinned to, and what would make replay's memory change by itself is turned into something that does not.
 */
#include "recorder/internal.h"

#include <asm/prctl.h>
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "recorder/agent.h"
#include "tracee/layout.h"

#ifndef PR_SET_SYSCALL_USER_DISPATCH
#define PR_SET_SYSCALL_USER_DISPATCH 59
#endif
#ifndef PR_GET_AUXV
#define PR_GET_AUXV 0x41555856
#endif
#ifndef MADV_WIPEONFORK
#define MADV_WIPEONFORK 18
#endif

static void skip(struct task *t, int64_t result)
{
	t->skipped = true;
	t->forced = result;
}

/* Data that the kernel moves between descriptors never passes through memory: make the program copy it itself. */
static bool moves_to_stdio(struct task *t, int fd)
{
	return stdio_of(t, fd) != 0;
}

static void entry_madvise(struct task *t)
{
	switch (t->call.arg[2]) {
	case MADV_FREE:          /* frees when the kernel likes */
		t->call.arg[2] = MADV_DONTNEED;
		t->args_changed = true;
		break;
	case MADV_WIPEONFORK:    /* programs cope: kernels before 4.14 lack it */
		skip(t, -EINVAL);
		break;
	}
}

/* Devices that share memory with hardware or a virtual machine, which writes it whenever it likes: not there. */
static void entry_open(struct task *t, uint64_t name)
{
	static const char *const absent[] = { "/dev/kvm", "/dev/dri/", "/dev/nvidia", "/dev/kfd", "/dev/vfio/", "/dev/uio" };
	char text[64] = "";

	if (mem_read_some(t->mm->mem_fd, name, text, sizeof(text) - 1) == 0)
		return;
	for (size_t i = 0; i < sizeof(absent) / sizeof(absent[0]); i++) {
		if (strncmp(text, absent[i], strlen(absent[i])) == 0)
			skip(t, -ENOENT);
	}
}

static void entry_prctl(struct recording *r, struct task *t)
{
	switch (t->call.arg[0]) {
	case PR_SET_TSC:         /* it goes on trapping to us */
		skip(t, t->call.arg[1] == PR_TSC_ENABLE || t->call.arg[1] == PR_TSC_SIGSEGV ? 0 : -EINVAL);
		if (t->forced == 0)
			tsc_own(t, t->call.arg[1] == PR_TSC_SIGSEGV);
		break;
	case PR_SET_SYSCALL_USER_DISPATCH:   /* calls that we would not see */
		skip(t, -EINVAL);
		break;
	case PR_SET_MM:          /* moves brk and the stack, as far as the kernel's books go */
		skip(t, -EPERM);
		break;
	case PR_SET_DUMPABLE:    /* it would shut us out of /proc/PID of its children */
		skip(t, t->call.arg[1] <= 1 ? 0 : -EINVAL);
		if (t->call.arg[1] <= 1)
			t->mm->undumpable = !t->call.arg[1];
		break;
	case PR_GET_DUMPABLE:
		if (t->mm->undumpable)
			skip(t, 0);
		break;
	case PR_SET_SECCOMP:
	case PR_GET_SECCOMP:
		seccomp_call(r, t);
		break;
	}
}

static struct task *affinity_target(struct recording *r, struct task *t)
{
	return t->call.arg[0] ? task_by_number(r, t, (pid_t)t->call.arg[0]) : t;
}

/* The kernel never hears of it; what it would have answered, the program gets. */
static void entry_setaffinity(struct recording *r, struct task *t)
{
	struct task *target = affinity_target(r, t);
	cpu_set_t want, both;
	size_t n = t->call.arg[1] < sizeof(want) ? (size_t)t->call.arg[1] : sizeof(want);

	CPU_ZERO(&want);
	if (!target)
		return;
	if (mem_read(t->mm->mem_fd, t->call.arg[2], &want, n)) {
		skip(t, -EFAULT);
		return;
	}
	CPU_AND(&both, &want, &r->cpus);
	skip(t, CPU_COUNT(&both) ? 0 : -EINVAL);
	if (CPU_COUNT(&both))
		target->cpus = both;
}

static void entry_arch_prctl(struct task *t)
{
	switch (t->call.arg[0]) {
	case ARCH_SET_CPUID:
		skip(t, t->call.arg[1] ? 0 : -ENODEV);
		break;
	case ARCH_GET_CPUID:
		skip(t, 1);
		break;
	case ARCH_MAP_VDSO_X32:
	case ARCH_MAP_VDSO_32:
	case ARCH_MAP_VDSO_64:
		skip(t, -EINVAL);
		break;
	}
}

/* A child that asks not to be traced would run unrecorded, in the recorded memory. Nothing else is different for it. */
static void entry_clone3(struct task *t)
{
	uint64_t flags;

	if (mem_read(t->mm->mem_fd, t->call.arg[0], &flags, sizeof(flags)) == 0 && flags & CLONE_UNTRACED)
		skip(t, -ENOSYS);        /* clone(2) is what programs try next */
}

void quirk_entry(struct recording *r, struct task *t)
{
	switch (t->call.nr) {
	case SYS_clone:
		if (t->call.arg[0] & CLONE_UNTRACED) {
			t->call.arg[0] &= ~(uint64_t)CLONE_UNTRACED;
			t->args_changed = true;
		}
		break;
	case SYS_clone3:
		entry_clone3(t);
		break;
	case SYS_madvise:
		entry_madvise(t);
		break;
	case SYS_prctl:
		entry_prctl(r, t);
		break;
	case SYS_open:
		entry_open(t, t->call.arg[0]);
		break;
	case SYS_openat:
		entry_open(t, t->call.arg[1]);
		break;
	case SYS_arch_prctl:
		entry_arch_prctl(t);
		break;
	case SYS_seccomp:
		seccomp_call(r, t);
		break;
	case SYS_ptrace:
	case SYS_wait4:
	case SYS_waitid:
		nested_entry(r, t);
		break;
	case SYS_sched_setaffinity:
		entry_setaffinity(r, t);
		break;
	case SYS_sched_setscheduler:
	case SYS_sched_setparam:
	case SYS_sched_setattr:
		skip(t, 0);
		break;
	case SYS_set_robust_list:
		t->robust_list = t->call.arg[0];
		break;
	case SYS_set_tid_address:
		t->clear_tid = t->call.arg[0];
		break;
	case SYS_sendfile:
		if (moves_to_stdio(t, (int)t->call.arg[0]))
			skip(t, -EINVAL);
		break;
	case SYS_splice:
	case SYS_copy_file_range:
		if (moves_to_stdio(t, (int)t->call.arg[2]))
			skip(t, -EINVAL);
		break;
	case SYS_tee:
		if (moves_to_stdio(t, (int)t->call.arg[1]))
			skip(t, -EINVAL);
		break;
	case SYS_vmsplice:
		if (moves_to_stdio(t, (int)t->call.arg[0]))
			skip(t, -EINVAL);
		break;
	case SYS_mmap:
		/* Memory that the kernel fills at its leisure is as good without the hint. */
		if (t->call.arg[3] & MAP_POPULATE) {
			t->call.arg[3] &= ~(uint64_t)MAP_POPULATE;
			t->args_changed = true;
		}
		break;
	}
}

static void exit_getaffinity(struct recording *r, struct task *t)
{
	struct task *target = affinity_target(r, t);
	size_t n = (size_t)t->call.ret;

	if (t->call.ret <= 0 || !target)
		return;
	if (n > sizeof(target->cpus))
		n = sizeof(target->cpus);
	if (mem_write(t->mm->mem_fd, t->call.arg[2], &target->cpus, n) == 0)
		ev_write_bytes(r, t->no, t->call.arg[2], &target->cpus, n);
}

/* The kernel's own copy of what the program found on its stack. */
static void exit_get_auxv(struct recording *r, struct task *t)
{
	uint8_t bytes[1024];
	size_t n = t->call.arg[2] < (uint64_t)t->call.ret ? (size_t)t->call.arg[2] : (size_t)t->call.ret;

	if (t->call.ret <= 0 || n > sizeof(bytes) || mem_read(t->mm->mem_fd, t->call.arg[1], bytes, n))
		return;
	proc_text_auxv(bytes, n);
	if (mem_write(t->mm->mem_fd, t->call.arg[1], bytes, n) == 0)
		ev_write_bytes(r, t->no, t->call.arg[1], bytes, n);
}

/* The time stamp counter traps to us, not to the program. */
static void exit_get_tsc(struct recording *r, struct task *t)
{
	int mode = t->tsc_faults ? PR_TSC_SIGSEGV : PR_TSC_ENABLE;

	if (t->call.ret == 0 && mem_write(t->mm->mem_fd, t->call.arg[1], &mode, sizeof(mode)) == 0)
		ev_write_bytes(r, t->no, t->call.arg[1], &mode, sizeof(mode));
}

void tell_once(struct recording *r, bool *told, const char *text)
{
	if (*told)
		return;
	*told = true;
	(void)trace_put_note(r->w, text);
	if (!r->result->warning[0])
		snprintf(r->result->warning, sizeof(r->result->warning), "%s", text);
}

/* All memory that can be read will be executable. */
static void mapped_is_exec(struct recording *r, struct task *t)
{
	tsc_trap(r, t);
	agent_maps_off(t);
}

void quirk_exit(struct recording *r, struct task *t)
{
	/* The kernel hands out the numbers before it knows whether there will be sockets. */
	if (t->call.nr == SYS_socketpair && t->call.ret < 0)
		ev_write_memory(r, t, t->call.arg[3], 2 * sizeof(int));
	nested_exit(r, t);
	if (t->call.nr == SYS_prctl && t->call.arg[0] == PR_GET_TSC)
		exit_get_tsc(r, t);
	if (t->call.nr == SYS_prctl && t->call.arg[0] == PR_GET_AUXV)
		exit_get_auxv(r, t);
	if (t->call.nr == SYS_rt_sigaction)
		signal_note_action(t);
	if (t->call.nr == SYS_personality && t->call.ret >= 0 && (uint32_t)t->call.arg[0] != 0xffffffff)
		t->read_is_exec = t->call.arg[0] & READ_IMPLIES_EXEC;
	if (t->call.nr == SYS_rt_sigqueueinfo || t->call.nr == SYS_rt_tgsigqueueinfo)
		signal_note_sent(t);
	if (t->call.nr == SYS_rt_sigprocmask || t->call.nr == SYS_rt_sigreturn)
		signal_note_mask(t);
	if (t->call.nr == SYS_sched_getaffinity)
		exit_getaffinity(r, t);
	if (t->call.nr == SYS_personality && t->call.arg[0] != ~0u && t->call.arg[0] & READ_IMPLIES_EXEC)
		mapped_is_exec(r, t);
	if (t->call.nr == SYS_sched_yield)
		r->slice_over = true;
}
