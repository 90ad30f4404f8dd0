/* What tells the wanted pass through a site from the others. */
#include <stdlib.h>
#include <string.h>
#include "common/err.h"
#include "replayer/site_int.h"
#include "tracee/insn.h"
#include "tracee/remote.h"
#include "tracee/xstate.h"

#define N_GPRS 16
#define N_XMM 32
#define N_YMM 16
#define N_ST 8
#define MAX_WORDS 512        /* further memory words looked at */
#define FX_ST 32             /* places in the FXSAVE image, which begins every XSAVE image */
#define FX_XMM 160
#define XSTATE_YMM_HI 576
#define XSTATE_ZMM16 1664

enum { ID_GPR = 1 << 24, ID_WINDOW = 2 << 24, ID_WORD = 3 << 24, ID_XMM = 4 << 24, ID_YMM = 5 << 24, ID_FX = 6 << 24 };

/* ---- candidates ---- */

static void add(struct site *x, uint32_t id, struct filter_test test)
{
	x->cand[x->n_cand++] = (struct cand){ .test = test, .id = id, .vector = id >= ID_XMM };
}

static uint64_t word_of(const uint8_t *bytes, size_t n, size_t at, size_t len)
{
	uint64_t v = 0;

	if (at < n)
		memcpy(&v, bytes + at, n - at < len ? n - at : len);
	return v;
}

static void add_memory(struct site *x, const struct site_want *w)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < w->n_words; i++) {
		for (uint32_t at = 0; at + 8 <= w->words[i].len && n < MAX_WORDS; at += 8)
			add(x, ID_WORD | n++, (struct filter_test){ .kind = FILTER_ABS, .size = 8, .addr = w->words[i].addr + at,
				.want = word_of(w->words[i].bytes, w->words[i].len, at, 8) });
	}
	for (uint32_t at = 0; at + 8 <= w->n_window; at += 8)
		add(x, ID_WINDOW | at, (struct filter_test){ .kind = FILTER_ABS, .size = 8, .addr = w->window_addr + at,
			.want = word_of(w->window, w->n_window, at, 8) });
}

static void add_vectors(struct site *x, const struct site_want *w)
{
	bool avx = __builtin_cpu_supports("avx"), avx512 = __builtin_cpu_supports("avx512f");

	for (uint32_t n = 0; n < N_XMM; n++) {
		size_t at = n < 16 ? FX_XMM + 16 * n : XSTATE_ZMM16 + 64 * (n - 16);

		if (n < 16 || avx512)
			add(x, ID_XMM | n, (struct filter_test){ .kind = FILTER_XMM, .reg = (uint8_t)n,
				.want = word_of(w->xstate, w->n_xstate, at, 8) });
	}
	for (uint32_t n = 0; avx && n < 2 * N_YMM; n++)
		add(x, ID_YMM | n, (struct filter_test){ .kind = FILTER_YMM_HI, .reg = (uint8_t)(n / 2),
			.disp = (int32_t)(n % 2 * 8), .want = word_of(w->xstate, w->n_xstate, XSTATE_YMM_HI + 8 * n, 8) });
	for (uint32_t n = 0; n < N_ST + 16; n++) {
		uint32_t at = n < N_ST ? FX_ST + 16 * n : FX_XMM + 16 * (n - N_ST) + 8;

		add(x, ID_FX | at, (struct filter_test){ .kind = FILTER_FX, .disp = (int32_t)at,
			.want = word_of(w->xstate, w->n_xstate, at, 8) });
	}
}

void site_candidates(struct site *x, const struct site_want *w, bool mem_tests)
{
	size_t max = N_GPRS + MAX_WORDS + w->n_window / 8 + N_XMM + 2 * N_YMM + N_ST + 16;

	x->cand = calloc(max, sizeof(*x->cand));
	if (!x->cand) {
		x->no_filter = true;
		return;
	}
	for (uint32_t n = 0; n < N_GPRS; n++)
		add(x, ID_GPR | n, (struct filter_test){ .kind = FILTER_REG, .reg = (uint8_t)n,
			.want = insn_reg_value(w->regs, (enum insn_reg)n) });
	if (mem_tests)
		add_memory(x, w);
	if (w->n_xstate)
		add_vectors(x, w);
}

/* A pass is to be looked at if it may be either: keep what both want alike. */
void site_candidates_common(struct site *x, const struct site_want *w)
{
	size_t kept = 0;

	for (size_t i = 0; i < x->n_cand; i++) {
		const struct cand *c = &x->cand[i];

		if (c->test.kind == FILTER_REG && c->test.want == insn_reg_value(w->regs, (enum insn_reg)c->test.reg))
			x->cand[kept++] = *c;
	}
	x->n_cand = kept;
}

/* ---- learning ---- */

static uint64_t vector_value(const struct filter_test *t, const uint8_t *canon, size_t n)
{
	switch (t->kind) {
	case FILTER_XMM:
		return word_of(canon, n, t->reg < 16 ? FX_XMM + 16u * t->reg : XSTATE_ZMM16 + 64u * (t->reg - 16u), 8);
	case FILTER_YMM_HI:
		return word_of(canon, n, XSTATE_YMM_HI + 16u * t->reg + (uint32_t)t->disp, 8);
	default:
		return word_of(canon, n, (uint32_t)t->disp, 8);
	}
}

static bool note_value(struct cand *c, uint64_t bit, uint64_t value)
{
	c->n_changes += value != c->last;
	c->last = value;
	c->differed = (c->differed & ~bit) | (value != c->test.want ? bit : 0);
	return value != c->test.want;
}

