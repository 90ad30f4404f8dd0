/* See cpufeat.h. The bits: Intel SDM volume 2A, CPUID; AMD APM volume 3, appendix E. */
#include "tracee/cpufeat.h"

#include <cpuid.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum { EAX, EBX, ECX, EDX };

#define YMM 0x6u            /* the register sets' bits in XCR0 */
#define ZMM 0xe6u
#define PKRU 0x200u
#define TILES 0x60000u

static const struct feature {
	char name[20];
	uint32_t leaf, sub;
	uint8_t reg, bit;
	uint32_t needs;
} features[] = {
	{ "SSE3", 1, 0, ECX, 0, 0 },
	{ "PCLMULQDQ", 1, 0, ECX, 1, 0 },
	{ "SSSE3", 1, 0, ECX, 9, 0 },
	{ "FMA", 1, 0, ECX, 12, YMM },
	{ "CMPXCHG16B", 1, 0, ECX, 13, 0 },
	{ "SSE4.1", 1, 0, ECX, 19, 0 },
	{ "SSE4.2", 1, 0, ECX, 20, 0 },
	{ "MOVBE", 1, 0, ECX, 22, 0 },
	{ "POPCNT", 1, 0, ECX, 23, 0 },
	{ "AES", 1, 0, ECX, 25, 0 },
	{ "XSAVE", 1, 0, ECX, 27, 0 },
	{ "AVX", 1, 0, ECX, 28, YMM },
	{ "F16C", 1, 0, ECX, 29, YMM },
	{ "FSGSBASE", 7, 0, EBX, 0, 0 },
	{ "BMI1", 7, 0, EBX, 3, 0 },
	{ "AVX2", 7, 0, EBX, 5, YMM },
	{ "BMI2", 7, 0, EBX, 8, 0 },
	{ "AVX512F", 7, 0, EBX, 16, ZMM },
	{ "AVX512DQ", 7, 0, EBX, 17, ZMM },
	{ "ADX", 7, 0, EBX, 19, 0 },
	{ "AVX512_IFMA", 7, 0, EBX, 21, ZMM },
	{ "CLFLUSHOPT", 7, 0, EBX, 23, 0 },
	{ "CLWB", 7, 0, EBX, 24, 0 },
	{ "AVX512PF", 7, 0, EBX, 26, ZMM },
	{ "AVX512ER", 7, 0, EBX, 27, ZMM },
	{ "AVX512CD", 7, 0, EBX, 28, ZMM },
	{ "SHA", 7, 0, EBX, 29, 0 },
	{ "AVX512BW", 7, 0, EBX, 30, ZMM },
	{ "AVX512VL", 7, 0, EBX, 31, ZMM },
	{ "AVX512_VBMI", 7, 0, ECX, 1, ZMM },
	{ "PKU", 7, 0, ECX, 4, PKRU },
	{ "WAITPKG", 7, 0, ECX, 5, 0 },
	{ "AVX512_VBMI2", 7, 0, ECX, 6, ZMM },
	{ "GFNI", 7, 0, ECX, 8, 0 },
	{ "VAES", 7, 0, ECX, 9, YMM },
	{ "VPCLMULQDQ", 7, 0, ECX, 10, YMM },
	{ "AVX512_VNNI", 7, 0, ECX, 11, ZMM },
	{ "AVX512_BITALG", 7, 0, ECX, 12, ZMM },
	{ "AVX512_VPOPCNTDQ", 7, 0, ECX, 14, ZMM },
	{ "MOVDIRI", 7, 0, ECX, 27, 0 },
	{ "MOVDIR64B", 7, 0, ECX, 28, 0 },
	{ "AVX512_4VNNIW", 7, 0, EDX, 2, ZMM },
	{ "AVX512_4FMAPS", 7, 0, EDX, 3, ZMM },
	{ "AVX512_VP2INTERSECT", 7, 0, EDX, 8, ZMM },
	{ "SERIALIZE", 7, 0, EDX, 14, 0 },
	{ "AMX-BF16", 7, 0, EDX, 22, TILES },
	{ "AVX512_FP16", 7, 0, EDX, 23, ZMM },
	{ "AMX-TILE", 7, 0, EDX, 24, TILES },
	{ "AMX-INT8", 7, 0, EDX, 25, TILES },
	{ "SHA512", 7, 1, EAX, 0, YMM },
	{ "SM3", 7, 1, EAX, 1, YMM },
	{ "SM4", 7, 1, EAX, 2, YMM },
	{ "AVX-VNNI", 7, 1, EAX, 4, YMM },
	{ "AVX512_BF16", 7, 1, EAX, 5, ZMM },
	{ "AMX-FP16", 7, 1, EAX, 21, TILES },
	{ "AVX-IFMA", 7, 1, EAX, 23, YMM },
	{ "AVX-VNNI-INT8", 7, 1, EDX, 4, YMM },
	{ "AVX-NE-CONVERT", 7, 1, EDX, 5, YMM },
	{ "AVX-VNNI-INT16", 7, 1, EDX, 10, YMM },
	{ "XSAVEC", 0xd, 1, EAX, 1, 0 },
	{ "LAHF", 0x80000001, 0, ECX, 0, 0 },
	{ "LZCNT", 0x80000001, 0, ECX, 5, 0 },
	{ "SSE4A", 0x80000001, 0, ECX, 6, 0 },
	{ "XOP", 0x80000001, 0, ECX, 11, YMM },
	{ "FMA4", 0x80000001, 0, ECX, 16, YMM },
	{ "TBM", 0x80000001, 0, ECX, 21, 0 },
};

