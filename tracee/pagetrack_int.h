/* Shared by the tiers of pagetrack.h; nobody else includes this. */
#ifndef RELIVE_TRACEE_PAGETRACK_INT_H
#define RELIVE_TRACEE_PAGETRACK_INT_H

#include "tracee/maps.h"
#include "tracee/pagetrack.h"

/* A part of the address space that can be scanned as a whole, holes and what is not registered included. */
struct scan_part {
	struct page_range range;
	uint64_t not_own;         /* categories of pages that are nobody's writes */
};

struct pagetrack {
	pid_t pid;
	enum page_tier tier;
	int pagemap_fd;
	int uffd;                 /* scan: the process's userfaultfd, held by us alone; else -1 */
	struct page_list known;   /* hashes at the last collect: of all pages, or of those the kernel cannot track */
	struct page_runs runs;    /* memory reused from call to call */
	struct scan_part *plan;   /* scan: the mappings as the last collect found them */
	size_t n_plan, cap_plan;
	bool planned;             /* the plan is of use */
	size_t n_listed;          /* by the last collect, */
	size_t n_open;            /* so many of which it did not protect again */
	size_t n_faults;
	unsigned n_again;
};

/* One collect in the making. */
struct collect {
	const struct page_range *exclude;
	size_t n_exclude;
	uint64_t floor;              /* where the mapping before the present one, or what is excluded there, ends */
	struct page_list *written;   /* known to be written */
	struct page_list candidates; /* to be hashed and compared with pagetrack.known */
};

int page_list_append(struct page_list *l, uint64_t start, uint64_t end);

/* Give the process a userfaultfd and take it away from it. 0, -RL_EUNSUPPORTED, or -errno. */
int scan_open(struct pagetrack *p, const struct pagetrack_host *h);
/* Whether it works, tried in our own process. 0; -ENODATA: it does not see a write; -RL_EUNSUPPORTED, or -errno. */
int scan_probe(void);
/* Collect one part of mapping m. */
int scan_collect_part(struct pagetrack *p, struct collect *c, const struct mapping *m, const struct page_range *part);
/* Collect as planned. */
int scan_collect_again(struct pagetrack *p, struct collect *c);

/* Whether the kernel keeps soft-dirty bits at all. */
bool softdirty_works(void);
int softdirty_collect_part(struct pagetrack *p, struct collect *c, const struct mapping *m,
			   const struct page_range *part);
int softdirty_rearm(const struct pagetrack *p);

/* Make all pages of a part candidates. */
int hash_collect_part(struct pagetrack *p, struct collect *c, const struct mapping *m, const struct page_range *part);
/* Hash the candidates, move the changed and the new ones to c->written, remember all. */
int hash_collect_finish(struct pagetrack *p, struct collect *c);

#endif
