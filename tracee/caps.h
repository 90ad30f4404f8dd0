/*
 * What this kernel and this machine can do, found by trying, once. Asked by whoever has a choice to make, and shown by
 * `relive doctor`.
 */
#ifndef RELIVE_TRACEE_CAPS_H
#define RELIVE_TRACEE_CAPS_H

#include <stdbool.h>

#include "tracee/pagetrack.h"

enum cap_id {
	CAP_PTRACE,          /* a child can be traced: nothing works without */
	CAP_SECCOMP,         /* seccomp filters, and their stops for a tracer */
	CAP_PAGE_SCAN,       /* page tracking tier scan */
	CAP_SOFT_DIRTY,      /* page tracking tier softdirty */
	CAP_PROCESS_VM,      /* process_vm_readv(2) */
	CAP_PIDFD_GETFD,     /* pidfd_getfd(2) */
	CAP_KCMP,            /* kcmp(2) */
	CAP_CPUID_FAULT,     /* arch_prctl(ARCH_SET_CPUID) makes cpuid trap */
	CAP_TSC_FAULT,       /* prctl(PR_SET_TSC) makes rdtsc trap */
	CAP_HW_EXEC,         /* debug registers stop before an instruction */
	CAP_HW_DATA,         /* debug registers stop after a write */
	CAP_PERF_BRANCHES,   /* perf_event_open counts branches in hardware */
	N_CAPS,
};

struct cap {
	const char *name;    /* short, as in "cpuid faulting" */
	bool works;
	char value[48];      /* "yes", or why not */
	const char *note;    /* a sentence: what relive does in this case, and what would be better if anything */
};

struct caps {
	struct cap cap[N_CAPS];
	enum page_tier page_tier;   /* what PAGE_TIER_AUTO takes */
	char release[65];           /* of the kernel, as uname(2) has it */
	int n_cpus;                 /* that this process may use */
	int yama_scope;             /* /proc/sys/kernel/yama/ptrace_scope: 0 to 3; 0 also where there is no Yama */
	const char *yama_note;
};

/**
 * Probe on the first call (some milliseconds: forks a few short-lived children), look up on later ones.
 * Never fails, never NULL; static storage. Not for concurrent first calls.
 */
const struct caps *caps_get(void);

/** caps_get()->page_tier without probing the rest: a tenth of the time, and each recording begins with it. */
enum page_tier caps_page_tier(void);

#endif
