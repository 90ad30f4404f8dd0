/* A system call's way through the recorder: entry, perhaps a wait, exit, event. */
#include "recorder/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include "common/err.h"
#include "common/log.h"
#include "recorder/agent.h"
#include "tracee/layout.h"
#include "tracee/procfile.h"
#include "tracee/samefile.h"

/* Results that mean "restart me", known only to the kernel and its tracers (include/linux/errno.h). */
#define ERESTARTSYS_ 512
#define ERESTARTNOINTR_ 513
#define ERESTARTNOHAND_ 514
#define ERESTART_RESTARTBLOCK_ 516

#define X32_BIT 0x40000000ull
#define I386_GETPID 20

static bool is_restart(int64_t ret)
{
	return ret == -ERESTARTSYS_ || ret == -ERESTARTNOINTR_ || ret == -ERESTARTNOHAND_ ||
	       ret == -ERESTART_RESTARTBLOCK_;
}

static struct sys_call call_of(const struct user_regs_struct *regs)
{
	return (struct sys_call){ .nr = (int)regs->orig_rax,
				  .arg = { regs->rdi, regs->rsi, regs->rdx, regs->r10, regs->r8, regs->r9 } };
}

static void set_args(struct user_regs_struct *regs, const uint64_t arg[6])
{
	regs->rdi = arg[0];
	regs->rsi = arg[1];
	regs->rdx = arg[2];
	regs->r10 = arg[3];
	regs->r8 = arg[4];
	regs->r9 = arg[5];
}

static bool is_alone(const struct recording *r)
{
	return !r->tasks->next;
}

/* Send the outputs of a call that may block to scratch memory, if somebody could meanwhile use their own place. */
static void plan_outputs(struct task *t, struct user_regs_struct *regs)
{
	struct sys_mem mem = task_memory(t);
	uint64_t scratch;

	if ((t->mm->refs == 1 && !t->mm->has_shared) || t->slot < 0)
		return;
	scratch = RL_SCRATCH + (uint64_t)t->slot * RL_SCRATCH_BYTES;
	if (sysplan_make(&t->call, &mem, scratch, RL_SCRATCH_BYTES, &t->plan) || !t->plan.n_blocks)
		return;
	if (t->plan.n_image && mem_write(t->mm->mem_fd, scratch, t->plan.image, t->plan.n_image))
		return;
	t->have_plan = true;
	set_args(regs, t->plan.arg);
	t->args_changed = true;
}

static char state_of(struct task *t)
{
	char path[64], text[256], state;
	ssize_t n;

	if (t->stat_fd < 0) {
		snprintf(path, sizeof(path), "/proc/%d/task/%d/stat", t->proc->pid, t->tid);
		t->stat_fd = open(path, O_RDONLY | O_CLOEXEC);
	}
	n = t->stat_fd < 0 ? -1 : pread(t->stat_fd, text, sizeof(text) - 1, 0);
	if (n <= 0)
		return 'X';
	text[n] = '\0';
	state = *procfile_stat_fields(text);
	return state ? state : 'X';
}

/*
 * The call was let go. It shares our processor, so yielding lets it run; it has ended when it stops, and blocks when
 * the kernel says that it sleeps. True: it stopped, and t->stop is set.
 */
static bool ends_at_once(struct task *t)
{
	int status;

	for (;;) {
		pid_t got;
		char state;

		sched_yield();
		got = waitpid(t->tid, &status, __WALL | WNOHANG);
		if (got == t->tid) {
			t->stop = stop_decode(status);
			t->have_stop = true;
			return true;
		}
		state = state_of(t);
		if (state == 'S' || state == 'D')
			break;
		if (got < 0 || state == 'Z' || state == 'X')
			break;
	}
	/* It may have stopped between the two looks. */
	if (waitpid(t->tid, &status, __WALL | WNOHANG) != t->tid)
		return false;
	t->stop = stop_decode(status);
	t->have_stop = true;
	return true;
}

/* A thread that waits for a priority-inheritance futex has already marked its word: others will see that. */
static void put_blocked_writes(struct recording *r, struct task *t)
{
	struct sys_mem mem = task_memory(t);
	struct sys_call c = t->call;
	struct sys_ranges out = { 0 };

	c.ret = 0;
	if (c.nr == SYS_futex && sys_outputs(&c, &mem, &out) == 0) {
		for (size_t i = 0; i < out.n; i++)
			ev_write_memory(r, t, out.v[i].addr, out.v[i].len);
	}
	sys_ranges_free(&out);
}

void syscall_enter(struct recording *r, struct task *t)
{
	if (t->where != IN_CALL || t->entered)
		return;
	ev_begin(r, t, EV_SYSCALL_ENTER);
	r->ev.flags = EVF_BEFORE;
	r->ev.nr = (int)t->entry.orig_rax;
	r->ev.before = t->entry;
	clock_verify_put(r, t);
	put_blocked_writes(r, t);
	ev_end(r);
	t->entered = true;
}

