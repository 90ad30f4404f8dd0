/* Recording one run of a program and of all processes it starts into a trace. */
#ifndef RELIVE_RECORD_H
#define RELIVE_RECORD_H

#include <stdbool.h>
#include <stdint.h>

struct record_opts {
	const char *out_path;
	char *const *argv;     /* NULL-terminated; argv[0] is looked up in PATH */
	uint64_t seed;         /* of the scheduler's random numbers, if have_seed */
	bool have_seed;
	uint64_t slice_us;     /* mean length of a time slice; 0: the default */
	int page_tier;         /* enum page_tier of tracee/pagetrack.h */
	bool chaos;            /* random order and short slices, to provoke races */
	bool agent;            /* record frequent system calls without stopping for them */
	bool patch_cpuid;      /* make cpuid trap by changing code even where the processor can */
	const uint8_t *learn;  /* SYS_NR_END of them, not 0: find that call's outputs by watching memory. NULL: none */
	const char *cache_home; /* the user's cache directory, for packed contents of files; NULL: none */
	bool verify_full;      /* store hashes of all memory at clock points and system calls; slow, for tests */
};

struct record_result {
	int wait_status;       /* of the program, as wait(2) reports it */
	bool exec_failed;      /* there is no recording: exec_errno says why */
	int exec_errno;
	uint64_t n_events, trace_bytes;
	char warning[512];     /* "" or a sentence for the user */
};

/** 0: recorded, whatever the program's own status was. Negative: relive failed; the trace keeps its valid prefix. */
int record_run(const struct record_opts *o, struct record_result *ret);

#endif
