/* Private to sysfmt*.c: names of constants. */
#ifndef RELIVE_TRACEE_SYSFMT_NAMES_H
#define RELIVE_TRACEE_SYSFMT_NAMES_H

#include <stddef.h>
#include <stdint.h>

struct sysfmt_name {
	uint64_t value;
	const char *name;
};

/* A list that ends with a null name. Of flags, composed ones come before their parts. */
extern const struct sysfmt_name sysfmt_open_flags[], sysfmt_prot[], sysfmt_mmap_flags[], sysfmt_mremap_flags[];
extern const struct sysfmt_name sysfmt_clone_flags[], sysfmt_at_flags[], sysfmt_wait_options[];
extern const struct sysfmt_name sysfmt_advice[], sysfmt_sigmask_how[], sysfmt_clocks[], sysfmt_whence[];
extern const struct sysfmt_name sysfmt_families[], sysfmt_sock_types[], sysfmt_fcntl_cmds[], sysfmt_resources[];
extern const struct sysfmt_name sysfmt_futex_ops[], sysfmt_prctl_ops[], sysfmt_arch_prctl_ops[], sysfmt_epoll_ops[];
extern const struct sysfmt_name sysfmt_epoll_events[], sysfmt_poll_events[], sysfmt_sa_flags[];

/* The name of a value, or NULL. */
const char *sysfmt_lookup(const struct sysfmt_name *list, uint64_t value);

#endif
