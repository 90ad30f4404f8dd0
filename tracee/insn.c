#include "tracee/insn.h"

#include <assert.h>
#include <capstone/capstone.h>
#include <errno.h>
#include <string.h>

#include "common/err.h"
#include "tracee/insn_int.h"

static csh decoder(cs_insn **ret_slot)
{
	static csh handle;
	static cs_insn *slot;

	if (!slot) {
		cs_err err = cs_open(CS_ARCH_X86, CS_MODE_64, &handle);

		assert(err == CS_ERR_OK);
		cs_option(handle, CS_OPT_DETAIL, CS_OPT_ON);
		slot = cs_malloc(handle);
		assert(slot);
	}
	*ret_slot = slot;
	return handle;
}

static uint32_t string_flags(const cs_insn *i)
{
	switch (i->id) {
	case X86_INS_MOVSB: case X86_INS_MOVSW: case X86_INS_MOVSQ:
	case X86_INS_CMPSB: case X86_INS_CMPSW: case X86_INS_CMPSQ:
	case X86_INS_SCASB: case X86_INS_SCASW: case X86_INS_SCASD: case X86_INS_SCASQ:
	case X86_INS_LODSB: case X86_INS_LODSW: case X86_INS_LODSD: case X86_INS_LODSQ:
	case X86_INS_STOSB: case X86_INS_STOSW: case X86_INS_STOSD: case X86_INS_STOSQ:
	case X86_INS_INSB: case X86_INS_INSW: case X86_INS_INSD:
	case X86_INS_OUTSB: case X86_INS_OUTSW: case X86_INS_OUTSD:
		break;
	case X86_INS_MOVSD: case X86_INS_CMPSD:   /* also SSE2's scalar double */
		if (i->detail->x86.opcode[0] == 0x0f)
			return 0;
		break;
	default:
		return 0;
	}
	uint8_t rep = i->detail->x86.prefix[0];

	return INSN_STRING | (rep == X86_PREFIX_REP || rep == X86_PREFIX_REPNE ? INSN_REP : 0);
}

static uint32_t special_flags(unsigned id)
{
	switch (id) {
	case X86_INS_SYSCALL:
		return INSN_SYSCALL;
	case X86_INS_SYSENTER: case X86_INS_INT: case X86_INS_INTO: case X86_INS_INT1: case X86_INS_IRET:
	case X86_INS_IRETD: case X86_INS_IRETQ: case X86_INS_UD2: case X86_INS_HLT: case X86_INS_SYSEXIT:
	case X86_INS_SYSRET:
		return INSN_INT;
	case X86_INS_INT3:
		return INSN_INT3;
	case X86_INS_RDTSC:
		return INSN_RDTSC;
	case X86_INS_RDTSCP:
		return INSN_RDTSCP;
	case X86_INS_CPUID:
		return INSN_CPUID;
	case X86_INS_RDRAND: case X86_INS_RDSEED:
		return INSN_RDRAND;
	case X86_INS_XGETBV:
		return INSN_XGETBV;
	case X86_INS_XBEGIN: case X86_INS_XABORT: case X86_INS_XEND: case X86_INS_XTEST:
		return INSN_XBEGIN;
	case X86_INS_XSAVE: case X86_INS_XSAVE64: case X86_INS_XSAVEC: case X86_INS_XSAVEC64:
	case X86_INS_XSAVEOPT: case X86_INS_XSAVEOPT64: case X86_INS_FXSAVE: case X86_INS_FXSAVE64:
		return INSN_XSAVE;
	default:
		return 0;
	}
}

static bool is_loop(unsigned id)
{
	return id == X86_INS_LOOP || id == X86_INS_LOOPE || id == X86_INS_LOOPNE || id == X86_INS_JRCXZ ||
	       id == X86_INS_JECXZ;
}

static uint32_t flow_flags(csh handle, const cs_insn *i)
{
	bool direct = i->detail->x86.op_count && i->detail->x86.operands[0].type == X86_OP_IMM;
	uint32_t indirect = direct ? 0 : INSN_INDIRECT;

	if (i->id == X86_INS_CALL || i->id == X86_INS_LCALL)
		return INSN_CALL | indirect;
	if (i->id == X86_INS_JMP || i->id == X86_INS_LJMP)
		return INSN_BRANCH | indirect;
	if (i->id == X86_INS_RET || i->id == X86_INS_RETF || i->id == X86_INS_RETFQ)
		return INSN_RET;
	if (is_loop(i->id) || (cs_insn_group(handle, i, X86_GRP_JUMP) && i->id != X86_INS_XBEGIN))
		return INSN_BRANCH | INSN_CONDITIONAL;
	return 0;
}

