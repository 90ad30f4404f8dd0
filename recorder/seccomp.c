/*
 * The program's own seccomp filters. The kernel never gets them: a call that they answered themselves would not be
 * seen by us, and calls that we inject would be subject to them. They are run here instead, at each call's entry, to the
 * effect that seccomp(2) describes.
 */
#include "recorder/internal.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "common/log.h"
#include "tracee/layout.h"

#ifndef SYS_SECCOMP
#define SYS_SECCOMP 1   /* si_code of a filter's SIGSYS, include/uapi/asm-generic/siginfo.h */
#endif

struct sec_filter {
	struct sec_filter *older;       /* the next one to run */
	struct sec_filter *all;         /* every filter ever made, to free them */
	uint32_t n;
	struct sock_filter code[];
};

/* ---- classic BPF, as kernel/seccomp.c admits it ---- */

#define SCRATCH BPF_MEMWORDS

struct machine {
	uint32_t a, x, mem[SCRATCH];
};

static bool load_ok(const struct sock_filter *f)
{
	switch (f->code) {
	case BPF_LD | BPF_W | BPF_ABS:
		return f->k < sizeof(struct seccomp_data) && f->k % 4 == 0;
	case BPF_LD | BPF_W | BPF_LEN:
	case BPF_LDX | BPF_W | BPF_LEN:
	case BPF_LD | BPF_IMM:
	case BPF_LDX | BPF_IMM:
		return true;
	case BPF_LD | BPF_MEM:
	case BPF_LDX | BPF_MEM:
	case BPF_ST:
	case BPF_STX:
		return f->k < SCRATCH;
	}
	return false;
}

static bool alu_ok(const struct sock_filter *f)
{
	switch (BPF_OP(f->code)) {
	case BPF_DIV:
		return BPF_SRC(f->code) == BPF_X || f->k;
	case BPF_LSH:
	case BPF_RSH:
		return BPF_SRC(f->code) == BPF_X || f->k < 32;
	case BPF_ADD:
	case BPF_SUB:
	case BPF_MUL:
	case BPF_AND:
	case BPF_OR:
	case BPF_XOR:
		return true;
	case BPF_NEG:
		return BPF_SRC(f->code) == BPF_K;
	}
	return false;
}

static bool jump_ok(const struct sock_filter *f, uint32_t left)
{
	switch (BPF_OP(f->code)) {
	case BPF_JA:
		return BPF_SRC(f->code) == BPF_K && f->k < left;
	case BPF_JEQ:
	case BPF_JGT:
	case BPF_JGE:
	case BPF_JSET:
		return f->jt < left && f->jf < left;
	}
	return false;
}

/* @left: how many instructions follow. */
static bool insn_ok(const struct sock_filter *f, uint32_t left)
{
	switch (BPF_CLASS(f->code)) {
	case BPF_LD:
	case BPF_LDX:
	case BPF_ST:
	case BPF_STX:
		return load_ok(f) && left;
	case BPF_ALU:
		return alu_ok(f) && left;
	case BPF_JMP:
		return jump_ok(f, left);
	case BPF_RET:
		return f->code == (BPF_RET | BPF_K) || f->code == (BPF_RET | BPF_A);
	case BPF_MISC:
		return (f->code == (BPF_MISC | BPF_TAX) || f->code == (BPF_MISC | BPF_TXA)) && left;
	}
	return false;
}

static void run_load(struct machine *m, const struct sock_filter *f, const struct seccomp_data *d)
{
	switch (f->code) {
	case BPF_LD | BPF_W | BPF_ABS:
		memcpy(&m->a, (const char *)d + f->k, 4);
		break;
	case BPF_LD | BPF_W | BPF_LEN:
		m->a = sizeof(*d);
		break;
	case BPF_LDX | BPF_W | BPF_LEN:
		m->x = sizeof(*d);
		break;
	case BPF_LD | BPF_IMM:
		m->a = f->k;
		break;
	case BPF_LDX | BPF_IMM:
		m->x = f->k;
		break;
	case BPF_LD | BPF_MEM:
		m->a = m->mem[f->k];
		break;
	case BPF_LDX | BPF_MEM:
		m->x = m->mem[f->k];
		break;
	case BPF_ST:
		m->mem[f->k] = m->a;
		break;
	case BPF_STX:
		m->mem[f->k] = m->x;
		break;
	}
}

