/*
 * The vDSO: code and data of the kernel's in every process, which read the clock without a call. The program must not
 * use it, for nobody would record what it said. The agent may: its clock is called where it was moved to, out of the
 * program's sight.
 */
#include "recorder/agent.h"

#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include "common/err.h"
#include "tracee/elfsym.h"
#include "tracee/insn.h"
#include "tracee/layout.h"

#define CODE_MAX 0x8000u

struct vdso {
	uint64_t start, end;        /* with its data */
	uint64_t code;              /* its first mapping that is an ELF file */
	size_t n;
	uint8_t bytes[CODE_MAX];
	uint8_t seen[CODE_MAX];     /* an instruction begins here */
	uint16_t todo[256];
	unsigned n_todo;
	uint16_t calls[16];         /* `syscall`: for clocks that it cannot read */
	unsigned n_calls;
	uint64_t clock;             /* its clock_gettime, in the code; 0: it is not to be used */
};

static bool is_part(const struct mapping *m)
{
	return strncmp(m->name, "[vdso", 5) == 0 || strncmp(m->name, "[vvar", 5) == 0;
}

static bool locate(const struct maps *maps, struct vdso *v)
{
	for (size_t i = 0; i < maps->n; i++) {
		const struct mapping *m = &maps->v[i];

		if (!is_part(m))
			continue;
		if (v->end && m->start != v->end)
			return false;
		if (!v->end)
			v->start = m->start;
		v->end = m->end;
		if (m->prot & PROT_EXEC) {
			v->code = m->start;
			v->n = (size_t)(m->end - m->start);
		}
	}
	return v->code && v->n <= CODE_MAX && v->end - v->start <= RL_VDSO_BYTES;
}

/* The vector and x87 registers are the program's, and a replay, which does not come here, leaves them alone. */
static bool only_general_registers(const uint8_t *b, size_t n)
{
	size_t i = 0;

	while (i < n && (b[i] == 0x66 || b[i] == 0xf2 || b[i] == 0xf3 || b[i] == 0x2e || b[i] == 0x3e || (b[i] & 0xf0) == 0x40))
		i++;
	if (i >= n || b[i] == 0xc4 || b[i] == 0xc5 || b[i] == 0x62 || (b[i] >= 0xd8 && b[i] <= 0xdf))
		return false;
	if (b[i] != 0x0f || i + 1 >= n)
		return true;
	b += i + 1;
	return !((*b >= 0x10 && *b <= 0x17) || (*b >= 0x28 && *b <= 0x2f) || *b == 0x38 || *b == 0x3a || (*b >= 0x50 && *b <= 0x7f) ||
		 *b == 0xae || *b == 0xc2 || (*b >= 0xc4 && *b <= 0xc6) || *b >= 0xd0);
}

static bool is_fence(const uint8_t *b, size_t n)
{
	return n == 3 && b[0] == 0x0f && b[1] == 0xae && b[2] >= 0xe8;
}

static bool walk_on(struct vdso *v, uint64_t to)
{
	if (to >= v->n || v->n_todo == sizeof(v->todo) / sizeof(v->todo[0]))
		return false;
	if (!v->seen[to])
		v->todo[v->n_todo++] = (uint16_t)to;
	return true;
}

/* One straight piece of code. */
static bool walk(struct vdso *v, uint64_t at)
{
	const uint32_t never = INSN_INT | INSN_INT3 | INSN_XSAVE | INSN_INDIRECT | INSN_CPUID | INSN_RDRAND;

	while (at < v->n && !v->seen[at]) {
		struct insn in;

		if (insn_decode(v->bytes + at, v->n - at, at, &in) || in.flags & never ||
		    (!only_general_registers(v->bytes + at, in.len) && !is_fence(v->bytes + at, in.len)))
			return false;
		v->seen[at] = 1;
		if (in.flags & INSN_SYSCALL) {
			if (v->n_calls == sizeof(v->calls) / sizeof(v->calls[0]))
				return false;
			v->calls[v->n_calls++] = (uint16_t)at;
		}
		if (in.flags & (INSN_BRANCH | INSN_CALL) && !walk_on(v, in.target))
			return false;
		if (in.flags & INSN_RET || (in.flags & INSN_BRANCH && !(in.flags & INSN_CONDITIONAL)))
			return true;
		at += in.len;
	}
	return at < v->n;
}

