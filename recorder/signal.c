/*
 * Signals. The kernel delivers them to the recorded program; the trace gets what the delivery did: the frame's bytes
 * and the registers. Replay never has a signal delivered.
 */
#include "recorder/internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>
#include "common/err.h"
#include "common/log.h"
#include "recorder/agent.h"
#include "tracee/layout.h"
#include "tracee/procfile.h"
#include "tracee/xstate.h"

enum disposition { DISP_DEFAULT, DISP_IGNORE, DISP_HANDLER };

static enum disposition disposition_of(struct task *t, int sig)
{
	char text[4096];

	procfile_read(t->tid, "status", text, sizeof(text));
	if (procfile_number(text, "\nSigCgt:", 16) >> (sig - 1) & 1)
		return DISP_HANDLER;
	if (procfile_number(text, "\nSigIgn:", 16) >> (sig - 1) & 1)
		return DISP_IGNORE;
	return DISP_DEFAULT;
}

bool signal_is_ignored(struct task *t, int sig)
{
	return disposition_of(t, sig) == DISP_IGNORE;
}

static bool default_ignores(int sig)
{
	return sig == SIGCHLD || sig == SIGURG || sig == SIGWINCH || sig == SIGCONT;
}

static bool default_stops(int sig)
{
	return sig == SIGSTOP || sig == SIGTSTP || sig == SIGTTIN || sig == SIGTTOU;
}

/*
 * The first process of a process namespace ignores what would end it by default (signal(7)): the kernel tells its tracer
 * of the signal first, and drops it then.
 */
static bool is_first_process(const struct task *t)
{
	char text[4096];
	const char *at, *end;

	procfile_read(t->proc->pid, "status", text, sizeof(text));
	at = strstr(text, "\nNSpid:");
	end = at ? strchr(at + 1, '\n') : NULL;
	return end && end - at > 2 && end[-1] == '1' && end[-2] == '\t';
}

/* Whether the instruction at rip raised it, so that it comes by itself at replay. */
static bool is_fault(const siginfo_t *info)
{
	if (info->si_code <= 0)
		return false;
	switch (info->si_signo) {
	case SIGSEGV:
	case SIGBUS:
	case SIGILL:
	case SIGFPE:
	case SIGTRAP:
		return true;
	}
	return false;
}

/* ---- delivery ---- */

/* struct rt_sigframe, arch/x86/include/asm/sigframe.h: return address, ucontext, siginfo, then the XSAVE area. */
#define FRAME_UC 8
#define FRAME_FPSTATE (FRAME_UC + offsetof(ucontext_t, uc_mcontext.fpregs))
#define FRAME_MIN 440
#define FPX_MAGIC1 0x46505853u
#define FPX_SW_BYTES 464

static size_t frame_bytes(struct task *t, uint64_t sp)
{
	uint64_t fp = 0;
	uint32_t sw[2] = { 0 };
	size_t n = FRAME_MIN;

	if (mem_read(t->mm->mem_fd, sp + FRAME_FPSTATE, &fp, 8) || fp < sp || fp - sp > 65536)
		return n;
	if (mem_read(t->mm->mem_fd, fp + FPX_SW_BYTES, sw, sizeof(sw)) == 0 && sw[0] == FPX_MAGIC1 && sw[1] < 65536)
		n = (size_t)(fp - sp) + sw[1];
	else
		n = (size_t)(fp - sp) + 512;
	return n;
}

static void emit_signal(struct recording *r, struct task *t, const siginfo_t *info, uint32_t flags,
			const struct user_regs_struct *before)
{
	ev_begin(r, t, EV_SIGNAL);
	r->ev.flags = flags | (flags & EVF_SIG_SYNC ? EVF_BEFORE : 0);
	r->ev.signo = info->si_signo;
	r->ev.before = *before;
	r->ev.n_siginfo = sizeof(*info);
	r->ev.siginfo = (const uint8_t *)info;
}

/*
 * No frame could be built, so the kernel forces a SIGSEGV upon the task, which comes next. No instruction raised that
 * one: at replay this event brings the task there, and the SIGSEGV follows on the spot.
 */
static void frame_failed(struct recording *r, struct task *t, const siginfo_t *info, uint32_t flags,
			 const struct user_regs_struct *before)
{
	t->at_restart = false;
	emit_signal(r, t, info, flags, before);
	ev_end(r);
	t->segv_forced = true;
}

#define FRAME_EFLAGS (FRAME_UC + offsetof(ucontext_t, uc_mcontext.gregs[REG_EFL]))
#define TRAP_FLAG 0x100ull