/* False: a division by zero, which ends the filter with 0 (kill). */
static bool run_alu(struct machine *m, const struct sock_filter *f)
{
	uint32_t b = BPF_SRC(f->code) == BPF_X ? m->x : f->k;

	switch (BPF_OP(f->code)) {
	case BPF_ADD:
		m->a += b;
		break;
	case BPF_SUB:
		m->a -= b;
		break;
	case BPF_MUL:
		m->a *= b;
		break;
	case BPF_DIV:
		if (!b)
			return false;
		m->a /= b;
		break;
	case BPF_AND:
		m->a &= b;
		break;
	case BPF_OR:
		m->a |= b;
		break;
	case BPF_XOR:
		m->a ^= b;
		break;
	case BPF_LSH:
		m->a <<= b & 31;
		break;
	case BPF_RSH:
		m->a >>= b & 31;
		break;
	case BPF_NEG:
		m->a = 0 - m->a;
		break;
	}
	return true;
}

static uint32_t jump_by(const struct machine *m, const struct sock_filter *f)
{
	uint32_t b = BPF_SRC(f->code) == BPF_X ? m->x : f->k;
	bool yes = false;

	switch (BPF_OP(f->code)) {
	case BPF_JA:
		return f->k;
	case BPF_JEQ:
		yes = m->a == b;
		break;
	case BPF_JGT:
		yes = m->a > b;
		break;
	case BPF_JGE:
		yes = m->a >= b;
		break;
	case BPF_JSET:
		yes = m->a & b;
		break;
	}
	return yes ? f->jt : f->jf;
}

static uint32_t filter_run(const struct sec_filter *s, const struct seccomp_data *d)
{
	struct machine m = { 0 };

	for (uint32_t pc = 0; pc < s->n; pc++) {
		const struct sock_filter *f = &s->code[pc];

		switch (BPF_CLASS(f->code)) {
		case BPF_ALU:
			if (!run_alu(&m, f))
				return SECCOMP_RET_KILL_THREAD;
			break;
		case BPF_JMP:
			pc += jump_by(&m, f);
			break;
		case BPF_RET:
			return BPF_RVAL(f->code) == BPF_A ? m.a : f->k;
		case BPF_MISC:
			if (BPF_MISCOP(f->code) == BPF_TAX)
				m.x = m.a;
			else
				m.a = m.x;
			break;
		default:
			run_load(&m, f, d);
		}
	}
	return SECCOMP_RET_KILL_THREAD;
}

/* ---- what a call meets ---- */

/* The strictest answer of all filters, the newest's data among equals: their order is that of the signed numbers. */
static uint32_t verdict(const struct task *t)
{
	const struct user_regs_struct *g = &t->entry;
	struct seccomp_data d = { .nr = (int)g->orig_rax, .arch = AUDIT_ARCH_X86_64, .instruction_pointer = g->rip,
				  .args = { g->rdi, g->rsi, g->rdx, g->r10, g->r8, g->r9 } };
	uint32_t worst = SECCOMP_RET_ALLOW;

	for (const struct sec_filter *f = t->filters; f; f = f->older) {
		uint32_t now = filter_run(f, &d);

		if ((int32_t)(now & SECCOMP_RET_ACTION_FULL) < (int32_t)(worst & SECCOMP_RET_ACTION_FULL))
			worst = now;
	}
	return worst;
}

static bool strict_allows(uint64_t nr)
{
	return nr == SYS_read || nr == SYS_write || nr == SYS_exit || nr == SYS_rt_sigreturn;
}

static void answer(struct task *t, int64_t result)
{
	t->skipped = true;
	t->forced = result;
}

static void condemn(struct task *t, enum sec_fate fate, uint32_t data)
{
	answer(t, (int64_t)t->entry.orig_rax);   /* rolled back: rax holds the number again */
	t->sec_fate = fate;
	t->sec_data = data;
}

void seccomp_entry(struct recording *r, struct task *t)
{
	uint32_t v, data;

	if (t->sec_strict) {
		if (!strict_allows(t->entry.orig_rax))
			condemn(t, SEC_SIGKILL, 0);
		return;
	}
	if (!t->filters)
		return;
	v = verdict(t);
	data = v & SECCOMP_RET_DATA;
	switch (v & SECCOMP_RET_ACTION_FULL) {
	case SECCOMP_RET_ALLOW:
	case SECCOMP_RET_LOG:
		break;
	case SECCOMP_RET_ERRNO:
		answer(t, -(int64_t)(data > 4095 ? 4095 : data));
		break;
	case SECCOMP_RET_TRACE:
	case SECCOMP_RET_USER_NOTIF:
		answer(t, -ENOSYS);   /* nobody is there to be asked */
		break;
	case SECCOMP_RET_TRAP:
		condemn(t, SEC_SIGSYS, data);
		break;
	case SECCOMP_RET_KILL_THREAD:
		condemn(t, task_is_last(r, t) ? SEC_KILLED : SEC_THREAD_KILLED, data);
		break;
	default:
		condemn(t, SEC_KILLED, data);
	}
}

/* ---- the signal that follows ---- */