static uint8_t reg_number(x86_reg reg)
{
	static const struct { x86_reg q, d; } by_number[16] = {
		{ X86_REG_RAX, X86_REG_EAX }, { X86_REG_RCX, X86_REG_ECX }, { X86_REG_RDX, X86_REG_EDX },
		{ X86_REG_RBX, X86_REG_EBX }, { X86_REG_RSP, X86_REG_ESP }, { X86_REG_RBP, X86_REG_EBP },
		{ X86_REG_RSI, X86_REG_ESI }, { X86_REG_RDI, X86_REG_EDI }, { X86_REG_R8, X86_REG_R8D },
		{ X86_REG_R9, X86_REG_R9D }, { X86_REG_R10, X86_REG_R10D }, { X86_REG_R11, X86_REG_R11D },
		{ X86_REG_R12, X86_REG_R12D }, { X86_REG_R13, X86_REG_R13D }, { X86_REG_R14, X86_REG_R14D },
		{ X86_REG_R15, X86_REG_R15D },
	};

	for (uint8_t n = 0; n < 16; n++)
		if (by_number[n].q == reg || by_number[n].d == reg)
			return n;
	return reg == X86_REG_RIP || reg == X86_REG_EIP ? INSN_RIP : INSN_NO_REG;
}

static bool is_vector(x86_reg reg)
{
	return (reg >= X86_REG_XMM0 && reg <= X86_REG_XMM31) || (reg >= X86_REG_YMM0 && reg <= X86_REG_YMM31) ||
	       (reg >= X86_REG_ZMM0 && reg <= X86_REG_ZMM31);
}

/* bt and its kin with the bit's number in a register reach far beyond their operand. */
static bool is_bit_string(const cs_insn *i)
{
	return (i->id == X86_INS_BT || i->id == X86_INS_BTS || i->id == X86_INS_BTR || i->id == X86_INS_BTC) &&
	       i->detail->x86.op_count == 2 && i->detail->x86.operands[1].type == X86_OP_REG;
}

/* The decoder's operand sizes are wrong where the instruction has a format of its own. */
static uint32_t mem_size(const cs_insn *i, const cs_x86_op *op)
{
	switch (i->id) {
	case X86_INS_FXSAVE: case X86_INS_FXSAVE64: case X86_INS_FXRSTOR: case X86_INS_FXRSTOR64:
		return 512;
	case X86_INS_XSAVE: case X86_INS_XSAVE64: case X86_INS_XSAVEC: case X86_INS_XSAVEC64:
	case X86_INS_XSAVEOPT: case X86_INS_XSAVEOPT64: case X86_INS_XRSTOR: case X86_INS_XRSTOR64:
		return 0;
	case X86_INS_FNSTSW: case X86_INS_FNSTCW:
	case X86_INS_LSL: case X86_INS_LAR:
		return 2;
	case X86_INS_PUNPCKLBW: case X86_INS_PUNPCKLWD: case X86_INS_PUNPCKLDQ:
		return op->size == 8 ? 4 : op->size;   /* MMX */
	case X86_INS_COMISS: case X86_INS_UCOMISS:
		return 4;
	case X86_INS_COMISD: case X86_INS_UCOMISD:
		return 8;
	case X86_INS_FNSTENV: case X86_INS_FLDENV:
		return 28;
	case X86_INS_FNSAVE: case X86_INS_FRSTOR:
		return 108;
	default:
		return op->size;
	}
}

_Static_assert(CS_AC_READ == (int)INSN_ACCESS_READ && CS_AC_WRITE == (int)INSN_ACCESS_WRITE, "same bits");

static void add_operand(const cs_insn *i, unsigned nth, struct insn *ret)
{
	const cs_x86_op *op = &i->detail->x86.operands[nth];
	struct insn_mem *m = &ret->mem[ret->n_mem];

	if (op->mem.base == X86_REG_RIP || op->mem.base == X86_REG_EIP)
		ret->flags |= INSN_RIP_RELATIVE;
	unsigned access = ret->flags & INSN_STRING ? op->access : insn_access(i->bytes, i->size);

	if (!access && i->id != X86_INS_LEA)
		return;
	*m = (struct insn_mem){
		.segment = op->mem.segment == X86_REG_FS ? INSN_SEG_FS :
			   op->mem.segment == X86_REG_GS ? INSN_SEG_GS : INSN_SEG_FLAT,
		.base = reg_number(op->mem.base), .index = reg_number(op->mem.index),
		.scale = (uint8_t)op->mem.scale, .disp = op->mem.disp,
		.no_ea = is_vector(op->mem.index) || is_bit_string(i), .size = mem_size(i, op),
		.read = access & INSN_ACCESS_READ, .write = access & INSN_ACCESS_WRITE,
	};
	ret->n_mem++;
}

static void add_stack(struct insn *ret, bool write, enum insn_reg base, int64_t disp, uint32_t size)
{
	if (ret->n_mem == sizeof ret->mem / sizeof ret->mem[0])
		return;
	ret->mem[ret->n_mem++] = (struct insn_mem){
		.base = (uint8_t)base, .index = INSN_NO_REG, .scale = 1, .disp = disp, .size = size,
		.read = !write, .write = write, .implicit = true,
	};
}

