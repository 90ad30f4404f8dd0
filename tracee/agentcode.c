#include "tracee/agentcode.h"

#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include "tracee/insn_site.h"
#include "tracee/layout.h"
#include "tracee/remote.h"

#define JMP_BYTES 5
#define JMP_OPCODE 0xe9
#define FIRST_BYTES 2

/* Behind `syscall`, or what a cpuid was made: jmp done; mov %rsp, AGENT_SAVED_RSP; mov $AGENT_STACK_TOP, %esp */
static const uint8_t head[] = {
	0xeb, AGENT_TRAMP_DONE - 4, 0x48, 0x89, 0x24, 0x25,
	AGENT_SAVED_RSP & 0xff, AGENT_SAVED_RSP >> 8 & 0xff, AGENT_SAVED_RSP >> 16 & 0xff, AGENT_SAVED_RSP >> 24,
	0xbc, AGENT_STACK_TOP & 0xff, AGENT_STACK_TOP >> 8 & 0xff, AGENT_STACK_TOP >> 16 & 0xff, AGENT_STACK_TOP >> 24,
};

bool agent_holds(uint64_t addr)
{
	return addr >= AGENT_CODE && addr < AGENT_TRAMPS;
}

/* The address after the site's instruction. False: this is no trampoline. */
static bool after_site(const uint8_t *code, uint64_t addr, uint64_t *ret)
{
	const uint8_t *done = code + AGENT_TRAMP_DONE;
	int32_t rel;

	if (done[0] == 0x48 && done[1] == 0xb9) {          /* movabs $after, %rcx */
		memcpy(ret, done + 2, 8);
	} else if (done[0] == 0x48 && done[1] == 0x8d) {   /* lea after(%rip), %rcx */
		memcpy(&rel, done + 3, 4);
		*ret = addr + AGENT_TRAMP_DONE + 7 + (uint64_t)(int64_t)rel;
	} else if (done[0] == 0xeb) {                      /* jmp over the distance */
		memcpy(ret, done + 2, 8);
		*ret += addr;
	} else {
		return false;
	}
	return true;
}

bool agent_tramp_decode(const uint8_t *code, uint64_t addr, struct agent_tramp *ret)
{
	ret->addr = addr;
	if (memcmp(code + FIRST_BYTES, head, sizeof(head)) != 0 || !after_site(code, addr, &ret->after))
		return false;
	ret->call = code[0] == 0x0f && code[1] == 0x05;
	ret->traps = code[0] == INSN_SITE_TRAP;
	if (!ret->traps && !ret->call && (code[0] != 0xeb || code[1] != AGENT_TRAMP_MOVED - 2))
		return false;
	memcpy(&ret->tail, code + AGENT_TRAMP_TAIL, sizeof(ret->tail));
	ret->site = ret->after - agent_insn_bytes(&ret->tail) - ret->tail.before;
	return ret->tail.len >= JMP_BYTES && ret->tail.len <= AGENT_PATCH_MAX && ret->tail.n_moved <= AGENT_MOVED_MAX;
}

bool agent_tramp_at(int mem_fd, uint64_t addr, struct agent_tramp *ret)
{
	uint8_t code[AGENT_TRAMP_BYTES];

	addr &= ~(AGENT_TRAMP_BYTES - 1ull);
	return mem_read(mem_fd, addr, code, sizeof(code)) == 0 && agent_tramp_decode(code, addr, ret);
}

/* Whether the 5 bytes at a place are the jump to a trampoline of just that place. */
static bool is_site(int mem_fd, uint64_t site, const uint8_t *jmp, struct agent_tramp *ret)
{
	int32_t rel;
	uint64_t target;

	if (jmp[0] != JMP_OPCODE)
		return false;
	memcpy(&rel, jmp + 1, sizeof(rel));
	target = site + JMP_BYTES + (uint64_t)(int64_t)rel;
	if (target % AGENT_TRAMP_BYTES != AGENT_TRAMP_ENTER && target % AGENT_TRAMP_BYTES != AGENT_TRAMP_MOVED)
		return false;
	return agent_tramp_at(mem_fd, target, ret) && ret->site == site;
}

