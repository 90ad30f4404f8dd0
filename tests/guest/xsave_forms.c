/*
 * XSAVE and its kinds: what was saved comes back. And the header's word of what is "in use", which changes with every
 * context switch on some processors, is the same at replay: two threads print it again and again.
 */
#include "guest.h"
#include <cpuid.h>
#include <pthread.h>
#include <stdbool.h>

enum { X87_SSE_AVX = 7, AREA = 16384, ROUNDS = 150 };

struct area {
	_Alignas(64) uint8_t bytes[AREA];
};

struct registers {
	_Alignas(32) uint8_t ymm[2][32];
	uint32_t mxcsr;
	double st;
};

static bool has_avx, has_opt, has_compact;
static const struct registers zeros = { .mxcsr = 0x1f80 };

static void save(struct area *a, int form)
{
	switch (form) {
	case 0:
		__asm__ volatile("xsave %0" : "+m"(*a) : "a"(X87_SSE_AVX), "d"(0));
		break;
	case 1:
		__asm__ volatile("xsaveopt64 %0" : "+m"(*a) : "a"(X87_SSE_AVX), "d"(0));
		break;
	case 2:
		__asm__ volatile("xsavec %0" : "+m"(*a) : "a"(X87_SSE_AVX), "d"(0));
		break;
	}
}

static bool has_form(int form)
{
	return form == 0 || (form == 1 && has_opt) || (form == 2 && has_compact);
}

/* Load, save, load something else, restore, and store: all without the compiler's own use of the registers between. */
static void there_and_back(const struct registers *in, const struct registers *other, struct registers *out, struct area *a, int form)
{
	struct registers st = *in;

	__asm__ volatile("vmovdqa %0, %%ymm3\n vmovdqa %1, %%ymm9\n ldmxcsr %2\n fninit\n fldl %3"
			 : : "m"(st.ymm[0]), "m"(st.ymm[1]), "m"(st.mxcsr), "m"(st.st) : "xmm3", "xmm9");
	save(a, form);
	__asm__ volatile("vmovdqa %0, %%ymm3\n vmovdqa %1, %%ymm9\n ldmxcsr %2\n fninit"
			 : : "m"(other->ymm[0]), "m"(other->ymm[1]), "m"(other->mxcsr) : "xmm3", "xmm9");
	__asm__ volatile("xrstor %0" : : "m"(*a), "a"(X87_SSE_AVX), "d"(0) : "xmm3", "xmm9");
	__asm__ volatile("vmovdqa %%ymm3, %0\n vmovdqa %%ymm9, %1\n stmxcsr %2\n fstpl %3\n fninit"
			 : "=m"(out->ymm[0]), "=m"(out->ymm[1]), "=m"(out->mxcsr), "=m"(out->st));
	__asm__ volatile("ldmxcsr %0" : : "m"(zeros.mxcsr));
}

static void check_forms(void)
{
	static struct area a;
	struct registers full = { .mxcsr = 0x1fa0, .st = 2.5 }, empty = zeros, got;

	memset(full.ymm, 0x5a, sizeof(full.ymm));
	for (int form = 0; form < 3; form++) {
		if (!has_form(form))
			continue;
		for (int i = 0; i < 4; i++) {
			const struct registers *in = i & 1 ? &empty : &full, *other = i & 2 ? &empty : &full;

			memset(&a, 0, sizeof(a));
			memset(&got, 0xee, sizeof(got));
			there_and_back(in, other, &got, &a, form);
			CHECK(!memcmp(got.ymm, in->ymm, sizeof(got.ymm)) && got.mxcsr == in->mxcsr && got.st == in->st);
		}
	}
}

struct said {
	char text[ROUNDS + 1];
};

/* Zeros loaded from memory: in use or not? */
static void *in_use(void *arg)
{
	struct said *s = arg;
	struct area a;

	for (int i = 0; i < ROUNDS; i++) {
		memset(&a, 0, sizeof(a));
		__asm__ volatile("vmovdqu %0, %%ymm2" : : "m"(zeros.ymm[0]) : "xmm2");
		for (volatile int k = 0; k < 30000; k++)
			;
		save(&a, has_compact ? 2 : 0);
		s->text[i] = (char)('0' + (a.bytes[512] & 7));
	}
	return NULL;
}

int main(void)
{
	static struct said said[2];
	uint32_t a, b, c, d;
	pthread_t thread;

	__cpuid(1, a, b, c, d);
	has_avx = c & bit_OSXSAVE && c & bit_AVX;
	if (has_avx && __get_cpuid_count(13, 1, &a, &b, &c, &d)) {
		has_opt = a & 1;
		has_compact = a & 2;
	}
	if (has_avx) {
		check_forms();
		CHECK(pthread_create(&thread, NULL, in_use, &said[0]) == 0);
		in_use(&said[1]);
		CHECK(pthread_join(thread, NULL) == 0);
		printf("%s\n%s\n", said[0].text, said[1].text);
	}
	return guest_done();
}
