/* Whether and how a system call site can be made to jump to the agent. */
#include "recorder/agent_int.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include "agent/abi.h"
#include "common/err.h"
#include "tracee/insn.h"
#include "tracee/insn_site.h"

#define CPUID_BYTES 2
#define JMP_BYTES 5
#define AROUND 4096   /* bytes before and after a site in which jumps into it are looked for */
#define FAR 65536     /* the same for what could be a long jump, wherever instructions begin */

/*
 * Instructions that may run elsewhere and be stepped over there without anybody noticing. @data: they are a file's: also those
 * that access its own data, at an address relative to theirs.
 */
static bool may_move(const struct insn *in, bool data)
{
	const uint32_t never = INSN_STRING | INSN_REP | INSN_SYSCALL | INSN_INT | INSN_INT3 | INSN_RDTSC | INSN_RDTSCP |
			       INSN_CPUID | INSN_RDRAND | INSN_XGETBV | INSN_RDPID | INSN_XBEGIN | INSN_LOCK | INSN_XSAVE |
			       INSN_CALL;

	if (in->flags & never || !strncmp(in->name, "pushf", 5) || !strncmp(in->name, "popf", 4))
		return false;
	/* A fault must be the program's own instruction's: only the stack, and such data, is sure not to give one. */
	for (unsigned i = 0; i < in->n_mem; i++) {
		const struct insn_mem *m = &in->mem[i];

		if ((m->read || m->write) && !(m->implicit || (m->base == INSN_RSP && m->index == INSN_NO_REG)) &&
		    !(data && m->base == INSN_RIP))
			return false;
	}
	return true;
}

static bool is_padding(const struct insn *in)
{
	return !strcmp(in->name, "nop") || !strcmp(in->name, "int3") || in->flags & INSN_INT3 ||
	       (!strncmp(in->name, "xchg", 4) && in->len <= 3 && !in->n_mem);
}

static bool ends_path(const struct insn *in)
{
	return in->flags & INSN_RET || (in->flags & INSN_BRANCH && !(in->flags & INSN_CONDITIONAL));
}

struct around {
	uint8_t bytes[2 * AROUND];
	size_t n;
	uint64_t addr;
	uint64_t far_from, far_end;   /* where to look for long jumps */
	bool is_file;          /* code of a file, which has its data at a fixed distance */
};

static int read_around(struct task *t, uint64_t site, struct around *a)
{
	struct maps maps = { 0 };
	const struct mapping *m;
	int err = maps_read(t->tid, &maps);

	if (err)
		return err;
	m = maps_find(&maps, site);
	err = -RL_EUNSUPPORTED;
	if (m && m->prot & PROT_EXEC && !m->shared && (m->start < RL_BASE || m->start >= RL_END)) {
		uint64_t end = site + AROUND < m->end ? site + AROUND : m->end;

		a->addr = site - AROUND > m->start && site > AROUND ? site - AROUND : m->start;
		a->far_from = site > FAR && site - FAR > m->start ? site - FAR : m->start;
		a->far_end = site + FAR < m->end ? site + FAR : m->end;
		a->is_file = m->ino;
		a->n = mem_read_some(t->mm->mem_fd, a->addr, a->bytes, (size_t)(end - a->addr));
		err = a->n == end - a->addr ? 0 : -EFAULT;
	}
	maps_free(&maps);
	return err;
}

static void put(struct patch *p, const void *bytes, size_t n)
{
	memcpy(p->code + p->tramp_len, bytes, n);
	p->tramp_len = (uint8_t)(p->tramp_len + n);
}

static bool is_insn(enum patch_form form)
{
	return form >= PATCH_CPUID;
}

/* In place of the movabs: the same without an address. */
static void put_lea(struct patch *p, uint64_t after)
{
	static const uint8_t lea[] = { 0x48, 0x8d, 0x0d, 0, 0, 0, 0, 0x0f, 0x1f, 0x00 };   /* lea, nop */
	uint32_t rel = (uint32_t)(after - (p->tramp + AGENT_TRAMP_DONE + 7));

	memcpy(p->code + AGENT_TRAMP_DONE, lea, sizeof(lea));
	memcpy(p->code + AGENT_TRAMP_DONE + 3, &rel, 4);
}

/* An instruction that traps in place of the syscall, or a jump to it, and nothing for rcx. */
static void put_insn(struct patch *p, enum patch_form form, uint64_t after)
{
	static const uint8_t what[][2] = {
		[PATCH_CPUID] = { INSN_SITE_TRAP, 0xa2 }, [PATCH_TSC] = { INSN_SITE_TRAP, 0x31 },
		[PATCH_XSAVE] = { 0xeb, AGENT_TRAMP_MOVED - 2 },
	};
	static const uint8_t jmp[] = { 0xeb, 8 };
	uint64_t distance = after - p->tramp;

	memcpy(p->code, what[form], sizeof(what[form]));
	memcpy(p->code + AGENT_TRAMP_DONE, jmp, sizeof(jmp));
	memcpy(p->code + AGENT_TRAMP_DONE + 2, &distance, 8);
}