static bool learn_vectors(struct sites *ss, struct site *x, uint64_t bit)
{
	static struct xstate now;
	static uint8_t canon[XSTATE_MAX];
	bool told = false;
	size_t n;

	if (xstate_read(ss->t->host_tid, &now))
		return false;
	n = xstate_canon(&now, canon);
	for (size_t i = 0; i < x->n_cand; i++) {
		struct cand *c = &x->cand[i];

		if (c->vector)
			told |= note_value(c, bit, vector_value(&c->test, canon, n));
	}
	return told;
}

/* Words that stand side by side are read together. */
struct reading {
	uint64_t start;
	size_t n;
	uint8_t bytes[64];
};

static uint64_t read_word(int mem_fd, struct reading *r, const struct filter_test *t)
{
	if (t->addr < r->start || t->addr + t->size > r->start + r->n) {
		r->start = t->addr;
		r->n = mem_read_some(mem_fd, t->addr, r->bytes, sizeof(r->bytes));
	}
	return word_of(r->bytes, r->n, t->addr - r->start, t->size);
}

bool site_learn(struct sites *ss, struct site *x)
{
	const struct site_want *w = &x->want[0];
	int mem_fd = ss->t->host->mem_fd;
	uint8_t window[1024];
	struct reading words = { .n = 0 };
	uint64_t bit = 1ull << (x->n_seen++ % SEEN_MAX);
	bool told = false, vectors = false;
	size_t n = 0;

	if (!x->n_wants)
		return true;
	if (ss->flags & SITES_READ_MEMORY)
		n = mem_read_some(mem_fd, w->window_addr, window, w->n_window < sizeof(window) ? w->n_window : sizeof(window));
	for (size_t i = 0; i < x->n_cand; i++) {
		struct cand *c = &x->cand[i];
		uint64_t value = 0;

		if (c->vector) {
			vectors = true;
			c->differed &= ~bit;
			continue;
		}
		if (c->test.kind == FILTER_REG)
			value = insn_reg_value(&ss->t->regs, (enum insn_reg)c->test.reg);
		else if (c->id >= ID_WORD)
			value = read_word(mem_fd, &words, &c->test);
		else
			value = word_of(window, n, c->id & 0xffffff, 8);
		told |= note_value(c, bit, value);
	}
	if (!told && vectors)
		told = learn_vectors(ss, x, bit);
	return told;
}

/* How good a test is at rejecting what is left; ties go to the cheaper one, then to the one with more values. */
static uint64_t worth(const struct cand *c, uint64_t left)
{
	uint64_t cheap = c->vector ? c->test.kind != FILTER_FX : c->test.kind == FILTER_REG ? 3 : 2;

	return (uint64_t)__builtin_popcountll(c->differed & left) << 40 | cheap << 32 | c->n_changes;
}

static bool chosen(const struct filter_test *v, size_t n, const struct filter_test *t)
{
	for (size_t i = 0; i < n; i++) {
		if (memcmp(&v[i], t, sizeof(*t)) == 0)
			return true;
	}
	return false;
}

static const struct cand *best(const struct site *x, uint64_t left, const struct filter_test *out, size_t n)
{
	const struct cand *top = NULL;

	for (size_t i = 0; i < x->n_cand; i++) {
		const struct cand *c = &x->cand[i];

		if (c->differed & left && !chosen(out, n, &c->test) && (!top || worth(c, left) > worth(top, left)))
			top = c;
	}
	return top;
}

size_t site_choose(struct site *x, struct filter_test *out)
{
	uint64_t left = ~0ull;
	const struct cand *c;
	size_t n = 0;

	/* Enough to tell every pass seen; then more, as they cost nothing where the first one fails. */
	while (n < FILTER_MAX_TESTS && (c = best(x, left, out, n))) {
		out[n++] = c->test;
		left &= ~c->differed;
	}
	for (size_t i = 0; n && n < FILTER_MAX_TESTS && i < x->n_cand; i++) {
		c = &x->cand[i];
		if (!c->vector && c->differed && !chosen(out, n, &c->test))
			out[n++] = c->test;
	}
	for (size_t i = 0; n && n < FILTER_MAX_TESTS && i < x->n_cand; i++) {
		c = &x->cand[i];
		if (c->test.kind == FILTER_REG && !chosen(out, n, &c->test))
			out[n++] = c->test;
	}
	return n;
}

void site_remember(struct site *x, struct site_note *note)
{
	uint64_t left = ~0ull;
	struct filter_test out[NOTE_TESTS];
	const struct cand *c;

	note->n_tests = 0;
	while (note->n_tests < NOTE_TESTS && (c = best(x, left, out, note->n_tests))) {
		out[note->n_tests] = c->test;
		note->test[note->n_tests++] = c->id;
		left &= ~c->differed;
	}
}

bool site_recall(struct site *x, const struct site_note *note)
{
	bool any = false;

	/* As if each of these had told one pass from the wanted one, the most telling first. */
	x->n_seen = note->n_tests;
	for (unsigned k = 0; k < note->n_tests; k++) {
		for (size_t i = 0; i < x->n_cand; i++) {
			struct cand *c = &x->cand[i];

			if (c->id != note->test[k])
				continue;
			for (unsigned bit = k; bit < note->n_tests; bit++)
				c->differed |= 1ull << bit;
			any = true;
		}
	}
	return any;
}
