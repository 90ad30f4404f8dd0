/*
 * The program's own ptrace(2), as far as looking goes. A process has one tracer, and that is us; but whoever is not running
 * here is stopped anyway. So a recorded task may attach to another one, be told by wait4(2) that it has stopped, read its
 * registers and memory, and detach. That is what LeakSanitizer, crash reporters and stack printers do. To let it run
 * under control is refused.
 */
#include "recorder/nested_int.h"

#include <errno.h>
#include <elf.h>
#include <stdio.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "recorder/agent.h"
#include "tracee/agentcode.h"
#include "tracee/procfile.h"
#include "tracee/xstate.h"

#define ERESTARTSYS_ 512
#define SIGINFO_BYTES 128
#define SETTABLE (PTRACE_O_MASK & ~PTRACE_O_EXITKILL)

void nested_answer(struct task *t, int64_t result)
{
	t->skipped = true;
	t->forced = result;
}

/* ---- who may ---- */

/* The ids that the two use are ours. */
static bool same_numbers(const struct task *t)
{
	char path[48];
	struct stat own, its;

	snprintf(path, sizeof(path), "/proc/%d/ns/pid", t->tid);
	return stat("/proc/self/ns/pid", &own) == 0 && stat(path, &its) == 0 && own.st_ino == its.st_ino;
}

/* As __ptrace_may_access() in the kernel, of the ways to be permitted those that need no capability but root's. */
static bool may_look(const struct task *t, const struct task *target)
{
	char path[32], status[1024];
	struct stat owner;
	unsigned real, effective;
	const char *ids;

	if (t->mm == target->mm)
		return true;
	procfile_read(t->tid, "status", status, sizeof(status));
	ids = strstr(status, "\nUid:");
	snprintf(path, sizeof(path), "/proc/%d", target->tid);
	if (!ids || sscanf(ids, "\nUid: %u %u", &real, &effective) != 2 || stat(path, &owner) < 0)
		return false;
	return effective == 0 || (real == owner.st_uid && !target->mm->undumpable);
}

static int attach(struct task *t, struct task *target)
{
	if (target->proc == t->proc || target->holder || target->tracer || target->state == TASK_FROZEN || !may_look(t, target))
		return -EPERM;
	target->holder = t;
	target->held_told = false;
	agent_stop_calls(t->mm);   /* a wait of its may not be the agent's */
	return 0;
}

/* ---- what they see ---- */

/* Of a task that the kernel is busy with, only what it had when it called is known: it stopped there, to call again. */
static int its_regs(struct task *target, struct user_regs_struct *ret)
{
	if (target->where != AT_USER) {
		*ret = target->entry;
		ret->rax = target->holder && target->tracer && target->held_at == AT_CALL ? (uint64_t)-ENOSYS : (uint64_t)-ERESTARTSYS_;
	} else if (remote_getregs(target->tid, ret)) {
		return -ESRCH;
	}
	ret->rip = agent_view(target->mm->mem_fd, ret->rip);
	return 0;
}

#define PATIENCE 200   /* times 50 us */

/*
 * Have a task come out of a call that has blocked, as attaching to it does unrecorded: its vector registers can be read only
 * then. The call goes on when it is let go. Not all calls can be interrupted.
 */
static bool comes_to_a_stop(struct recording *r, struct task *t)
{
	const struct timespec nap = { 0, 50000 };
	int status;

	if (t->state != TASK_BLOCKED)
		return t->state == TASK_READY;
	if (ptrace(PTRACE_INTERRUPT, t->tid, 0, 0) < 0)
		return false;
	for (int i = 0; i < PATIENCE; i++) {
		if (waitpid(t->tid, &status, __WALL | WNOHANG) == t->tid) {
			note_stop(r, t->tid, status);
			return t->state == TASK_READY;
		}
		nanosleep(&nap, NULL);
	}
	return false;
}

static int its_regset(struct recording *r, struct task *target, uint64_t set, uint8_t *out, size_t max, size_t *ret_n)
{
	struct iovec io = { .iov_base = out, .iov_len = max };
	int err;

	if (set == NT_PRSTATUS) {
		err = its_regs(target, (struct user_regs_struct *)(void *)out);
		*ret_n = sizeof(struct user_regs_struct);
		return err;
	}
	if (set != NT_PRFPREG && set != NT_X86_XSTATE)
		return -EINVAL;
	if (!comes_to_a_stop(r, target) || ptrace(PTRACE_GETREGSET, target->tid, set, &io) < 0)
		return -EIO;
	*ret_n = io.iov_len;
	return 0;
}

int nested_put(struct task *t, uint64_t addr, const void *bytes, size_t n)
{
	t->answer[t->n_answers++] = (struct sys_range){ .addr = addr, .len = n };
	return mem_write(t->mm->mem_fd, addr, bytes, n) ? -EFAULT : 0;
}

