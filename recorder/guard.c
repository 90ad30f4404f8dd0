/*
 * Code of files that stays as it is until somebody executes it. Who maps code in order to read it, as programs do that translate
 * others' code, must not find the instructions that relive changes. So such code cannot be executed at first, and is changed
 * when the first one tries. That is two stops more a file, so it is done only in processes without a dynamic linker: in all others
 * code is mapped in order to be executed.
 */
#include "recorder/internal.h"

#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include "common/grow.h"
#include "tracee/insn.h"

static void guard_add(struct mm *mm, uint64_t start, uint64_t end)
{
	struct stack_range *g = GROW(mm->guards, mm->n_guards, mm->cap_guards);

	if (g) {
		*g = (struct stack_range){ start, end };
		mm->n_guards++;
	}
}

static const struct stack_range *guard_at(const struct mm *mm, uint64_t addr)
{
	for (size_t i = 0; i < mm->n_guards; i++) {
		if (addr >= mm->guards[i].start && addr < mm->guards[i].end)
			return &mm->guards[i];
	}
	return NULL;
}

bool guard_holds(const struct mm *mm, uint64_t addr)
{
	return guard_at(mm, addr) != NULL;
}

void guard_inherit(struct mm *mm, const struct mm *parent)
{
	mm->may_interpret = parent->may_interpret;
	for (size_t i = 0; i < parent->n_guards; i++)
		guard_add(mm, parent->guards[i].start, parent->guards[i].end);
}

void guard_forget(struct mm *mm, uint64_t start, uint64_t len)
{
	uint64_t end = start + len;

	for (size_t i = mm->n_guards; i-- > 0;) {
		struct stack_range g = mm->guards[i];

		if (g.start >= end || start >= g.end)
			continue;
		mm->guards[i] = mm->guards[--mm->n_guards];
		if (g.start < start)
			guard_add(mm, g.start, start);
		if (g.end > end)
			guard_add(mm, end, g.end);
	}
}

void guard_moved(struct mm *mm, uint64_t start, uint64_t len, uint64_t to, uint64_t to_len)
{
	bool held = guard_holds(mm, start);

	guard_forget(mm, start, len);
	if (held)
		guard_add(mm, to, to + to_len);
}

/* A mapping that is not dumped is not merged with its neighbours, so that lists of mappings show it as the program made it. */
static int protect(struct task *t, uint64_t start, uint64_t end, uint64_t prot)
{
	struct remote_op ops[] = {
		{ .nr = SYS_madvise, .arg = { start, end - start, prot & PROT_EXEC ? MADV_DODUMP : MADV_DONTDUMP } },
		{ .nr = SYS_mprotect, .arg = { start, end - start, prot } },
	};
	int err = task_calls(t, ops, 2);

	return err ? err : (int)ops[1].ret;
}

bool guard_code(struct task *t, struct mapping *m)
{
	if (!t->mm->may_interpret || t->read_is_exec || m->prot != (PROT_READ | PROT_EXEC) || protect(t, m->start, m->end, PROT_READ))
		return false;
	guard_forget(t->mm, m->start, m->end - m->start);
	guard_add(t->mm, m->start, m->end);
	m->prot = PROT_READ;
	return true;
}

bool guard_reached(struct recording *r, struct task *t, uint64_t addr)
{
	const struct stack_range *at = guard_at(t->mm, addr);
	struct user_regs_struct regs;
	struct stack_range g;

	if (!at || remote_getregs(t->tid, &regs) || addr - regs.rip >= INSN_MAX_BYTES)
		return false;
	g = *at;
	guard_forget(t->mm, g.start, g.end - g.start);
	if (protect(t, g.start, g.end, PROT_READ | PROT_EXEC))
		return false;
	ev_begin(r, t, EV_INSN);
	r->ev.flags = EVF_BEFORE | EVF_AFTER;
	r->ev.before = r->ev.after = regs;
	ev_asop(r, &(struct ev_asop){ .kind = AS_PROTECT, .prot = PROT_READ | PROT_EXEC, .addr = g.start, .len = g.end - g.start });
	trap_sites_reached(r, t, g.start, g.end - g.start);
	ev_end(r);
	signal_undo_forced(t);
	return true;
}
