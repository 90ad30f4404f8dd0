/*
 * Instructions that trap because their results differ from run to run: rdtsc, cpuid, rdrand and their like. The
 * processor traps some of them by itself; where it does not, their places in files' code are changed (tracee/insn_site.h).
 */
#include "recorder/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include "common/log.h"
#include "recorder/agent.h"
#include "tracee/insn_site.h"
#include "tracee/layout.h"
#include "tracee/xstate.h"

void signal_note_inherited(struct proc *p)
{
	struct sigaction sa;

	if (sigaction(SIGSEGV, NULL, &sa) == 0 && sa.sa_handler == SIG_IGN)
		p->segv.handler = (uint64_t)(uintptr_t)SIG_IGN;
}

void signal_note_mask(struct task *t)
{
	uint64_t mask;

	if (ptrace(PTRACE_GETSIGMASK, t->tid, sizeof(mask), &mask) == 0)
		t->segv_blocked = mask >> (SIGSEGV - 1) & 1;
}

void signal_note_action(struct task *t)
{
	if (t->call.ret == 0 && t->call.arg[0] == SIGSEGV && t->call.arg[1])
		(void)mem_read(t->mm->mem_fd, t->call.arg[1], &t->proc->segv, sizeof(t->proc->segv));
}

/*
 * To force the trap's SIGSEGV upon a program that blocks or ignores it, the kernel unblocks it and sets its
 * disposition to the default. The program never had that signal: put both back.
 */
void signal_undo_forced(struct task *t)
{
	const struct sig_action *want = &t->proc->segv;
	uint64_t mask;
	int64_t result;

	if (!t->segv_blocked && want->handler != (uint64_t)(uintptr_t)SIG_IGN)
		return;
	if (want->handler && mem_write(t->mm->mem_fd, RL_DATA, want, sizeof(*want)) == 0)
		(void)task_call(t, SYS_rt_sigaction, REMOTE_ARGS(SIGSEGV, RL_DATA, 0, 8), &result);
	if (t->segv_blocked && ptrace(PTRACE_GETSIGMASK, t->tid, sizeof(mask), &mask) == 0) {
		mask |= 1ull << (SIGSEGV - 1);
		(void)ptrace(PTRACE_SETSIGMASK, t->tid, sizeof(mask), &mask);
	}
}

static uint64_t read_tsc(uint32_t *ret_aux)
{
	uint32_t lo, hi;

	__asm__ volatile("rdtscp" : "=a"(lo), "=d"(hi), "=c"(*ret_aux));
	return (uint64_t)hi << 32 | lo;
}

#define CPUID_1_ECX_RDRAND (1u << 30)
#define CPUID_7_EBX_HLE (1u << 4)
#define CPUID_7_EBX_RTM (1u << 11)
#define CPUID_7_EBX_RDSEED (1u << 18)

/* Intel SDM volume 2A, AMD APM volume 3: these do not look at ecx. */
bool cpuid_has_subleaves(uint32_t leaf)
{
	return leaf > 3 && leaf != 5 && leaf != 6 && leaf != 0x15 && leaf != 0x16 && (leaf < 0x80000000 || leaf > 0x80000008);
}

static struct cpuid_answer *find_answer(struct recording *r, uint32_t leaf, uint32_t sub)
{
	for (size_t i = 0; i < r->n_cpuid; i++) {
		if (r->cpuid[i].leaf == leaf && r->cpuid[i].sub == sub)
			return &r->cpuid[i];
	}
	return NULL;
}

/*
 * What cannot be replayed is masked out: programs then do without it. The instruction leaves a virtual machine, which takes
 * longer than a stop, and each start of a program asks the same dozens of questions. We stay on one processor, so the
 * answers stay the same.
 */
static struct cpuid_answer ask_cpuid(struct recording *r, uint32_t leaf, uint32_t sub)
{
	struct cpuid_answer got = { .leaf = leaf, .sub = cpuid_has_subleaves(leaf) ? sub : 0 };
	const struct cpuid_answer *known = find_answer(r, leaf, got.sub);

	if (known)
		return *known;
	__asm__ volatile("cpuid" : "=a"(got.a), "=b"(got.b), "=c"(got.c), "=d"(got.d) : "a"(leaf), "c"(sub));
	if (leaf == 1)
		got.c &= ~CPUID_1_ECX_RDRAND;
	if (leaf == 7 && sub == 0)
		got.b &= ~(CPUID_7_EBX_HLE | CPUID_7_EBX_RTM | CPUID_7_EBX_RDSEED);
	if (r->n_cpuid < CPUID_ANSWERS)
		r->cpuid[r->n_cpuid++] = got;
	return got;
}