/*
 * Stepping sets the trap flag, and the kernel leaves it in the frame if the next instruction's first byte is popf's or iret's,
 * as that might have set it; the bytes of a jump to the agent may look so as well. It is not the program's.
 */
static void hide_trap_flag(struct task *t, uint64_t frame, const struct user_regs_struct *before)
{
	uint64_t flags;

	if (before->eflags & TRAP_FLAG || mem_read(t->mm->mem_fd, frame + FRAME_EFLAGS, &flags, 8) || !(flags & TRAP_FLAG))
		return;
	flags &= ~TRAP_FLAG;
	(void)mem_write(t->mm->mem_fd, frame + FRAME_EFLAGS, &flags, 8);
}

static void deliver_to_handler(struct recording *r, struct task *t, const siginfo_t *info, uint32_t flags,
			       const struct user_regs_struct *before)
{
	static uint8_t canon[XSTATE_MAX];
	struct user_regs_struct after;

	agent_show_place(t);
	/* A call injected since the signal's own stop has made it another signal's: say again what to deliver. */
	ptrace(PTRACE_SETSIGINFO, t->tid, 0, info);
	/* Single-stepping a delivery stops before the handler's first instruction. */
	if (run_until_stop(r, t, PTRACE_SINGLESTEP, info->si_signo) || !t->have_stop)
		return;
	if (t->stop.kind == TS_SIGNAL && t->stop.sig == SIGSEGV) {
		frame_failed(r, t, info, flags, before);
		return;
	}
	if (t->stop.kind != TS_SIGNAL || t->stop.sig != SIGTRAP || remote_getregs(t->tid, &after))
		return;
	t->have_stop = t->at_restart = false;
	emit_signal(r, t, info, flags | EVF_SIG_HANDLER | EVF_AFTER, before);
	r->ev.after = after;
	signal_note_mask(t);
	hide_trap_flag(t, after.rsp, before);
	ev_write_memory(r, t, after.rsp, frame_bytes(t, after.rsp));
	r->ev.n_xstate = (uint32_t)task_settle_xstate(t, canon);
	r->ev.xstate = canon;
	ev_end(r);
}

/* A call that opens the mask, or sends a signal to the caller itself, does not return before the signal was handled. */
static bool ends_a_call(struct task *t)
{
	struct user_regs_struct regs;

	return agent_opened_mask(t) || (remote_getregs(t->tid, &regs) == 0 && regs.rip == t->call_end);
}

bool signal_waits(const struct task *t)
{
	uint64_t blocked;
	siginfo_t info;

	if (ptrace(PTRACE_GETSIGMASK, t->tid, sizeof(blocked), &blocked) < 0)
		return false;
	/* Another thread, though it only waits in the kernel, may take what was sent to the process. */
	for (uint32_t flags = 0; flags <= (t->proc->n_tasks == 1 ? PTRACE_PEEKSIGINFO_SHARED : 0); flags++) {
		struct __ptrace_peeksiginfo_args first = { .flags = flags, .nr = 1 };

		if (ptrace(PTRACE_PEEKSIGINFO, t->tid, &first, &info) == 1 && !(blocked >> (info.si_signo - 1) & 1))
			return true;
	}
	return false;
}

/*
 * An asynchronous signal may come anywhere: hold it back until the task stands where replay can stop cheaply. What the
 * steps themselves raised comes again once the handler returns. One that has come before the task has run since its
 * last event (at_once) is there already, or would be if its call had not been made from a trampoline.
 */
static void stand_still(struct recording *r, struct task *t, const siginfo_t *info, bool at_once)
{
	bool now = ends_a_call(t);

	if ((at_once && !agent_inside(t)) || agent_leave(r, t))
		return;
	if (!at_once)
		clock_step(r, t, now);
	if (t->have_stop && t->stop.kind == TS_SIGNAL)
		t->have_stop = false;
	if (t->have_stop)
		return;
	if (at_once)
		clock_record_near(r, t);
	else
		clock_record(r, t);
	ptrace(PTRACE_SETSIGINFO, t->tid, 0, info);
}

/*
 * Whether no instruction raised a signal that looks like a fault: one forced upon the task because another's frame could
 * not be built; or one that the program sent itself with a fault's siginfo, as crash handlers do to pass a fault on.
 * Such a signal comes as soon as it is not blocked; and a real fault while it is blocked would end the process.
 */