static void force_default(struct task *t, int sig)
{
	struct sig_action dfl = { 0 };
	int64_t result;

	if (mem_write(t->mm->mem_fd, RL_DATA, &dfl, sizeof(dfl)) == 0)
		(void)task_call(t, SYS_rt_sigaction, REMOTE_ARGS((uint64_t)sig, RL_DATA, 0, 8), &result);
}

/*
 * One thread dies, as no signal and no call of ours could have it die: the kernel gets a filter after all, for this
 * thread, which kills it at the next call that it makes.
 */
static void kill_thread(struct recording *r, struct task *t)
{
	struct filter_of_all {
		struct sock_fprog prog;
		struct sock_filter code;
	} all = { { 1, (struct sock_filter *)(uintptr_t)(RL_DATA + offsetof(struct filter_of_all, code)) },
		  BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_THREAD) };
	struct user_regs_struct regs = t->entry;
	uint64_t mask;
	int64_t result;

	if (task_mask_signals(t, &mask) || mem_write(t->mm->mem_fd, RL_DATA, &all, sizeof(all)) ||
	    task_call(t, SYS_prctl, REMOTE_ARGS(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), &result) ||
	    task_call(t, SYS_seccomp, REMOTE_ARGS(SECCOMP_SET_MODE_FILTER, 0, RL_DATA), &result) || result) {
		log_debug("task %u: no filter to kill it with", t->no);
		kill(t->proc->pid, SIGKILL);
		return;
	}
	regs.rip -= 2;   /* back to the syscall instruction */
	regs.rax = regs.orig_rax;
	regs.orig_rax = -1ull;
	t->doomed = true;
	if (remote_setregs(t->tid, &regs) == 0)
		run_until_stop(r, t, PTRACE_CONT, 0);
}

void seccomp_exit(struct recording *r, struct task *t)
{
	uint64_t mask = 0, bit = 1ull << (SIGSYS - 1);

	if (t->sec_fate == SEC_NONE)
		return;
	if (t->sec_fate == SEC_SIGKILL) {
		kill(t->proc->pid, SIGKILL);
		return;
	}
	if (t->sec_fate == SEC_THREAD_KILLED) {
		kill_thread(r, t);
		return;
	}
	ptrace(PTRACE_GETSIGMASK, t->tid, sizeof(mask), &mask);
	if (t->sec_fate == SEC_KILLED || mask & bit || signal_is_ignored(t, SIGSYS)) {
		force_default(t, SIGSYS);
		mask &= ~bit;
		ptrace(PTRACE_SETSIGMASK, t->tid, sizeof(mask), &mask);
	}
	syscall(SYS_tgkill, t->proc->pid, t->tid, SIGSYS);
}

bool seccomp_siginfo(struct task *t, siginfo_t *info)
{
	if (info->si_signo != SIGSYS || (t->sec_fate != SEC_SIGSYS && t->sec_fate != SEC_KILLED))
		return false;
	memset(info, 0, sizeof(*info));
	info->si_signo = SIGSYS;
	info->si_errno = (int)t->sec_data;
	info->si_code = SYS_SECCOMP;
	info->si_call_addr = (void *)(uintptr_t)t->entry.rip;
	info->si_syscall = (int)t->entry.orig_rax;
	info->si_arch = AUDIT_ARCH_X86_64;
	t->sec_fate = SEC_NONE;
	ptrace(PTRACE_SETSIGINFO, t->tid, 0, info);
	return true;
}

/* ---- how filters come in ---- */

#ifndef SECCOMP_FILTER_FLAG_NEW_LISTENER
#define SECCOMP_FILTER_FLAG_NEW_LISTENER (1ul << 3)
#endif
#ifndef SECCOMP_GET_NOTIF_SIZES
#define SECCOMP_GET_NOTIF_SIZES 3
#endif
#ifndef SECCOMP_RET_USER_NOTIF
#define SECCOMP_RET_USER_NOTIF 0x7fc00000u
#endif

/* The kernel has no filter that it could tell a listener of: as before Linux 5.0. */
static int64_t no_listener(struct recording *r)
{
	tell_once(r, &r->listener_refused, "the program wanted to answer another one's system calls (a seccomp filter with "
		  "SECCOMP_FILTER_FLAG_NEW_LISTENER) and was refused with EINVAL: such a listener cannot be recorded");
	return -EINVAL;
}

static bool is_action_of(struct task *t, uint64_t addr, uint32_t action)
{
	uint32_t asked;

	return mem_read(t->mm->mem_fd, addr, &asked, sizeof(asked)) == 0 && asked == action;
}