static void run_cpuid(struct recording *r, struct user_regs_struct *regs)
{
	struct cpuid_answer got = ask_cpuid(r, (uint32_t)regs->rax, (uint32_t)regs->rcx);

	regs->rax = got.a;
	regs->rbx = got.b;
	regs->rcx = got.c;
	regs->rdx = got.d;
}

#define FLAGS_ARITHMETIC 0x8d5ull   /* OF SF ZF AF PF CF */
#define FLAG_CF 1ull

/* user_regs_struct's fields by a register's number in the encoding. */
static unsigned long long *reg_by_number(struct user_regs_struct *r, unsigned n)
{
	unsigned long long *const at[16] = {
		(unsigned long long *)&r->rax, (unsigned long long *)&r->rcx, (unsigned long long *)&r->rdx,
		(unsigned long long *)&r->rbx, (unsigned long long *)&r->rsp, (unsigned long long *)&r->rbp,
		(unsigned long long *)&r->rsi, (unsigned long long *)&r->rdi, (unsigned long long *)&r->r8,
		(unsigned long long *)&r->r9, (unsigned long long *)&r->r10, (unsigned long long *)&r->r11,
		(unsigned long long *)&r->r12, (unsigned long long *)&r->r13, (unsigned long long *)&r->r14,
		(unsigned long long *)&r->r15,
	};

	return at[n & 15];
}

static void set_operand(struct user_regs_struct *regs, unsigned reg, unsigned bytes, uint64_t value)
{
	unsigned long long *at = reg_by_number(regs, reg);

	if (bytes == 2)
		*at = (*at & ~0xffffull) | (value & 0xffff);
	else
		*at = bytes == 4 ? (uint32_t)value : value;
}

/* rdrand, rdseed and rdpid have one operand, a register: Intel SDM volume 2B. */
static bool run_one_register(struct user_regs_struct *regs, const uint8_t *code, const struct insn *in)
{
	const uint8_t *modrm = code + in->len - 1;
	unsigned bytes = 4, reg = *modrm & 7;
	uint64_t value;
	uint32_t aux;

	for (const uint8_t *p = code; *p != INSN_SITE_TRAP; p++) {
		if (*p == 0x66 && bytes != 8)
			bytes = 2;
		if ((*p & 0xf0) == 0x40) {
			bytes = *p & 8 ? 8 : bytes;
			reg |= *p & 1 ? 8 : 0;
		}
	}
	if (in->flags & INSN_RDPID) {
		(void)read_tsc(&aux);
		set_operand(regs, reg, 8, aux);
		return true;
	}
	if (getrandom(&value, sizeof(value), 0) != sizeof(value))
		return false;
	set_operand(regs, reg, bytes, value);
	regs->eflags = (regs->eflags & ~FLAGS_ARITHMETIC) | FLAG_CF;
	return true;
}

/* xsave and its like: write what depends on register values alone, as writes of the event that is being made. */
static bool run_xsave(struct recording *r, struct task *t, const uint8_t *code, const struct insn *in,
		      const struct user_regs_struct *regs)
{
	static uint8_t canon[XSTATE_MAX], area[XSTATE_MAX];
	static struct xstate x;
	struct xstate_part part[XSTATE_PARTS];
	uint64_t at, old_bv, request = ((uint64_t)(uint32_t)regs->rdx << 32 | (uint32_t)regs->rax) & xstate_xcr0();
	const uint8_t *opcode = memchr(code, INSN_SITE_TRAP, in->len);
	unsigned n;

	if (insn_ea(in, 0, regs, &at) || at % 64 || xstate_read(t->tid, &x) ||
	    mem_read(t->mm->mem_fd, at + 512, &old_bv, sizeof(old_bv)))
		return false;   /* what the processor would refuse: the program gets its fault */
	xstate_canon(&x, canon);
	n = xstate_save_area(canon, request, opcode[1] == 0xc7, old_bv, area, part);
	for (unsigned i = 0; i < n; i++) {
		if (mem_write(t->mm->mem_fd, at + part[i].off, area + part[i].off, part[i].len))
			return false;
		ev_write_bytes(r, t->no, at + part[i].off, area + part[i].off, part[i].len);
	}
	return n > 0;
}

/* Registers after the instruction at rip, if it is one that traps. Its length, or 0. */
static unsigned run_trapped(struct recording *r, struct task *t, const uint8_t *code, size_t n,
			    struct user_regs_struct *regs)
{
	struct insn in;
	uint32_t aux;
	uint64_t tsc;
	bool rdtscp, changed = insn_site_decode(code, n, regs->rip, &in) == 0;