/* All code that the clock can come to. */
static bool callable(struct vdso *v, uint64_t entry)
{
	bool ok = walk_on(v, entry);

	while (ok && v->n_todo)
		ok = walk(v, v->todo[--v->n_todo]);
	return ok;
}

static uint64_t find_clock(const struct vdso *v)
{
	struct elfsym *e;
	struct elf_symbol s;
	uint64_t at = 0;

	if (elfsym_open_memory(v->bytes, v->n, &e))
		return 0;
	if (elfsym_find(e, "__vdso_clock_gettime", &s) == 0)
		at = s.value;   /* it is linked at 0 */
	elfsym_close(e);
	return at;
}

static int move_or_drop(const struct maps *maps, const struct vdso *v, struct remote_op *ops)
{
	int n = 0;

	for (size_t i = 0; i < maps->n; i++) {
		const struct mapping *m = &maps->v[i];
		uint64_t len = m->end - m->start;

		if (!is_part(m))
			continue;
		if (n == VDSO_PARTS)
			return -RL_EUNSUPPORTED;
		if (v->clock)
			ops[n++] = (struct remote_op){ .nr = SYS_mremap, .arg = { m->start, len, len, MREMAP_MAYMOVE | MREMAP_FIXED,
										  RL_VDSO + (m->start - v->start) } };
		else
			ops[n++] = (struct remote_op){ .nr = SYS_munmap, .arg = { m->start, len } };
	}
	return n;
}

/* Where its clock is and what that calls. The kernel gives all processes the same one: it is walked once. */
static void look_through(struct vdso *v)
{
	static struct vdso last;

	if (last.n != v->n || memcmp(last.bytes, v->bytes, v->n) != 0) {
		last = *v;
		last.clock = find_clock(&last);
		if (last.clock && !callable(&last, last.clock))
			last.clock = 0;
	}
	v->clock = last.clock;
	v->n_calls = last.n_calls;
	memcpy(v->calls, last.calls, sizeof(v->calls));
}

/* Of the process that is at its exec: one is, at a time. */
static struct vdso vdso;

int vdso_hide(struct recording *r, struct task *t, struct remote_op ops[VDSO_PARTS])
{
	struct vdso *v = &vdso;
	struct maps maps = { 0 };
	int got = maps_read(t->tid, &maps);

	if (got)
		return got;
	memset(v, 0, sizeof(*v));
	if (agent_used(r) && locate(&maps, v) && mem_read(t->mm->mem_fd, v->code, v->bytes, v->n) == 0)
		look_through(v);
	got = move_or_drop(&maps, v, ops);
	maps_free(&maps);
	return got;
}

/*
 * Where it makes a call it shall say that it cannot: `or $-1, %al` leaves a result that is neither 0 nor an error, and
 * the agent asks the kernel itself.
 */
int vdso_hidden(struct task *t)
{
	static const uint8_t or_al[2] = { 0x0c, 0xff };
	const struct vdso *v = &vdso;
	uint64_t code = RL_VDSO + (v->code - v->start);
	uint8_t now[2];
	int err = 0;

	if (!v->clock)
		return 0;
	/* The kernel may have refused to move it: then it is where it was, and the program was not told where. */
	if (mem_read(t->mm->mem_fd, code + v->clock, now, sizeof(now)) || memcmp(now, v->bytes + v->clock, sizeof(now)) != 0)
		return 0;
	for (unsigned i = 0; !err && i < v->n_calls; i++)
		err = mem_write(t->mm->mem_fd, code + v->calls[i], or_al, sizeof(or_al));
	if (!err && !t->mm->tsc_traps)
		agent_set_clock(t->mm, code + v->clock);
	return err;
}