/* A leaf that a processor does not have is answered with something else: Intel SDM, as the greatest basic one. */
static bool has_leaf(uint32_t leaf)
{
	return leaf <= __get_cpuid_max(leaf & 0x80000000, NULL);
}

uint32_t cpufeat_read(uint32_t (*out)[CPUFEAT_WORDS])
{
	static const uint32_t leaves[][2] = { { 0, 0 }, { 1, 0 }, { 7, 0 }, { 7, 1 }, { 0xd, 0 }, { 0xd, 1 },
					      { 0x14, 0 }, { 0x80000001, 0 }, { 0x80000008, 0 } };
	const uint32_t n = sizeof(leaves) / sizeof(leaves[0]);

	_Static_assert(sizeof(leaves) / sizeof(leaves[0]) <= CPUFEAT_LEAVES, "they fit");
	for (uint32_t i = 0; i < n; i++) {
		uint32_t *o = out[i];

		memset(o, 0, CPUFEAT_WORDS * sizeof(*o));
		o[0] = leaves[i][0];
		o[1] = leaves[i][1];
		if (has_leaf(o[0]))
			__cpuid_count(o[0], o[1], o[2], o[3], o[4], o[5]);
	}
	return n;
}

static bool has(const struct cpufeat *c, const struct feature *f)
{
	for (uint32_t i = 0; i < c->n; i++) {
		if (c->leaf[i][0] == f->leaf && c->leaf[i][1] == f->sub)
			return c->leaf[i][2 + f->reg] >> f->bit & 1 && (c->xcr0 & f->needs) == f->needs;
	}
	return false;
}

unsigned cpufeat_missing(const struct cpufeat *had, const struct cpufeat *here, char *out, size_t n)
{
	unsigned missing = 0;
	size_t used = 0;

	if (n)
		*out = '\0';
	for (size_t i = 0; i < sizeof(features) / sizeof(features[0]); i++) {
		const struct feature *f = &features[i];

		if (!has(had, f) || has(here, f))
			continue;
		if (used < n)
			used += (size_t)snprintf(out + used, n - used, "%s%s", missing ? ", " : "", f->name);
		missing++;
	}
	return missing;
}
