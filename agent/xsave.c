/*
 * xsavec, whose result must not depend on which registers the processor holds to be in use: that changes with every
 * context switch, on some. All that is asked for is written, initial values included, as recorder/trap.c does it.
 */
#include "agent/call.h"

/* Intel SDM volume 1, chapter 13: the legacy region, the header, then the components, in the compacted format. */
#define MXCSR 24
#define XMM 160
#define LEGACY_END 416
#define HEADER 512
#define COMPONENTS 576
#define MXCSR_INITIAL 0x1f80u
#define SSE 1
#define COMPACTED (1ull << 63)

/* The components that are known here: SSE, AVX, and the three of AVX-512. */
static uint64_t bytes_of(unsigned bit)
{
	switch (bit) {
	case 2:
		return 256;
	case 5:
		return 64;
	case 6:
		return 512;
	case 7:
		return 1024;
	}
	return 0;
}
#define KNOWN 0xe6ull

static void put(uint8_t *to, const uint8_t *from, uint64_t n)
{
	if (from)
		agent_copy(to, from, n);
	else
		__asm__ volatile("rep stosb" : "+D"(to), "+c"(n) : "a"(0) : "memory");
}

/* An xsavec stands in the trampoline, made to trap. Its operand is at a distance from rsp (planned so by the recorder). */
static int64_t distance_of(const uint8_t *insn)
{
	int32_t wide;

	switch (insn[2] >> 6) {
	case 1:
		return (int8_t)insn[4];
	case 2:
		__builtin_memcpy(&wide, insn + 4, sizeof(wide));
		return wide;
	}
	return 0;
}

/* From what the processor has saved to the program's area. It may have left out what it does not have. */
static void lay_out(uint8_t *area, const uint8_t *saved, uint64_t request)
{
	const uint64_t *header = (const uint64_t *)(saved + HEADER);
	const uint8_t *from = saved + COMPONENTS;
	uint8_t *to = area + COMPONENTS;

	if (request >> SSE & 1) {
		bool used = header[0] >> SSE & 1;

		*(uint32_t *)(area + MXCSR) = used ? *(const uint32_t *)(saved + MXCSR) : MXCSR_INITIAL;
		put(area + XMM, used ? saved + XMM : 0, LEGACY_END - XMM);
	}
	((uint64_t *)(area + HEADER))[0] = request;
	((uint64_t *)(area + HEADER))[1] = request | COMPACTED;
	for (unsigned bit = SSE + 1; request >> bit; bit++) {
		uint64_t n = bytes_of(bit);

		if (request >> bit & 1) {
			put(to, header[0] >> bit & 1 ? from : 0, n);
			to += n;
		}
		from += header[1] >> bit & 1 ? n : 0;
	}
}

void agent_xsave(struct agent_frame *f)
{
	struct agent_ctl *ctl = agent_ctl();
	uint64_t tramp = f->ret - AGENT_TRAMP_BACK;
	uint64_t area = ctl->saved_rsp + (uint64_t)distance_of((const uint8_t *)tramp + AGENT_TRAMP_MOVED);
	uint64_t request = ((uint64_t)(uint32_t)f->rdx << 32 | (uint32_t)f->rax) & *(const uint64_t *)AGENT_XCR0;

	ctl->slow_target = tramp;
	if (request & ~KNOWN || area % 64)
		return;
	__asm__ volatile("xsavec %0" : "+m"(ctl->xsave) : "a"((uint32_t)request), "d"(0));
	lay_out((uint8_t *)area, ctl->xsave, request);
	ctl->slow_target = f->ret;
}