bool agent_tramp_of_site(int mem_fd, uint64_t addr, struct agent_tramp *ret)
{
	uint8_t bytes[AGENT_PATCH_MAX + JMP_BYTES];
	uint64_t from = addr - AGENT_PATCH_MAX + 1;

	/* The reach may begin before a mapping's first page: then the site does not. */
	if (mem_read_some(mem_fd, from, bytes, sizeof(bytes)) < sizeof(bytes)) {
		uint64_t page = addr & ~4095ull;

		from = from < page ? page : from;
		memset(bytes, 0, sizeof(bytes));
		(void)mem_read_some(mem_fd, from, bytes, sizeof(bytes));
	}
	for (uint64_t at = addr; at >= from && at <= addr; at--) {
		if (at - from + JMP_BYTES <= sizeof(bytes) && is_site(mem_fd, at, bytes + (at - from), ret))
			return addr < ret->after || addr - at < ret->tail.len;
	}
	return false;
}

uint64_t agent_view(int mem_fd, uint64_t rip)
{
	struct agent_tramp t;
	uint64_t off;

	/* Programs' own code is aligned to trampolines' size too: but few of these offsets are ever asked for. */
	if (!agent_tramp_at(mem_fd, rip, &t))
		return rip;
	off = rip - t.addr;
	if (!off || (off >= AGENT_TRAMP_ENTER && off < AGENT_TRAMP_BACK))
		return t.site + t.tail.before;
	for (unsigned i = 0; i < t.tail.n_moved; i++) {
		if (t.tail.moved_to[i] == off)
			return t.site + t.tail.moved_from[i];
	}
	return t.after;
}

uint64_t agent_place(int mem_fd, uint64_t addr)
{
	struct agent_tramp t;

	if (!agent_tramp_of_site(mem_fd, addr, &t) || addr == t.site)
		return addr;
	for (unsigned i = 0; i < t.tail.n_moved; i++) {
		if (t.site + t.tail.moved_from[i] == addr)
			return t.addr + t.tail.moved_to[i];
	}
	return 0;
}

void agent_unpatch(int mem_fd, uint64_t addr, uint8_t *bytes, size_t n)
{
	struct agent_tramp t;

	if (n && agent_tramp_of_site(mem_fd, addr, &t) && t.site != addr && addr - t.site < t.tail.len) {
		size_t skip = (size_t)(addr - t.site), left = t.tail.len - skip;

		memcpy(bytes, t.tail.original + skip, left < n ? left : n);
	}
	for (size_t i = 0; i < n; i++) {
		uint8_t jmp[JMP_BYTES];
		size_t left = n - i;

		if (bytes[i] != JMP_OPCODE)
			continue;
		if (left >= JMP_BYTES)
			memcpy(jmp, bytes + i, JMP_BYTES);
		else if (mem_read(mem_fd, addr + i, jmp, JMP_BYTES))
			continue;
		if (!is_site(mem_fd, addr + i, jmp, &t))
			continue;
		memcpy(bytes + i, t.tail.original, t.tail.len < left ? t.tail.len : left);
		i += t.tail.len - 1u;
	}
}

static bool may_map(uint32_t nr)
{
	return nr == SYS_mmap || nr == SYS_munmap || nr == SYS_mprotect || nr == SYS_brk || nr == SYS_madvise;
}

bool agent_next_op(const uint8_t *bytes, uint32_t n, uint32_t *at, struct agent_op *ret)
{
	struct agent_entry e;

	while (n - *at >= sizeof(e)) {
		const uint8_t *entry = bytes + *at;
		uint32_t len, before;

		memcpy(&e, entry, sizeof(e));
		len = AGENT_ENTRY_BYTES(e.head);
		before = sizeof(e) + (e.result == AGENT_WIDE ? 8 : 0);
		if (len < sizeof(e) || len > n - *at)
			break;
		*at += len;
		if (!may_map(AGENT_ENTRY_NR(e.head)) || len != before + sizeof(*ret))
			continue;
		memcpy(ret, entry + before, sizeof(*ret));
		return true;
	}
	*at = n;
	return false;
}

bool agent_may_redo(uint64_t nr, const uint64_t arg[6])
{
	bool known = (nr == SYS_mmap && arg[3] == AGENT_MAP_FLAGS && !(arg[2] & ~(uint64_t)AGENT_PROTS)) ||
		     (nr == SYS_mprotect && !(arg[2] & ~(uint64_t)AGENT_PROTS)) || (nr == SYS_madvise && arg[2] == MADV_DONTNEED) ||
		     nr == SYS_munmap;

	return known && arg[0] + arg[1] >= arg[0] && (arg[0] >= RL_END || arg[0] + AGENT_PAGE_UP(arg[1]) <= RL_BASE);
}