static int put_regset(struct recording *r, struct task *t, struct task *target)
{
	static uint8_t regs[XSTATE_MAX] __attribute__((aligned(64)));
	struct iovec io;
	size_t n = 0;
	int err;

	if (mem_read(t->mm->mem_fd, t->call.arg[3], &io, sizeof(io)))
		return -EFAULT;
	err = its_regset(r, target, t->call.arg[2], regs, sizeof(regs), &n);
	if (err)
		return err;
	io.iov_len = n < io.iov_len ? n : io.iov_len;
	err = nested_put(t, (uint64_t)(uintptr_t)io.iov_base, regs, io.iov_len);
	return err ? err : nested_put(t, t->call.arg[3] + offsetof(struct iovec, iov_len), &io.iov_len, sizeof(io.iov_len));
}

static int put_regs(struct recording *r, struct task *t, struct task *target, uint64_t set)
{
	static uint8_t regs[XSTATE_MAX] __attribute__((aligned(64)));
	size_t n = 0;
	int err = its_regset(r, target, set, regs, sizeof(regs), &n);

	return err ? err : nested_put(t, t->call.arg[3], regs, n);
}

static int put_word(struct task *t, struct task *target, bool memory)
{
	struct user_regs_struct regs;
	uint64_t at = t->call.arg[2], word;
	int err;

	if (memory)
		return mem_read(target->mm->mem_fd, at, &word, sizeof(word)) ? -EIO : nested_put(t, t->call.arg[3], &word, sizeof(word));
	if (at % 8 || at >= sizeof(regs))
		return -EIO;
	err = its_regs(target, &regs);
	return err ? err : nested_put(t, t->call.arg[3], (char *)&regs + at, sizeof(word));
}

static int put_siginfo(struct task *t)
{
	uint8_t bytes[SIGINFO_BYTES] = { 0 };
	siginfo_t *info = (siginfo_t *)(void *)bytes;

	info->si_signo = SIGSTOP;
	info->si_code = SI_KERNEL;
	return nested_put(t, t->call.arg[3], bytes, sizeof(bytes));
}

/* ---- the calls ---- */

static void refuse(struct recording *r, struct task *t, int err)
{
	static const char text[] = "the program wanted to control another one by ptrace and was refused with EPERM: what is recorded has a "
				   "tracer already, so others may only attach, look and detach, or follow a child that asks for it; record what strace or a debugger "
				   "would run, not strace or the debugger";

	nested_answer(t, err);
	tell_once(r, &r->ptrace_refused, text);
}

/* A request of the task that has attached to the target. False: one that is not for it. */
static bool look(struct recording *r, struct task *t, struct task *target)
{
	if (target->tracer && nested_control(t, target))
		return true;
	switch ((unsigned)t->call.arg[0]) {
	case PTRACE_PEEKTEXT:
	case PTRACE_PEEKDATA:
		nested_answer(t, put_word(t, target, true));
		return true;
	case PTRACE_PEEKUSER:
		nested_answer(t, put_word(t, target, false));
		return true;
	case PTRACE_GETREGS:
		nested_answer(t, put_regs(r, t, target, NT_PRSTATUS));
		return true;
	case PTRACE_GETFPREGS:
		nested_answer(t, put_regs(r, t, target, NT_PRFPREG));
		return true;
	case PTRACE_GETREGSET:
		nested_answer(t, put_regset(r, t, target));
		return true;
	case PTRACE_GETSIGINFO:
		nested_answer(t, put_siginfo(t));
		return true;
	case PTRACE_SETOPTIONS:
		if (t->call.arg[3] & ~(uint64_t)SETTABLE)
			return false;
		nested_answer(t, 0);
		return true;
	case PTRACE_DETACH:
		if (t->call.arg[3])
			return false;
		target->holder = NULL;
		nested_answer(t, 0);
		return true;
	}
	return false;
}

static struct task *target_of(struct recording *r, const struct task *t)
{
	struct task *target = task_by_tid(r, (pid_t)t->call.arg[1]);

	return target && target->state != TASK_DYING && target->state != TASK_DEAD && same_numbers(t) ? target : NULL;
}

static void entry_ptrace(struct recording *r, struct task *t)
{
	struct task *target;

	if (t->call.arg[0] == PTRACE_TRACEME && t->tracer) {
		nested_answer(t, -EPERM);
		return;
	}
	if (t->call.arg[0] == PTRACE_TRACEME && same_numbers(t) && nested_trace_me(r, t))
		return;
	if (t->call.arg[0] == PTRACE_TRACEME || t->call.arg[0] == PTRACE_SEIZE) {
		refuse(r, t, -EPERM);
		return;
	}
	target = target_of(r, t);
	if (!target)
		return;   /* the kernel knows what is wrong, or it is somebody who is not recorded */
	if (t->call.arg[0] == PTRACE_ATTACH)
		nested_answer(t, attach(t, target));
	else if (!target->holder || (target->tracer ? target->tracer != t->proc->no : target->holder != t || !target->held_told))
		nested_answer(t, -ESRCH);
	else if (!look(r, t, target))
		refuse(r, t, -EPERM);
}

void nested_entry(struct recording *r, struct task *t)
{
	t->n_answers = 0;
	if (t->call.nr == SYS_ptrace)
		entry_ptrace(r, t);
	else
		(void)nested_wait(r, t);
}

void nested_exit(struct recording *r, struct task *t)
{
	for (unsigned i = 0; i < t->n_answers; i++)
		ev_write_memory(r, t, t->answer[i].addr, t->answer[i].len);
	t->n_answers = 0;
}
