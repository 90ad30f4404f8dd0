/*
 * The length of an instruction, without all else that decoding tells. Code is walked through from where it begins to find
 * out whether some bytes are an instruction of their own; for that, the common forms are enough, as whatever is not in
 * these tables is left to the decoder. Intel SDM volume 2, appendix A.
 */
#include "tracee/insn_int.h"

enum {
	ASK = 0,     /* not here */
	NONE = 1,    /* the opcode is all */
	MODRM = 2,
	IMM8 = 4,
	IMM32 = 8,   /* two bytes with an operand size prefix */
	IMM64 = 16,  /* eight bytes with REX.W, as IMM32 without */
	REL32 = 32,  /* a jump's: not to be had with an operand size prefix */
};

static const uint8_t one_byte[256] = {
	[0x00 ... 0x03] = MODRM, [0x04] = IMM8, [0x05] = IMM32, [0x08 ... 0x0b] = MODRM, [0x0c] = IMM8, [0x0d] = IMM32,
	[0x10 ... 0x13] = MODRM, [0x14] = IMM8, [0x15] = IMM32, [0x18 ... 0x1b] = MODRM, [0x1c] = IMM8, [0x1d] = IMM32,
	[0x20 ... 0x23] = MODRM, [0x24] = IMM8, [0x25] = IMM32, [0x28 ... 0x2b] = MODRM, [0x2c] = IMM8, [0x2d] = IMM32,
	[0x30 ... 0x33] = MODRM, [0x34] = IMM8, [0x35] = IMM32, [0x38 ... 0x3b] = MODRM, [0x3c] = IMM8, [0x3d] = IMM32,
	[0x50 ... 0x5f] = NONE, [0x63] = MODRM, [0x68] = IMM32, [0x69] = MODRM | IMM32, [0x6a] = IMM8, [0x6b] = MODRM | IMM8,
	[0x70 ... 0x7f] = IMM8, [0x80] = MODRM | IMM8, [0x81] = MODRM | IMM32, [0x83] = MODRM | IMM8, [0x84 ... 0x8b] = MODRM,
	[0x90 ... 0x99] = NONE, [0xa4 ... 0xa7] = NONE, [0xa8] = IMM8, [0xa9] = IMM32, [0xaa ... 0xaf] = NONE,
	[0xb0 ... 0xb7] = IMM8, [0xb8 ... 0xbf] = IMM64, [0xc0 ... 0xc1] = MODRM | IMM8, [0xc3] = NONE, [0xc9] = NONE,
	[0xc6] = MODRM | IMM8, [0xc7] = MODRM | IMM32,
	[0xcc] = NONE, [0xd0 ... 0xd3] = MODRM, [0xe8 ... 0xe9] = REL32, [0xeb] = IMM8, [0xfe ... 0xff] = MODRM,
};

/* After 0x0f. */
static const uint8_t two_byte[256] = {
	[0x05] = NONE, [0x10 ... 0x11] = MODRM, [0x1e ... 0x1f] = MODRM, [0x28 ... 0x29] = MODRM, [0x2e ... 0x2f] = MODRM, [0x31] = NONE,
	[0x40 ... 0x4f] = MODRM, [0x57] = MODRM, [0x6e ... 0x6f] = MODRM, [0x7e ... 0x7f] = MODRM,
	[0x80 ... 0x8f] = REL32, [0x90 ... 0x9f] = MODRM, [0xa2] = NONE, [0xa3] = MODRM, [0xab] = MODRM, [0xaf] = MODRM,
	[0xb0 ... 0xb1] = MODRM, [0xb3] = MODRM, [0xb6 ... 0xb7] = MODRM, [0xbb] = MODRM, [0xbe ... 0xbf] = MODRM,
	[0xc0 ... 0xc1] = MODRM, [0xef] = MODRM,
};

/* ModRM, SIB and displacement. */
static size_t modrm_bytes(const uint8_t *b, size_t n)
{
	unsigned mod, rm;
	size_t len = 1;

	if (n < 2)
		return 0;
	mod = b[0] >> 6;
	rm = b[0] & 7;
	if (mod == 3)
		return len;
	if (rm == 4)
		len++;
	if (mod == 1)
		len += 1;
	else if (mod == 2 || rm == 5 || (rm == 4 && (b[1] & 7) == 5))
		len += 4;
	return len;
}

size_t insn_length_known(const uint8_t *b, size_t n)
{
	bool narrow = false, wide = false;
	uint8_t form, opcode;
	size_t i = 0, more;

	for (; i < n && (b[i] == 0x66 || b[i] == 0xf2 || b[i] == 0xf3); i++)
		narrow |= b[i] == 0x66;
	if (i > 1)
		return 0;
	if (i < n && (b[i] & 0xf0) == 0x40)
		wide = b[i++] & 8;
	if (i + 1 >= n)
		return 0;
	opcode = b[i++];
	form = opcode == 0x0f ? two_byte[b[i++]] : one_byte[opcode];
	if (form == ASK || (form & REL32 && narrow))
		return 0;
	if (form & MODRM) {
		more = modrm_bytes(b + i, n - i);
		if (!more)
			return 0;
		i += more;
	}
	i += form & IMM8 ? 1 : 0;
	i += form & REL32 ? 4 : 0;
	if (form & (IMM32 | IMM64))
		i += form & IMM64 && wide ? 8 : narrow && !wide ? 2 : 4;
	return i <= n ? i : 0;
}
