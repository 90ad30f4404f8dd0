/*
 * The agent's side of recording: putting it into programs, patching system call sites to it, taking over what it has
 * recorded, and keeping it out of sight. See agent/abi.h.
 */
#ifndef RELIVE_RECORDER_AGENT_H
#define RELIVE_RECORDER_AGENT_H

#include "agent/abi.h"
#include "recorder/internal.h"

/** Whether there are agents. Not under a seccomp filter of others: their calls would stop, too (see run_user). */
static inline bool agent_used(const struct recording *r)
{
	return r->opts->agent && !r->outer_filter;
}

/** At an exec: map the agent into t's new memory. 0, -RL_EGONE or -errno. Does nothing if they are not used. */
int agent_map(struct recording *r, struct task *t);
/** What is known of a forked child's memory is what was known of its parent's. */
void agent_inherit(struct mm *child, const struct mm *parent);
void agent_free(struct agent_mm *a);

/** The task made a child; flags as for clone(2). */
void agent_new_child(struct task *parent, struct task *child, uint64_t clone_flags);

/** Write EV_BUFFER if t has run since the last time and left something. t must be stopped, outside the agent. */
void agent_flush(struct recording *r, struct task *t);

/**
 * Places in files' code that are known to be worth patching, and possible to: all cpuid, and the system calls,
 * rdtsc and rdtscp that were come to often in this recording. agent_known() is to be called when such code gets mapped: it provides the trampolines
 * (emit: as part of the event under construction) and gives the patches, which the caller makes, and tells of by
 * agent_known_made(). There are n; 0 if there cannot be any.
 */
struct patch;
size_t agent_known(struct recording *r, struct task *t, const struct mapping *m, struct object_entry *o, bool emit,
		   const struct patch **ret);
void agent_known_made(struct task *t, const struct patch *p);
/** A traced call was made at a site, or an rdtsc or rdtscp that trapped: remember it, if it is in a file's code. */
void agent_known_hit(struct recording *r, struct task *t, uint64_t site);
void agent_known_free(struct object_entry *o);
size_t agent_n_blocks(const struct mm *mm);
/** Whether memory is a block of trampolines. */
bool agent_has_block(const struct mm *mm, uint64_t addr);
/** Whether a cpuid or rdtsc that was patched is at an address. */
bool agent_at_insn(struct task *t, uint64_t rip);

/** A traced call of t has ended, t->call holds its result: learn from it, perhaps patch its site. */
void agent_called(struct recording *r, struct task *t);

/** An rdtsc or rdtscp that was made to trap has; its event is written: learn from it, perhaps patch its site. */
void agent_read_tsc(struct recording *r, struct task *t, uint64_t site);
/** Whether what traps at this place, and looks like an rdtsc, is an rdtscp that was patched. */
bool agent_is_tscp(const struct task *t, uint64_t rip);

/**
 * Memory that the agent may map and unmap without a stop. A traced call of t is about to change mappings; it has mapped private
 * anonymous memory; it has moved the break from one page to another (t->mm->brk is the new one); or no mapping is what the program asks for.
 */
void agent_maps_before(struct task *t);
void agent_maps_mapped(struct task *t, uint64_t addr, uint64_t len, uint64_t prot, uint64_t flags);
void agent_maps_brk(struct task *t, uint64_t from, uint64_t to);
void agent_maps_off(struct task *t);

/** How the agent may read the counter from now on. */
void agent_set_tsc(struct mm *mm, enum agent_tsc how);
/** Where the kernel's clock_gettime(2) for user mode is now; 0: the agent must not call it. */
void agent_set_clock(struct mm *mm, uint64_t addr);
#define VDSO_PARTS 8
/**
 * At an exec: the program must not see the vDSO. The agent may, if its clock is such that it can be called. The number
 * of calls that must be made for it, or a negative error; and what is to be done after they were.
 */
int vdso_hide(struct recording *r, struct task *t, struct remote_op ops[VDSO_PARTS]);
int vdso_hidden(struct task *t);

/** If t has faulted in the agent, over a bad pointer of the program's: let it make its own call instead. */
bool agent_faulted(struct task *t, int sig);

/** The program has open, now or soon, what stands for a file of /proc: see prochide.c. */
void agent_note_copies(const struct recording *r, struct mm *mm);
/** A file is mapped: from now on, writes to it must be seen. */
void agent_watch_file(struct recording *r, uint64_t ino);

/** If the registers stand inside a patched site, in code that is no longer there, move them to where it is now. */
void agent_fix_rip(struct task *t, struct user_regs_struct *regs);

/**
 * If t stands in the agent or a trampoline, let it come out: to the place after its call, or back to before it.
 * 0: it stands in the program, or at the instruction of a trampoline that traps. 1: it stopped for another reason, t->stop.
 * Negative: an error. A SIGSTOP or group stop that came meanwhile comes again when t runs next.
 */
int agent_leave(struct recording *r, struct task *t);
/**
 * For a signal handler, which sees where it has come: the program's own address for a place in a trampoline that is left only later, between
 * a call's end and its restart, or at an instruction that traps. Only registers are changed.
 */
void agent_show_place(struct task *t);
/** Whether t stands in the agent. */
bool agent_inside(struct task *t);
/** Whether it executes the agent's own code, not a trampoline's. */
bool agent_at_work(struct task *t);
/** Every call of who lives in mm is to be seen. */
void agent_stop_calls(struct mm *mm);
/** All signals, or some, are blocked that the program has not blocked: the agent makes no calls to which that matters. */
void agent_set_masked(struct task *t, bool masked);
/** Whether it stands there in a call that has just changed its signal mask. */
bool agent_opened_mask(struct task *t);

/** Whether t stands at a patched site; then its next system call, there, will stop. */
bool agent_at_site(struct task *t, uint64_t rip);

/** Make the n-th system call from now of whoever runs in mm stop, from a signal handler. n is not 0. */
void agent_want_stop(int mem_fd, uint32_t n);

#endif
