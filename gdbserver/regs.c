#include "gdbserver/regs.h"

#include <cpuid.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

/* XSAVE state components (Intel SDM volume 1, chapter 13). */
enum { X87 = 0, SSE = 1, AVX = 2, OPMASK = 5, ZMM_HI256 = 6, HI16_ZMM = 7, PKRU = 9 };

#define XFEATURES_AVX ((1u << X87) | (1u << SSE) | (1u << AVX))
#define XFEATURES_AVX512 (XFEATURES_AVX | (1u << OPMASK) | (1u << ZMM_HI256) | (1u << HI16_ZMM))
#define XFEATURES_PKRU (1u << PKRU)
#define XSTATE_BV_OFFSET 512
#define XSAVE_HEADER_END 576

/* FXSAVE, 64-bit layout without REX.W: the pointers are an offset and a selector. */
enum { FX_FCW = 0, FX_FSW = 2, FX_FTW = 4, FX_FOP = 6, FX_FIP = 8, FX_FCS = 12, FX_FDP = 16, FX_FDS = 20,
       FX_MXCSR = 24, FX_ST = 32, FX_XMM = 160 };

enum reg_source {
	GPR,           /* at `offset` of user_regs_struct */
	XSAVE,         /* at `offset` of the XSAVE component */
	XSAVE_TAG,     /* the x87 tag word, which FXSAVE abridges */
};

/* A line of the table: `count` registers of equal shape, `stride` bytes apart. %d in the name is the index. */
struct reg_group {
	const char *name, *type, *group;
	enum reg_source source;
	uint8_t component;
	uint8_t count, first;        /* how many, and the first one's index in its name */
	uint16_t size;               /* bytes gdb sees */
	uint16_t stored;             /* bytes there are; the rest is zero */
	uint16_t offset, stride;
};

struct reg_feature {
	const char *name;
	uint64_t needs;              /* bits of XCR0 */
	const char *types;           /* XML */
	const struct reg_group *groups;
	size_t n;
};

#define U(field) offsetof(struct user_regs_struct, field)
#define REG64(r, t) { #r, t, NULL, GPR, 0, 1, 0, 8, 8, U(r), 0 }
#define REG32(r, t) { #r, t, NULL, GPR, 0, 1, 0, 4, 4, U(r), 0 }
#define FPU(r, bytes, at) { r, "int", "float", XSAVE, X87, 1, 0, 4, bytes, at, 0 }

static const struct reg_group core[] = {
	REG64(rax, "int64"), REG64(rbx, "int64"), REG64(rcx, "int64"), REG64(rdx, "int64"),
	REG64(rsi, "int64"), REG64(rdi, "int64"), REG64(rbp, "data_ptr"), REG64(rsp, "data_ptr"),
	REG64(r8, "int64"), REG64(r9, "int64"), REG64(r10, "int64"), REG64(r11, "int64"),
	REG64(r12, "int64"), REG64(r13, "int64"), REG64(r14, "int64"), REG64(r15, "int64"),
	REG64(rip, "code_ptr"), REG32(eflags, "i386_eflags"),
	REG32(cs, "int32"), REG32(ss, "int32"), REG32(ds, "int32"), REG32(es, "int32"),
	REG32(fs, "int32"), REG32(gs, "int32"),
	{ "st%d", "i387_ext", NULL, XSAVE, X87, 8, 0, 10, 10, FX_ST, 16 },
	FPU("fctrl", 2, FX_FCW), FPU("fstat", 2, FX_FSW),
	{ "ftag", "int", "float", XSAVE_TAG, X87, 1, 0, 4, 2, FX_FTW, 0 },
	FPU("fiseg", 2, FX_FCS), FPU("fioff", 4, FX_FIP), FPU("foseg", 2, FX_FDS), FPU("fooff", 4, FX_FDP),
	FPU("fop", 2, FX_FOP),
};

