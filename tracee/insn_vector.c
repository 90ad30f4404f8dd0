/*
 * Instructions newer than the decoder: string functions in today's C libraries are full of AVX-512 that it does not
 * know. VEX and EVEX encodings are regular, so length and operand follow without a table of instructions (Intel SDM
 * volume 2, 2.3 and 2.7).
 */
#include <stdio.h>
#include <string.h>

#include "common/err.h"
#include "tracee/insn_int.h"

struct encoding {
	size_t at;                     /* of the opcode */
	uint8_t map;                   /* 1: 0F, 2: 0F38, 3: 0F3A, 5 and 6: FP16 */
	bool evex;
	uint8_t ext_base, ext_index;   /* 8 or 0, to be added to register numbers */
	uint8_t segment, addr_size;
};

static size_t skip_prefixes(const uint8_t *b, size_t n, struct encoding *e)
{
	size_t i = 0;

	for (; i < n; i++) {
		if (b[i] == 0x64)
			e->segment = INSN_SEG_FS;
		else if (b[i] == 0x65)
			e->segment = INSN_SEG_GS;
		else if (b[i] == 0x67)
			e->addr_size = 4;
		else if (b[i] != 0x26 && b[i] != 0x2e && b[i] != 0x36 && b[i] != 0x3e)
			break;
	}
	return i;
}

bool insn_is_vector(const uint8_t *b, size_t n)
{
	struct encoding e = { 0 };
	size_t i = skip_prefixes(b, n, &e);

	return i < n && (b[i] == 0xc4 || b[i] == 0xc5 || b[i] == 0x62);
}

static bool parse_encoding(const uint8_t *b, size_t n, struct encoding *e)
{
	size_t i = skip_prefixes(b, n, e);

	if (i + 4 > n)
		return false;
	switch (b[i]) {
	case 0xc5:
		e->map = 1;
		e->at = i + 2;
		return true;
	case 0xc4:
		e->map = b[i + 1] & 31;
		e->at = i + 3;
		break;
	case 0x62:
		e->map = b[i + 1] & 7;
		e->at = i + 4;
		e->evex = true;
		if (b[i + 1] & 8 || !(b[i + 2] & 4))
			return false;
		break;
	default:
		return false;
	}
	e->ext_index = b[i + 1] & 0x40 ? 0 : 8;
	e->ext_base = b[i + 1] & 0x20 ? 0 : 8;
	return (e->map >= 1 && e->map <= 3) || (e->evex && (e->map == 5 || e->map == 6));
}

static size_t immediate_bytes(uint8_t map, uint8_t opcode)
{
	if (map == 3)
		return 1;
	if (map != 1)
		return 0;
	return (opcode >= 0x70 && opcode <= 0x73) || opcode == 0xc2 || (opcode >= 0xc4 && opcode <= 0xc6);
}

/* The bytes of ModRM, SIB and displacement, or 0: cut off. Fills in the memory operand if there is one. */
static size_t parse_modrm(const uint8_t *b, size_t n, const struct encoding *e, struct insn *ret)
{
	uint8_t modrm = n ? b[0] : 0, mod = modrm >> 6, rm = modrm & 7;
	bool sib = mod != 3 && rm == 4;
	size_t len = sib ? 2 : 1, n_disp = mod == 1 ? 1 : mod == 2 ? 4 : 0;
	struct insn_mem m = {
		.segment = e->segment, .base = (uint8_t)(rm + e->ext_base), .index = INSN_NO_REG, .scale = 1,
	};

	if (n < len)
		return 0;
	if (sib) {
		uint8_t index = (uint8_t)((b[1] >> 3 & 7) + e->ext_index);

		m.index = index == INSN_RSP ? INSN_NO_REG : index;
		m.scale = (uint8_t)(1 << (b[1] >> 6));
		m.base = (uint8_t)((b[1] & 7) + e->ext_base);
	}
	if (mod == 0 && (sib ? (b[1] & 7) == 5 : rm == 5)) {
		m.base = sib ? INSN_NO_REG : INSN_RIP;
		n_disp = 4;
	}
	if (n < len + n_disp)
		return 0;
	if (n_disp == 1) {
		m.disp = (int8_t)b[len];
		/* EVEX scales it by a factor that only the instruction's own rules tell. */
		m.no_ea = e->evex && m.disp;
	} else if (n_disp == 4) {
		int32_t disp;

		memcpy(&disp, b + len, 4);
		m.disp = disp;
	}
	if (mod != 3) {
		ret->mem[ret->n_mem++] = m;
		ret->flags |= m.base == INSN_RIP ? INSN_RIP_RELATIVE : 0u;
	}
	return len + n_disp;
}

int insn_decode_vector(const uint8_t *b, size_t n, uint64_t addr, struct insn *ret)
{
	struct encoding e = { .addr_size = 8 };
	struct insn insn = { .addr = addr };

	if (n > INSN_MAX_BYTES)
		n = INSN_MAX_BYTES;
	if (!parse_encoding(b, n, &e) || e.at + 1 >= n)
		return -RL_EUNSUPPORTED;
	size_t modrm = parse_modrm(b + e.at + 1, n - e.at - 1, &e, &insn);
	size_t len = e.at + 1 + modrm + immediate_bytes(e.map, b[e.at]);

	if (!modrm || len > n)
		return -RL_EUNSUPPORTED;
	if (insn.n_mem) {
		unsigned access = insn_access(b, len);

		insn.mem[0].read = access & INSN_ACCESS_READ;
		insn.mem[0].write = access & INSN_ACCESS_WRITE;
		insn.flags |= (insn.mem[0].read ? INSN_READS : 0u) | (insn.mem[0].write ? INSN_WRITES : 0u);
	}
	insn.len = (uint8_t)len;
	insn.addr_size = e.addr_size;
	snprintf(insn.name, sizeof insn.name, "%s.%u.%02x", e.evex ? "evex" : "vex", e.map, b[e.at]);
	*ret = insn;
	return 0;
}

/* 0F 01 with a register: rdpkru, wrpkru, serialize... all three bytes, none with memory. */
static bool is_group_7(const uint8_t *b, size_t n)
{
	return n >= 3 && b[0] == 0x0f && b[1] == 0x01 && (b[2] == 0xee || b[2] == 0xef || b[2] == 0xe8);
}

/* rdpid: F3 [REX] 0F C7 /7 with a register. */
int insn_decode_newer(const uint8_t *b, size_t n, uint64_t addr, struct insn *ret)
{
	size_t at = n > 1 && (b[1] & 0xf0) == 0x40 ? 2 : 1;

	if (is_group_7(b, n)) {
		*ret = (struct insn){ .len = 3, .addr_size = 8, .addr = addr, .name = "system" };
		return 0;
	}
	if (n < at + 3 || b[0] != 0xf3 || b[at] != 0x0f || b[at + 1] != 0xc7 || (b[at + 2] & 0xf8) != 0xf8)
		return -RL_EUNSUPPORTED;
	*ret = (struct insn){
		.len = (uint8_t)(at + 3), .addr_size = 8, .addr = addr, .flags = INSN_RDPID, .name = "rdpid",
	};
	return 0;
}