static uint32_t entry_of(enum patch_form form)
{
	switch (form) {
	case PATCH_CPUID:
		return AGENT_HDR_CPUID;
	case PATCH_TSC:
		return AGENT_HDR_TSC;
	case PATCH_XSAVE:
		return AGENT_HDR_XSAVE;
	default:
		return AGENT_HDR_ENTRY;
	}
}

static void put_head(struct patch *p, enum patch_form form)
{
	static const uint8_t head[] = {
		0x0f, 0x05,                                     /* syscall */
		0xeb, AGENT_TRAMP_DONE - 4,                     /* jmp done */
		0x48, 0x89, 0x24, 0x25, 0, 0, 0, 0,             /* mov %rsp, AGENT_SAVED_RSP */
		0xbc, 0, 0, 0, 0,                               /* mov $AGENT_STACK_TOP, %esp */
		0xff, 0x14, 0x25, 0, 0, 0, 0,                   /* call *AGENT_HDR_ENTRY */
		0x48, 0x8b, 0x24, 0x25, 0, 0, 0, 0,             /* mov AGENT_SAVED_RSP, %rsp */
		0x48, 0xb9,                                     /* movabs $after, %rcx */
	};
	uint64_t after = p->site + p->tail.before + agent_insn_bytes(&p->tail);
	uint32_t rsp = AGENT_SAVED_RSP, top = AGENT_STACK_TOP, entry = entry_of(form);

	_Static_assert(sizeof(head) + 8 == AGENT_TRAMP_MOVED, "as agent/abi.h says");
	_Static_assert(AGENT_TRAMP_TAIL + sizeof(p->tail) <= AGENT_TRAMP_BYTES, "there is room");
	put(p, head, sizeof(head));
	memcpy(p->code + 8, &rsp, 4);
	memcpy(p->code + 13, &top, 4);
	memcpy(p->code + 20, &entry, 4);
	memcpy(p->code + 28, &rsp, 4);
	put(p, &after, 8);
	if (is_insn(form))
		put_insn(p, form, after);
	else if (form == PATCH_ANYWHERE)
		put_lea(p, after);
}

/* A displaced instruction, in the trampoline. 0 or -RL_EUNSUPPORTED. */
static int move_insn(const struct around *a, const struct insn *in, struct patch *p, bool data)
{
	int n;

	if (!may_move(in, data) || p->tail.n_moved == AGENT_MOVED_MAX)
		return -RL_EUNSUPPORTED;
	n = insn_relocate(a->bytes + (in->addr - a->addr), in->len, in->addr, p->tramp + p->tramp_len, p->code + p->tramp_len,
			  AGENT_TRAMP_TAIL - p->tramp_len - JMP_BYTES);
	if (n < 0)
		return -RL_EUNSUPPORTED;
	p->tail.moved_from[p->tail.n_moved] = (uint8_t)(in->addr - p->site);
	p->tail.moved_to[p->tail.n_moved++] = p->tramp_len;
	p->tramp_len = (uint8_t)(p->tramp_len + n);
	return 0;
}

static int put_jmp(struct patch *p, uint64_t to)
{
	uint8_t jmp[JMP_BYTES];

	if (p->tramp_len + sizeof(jmp) > AGENT_TRAMP_TAIL || insn_encode_jmp(p->tramp + p->tramp_len, to, jmp))
		return -RL_EUNSUPPORTED;
	put(p, jmp, sizeof(jmp));
	return 0;
}

/* The instructions after `syscall`, cpuid, rdtsc or rdtscp, up to where the jump's 5 bytes are covered. */
static int move_insns(const struct around *a, struct patch *p, enum patch_refusal *ret_why)
{
	bool open = true;   /* execution gets here */

	p->tail.len = agent_insn_bytes(&p->tail);
	while (p->tail.len < JMP_BYTES) {
		uint64_t at = p->site + p->tail.len;
		size_t off = (size_t)(at - a->addr);
		struct insn in;

		*ret_why = PATCH_IMMOVABLE;
		if (off >= a->n || insn_decode(a->bytes + off, a->n - off, at, &in))
			return -RL_EUNSUPPORTED;
		if (!open) {
			if (!is_padding(&in))
				return -RL_EUNSUPPORTED;
			p->tail.len = (uint8_t)(p->tail.len + in.len);
			continue;
		}
		if (move_insn(a, &in, p, a->is_file))
			return -RL_EUNSUPPORTED;
		p->tail.len = p->n_displaced = (uint8_t)(p->tail.len + in.len);
		open = !ends_path(&in);
	}
	if (p->tail.len > AGENT_PATCH_MAX)
		return -RL_EUNSUPPORTED;
	return open ? put_jmp(p, p->site + p->tail.len) : 0;
}