static const struct reg_group sse[] = {
	{ "xmm%d", "vec128", NULL, XSAVE, SSE, 16, 0, 16, 16, FX_XMM, 16 },
	{ "mxcsr", "i386_mxcsr", "vector", XSAVE, X87, 1, 0, 4, 4, FX_MXCSR, 0 },
};

static const struct reg_group linux_regs[] = { REG64(orig_rax, "int") };
static const struct reg_group segments[] = { REG64(fs_base, "int"), REG64(gs_base, "int") };

static const struct reg_group avx[] = {
	{ "ymm%dh", "uint128", NULL, XSAVE, AVX, 16, 0, 16, 16, 0, 16 },
};

static const struct reg_group avx512[] = {
	{ "xmm%d", "vec128", NULL, XSAVE, HI16_ZMM, 16, 16, 16, 16, 0, 64 },
	{ "ymm%dh", "uint128", NULL, XSAVE, HI16_ZMM, 16, 16, 16, 16, 16, 64 },
	{ "k%d", "uint64", NULL, XSAVE, OPMASK, 8, 0, 8, 8, 0, 8 },
	{ "zmm%dh", "v2ui128", NULL, XSAVE, ZMM_HI256, 16, 0, 32, 32, 0, 32 },
	{ "zmm%dh", "v2ui128", NULL, XSAVE, HI16_ZMM, 16, 16, 32, 32, 32, 64 },
};

static const struct reg_group pkeys[] = {
	{ "pkru", "uint32", NULL, XSAVE, PKRU, 1, 0, 4, 4, 0, 0 },
};

#define FLAG(name, bit) "<field name=\"" name "\" start=\"" #bit "\" end=\"" #bit "\"/>"
#define FIELD(name, type) "<field name=\"" name "\" type=\"" type "\"/>"

static const char core_types[] =
	"<flags id=\"i386_eflags\" size=\"4\">"
	"<field name=\"\" start=\"1\" end=\"1\"/>"
	FLAG("CF", 0) FLAG("PF", 2) FLAG("AF", 4) FLAG("ZF", 6) FLAG("SF", 7) FLAG("TF", 8) FLAG("IF", 9) FLAG("DF", 10)
	FLAG("OF", 11) FLAG("NT", 14) FLAG("RF", 16) FLAG("VM", 17) FLAG("AC", 18) FLAG("VIF", 19) FLAG("VIP", 20)
	FLAG("ID", 21) "</flags>";

#define VEC128_TYPES \
	"<vector id=\"v4f\" type=\"ieee_single\" count=\"4\"/><vector id=\"v2d\" type=\"ieee_double\" count=\"2\"/>" \
	"<vector id=\"v16i8\" type=\"int8\" count=\"16\"/><vector id=\"v8i16\" type=\"int16\" count=\"8\"/>" \
	"<vector id=\"v4i32\" type=\"int32\" count=\"4\"/><vector id=\"v2i64\" type=\"int64\" count=\"2\"/>" \
	"<union id=\"vec128\">" FIELD("v4_float", "v4f") FIELD("v2_double", "v2d") FIELD("v16_int8", "v16i8") \
	FIELD("v8_int16", "v8i16") FIELD("v4_int32", "v4i32") FIELD("v2_int64", "v2i64") FIELD("uint128", "uint128") \
	"</union>"

static const char sse_types[] =
	VEC128_TYPES
	"<flags id=\"i386_mxcsr\" size=\"4\">"
	FLAG("IE", 0) FLAG("DE", 1) FLAG("ZE", 2) FLAG("OE", 3) FLAG("UE", 4) FLAG("PE", 5) FLAG("DAZ", 6) FLAG("IM", 7)
	FLAG("DM", 8) FLAG("ZM", 9) FLAG("OM", 10) FLAG("UM", 11) FLAG("PM", 12) FLAG("FZ", 15) "</flags>";

static const char avx512_types[] = VEC128_TYPES "<vector id=\"v2ui128\" type=\"uint128\" count=\"2\"/>";

