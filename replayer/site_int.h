/* Shared by site.c (mechanism) and site_learn.c (which tests). */
#ifndef RELIVE_SITE_INT_H
#define RELIVE_SITE_INT_H

#include "replayer/site.h"
#include "tracee/filter.h"
#include "tracee/maps.h"

#define MAX_SITES 3
#define SEEN_MAX 64          /* passes remembered, one bit each */
#define NOTE_TESTS 4
#define MAX_GUARDS 4

/* A stub begins anywhere in its first page; its code may reach into the second; its slots are on the third. */
#define STUB_BASE(stub) ((stub) & -MAPS_PAGE)
#define STUB_BYTES (3 * MAPS_PAGE)
#define STUB_SLOTS(stub) (STUB_BASE(stub) + 2 * MAPS_PAGE)
#define STUB_COUNTER(stub) (STUB_SLOTS(stub) + FILTER_SLOT_BYTES)

enum site_kind { SITE_NONE, SITE_INT3, SITE_FILTER, SITE_DEBUG_REG };

/* Something that can be tested: what it is, and at which of the passes seen it had another value than the wanted. */
struct cand {
	struct filter_test test;
	uint32_t id;               /* the same thing at another time has the same id */
	uint32_t n_changes;        /* from one pass seen to the next */
	uint64_t differed;
	uint64_t last;
	bool vector;
};

/* Pages that hold the site's code and can be written to. */
struct site_guard {
	uint64_t addr, bytes;
	int prot;
};

struct site {
	uint64_t addr;
	enum site_kind kind, inserted, was;
	bool no_filter, prepared, counted;
	bool known;                /* the filter needs no more learning */
	struct site_want want[2];
	size_t n_wants;
	struct run_pass *pass;
	uint64_t n_misses;
	struct cand *cand;
	size_t n_cand;
	unsigned n_seen;           /* bits in use */
	uint64_t seen_hard;        /* passes that only vector registers may tell apart */
	uint8_t orig[8];           /* bytes under the patch */
	uint8_t displaced[32];     /* the code that the filter was made from */
	int debug_reg;
	bool writable;             /* the program may change this code, by this mapping or another one of the same memory */
	bool shared;               /* its memory is at other addresses too, perhaps: an int3 would be there as well */
	bool guarded;
	bool looked_at;            /* found to take a jump */
	unsigned n_changes;        /* of the code here, since a filter was made */
	uint64_t n_passes;         /* through the filters that such changes took away */
	uint64_t counted_from;     /* what the filter's counter began with */
	struct site_guard guard[MAX_GUARDS];   /* by which it can */
	size_t n_guards;
	unsigned n_faults;         /* writes to a guarded page */
	uint64_t stub;             /* where the filter's code begins; 0: there is none */
	struct filter filter;
};

struct sites {
	struct session *s;
	struct rtask *t;
	const struct traps *traps;
	int flags;                 /* enum sites_flags */
	struct site v[MAX_SITES];
	size_t n;
};

/* What an address taught. */
struct site_note {
	uint64_t addr;
	int8_t patch;              /* 1: takes a jump, -1: does not, 0: not known */
	uint8_t n_tests;
	uint8_t rest;              /* of a leap (leap.h), in 64ths of the way; 0: none was tried */
	uint8_t least_rest;        /* one shorter than that went too far */
	int8_t gauge;              /* what leaps there go by (leap.c): more than 0: a gauge worked, less: none did */
	uint16_t slowness;         /* how long the way took without a leap, in 16ths of the recorded time; 0: not known */
	uint32_t test[NOTE_TESTS]; /* ids */
};

/* Make a call in the task's process. */
int sites_inject(struct sites *ss, long nr, const uint64_t arg[6], int64_t *ret);
/* Find out what kind of place x is, and what could change its code. */
int site_place(struct sites *ss, struct site *x);
/* Open its guards, or close them: nobody writes to its code then without a fault. */
int site_protect(struct sites *ss, struct site *x, bool closed);
bool site_guards(const struct site *x, uint64_t addr);
/* Make room for the code of x's filter. -RL_EUNSUPPORTED: there is none in reach. */
int site_map_stub(struct sites *ss, struct site *x, const struct insn_code *code);

struct site_book *site_book_new(void);
struct site_note *site_book_at(struct site_book *b, uint64_t addr);
/* What copying a session took lately (leap.h); 0: not known. */
uint64_t *site_book_copy_ns(struct site_book *b);
/* How slow the last long way without a leap was, wherever it led, as site_note.slowness; 0: there was none. */
uint16_t *site_book_long_slowness(struct site_book *b);
struct site_note *site_book_note(struct sites *ss, uint64_t addr);
/* Mappings of the task's process, read again when they may have changed. */
int site_book_maps(struct sites *ss, const struct maps **ret);

/* Everything a wanted state could be told by; then only what another wanted state has in common with it. */
void site_candidates(struct site *x, const struct site_want *w, bool mem_tests);
void site_candidates_common(struct site *x, const struct site_want *w);
/* The task stands at a wrong pass. True: the chosen tests should be chosen again. */
bool site_learn(struct sites *ss, struct site *x);
/* Pick tests, the most telling first; returns how many. */
size_t site_choose(struct site *x, struct filter_test *out);
void site_remember(struct site *x, struct site_note *note);
bool site_recall(struct site *x, const struct site_note *note);

#endif