/* What the jmp at +AGENT_TRAMP_DONE skips ends here. The way back is what follows. */
static int put_way_back(struct patch *p)
{
	p->code[AGENT_TRAMP_DONE + 1] = (uint8_t)(p->tramp_len - AGENT_TRAMP_DONE - 2);
	return put_jmp(p, p->site + p->tail.before + agent_insn_bytes(&p->tail));
}

/* What the site has from now on, when its trampoline is complete. */
static int finish(const struct around *a, struct patch *p)
{
	memcpy(p->tail.original, a->bytes + (p->site - a->addr), p->tail.len);
	memcpy(p->code + AGENT_TRAMP_TAIL, &p->tail, sizeof(p->tail));
	memset(p->bytes, 0xcc, sizeof(p->bytes));
	return insn_encode_jmp(p->site, p->tramp + (p->tail.before ? AGENT_TRAMP_MOVED : AGENT_TRAMP_ENTER), p->bytes);
}

/* Whether the 4 bytes at rel may be a jump's or a call's displacement: e8, e9, or 0f 80 to 0f 8f come before. */
static bool is_long_jump(const uint8_t *rel)
{
	return (rel[-1] & 0xfe) == 0xe8 || (rel[-2] == 0x0f && (rel[-1] & 0xf0) == 0x80);
}

/* Whether anything that looks like a long jump leads to [lo, hi); when in doubt it does. */
static bool jumped_to_from_afar(struct task *t, const struct around *a, uint64_t lo, uint64_t hi)
{
	static uint8_t bytes[2 * FAR];
	size_t n = (size_t)(a->far_end - a->far_from);

	if (mem_read(t->mm->mem_fd, a->far_from, bytes, n))
		return true;
	for (size_t i = 2; i + 4 <= n; i++) {
		int32_t rel;

		memcpy(&rel, bytes + i, sizeof(rel));
		if (a->far_from + i + 4 + (uint64_t)(int64_t)rel - lo < hi - lo && is_long_jump(bytes + i))
			return true;
	}
	return false;
}

#define TARGETS_MAX 16

/*
 * Whether what looks like a jump leads to where a displaced instruction begins, or into the padding behind them. What leads
 * into an instruction's middle is no jump, but other instructions' parts: all bytes around were looked at, in step with the
 * instructions or not.
 */
static bool leads_behind(const struct patch *p, const uint64_t *targets, size_t n)
{
	if (n > TARGETS_MAX)
		return true;
	for (size_t i = 0; i < n; i++) {
		uint64_t at = targets[i] - p->site;

		if (at >= p->n_displaced)
			return true;
		for (unsigned k = 0; k < p->tail.n_moved; k++) {
			if (at == p->tail.moved_from[k])
				return true;
		}
	}
	return false;
}

static void begin(struct patch *p, uint64_t site, uint64_t tramp)
{
	memset(p, 0, sizeof(*p));
	p->site = site;
	p->tramp = tramp;
}

/* A cpuid's: what follows it gives way. */
static int plan_behind(const struct around *a, uint64_t at, size_t room, uint64_t tramp, struct patch *p)
{
	enum patch_refusal why;
	int err;

	begin(p, at, tramp);
	put_head(p, PATCH_CPUID);
	err = move_insns(a, p, &why);
	if (err)
		return err;
	return p->tail.len <= room ? finish(a, p) : -RL_EUNSUPPORTED;
}

/* What precedes it does, and it stays where it is: who jumps to it comes to a trap. */
static int plan_before(const struct around *a, uint64_t at, uint8_t lead, uint64_t tramp, struct patch *p)
{
	struct insn in;
	int err = 0;

	if (lead < JMP_BYTES || lead > AGENT_PATCH_MAX)
		return -RL_EUNSUPPORTED;
	begin(p, at - lead, tramp);
	p->tail.before = p->tail.len = p->n_displaced = lead;
	put_head(p, PATCH_CPUID);
	for (uint64_t next = p->site; !err && next < at; next += in.len) {
		size_t off = (size_t)(next - a->addr);

		if (insn_decode(a->bytes + off, a->n - off, next, &in) || ends_path(&in))
			return -RL_EUNSUPPORTED;
		err = move_insn(a, &in, p, true);
	}
	if (err || p->tail.n_moved == AGENT_MOVED_MAX)
		return -RL_EUNSUPPORTED;
	p->tail.moved_from[p->tail.n_moved] = lead;   /* the cpuid's own place is now the jump to the agent */
	p->tail.moved_to[p->tail.n_moved++] = p->tramp_len;
	err = put_jmp(p, p->tramp + AGENT_TRAMP_ENTER);
	if (!err)
		err = put_way_back(p);
	return err ? err : finish(a, p);
}