	if (!changed && insn_decode(code, n, regs->rip, &in))
		return 0;
	if (changed && in.flags & (INSN_RDRAND | INSN_RDPID))
		return run_one_register(regs, code, &in) ? in.len : 0;
	if (changed && in.flags & INSN_XSAVE)
		return run_xsave(r, t, code, &in, regs) ? in.len : 0;
	if (in.flags & INSN_CPUID) {
		run_cpuid(r, regs);
		return in.len;
	}
	rdtscp = in.flags & INSN_RDTSCP;
	if ((!rdtscp && !(in.flags & INSN_RDTSC)) || t->tsc_faults)
		return 0;
	rdtscp = rdtscp || agent_is_tscp(t, regs->rip);
	tsc = read_tsc(&aux);
	regs->rax = (uint32_t)tsc;
	regs->rdx = tsc >> 32;
	if (rdtscp)
		regs->rcx = aux;
	return in.len;
}

/* An rdtsc or rdtscp, by what follows its first byte. */
static bool is_tsc(const uint8_t *b)
{
	return b[0] == 0x31 || (b[0] == 0x01 && b[1] == 0xf9);
}

bool trap_emulate(struct recording *r, struct task *t)
{
	struct user_regs_struct before, after;
	uint8_t code[INSN_MAX_BYTES] = { 0 };
	unsigned len;

	if (remote_getregs(t->tid, &before))
		return false;
	after = before;
	ev_begin(r, t, EV_INSN);
	len = run_trapped(r, t, code, mem_read_some(t->mm->mem_fd, before.rip, code, sizeof(code)), &after);
	if (!len)
		return false;
	after.rip += len;
	r->ev.flags = EVF_BEFORE | EVF_AFTER;
	r->ev.insn_len = (uint8_t)len;
	r->ev.before = before;
	r->ev.after = after;
	ev_end(r);
	after.orig_rax = -1ull;
	remote_setregs(t->tid, &after);
	signal_undo_forced(t);
	if (code[0] == INSN_SITE_TRAP && is_tsc(code + 1))
		agent_read_tsc(r, t, before.rip);
	return true;
}

/* ---- the time stamp counter ---- */

/*
 * That rdtsc traps is a property of a whole thread, and the agent's clock would trap, too. So it does not, as long as
 * all rdtsc in all executable memory is known and was changed. What is executable otherwise than as a searched file's
 * code may have others: then, and from then on, all of them trap.
 */
static bool tsc_known(struct recording *r, const struct mapping *m, uint32_t obj)
{
	const struct object_entry *o = object_by_id(r, obj);
	uint64_t page = MAPS_PAGE - 1, end = m->off + (m->end - m->start);

	return o && o->searched && !o->sites.tsc_unsure && !m->shared && !(m->prot & PROT_WRITE) &&
	       m->off >= (o->sites.code_off & ~page) &&
	       (end <= ((o->sites.code_off + o->sites.code_len + page) & ~page) || end <= o->sites.clear_end);
}

void tsc_mapped(struct recording *r, struct task *t, const struct mapping *m, uint32_t obj)
{
	if (m->prot & PROT_EXEC && (m->start < RL_BASE || m->start >= RL_END) && !agent_has_block(t->mm, m->start) &&
	    !tsc_known(r, m, obj))
		tsc_trap(r, t);
}

static int set_tsc(struct task *t, uint64_t mode)
{
	int64_t result;

	return task_call(t, SYS_prctl, REMOTE_ARGS(PR_SET_TSC, mode), &result);
}

void tsc_trap(struct recording *r, struct task *t)
{
	if (t->mm->tsc_traps)
		return;
	log_debug("process %u: the time stamp counter traps", t->proc->no);
	t->mm->tsc_traps = true;
	agent_set_clock(t->mm, 0);
	agent_set_tsc(t->mm, t->mm->tsc_own ? AGENT_TSC_STOPS : AGENT_TSC_SWITCHES);
	for (struct task *o = r->tasks; o; o = o->next)
		o->tsc_due |= o->mm == t->mm;
	tsc_settle(t);
}

void tsc_settle(struct task *t)
{
	if (t->tsc_due && set_tsc(t, PR_TSC_SIGSEGV) == 0)
		t->tsc_due = false;
}

/* For one task of an address space, that is; the agent is the same for all of them. */
void tsc_own(struct task *t, bool faults)
{
	t->tsc_faults = faults;
	t->mm->tsc_own |= faults;
	if (faults)
		agent_set_tsc(t->mm, AGENT_TSC_STOPS);
}

uint64_t tsc_start(struct recording *r, struct task *t)
{
	t->tsc_due = false;
	t->mm->tsc_own = t->tsc_faults;
	t->mm->tsc_traps = !agent_used(r);
	return t->mm->tsc_traps ? PR_TSC_SIGSEGV : PR_TSC_ENABLE;
}