static int filter_read(struct recording *r, struct task *t, uint64_t addr, struct sec_filter **ret)
{
	struct sock_fprog prog;
	struct sec_filter *f;
	uint64_t code;
	bool ok;

	if (mem_read(t->mm->mem_fd, addr, &prog, sizeof(prog)))
		return -EFAULT;
	if (!prog.len || prog.len > BPF_MAXINSNS)
		return -EINVAL;
	code = (uint64_t)(uintptr_t)prog.filter;
	f = malloc(sizeof(*f) + prog.len * sizeof(f->code[0]));
	if (!f)
		return -ENOMEM;
	f->n = prog.len;
	f->older = t->filters;
	if (mem_read(t->mm->mem_fd, code, f->code, prog.len * sizeof(f->code[0]))) {
		free(f);
		return -EFAULT;
	}
	ok = true;
	for (uint32_t i = 0; i < f->n; i++)
		ok = ok && insn_ok(&f->code[i], f->n - 1 - i);
	if (!ok) {
		free(f);
		return -EINVAL;
	}
	f->all = r->filters;
	r->filters = f;
	*ret = f;
	return 0;
}

static bool is_ancestor(const struct sec_filter *older, const struct sec_filter *of)
{
	while (of && of != older)
		of = of->older;
	return of == older;
}

/* A thread that has filters of its own cannot be brought along. 0, or that thread's id. */
static int64_t sync_threads(struct recording *r, struct task *t, struct sec_filter *f)
{
	for (struct task *o = r->tasks; o; o = o->next) {
		if (o->proc == t->proc && o->state != TASK_DEAD && (o->sec_strict || !is_ancestor(o->filters, t->filters)))
			return o->tid;
	}
	for (struct task *o = r->tasks; o; o = o->next) {
		if (o->proc == t->proc)
			o->filters = f;
	}
	return 0;
}

#define KNOWN_FLAGS (SECCOMP_FILTER_FLAG_TSYNC | SECCOMP_FILTER_FLAG_LOG | SECCOMP_FILTER_FLAG_SPEC_ALLOW | \
		     SECCOMP_FILTER_FLAG_TSYNC_ESRCH)

static int64_t set_filter(struct recording *r, struct task *t, uint64_t flags, uint64_t addr)
{
	struct sec_filter *f;
	int64_t got;

	if (flags & SECCOMP_FILTER_FLAG_NEW_LISTENER)
		return no_listener(r);
	if (flags & ~(uint64_t)KNOWN_FLAGS || t->sec_strict)
		return -EINVAL;
	got = filter_read(r, t, addr, &f);
	if (got)
		return got;
	if (!(flags & SECCOMP_FILTER_FLAG_TSYNC)) {
		t->filters = f;
		return 0;
	}
	got = sync_threads(r, t, f);
	return got && flags & SECCOMP_FILTER_FLAG_TSYNC_ESRCH ? -ESRCH : got;
}

static int64_t set_strict(struct task *t, uint64_t flags)
{
	if (flags || t->filters)
		return -EINVAL;
	t->sec_strict = true;
	return 0;
}

void seccomp_call(struct recording *r, struct task *t)
{
	const uint64_t *a = t->call.arg;

	if (t->call.nr == SYS_seccomp && a[0] == SECCOMP_SET_MODE_STRICT)
		answer(t, a[2] ? -EINVAL : set_strict(t, a[1]));
	else if (t->call.nr == SYS_seccomp && a[0] == SECCOMP_SET_MODE_FILTER)
		answer(t, set_filter(r, t, a[1], a[2]));
	else if (t->call.nr == SYS_seccomp && a[0] == SECCOMP_GET_NOTIF_SIZES)
		answer(t, -EINVAL);
	else if (t->call.nr == SYS_seccomp && a[0] == SECCOMP_GET_ACTION_AVAIL && is_action_of(t, a[2], SECCOMP_RET_USER_NOTIF))
		answer(t, -EOPNOTSUPP);
	else if (t->call.nr == SYS_prctl && a[0] == PR_SET_SECCOMP && a[1] == SECCOMP_MODE_STRICT)
		answer(t, set_strict(t, 0));
	else if (t->call.nr == SYS_prctl && a[0] == PR_SET_SECCOMP && a[1] == SECCOMP_MODE_FILTER)
		answer(t, set_filter(r, t, 0, a[2]));
	else if (t->call.nr == SYS_prctl && a[0] == PR_GET_SECCOMP)
		answer(t, t->filters ? SECCOMP_MODE_FILTER : SECCOMP_MODE_DISABLED);
}

void seccomp_inherit(struct task *child, const struct task *parent)
{
	child->filters = parent->filters;
	child->sec_strict = parent->sec_strict;
}

uint32_t seccomp_n_filters(const struct task *t)
{
	uint32_t n = 0;

	for (const struct sec_filter *f = t->filters; f; f = f->older)
		n++;
	return n;
}

void seccomp_free(struct recording *r)
{
	while (r->filters) {
		struct sec_filter *f = r->filters;

		r->filters = f->all;
		free(f);
	}
}