static bool take_forced(struct task *t, const siginfo_t *info)
{
	uint64_t bit = 1ull << (info->si_signo - 1);
	bool forced = t->segv_forced && info->si_signo == SIGSEGV && info->si_code == SI_KERNEL;

	t->segv_forced = false;
	if (!forced && t->proc->forged & bit) {
		t->proc->forged &= ~bit;
		forced = true;
	}
	return forced;
}

void signal_note_sent(struct task *t)
{
	uint64_t info = t->call.nr == SYS_rt_sigqueueinfo ? t->call.arg[2] : t->call.arg[3];
	uint64_t sig = t->call.nr == SYS_rt_sigqueueinfo ? t->call.arg[1] : t->call.arg[2];
	siginfo_t si;

	/* The kernel takes such a one from nobody but the task itself. */
	if (t->call.ret == 0 && sig && mem_read(t->mm->mem_fd, info, &si, sizeof(si)) == 0 && si.si_code > 0)
		t->proc->forged |= 1ull << (sig - 1);
}

static bool stands_before_cont(const struct task *t)
{
	siginfo_t info = { 0 };

	if (t->have_stop)
		return t->stop.kind == TS_SIGNAL && t->stop.sig == SIGCONT;
	return waitid(P_PID, (id_t)t->tid, &info, WSTOPPED | WNOHANG | WNOWAIT | __WALL) == 0 && info.si_pid && info.si_status == SIGCONT;
}

/*
 * Whether a SIGCONT has come since the signal that is to stop the process: one from before was taken away by it. The kernel sees to
 * that where a signal is delivered from its own stop, but ours comes from that of a call which was injected since.
 */
static bool was_continued(struct recording *r, const struct task *t)
{
	char text[4096];

	procfile_read(t->tid, "status", text, sizeof(text));
	if ((procfile_number(text, "\nSigPnd:", 16) | procfile_number(text, "\nShdPnd:", 16)) >> (SIGCONT - 1) & 1)
		return true;
	for (const struct task *o = r->tasks; o; o = o->next) {
		if (o != t && o->proc == t->proc && o->state != TASK_DEAD && stands_before_cont(o))
			return true;
	}
	return false;
}

void signal_stop(struct recording *r, struct task *t)
{
	struct user_regs_struct before;
	enum disposition disp;
	uint32_t flags = 0;
	siginfo_t info;
	int sig = t->stop.sig;
	bool by_filter, forced, at_once = r->signal_next == t;

	r->signal_next = NULL;
	if (ptrace(PTRACE_GETSIGINFO, t->tid, 0, &info) < 0)
		return;
	nested_siginfo(r, t, &info);
	forced = t->shown ? t->held_forced : take_forced(t, &info);
	if (!forced && sig == SIGSEGV && info.si_code == SI_KERNEL && trap_emulate(r, t))
		return;
	if (!forced && sig == SIGSEGV && info.si_code == SEGV_ACCERR && guard_reached(r, t, (uint64_t)info.si_addr))
		return;
	if (is_fault(&info) && agent_faulted(t, sig))
		return;
	if (nested_holds(r, t, &info, forced, is_fault(&info) && !forced))
		return;
	t->shown = false;
	by_filter = seccomp_siginfo(t, &info);
	disp = disposition_of(t, sig);
	pace_comes(t, &info);
	if (disp == DISP_DEFAULT && sig != SIGKILL && sig != SIGSTOP && (!is_fault(&info) || forced) && is_first_process(t))
		disp = DISP_IGNORE;
	if (disp == DISP_IGNORE || (disp == DISP_DEFAULT && (default_ignores(sig) || default_stops(sig)))) {
		if (!(is_fault(&info) && disp == DISP_IGNORE && !forced)) {
			if (default_stops(sig) && disp == DISP_DEFAULT && !t->at_restart && !agent_leave(r, t))
				clock_record(r, t);   /* it will stand here while others run */
			run_user(r, t, default_stops(sig) && was_continued(r, t) ? 0 : sig);
			return;
		}
	}
	if (is_fault(&info) && !forced)
		flags |= EVF_SIG_SYNC;
	else if (!t->at_restart && !by_filter && !forced)
		stand_still(r, t, &info, at_once);
	if (t->have_stop)
		return;   /* it is ending */
	if (remote_getregs(t->tid, &before))
		return;
	log_debug("task %u: signal %d code %d at %llx", t->no, sig, info.si_code, (unsigned long long)before.rip);
	if (disp == DISP_HANDLER) {
		deliver_to_handler(r, t, &info, flags, &before);
		pace_handled(t);
		return;
	}
	emit_signal(r, t, &info, flags | EVF_SIG_FATAL, &before);
	ev_end(r);
	t->doomed = true;
	run_user(r, t, sig);
}