static bool call_info(const struct task *t, struct __ptrace_syscall_info *ret)
{
	memset(ret, 0, sizeof(*ret));
	return ptrace(PTRACE_GET_SYSCALL_INFO, t->tid, sizeof(*ret), ret) > 0;
}

bool is_call_entry(const struct task *t)
{
	struct __ptrace_syscall_info info;

	return t->where == AT_USER && (!call_info(t, &info) || info.op == PTRACE_SYSCALL_INFO_ENTRY);
}

/* A call of 32-bit code (int 0x80) or of the x32 interface: its numbers mean something else. */
static bool is_foreign(const struct task *t, const struct user_regs_struct *regs, bool *ret_32bit)
{
	struct __ptrace_syscall_info info;

	/* A syscall instruction leaves its own end in rcx. */
	*ret_32bit = regs->rcx != regs->rip && call_info(t, &info) && info.arch != AUDIT_ARCH_X86_64;
	return *ret_32bit || regs->orig_rax & X32_BIT;
}

/* The number of a call that changes nothing, and that no filter forbids: in place of one that is skipped. */
static uint64_t harmless_call(const struct recording *r, bool is_32bit)
{
	if (!r->outer_filter)
		return -1ull;
	return is_32bit ? I386_GETPID : SYS_getpid;
}

void syscall_entry(struct recording *r, struct task *t)
{
	struct user_regs_struct regs;
	struct sys_mem mem = task_memory(t);
	const struct sys_desc *d;
	bool may_block, is_32bit;

	if (remote_getregs(t->tid, &regs))
		return;
	t->entry = regs;
	t->call = call_of(&regs);
	t->where = AT_ENTRY;
	clock_verify_take(r, t);
	t->entered = t->skipped = t->args_changed = t->at_restart = false;
	t->have_plan = t->have_plan && t->call.nr == SYS_restart_syscall;
	t->child.task = 0;
	if (t->call.nr == SYS_restart_syscall && t->restart_nr >= 0)
		t->call = t->restart_call;
	d = sys_desc(t->call.nr);
	if (is_foreign(t, &regs, &is_32bit)) {
		t->skipped = true;
		t->forced = -ENOSYS;
	} else if (d && d->class == SC_REFUSE) {
		t->skipped = true;
		t->forced = -d->err;
	}
	seccomp_entry(r, t);
	if (!t->skipped)
		quirk_entry(r, t);
	if (!t->skipped)
		proc_hide_read(r, t);
	aspace_before(r, t);
	may_block = !t->skipped && !is_alone(r) && sys_may_block(&t->call, &mem);
	if (may_block && !t->have_plan)
		plan_outputs(t, &regs);
	if (t->skipped) {
		regs.orig_rax = harmless_call(r, is_32bit);
		regs.rax = (uint64_t)t->forced;
	} else if (t->args_changed && !t->have_plan) {
		set_args(&regs, t->call.arg);
	}
	if (!t->have_plan)
		keep_args(t);
	t->forced_learn = t->learn_watch = false;
	if (!t->skipped)
		learn_before(r, t);
	if ((t->skipped || t->args_changed) && remote_setregs(t->tid, &regs))
		return;
	t->where = IN_CALL;
	if (nested_at_call(r, t))
		return;
	if (!may_block) {
		run_until_stop(r, t, PTRACE_SYSCALL, 0);
		return;
	}
	if (remote_resume(t->tid, PTRACE_SYSCALL, 0))
		return;
	if (!ends_at_once(t))
		t->state = TASK_BLOCKED;
}

int stdio_of(const struct task *t, int fd)
{
	bool out = same_open_file(t->tid, fd, STDOUT_FILENO);
	bool err = same_open_file(t->tid, fd, STDERR_FILENO);

	if (out && err)
		return fd == STDERR_FILENO ? 2 : 1;
	return out ? 1 : err ? 2 : 0;
}

static void put_output(struct recording *r, struct task *t, const struct sys_call *c)
{
	const struct sys_desc *d = sys_desc(c->nr);
	struct sys_mem mem = task_memory(t);
	struct sys_ranges sent = { 0 };
	int stream;

	if (!d || !(d->flags & SYSF_WRITES_FILE) || c->ret <= 0)
		return;
	stream = stdio_of(t, (int)c->arg[0]);
	if (stream && sys_written(c, &mem, &sent) == 0) {
		for (size_t i = 0; i < sent.n; i++)
			ev_output(r, stream, sent.v[i].addr, sent.v[i].len);
	}
	sys_ranges_free(&sent);
}

/* Copy what arrived in scratch memory to where the program asked for it. */
static void land_outputs(struct task *t, const struct sys_ranges *out)
{
	for (size_t i = 0; i < out->n; i++) {
		const struct sys_range *o = &out->v[i];
		uint8_t bytes[4096];

		if (o->from == o->addr)
			continue;
		for (uint64_t done = 0; done < o->len; ) {
			size_t n = o->len - done < sizeof(bytes) ? (size_t)(o->len - done) : sizeof(bytes);

			if (mem_read(t->mm->mem_fd, o->from + done, bytes, n) ||
			    mem_write(t->mm->mem_fd, o->addr + done, bytes, n))
				break;
			done += n;
		}
	}
}