/* An xsavec at a distance from rsp, which the agent knows, and as long as a jump: nothing else has to move. */
static int plan_xsave(const struct around *a, uint64_t at, uint64_t tramp, struct patch *p)
{
	const uint8_t *code = a->bytes + (at - a->addr);
	struct insn in;
	int err;

	if (insn_decode(code, a->n - (size_t)(at - a->addr), at, &in) || !(in.flags & INSN_XSAVE) || code[1] != 0xc7 ||
	    in.len < JMP_BYTES || in.n_mem != 1 || in.mem[0].base != INSN_RSP || in.mem[0].index != INSN_NO_REG || in.mem[0].segment)
		return -RL_EUNSUPPORTED;
	begin(p, at, tramp);
	p->tail.more = (uint8_t)(in.len - CPUID_BYTES);
	p->tail.len = p->n_displaced = in.len;
	put_head(p, PATCH_XSAVE);
	p->tail.moved_to[p->tail.n_moved++] = p->tramp_len;
	put(p, code, in.len);
	p->code[AGENT_TRAMP_MOVED] = INSN_SITE_TRAP;
	err = put_way_back(p);
	return err ? err : finish(a, p);
}

int patch_plan_insn(struct task *t, const struct insn_site *s, uint64_t at, uint64_t tramp, struct patch *ret)
{
	static struct around a;
	int err = -RL_EUNSUPPORTED;

	if (s->prefixes || (!s->is_cpuid && !s->is_xsave))
		return err;
	a.is_file = true;
	a.addr = at - s->lead;
	a.n = mem_read_some(t->mm->mem_fd, a.addr, a.bytes, s->lead + AGENT_PATCH_MAX + INSN_MAX_BYTES);
	if (a.n < (size_t)s->lead + CPUID_BYTES || a.bytes[s->lead] != 0x0f)
		return err;
	if (s->is_xsave)
		err = plan_xsave(&a, at, tramp, ret);
	else if (plan_behind(&a, at, s->room, tramp, ret))
		err = plan_before(&a, at, s->lead, tramp, ret);
	else
		err = 0;
	ret->is_insn = true;
	return err;
}

static bool is_trapping_tsc(const uint8_t *b)
{
	return b[0] == INSN_SITE_TRAP && (b[1] == 0x31 || (b[1] == 0x01 && b[2] == 0xf9));
}

int patch_plan(struct task *t, uint64_t site, uint64_t tramp, enum patch_form form, struct patch *ret, enum patch_refusal *ret_why)
{
	static struct around a;
	struct insn_code code;
	uint64_t targets[TARGETS_MAX];
	uint8_t *at;
	int err;

	begin(ret, site, tramp);
	*ret_why = PATCH_NOT_PRIVATE;
	err = read_around(t, site, &a);
	if (err)
		return err;
	*ret_why = PATCH_NO_SYSCALL;
	at = a.bytes + (site - a.addr);
	if (form == PATCH_TSC ? !is_trapping_tsc(at) : at[0] != 0x0f || at[1] != 0x05)
		return -RL_EUNSUPPORTED;
	at[0] = 0x0f;
	ret->tail.more = form == PATCH_TSC && at[1] == 0x01;
	ret->is_insn = is_insn(form);
	put_head(ret, form);
	err = move_insns(&a, ret, ret_why);
	if (err)
		return err;
	code = (struct insn_code){ .bytes = a.bytes, .n = a.n, .addr = a.addr, .known = site };
	*ret_why = PATCH_JUMPED_INTO;
	if (leads_behind(ret, targets, insn_jump_targets(&code, site + 1, site + ret->tail.len, targets, TARGETS_MAX)) ||
	    jumped_to_from_afar(t, &a, site + 1, site + ret->tail.len))
		return -RL_EUNSUPPORTED;
	*ret_why = PATCH_NO_ROOM;
	return finish(&a, ret);
}

const struct patch *patch_at(const struct agent_mm *a, uint64_t site)
{
	for (size_t i = 0; i < a->n_patches; i++) {
		if (a->patches[i].site == site)
			return &a->patches[i];
	}
	return NULL;
}

const struct patch *patch_of_tramp(const struct agent_mm *a, uint64_t rip)
{
	for (size_t i = 0; i < a->n_patches; i++) {
		const struct patch *p = &a->patches[i];

		if (rip >= p->tramp && rip < p->tramp + p->tramp_len)
			return p;
	}
	return NULL;
}