#define GROUPS(a) a, sizeof(a) / sizeof((a)[0])

/* The order decides the numbers: GDB_RIP and its like, and gdb's own habits, count on the core coming first. */
static const struct reg_feature features[] = {
	{ "core", 0, core_types, GROUPS(core) },
	{ "sse", 0, sse_types, GROUPS(sse) },
	{ "linux", 0, "", GROUPS(linux_regs) },
	{ "segments", 0, "", GROUPS(segments) },
	{ "avx", XFEATURES_AVX, "", GROUPS(avx) },
	{ "avx512", XFEATURES_AVX512, avx512_types, GROUPS(avx512) },
	{ "pkeys", XFEATURES_PKRU, "", GROUPS(pkeys) },
};

#define N_FEATURES (sizeof(features) / sizeof(features[0]))

struct regs_layout regs_layout_here(uint64_t xcr0)
{
	struct regs_layout l = { .xcr0 = xcr0 };
	unsigned int size, at, c, d;

	for (unsigned int i = AVX; i < REGS_COMPONENTS; i++)
		if (xcr0 >> i & 1 && __get_cpuid_count(0xd, i, &size, &at, &c, &d) && size && at < REGS_XSAVE_MAX)
			l.offset[i] = at;
	return l;
}

static bool feature_present(const struct regs_layout *l, const struct reg_feature *f)
{
	if ((l->xcr0 & f->needs) != f->needs)
		return false;
	for (int i = AVX; i < REGS_COMPONENTS; i++)
		if (f->needs >> i & 1 && !l->offset[i])
			return false;
	return true;
}

/* The group that holds a register number, and the place in it; if none, the number of registers there are. */
static const struct reg_group *group_find(const struct regs_layout *l, int number, int *ret_index, int *ret_total)
{
	int base = 0;

	for (size_t f = 0; f < N_FEATURES; f++) {
		if (!feature_present(l, &features[f]))
			continue;
		for (size_t g = 0; g < features[f].n; g++) {
			const struct reg_group *group = &features[f].groups[g];

			if (number >= base && number < base + group->count) {
				*ret_index = number - base;
				return group;
			}
			base += group->count;
		}
	}
	if (ret_total)
		*ret_total = base;
	return NULL;
}

int regs_count(const struct regs_layout *l)
{
	int index, total = 0;

	group_find(l, -1, &index, &total);
	return total;
}

int regs_size(const struct regs_layout *l, int number)
{
	int index;
	const struct reg_group *g = group_find(l, number, &index, NULL);

	return g ? g->size : -EINVAL;
}

/* Whether the component differs from its initial state. Only then are its bytes in the area meaningful. */
static bool component_used(const struct regs_state *s, unsigned int component)
{
	uint64_t bv;

	if (s->xsave_n < XSAVE_HEADER_END)
		return component <= SSE;        /* a bare FXSAVE area */
	memcpy(&bv, s->xsave + XSTATE_BV_OFFSET, sizeof(bv));
	return bv >> component & 1;
}

/*
 * The full tag word: two bits a physical register: 0 valid, 1 zero, 2 special, 3 empty (Intel SDM volume 1, 8.1.7).
 * FXSAVE keeps only "not empty", and orders the registers by their distance from the top of the stack.
 */
static uint16_t tag_word(const uint8_t *fx)
{
	unsigned int top = fx[FX_FSW + 1] >> 3 & 7;
	uint16_t tags = 0;

	for (unsigned int physical = 0; physical < 8; physical++) {
		const uint8_t *st = fx + FX_ST + 16 * ((physical - top) & 7);
		unsigned int tag = 3;
		uint64_t mantissa;
		uint16_t exponent;

		if (fx[FX_FTW] >> physical & 1) {
			memcpy(&mantissa, st, 8);
			memcpy(&exponent, st + 8, 2);
			exponent &= 0x7fff;
			if (exponent == 0)
				tag = mantissa ? 2 : 1;
			else
				tag = exponent == 0x7fff || !(mantissa >> 63) ? 2 : 0;
		}
		tags = (uint16_t)(tags | tag << 2 * physical);
	}
	return tags;
}