static void put_outputs(struct recording *r, struct task *t, const struct sys_call *c)
{
	struct sys_mem mem = t->have_plan ? task_memory(t) : kept_memory(t);
	struct sys_ranges out = { 0 };
	int err = 0;

	if (t->have_plan)
		err = sysplan_finish(&t->plan, c, &mem, &out);
	else if (!t->forced_learn)
		err = sys_outputs(c, &mem, &out);
	if (err && err != -RL_EUNSUPPORTED)
		log_debug("outputs of call %d: %s", c->nr, rl_strerror(err));
	if (t->have_plan)
		land_outputs(t, &out);
	for (size_t i = 0; i < out.n; i++)
		ev_write_memory(r, t, out.v[i].addr, out.v[i].len);
	sys_ranges_free(&out);
	learn_after(r, t);
}

/* The registers as the program would have them, had the call been made with its own arguments. */
static void program_regs(const struct task *t, struct user_regs_struct *regs)
{
	if (t->args_changed || t->skipped) {
		regs->rdi = t->entry.rdi;
		regs->rsi = t->entry.rsi;
		regs->rdx = t->entry.rdx;
		regs->r10 = t->entry.r10;
		regs->r8 = t->entry.r8;
		regs->r9 = t->entry.r9;
		regs->orig_rax = t->entry.orig_rax;
	}
	if (t->skipped)
		regs->rax = (uint64_t)t->forced;
}

static void emit_exit(struct recording *r, struct task *t, const struct sys_call *c, const struct user_regs_struct *after)
{
	const struct sys_desc *d = sys_desc(t->call.nr);

	ev_begin(r, t, t->entered ? EV_SYSCALL_EXIT : EV_SYSCALL);
	r->ev.nr = (int)t->entry.orig_rax;
	r->ev.before = t->entry;
	r->ev.after = *after;
	r->ev.flags = EVF_AFTER | (t->entered ? 0 : EVF_BEFORE);
	if (is_restart(c->ret)) {
		r->ev.flags |= EVF_RESTART;
		r->ev.after.rip -= 2;
		r->ev.after.rax = c->ret == -ERESTART_RESTARTBLOCK_ ? SYS_restart_syscall : t->entry.orig_rax;
	}
	if (!t->entered)
		clock_verify_put(r, t);
	r->ev.new_task = t->child;
	if (t->child.task)
		ev_child_settid(r, t);
	if (d && d->class == SC_ASPACE)
		aspace_after(r, t, c);
	put_outputs(r, t, c);
	put_output(r, t, c);
	file_written(r, t, c);
	quirk_exit(r, t);
	if (t->call.nr == SYS_rt_sigreturn) {
		static uint8_t canon[XSTATE_MAX];

		r->ev.n_xstate = (uint32_t)task_settle_xstate(t, canon);
		r->ev.xstate = canon;
	}
	ev_end(r);
	stack_limited(r, t, c);
	private_join(r, t);
}

/* At whose end a signal is likely to wait: those that waited for one, sent it themselves, or let it through. */
static bool brings_signals(const struct task *t)
{
	switch (t->call.nr) {
	case SYS_kill:
	case SYS_tkill:
	case SYS_tgkill:
	case SYS_rt_sigqueueinfo:
	case SYS_rt_tgsigqueueinfo:
	case SYS_rt_sigprocmask:
	case SYS_rt_sigreturn:
		return true;
	}
	return t->entered;
}

void syscall_exit(struct recording *r, struct task *t)
{
	struct user_regs_struct regs, kernel;
	struct sys_call c = t->call;

	if (remote_getregs(t->tid, &kernel))
		return;
	if (is_restart((int64_t)kernel.rax))
		nested_waited(r, t);
	regs = kernel;
	program_regs(t, &regs);
	c.ret = (int64_t)regs.rax;
	t->call.ret = c.ret;
	t->state = TASK_READY;
	r->signal_next = brings_signals(t) && signal_waits(t) ? t : NULL;
	if (!is_restart(c.ret))
		agent_fix_rip(t, &regs);
	emit_exit(r, t, &c, &regs);
	t->where = AT_USER;
	if (c.ret == -ERESTART_RESTARTBLOCK_) {
		t->restart_nr = c.nr;
		t->restart_call = c;
	} else if (!is_restart(c.ret)) {
		t->restart_nr = -1;
		t->have_plan = false;
	}
	if (memcmp(&regs, &kernel, sizeof(regs)) != 0)
		remote_setregs(t->tid, &regs);
	t->child.task = 0;
	t->entered = false;
	t->at_restart = is_restart(c.ret);
	t->call_end = regs.rip;
	if (t->call.nr == SYS_rt_sigreturn)
		pace_returned(t);
	proc_hide_opened(r, t);
	agent_called(r, t);
	tsc_settle(t);
	seccomp_exit(r, t);
	(void)nested_at_call(r, t);
}
