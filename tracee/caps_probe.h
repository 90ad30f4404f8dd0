/* The experiments behind caps.h. Each gives 0 (works) or the reason why not, as -errno or -PROBE_NO_EFFECT. */
#ifndef RELIVE_TRACEE_CAPS_PROBE_H
#define RELIVE_TRACEE_CAPS_PROBE_H

enum { PROBE_NO_EFFECT = 3999 };   /* the kernel said yes, and then nothing happened */

int probe_ptrace(void);
int probe_seccomp(void);
int probe_process_vm(void);
int probe_pidfd_getfd(void);
int probe_kcmp(void);
int probe_cpuid_fault(void);
int probe_tsc_fault(void);
int probe_hw_exec(void);
int probe_hw_data(void);
int probe_perf_branches(void);

#endif