static void add_implicit(const cs_insn *i, struct insn *ret)
{
	uint32_t size = i->detail->x86.prefix[2] == X86_PREFIX_OPSIZE ? 2 : 8;

	switch (i->id) {
	case X86_INS_CALL:
		add_stack(ret, true, INSN_RSP, -8, 8);
		break;
	case X86_INS_RET:
		add_stack(ret, false, INSN_RSP, 0, 8);
		break;
	case X86_INS_PUSH: case X86_INS_PUSHFQ: case X86_INS_PUSHF:
		add_stack(ret, true, INSN_RSP, -(int64_t)size, size);
		break;
	case X86_INS_POP: case X86_INS_POPFQ: case X86_INS_POPF:
		add_stack(ret, false, INSN_RSP, 0, size);
		break;
	case X86_INS_LEAVE:
		add_stack(ret, false, INSN_RBP, 0, 8);
		break;
	case X86_INS_ENTER:
		add_stack(ret, true, INSN_RSP, -8, 8);
		break;
	case X86_INS_XLATB:   /* at rbx + al */
		if (!ret->n_mem)
			add_stack(ret, false, INSN_RBX, 0, 1);
		ret->mem[0].no_ea = true;
		break;
	case X86_INS_MASKMOVDQU: case X86_INS_VMASKMOVDQU:
		add_stack(ret, true, INSN_RDI, 0, 16);
		break;
	case X86_INS_MASKMOVQ:
		add_stack(ret, true, INSN_RDI, 0, 8);
		break;
	default:
		break;
	}
}

int insn_decode(const uint8_t *b, size_t n, uint64_t addr, struct insn *ret)
{
	cs_insn *i;
	csh handle = decoder(&i);
	size_t left = n > INSN_MAX_BYTES ? INSN_MAX_BYTES : n;
	const uint8_t *at = b;
	uint64_t at_addr = addr;

	if (insn_decode_newer(b, left, addr, ret) == 0)
		return 0;
	if (!left || !cs_disasm_iter(handle, &at, &left, &at_addr, i))
		return insn_decode_vector(b, n, addr, ret);
	const cs_x86 *x = &i->detail->x86;

	*ret = (struct insn){ .len = (uint8_t)i->size, .addr_size = x->addr_size, .addr = addr };
	ret->flags = string_flags(i) | special_flags(i->id) | flow_flags(handle, i);
	if (x->prefix[0] == X86_PREFIX_LOCK)
		ret->flags |= INSN_LOCK;
	if ((ret->flags & (INSN_BRANCH | INSN_CALL)) && !(ret->flags & INSN_INDIRECT))
		ret->target = (uint64_t)x->operands[0].imm;
	for (unsigned k = 0; k < x->op_count && ret->n_mem < 4; k++)
		if (x->operands[k].type == X86_OP_MEM)
			add_operand(i, k, ret);
	add_implicit(i, ret);
	for (unsigned k = 0; k < ret->n_mem; k++)
		ret->flags |= (ret->mem[k].read ? INSN_READS : 0u) | (ret->mem[k].write ? INSN_WRITES : 0u);
	memcpy(ret->name, i->mnemonic, strnlen(i->mnemonic, sizeof ret->name - 1));
	return 0;
}

uint64_t insn_reg_value(const struct user_regs_struct *r, enum insn_reg reg)
{
	const uint64_t by_number[17] = {
		r->rax, r->rcx, r->rdx, r->rbx, r->rsp, r->rbp, r->rsi, r->rdi, r->r8,
		r->r9, r->r10, r->r11, r->r12, r->r13, r->r14, r->r15, r->rip,
	};

	return (unsigned)reg < 17 ? by_number[reg] : 0;
}

int insn_ea(const struct insn *insn, unsigned operand, const struct user_regs_struct *regs, uint64_t *ret)
{
	if (operand >= insn->n_mem)
		return -EINVAL;
	const struct insn_mem *m = &insn->mem[operand];

	if (m->no_ea)
		return -RL_EUNSUPPORTED;
	uint64_t ea = (uint64_t)m->disp + insn_reg_value(regs, m->index) * m->scale;

	/* rip-relative means the end of the instruction, wherever the thread stands. */
	ea += m->base == INSN_RIP ? insn->addr + insn->len : insn_reg_value(regs, m->base);
	if (insn->addr_size == 4 && !m->implicit)
		ea = (uint32_t)ea;
	if (m->segment != INSN_SEG_FLAT)
		ea += m->segment == INSN_SEG_FS ? regs->fs_base : regs->gs_base;
	*ret = ea;
	return 0;
}

#define SWEEPS 16   /* starting places: more than an instruction has bytes */

int insn_before(const uint8_t *b, size_t n, uint64_t end, struct insn *ret)
{
	unsigned agree = 0;

	if (n < 2 * SWEEPS)
		return -RL_EUNSUPPORTED;
	for (size_t from = 0; from < SWEEPS; from++) {
		size_t at = from;
		struct insn in = { 0 };

		while (at < n && insn_decode(b + at, n - at, end - n + at, &in) == 0)
			at += in.len;
		if (at != n)
			continue;
		if (agree && in.addr != ret->addr)
			return -RL_EUNSUPPORTED;
		*ret = in;
		agree++;
	}
	return agree >= SWEEPS / 2 ? 0 : -RL_EUNSUPPORTED;
}