/* Initial values (FNINIT): everything zero but the control word, the tags and MXCSR. */
static void initial_value(const struct reg_group *g, uint8_t *out)
{
	uint16_t word = 0;

	if (g->component == X87 && g->source == XSAVE_TAG)
		word = 0xffff;
	else if (g->component == X87 && g->offset == FX_FCW)
		word = 0x37f;
	memcpy(out, &word, sizeof(word));
}

static bool xsave_get(const struct regs_layout *l, const struct regs_state *s, const struct reg_group *g, int index,
		      uint8_t *out)
{
	size_t at = (g->component > SSE ? l->offset[g->component] : 0) + g->offset + (size_t)g->stride * (size_t)index;

	if (s->xsave_n < FX_XMM + 256)
		return false;
	/* MXCSR belongs to no one component; it is always saved. */
	if (!component_used(s, g->component) && !(g->component == X87 && g->offset == FX_MXCSR)) {
		initial_value(g, out);
		return true;
	}
	if (g->source == XSAVE_TAG) {
		uint16_t tags = tag_word(s->xsave);

		memcpy(out, &tags, sizeof(tags));
		return true;
	}
	if (at + g->stored > s->xsave_n)
		return false;
	memcpy(out, s->xsave + at, g->stored);
	return true;
}

bool regs_get(const struct regs_layout *l, const struct regs_state *s, int number, uint8_t *out)
{
	int index = 0;
	const struct reg_group *g = group_find(l, number, &index, NULL);

	if (!g)
		return false;
	memset(out, 0, g->size);
	if (g->source != GPR)
		return xsave_get(l, s, g, index, out);
	memcpy(out, (const uint8_t *)&s->gpr + g->offset, g->stored);
	return true;
}

void regs_put(const struct regs_layout *l, const struct regs_state *s, int number, struct buf *out)
{
	uint8_t bytes[REGS_ONE_MAX];
	int size = regs_size(l, number);

	if (size < 0)
		return;
	if (regs_get(l, s, number, bytes)) {
		out_hex(out, bytes, (size_t)size);
		return;
	}
	for (int i = 0; i < size; i++)
		out_str(out, "xx");
}

static void group_xml(const struct reg_group *g, int number, struct buf *out)
{
	for (int i = 0; i < g->count; i++) {
		const char *index = strstr(g->name, "%d");

		out_str(out, "<reg name=\"");
		if (index) {
			buf_put(out, g->name, (size_t)(index - g->name));
			out_fmt(out, "%d%s", g->first + i, index + 2);
		} else {
			out_str(out, g->name);
		}
		out_fmt(out, "\" bitsize=\"%d\" type=\"%s\" regnum=\"%d\"", 8 * g->size, g->type, number + i);
		if (g->group)
			out_fmt(out, " group=\"%s\"", g->group);
		out_str(out, "/>\n");
	}
}

void regs_xml(const struct regs_layout *l, struct buf *out)
{
	int number = 0;

	out_str(out, "<?xml version=\"1.0\"?>\n<!DOCTYPE target SYSTEM \"gdb-target.dtd\">\n<target version=\"1.0\">\n"
		     "<architecture>i386:x86-64</architecture>\n<osabi>GNU/Linux</osabi>\n");
	for (size_t f = 0; f < N_FEATURES; f++) {
		if (!feature_present(l, &features[f]))
			continue;
		out_fmt(out, "<feature name=\"org.gnu.gdb.i386.%s\">\n%s\n", features[f].name, features[f].types);
		for (size_t g = 0; g < features[f].n; g++) {
			group_xml(&features[f].groups[g], number, out);
			number += features[f].groups[g].count;
		}
		out_str(out, "</feature>\n");
	}
	out_str(out, "</target>\n");
}
