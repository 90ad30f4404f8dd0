/*
 * xsavec as ld.so's lazy binding has it: on the stack, without the x87 registers. What was asked for comes back, what was
 * not is left alone; and all that is there is the same at replay, whatever the processor holds to be in use.
 */
#include "guest.h"
#include <cpuid.h>
#include <pthread.h>
#include <stdbool.h>

enum { AREA = 4096, ROUNDS = 50, AS_LD_SO = 0xee, ALL = 0xef, FILL = 0x5a };

static uint32_t xcr0;

struct vectors {
	_Alignas(64) uint8_t ymm2[32];
	uint32_t mxcsr;
	_Alignas(64) uint8_t zmm[2][64];
	uint64_t k1;
};

/* The red zone, alignment, and an area full of FILL; from OFFSET on it is saved to, and copied out. */
#define ON_STACK(form, offset) \
	__asm__ volatile("mov %%rsp, %%r12\n sub $(4096 + 4096 + 128), %%rsp\n and $-64, %%rsp\n mov %%rsp, %%rdi\n mov $8192, %%ecx\n" \
			 "mov $0x5a, %%eax\n rep stosb\n movq $0, (" #offset " + 512)(%%rsp)\n mov %1, %%eax\n xor %%edx, %%edx\n" \
			 form " " #offset "(%%rsp)\n lea " #offset "(%%rsp), %%rsi\n mov %0, %%rdi\n mov $4096, %%ecx\n rep movsb\n mov %%r12, %%rsp" \
			 : : "r"(area), "r"(request) : "rax", "rcx", "rdx", "rsi", "rdi", "r12", "memory", "cc")

static void save(uint8_t *area, uint32_t request, int form)
{
	switch (form) {
	case 0:
		ON_STACK("xsavec", 64);
		break;
	case 1:
		ON_STACK("xsavec", 1088);
		break;
	default:
		ON_STACK("xsavec64", 64);
		break;
	}
}

static void load(const struct vectors *v)
{
	__asm__ volatile("vzeroall\n vmovdqa %0, %%ymm2\n ldmxcsr %1" : : "m"(v->ymm2), "m"(v->mxcsr)
			 : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13",
			   "xmm14", "xmm15");
	if ((xcr0 & 0xe0) == 0xe0)
		__asm__ volatile("vmovdqu64 %0, %%zmm3\n vmovdqu64 %1, %%zmm20\n kmovq %2, %%k1"
				 : : "m"(v->zmm[0]), "m"(v->zmm[1]), "m"(v->k1) : "xmm3");
}

/* Component i begins there, in the compacted format. */
static size_t place(uint64_t format, unsigned bit)
{
	static const size_t bytes[8] = { [2] = 256, [3] = 64, [4] = 64, [5] = 64, [6] = 512, [7] = 1024 };
	size_t at = 576;

	for (unsigned i = 2; i < bit; i++)
		at += format >> i & 1 ? bytes[i] : 0;
	return at;
}

static bool holds(const uint8_t *area, unsigned bit, size_t at, const void *want, size_t n)
{
	static const uint8_t zeros[64];
	uint64_t used;

	memcpy(&used, area + 512, 8);
	return used >> bit & 1 ? !memcmp(area + at, want, n) : !memcmp(zeros, want, n);
}

static void check(const uint8_t *area, const struct vectors *v, uint32_t request)
{
	uint64_t format, used;
	uint32_t mxcsr;

	memcpy(&used, area + 512, 8);
	memcpy(&format, area + 520, 8);
	memcpy(&mxcsr, area + 24, 4);
	CHECK(format == ((request & xcr0) | 1ull << 63) && !(used & ~format));
	CHECK(used & 2 ? mxcsr == v->mxcsr : v->mxcsr == 0x1f80);
	CHECK(holds(area, 1, 160 + 2 * 16, v->ymm2, 16) && holds(area, 2, place(format, 2) + 2 * 16, v->ymm2 + 16, 16));
	CHECK(area[0] == FILL || request & 1);
	CHECK(area[416] == FILL && area[511] == FILL && area[528] == FILL && area[575] == FILL && area[place(format, 8)] == FILL);
	if ((format & 0xe0) == 0xe0) {
		CHECK(holds(area, 5, place(format, 5) + 8, &v->k1, 8));
		CHECK(holds(area, 6, place(format, 6) + 3 * 32, v->zmm[0] + 32, 32) && holds(area, 7, place(format, 7) + 4 * 64, v->zmm[1], 64));
	}
}

static uint64_t hash(uint64_t h, const uint8_t *area)
{
	for (size_t i = 0; i < AREA; i++)
		h = (h ^ area[i]) * 0x100000001b3ull;
	return h;
}

static void *saver(void *arg)
{
	uint64_t *seen = arg;
	static const struct vectors empty = { .mxcsr = 0x1f80 };
	struct vectors full = { .mxcsr = 0x1fa0, .k1 = 77 };
	uint8_t area[AREA];

	memset(full.ymm2, 3, sizeof(full.ymm2));
	memset(full.zmm, 4, sizeof(full.zmm));
	for (int i = 0; i < 4 * ROUNDS; i++) {
		const struct vectors *v = i & 1 ? &full : &empty;

		load(v);
		for (volatile int k = 0; k < 10000; k++)
			;
		save(area, AS_LD_SO, i >> 1 & 1);
		__asm__ volatile("vzeroupper\n ldmxcsr %0" : : "m"(empty.mxcsr));
		check(area, v, AS_LD_SO);
		*seen = hash(*seen, area);
	}
	return NULL;
}

int main(void)
{
	static uint64_t seen[2];
	uint32_t a, b, c, d;
	uint8_t area[AREA];
	pthread_t thread;

	__cpuid(1, a, b, c, d);
	if (!(c & bit_OSXSAVE && c & bit_AVX) || !__get_cpuid_count(13, 1, &a, &b, &c, &d) || !(a & 2))
		return guest_done();
	__asm__ volatile("xgetbv" : "=a"(xcr0) : "c"(0) : "rdx");
	CHECK(pthread_create(&thread, NULL, saver, &seen[0]) == 0);
	saver(&seen[1]);
	CHECK(pthread_join(thread, NULL) == 0);
	for (int form = 0; form < 3; form++) {
		static const struct vectors empty = { .mxcsr = 0x1f80 };

		load(&empty);
		save(area, form == 2 ? AS_LD_SO : ALL, form);
		check(area, &empty, form == 2 ? AS_LD_SO : ALL);
	}
	printf("saved %llx %llx\n", (unsigned long long)seen[0], (unsigned long long)seen[1]);
	return guest_done();
}
