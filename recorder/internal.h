/* The recorder's own state. One struct recording a run; nothing at file scope but what a signal handler needs. */
#ifndef RELIVE_RECORDER_INTERNAL_H
#define RELIVE_RECORDER_INTERNAL_H

#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/user.h>
#include "common/buf.h"
#include "recorder/record.h"
#include "trace-fmt/trace.h"
#include "tracee/insn_site.h"
#include "tracee/layout.h"
#include "tracee/maps.h"
#include "tracee/insn.h"
#include "tracee/pagetrack.h"
#include "tracee/remote.h"
#include "tracee/stop.h"
#include "tracee/sysinfo.h"
#include "tracee/sysplan.h"
#include "tracee/xstate.h"

/* A stack that certainly is one: bytes below its owner's sp - 128 are dead. */
struct stack_range {
	uint64_t start, end;
};

/* An address space. Shared by the tasks of a process, and by a vfork child with its parent. */
struct mm {
	int refs;
	int mem_fd;
	uint64_t brk_start, brk;
	struct pagetrack *pages;        /* NULL until somebody needs it: see written.c */
	uint64_t pages_at;              /* its last collect was at this maps_gen; 0: look at the mappings anew */
	bool clocked;                   /* it has had a clock point */
	struct page_list kept;          /* pages written since, of which the tracker will not tell any more */
	struct agent_mm *agent;         /* NULL: it has no agent */
	bool undumpable;                /* as the program has asked by prctl(2); the kernel does not know */
	bool has_shared;                /* it has, or had, memory in common with others */
	bool tsc_own;                   /* the program has made it trap, for a task of its */
	bool tsc_traps;                 /* all its tasks' rdtsc, or those with tsc_due will soon */
	uint64_t stack_low, stack_top;  /* the main stack as replay has it: at its full limit */
	uint8_t slot_used[RL_SCRATCH_SLOTS];
	struct stack_range *mmap_stacks;   /* mappings made with MAP_STACK */
	size_t n_mmap_stacks, cap_mmap_stacks;
	struct stack_range *growing;       /* mappings made with MAP_GROWSDOWN, down to where they may grow */
	size_t n_growing, cap_growing;
	bool may_interpret;                /* it has no dynamic linker: see guard.c */
	struct stack_range *guards;        /* files' code that nobody has executed */
	size_t n_guards, cap_guards;
};

/* What rt_sigaction(2) is given: the kernel's own struct sigaction. */
struct sig_action {
	uint64_t handler, flags, restorer, mask;
};

struct proc {
	uint32_t no;
	pid_t pid;
	int n_tasks;
	struct sig_action segv;         /* the program's, for SIGSEGV; zeros: the default */
	uint64_t forged;                /* signals that it sent itself with the siginfo of a fault; bit n-1 */
	struct mm *mm;
	struct proc *next;
};

enum task_state {
	TASK_READY,      /* in a ptrace-stop; may be resumed, or has a stop to be handled */
	TASK_BLOCKED,    /* in the kernel, in a call whose EV_SYSCALL_ENTER is recorded */
	TASK_FROZEN,     /* in a group-stop */
	TASK_DYING,      /* on its way out; its death is awaited */
	TASK_DEAD,
};

enum task_where {
	AT_USER,         /* at the border to user mode */
	AT_ENTRY,        /* a system call's entry was seen, the call not yet run */
	IN_CALL,         /* the kernel works on the call */
};

/* See timer_pace.c. In processor time of the task's. */
struct timer_pace {
	uint64_t signals;               /* those that timers have sent; bit n-1 */
	uint64_t cost_ns;               /* of recording one: a running mean */
	uint64_t began_ns;              /* when recording the present one began; 0: it is not a timer's */
	uint64_t returned_ns;           /* when a handler returned last */
	uint64_t due_ns;                /* when the next one may come; 0: at any time */
	bool too_fast;                  /* the last one came too early */
	bool holds;                     /* they are blocked at present, */
	uint64_t mask;                  /* and else this would be */
};

/* Where a task stands still for a tracer of the program's. */
enum held_at { AT_SIGNAL, AT_CALL, AFTER_CALL };

/* What a seccomp filter of the program has condemned its caller to. */
enum sec_fate { SEC_NONE, SEC_SIGSYS, SEC_KILLED, SEC_THREAD_KILLED, SEC_SIGKILL };

struct task {
	uint32_t no;
	pid_t tid;
	struct proc *proc;
	struct mm *mm;
	enum task_state state;
	enum task_where where;
	bool have_stop;                 /* `stop` waits to be handled */
	struct stop stop;

	struct user_regs_struct entry;  /* registers at the current call's entry, as the program made them */
	struct sys_call call;
	bool entered;                   /* EV_SYSCALL_ENTER was written */
	bool skipped;                   /* the call does not reach the kernel: `forced` is its result */
	int64_t forced;
	bool args_changed;              /* registers differ from `entry` while the call runs */
	bool have_plan;
	struct sysplan plan;
	bool agent_ran;                 /* it may have left something in the agent's buffer */
	bool at_restart;                /* stopped between an ERESTART result and the restart */
	uint64_t call_end;              /* where its last call that stopped ended */
	bool segv_blocked;              /* by the program */
	bool tsc_faults;                /* PR_TSC_SIGSEGV of the program's own */
	bool read_is_exec;              /* personality(2): READ_IMPLIES_EXEC */
	bool segv_forced;               /* a signal's frame could not be built: a SIGSEGV comes that no instruction raised */
	bool tsc_due;                   /* its rdtsc must trap before it runs again */
	bool doomed;                    /* a fatal signal of its is recorded */
	struct timer_pace pace;
	int restart_nr;                 /* the call that restart_syscall continues; -1 */
	struct sys_call restart_call;
	struct sec_filter *filters;     /* the newest of the program's own seccomp filters */
	bool sec_strict;
	enum sec_fate sec_fate;
	uint32_t sec_data;
	cpu_set_t cpus;                 /* what it believes to run on */
	int slot;                       /* of scratch memory; -1 */
	struct ev_new_task child;       /* made by the current call */
	uint64_t child_settid;          /* where the kernel wrote the child's id, in the child's memory; 0 */
	int32_t child_sees;             /* what it wrote there */

	struct task *holder;            /* the one of the program that has attached to it by ptrace(2): it does not run */
	bool held_told;                 /* wait(2) has told the holder so */
	uint32_t tracer;                /* by PTRACE_TRACEME: the process; 0: none. What stops it: */
	siginfo_t held_info;
	int held_sig;                   /* as wait(2) tells it */
	enum held_at held_at;
	bool held_forced, shown;        /* see take_forced(); and the tracer has let this signal through */
	bool stops_at_calls;            /* PTRACE_SYSCALL */
	uint64_t trace_options;         /* PTRACE_O_... */
	struct sys_range answer[2];     /* what nested.c has written in answer to its present call */
	unsigned n_answers;

	uint64_t clear_tid;             /* set_tid_address(2) */
	uint64_t robust_list;           /* set_robust_list(2) */
	struct stack_range stack;       /* its stack, if certain; start == end: unknown */
	int stat_fd;                    /* /proc/PID/task/TID/stat; -1: not open yet */
	struct sys_ranges kept;         /* argument structures as they were before the call; `from`: where in kept_bytes */
	struct buf kept_bytes;
	struct learn_page *learn;       /* argument pages before a call whose outputs are not known */
	size_t n_learn;
	bool forced_learn;              /* its present call's outputs are known, but found by watching all the same */
	bool learn_watch;               /* the pages that it writes are watched */
	struct ev_page *verify;         /* all its memory's hashes at the current call's entry, for verify_full */
	size_t n_verify;
	uint64_t verify_at;             /* events written by then */
	struct task *next;
};

/* Contents of a mapped file, as they were, or of shared memory, as it changes. */
struct object_entry {
	uint64_t dev, ino;              /* as /proc/PID/maps has them */
	uint64_t st_dev;                /* as stat(2) has it: they differ on some file systems */
	uint64_t size, mtime_ns;        /* of a private one: with another size or time it is another object */
	uint64_t now_size;              /* of a private one's file, since it was written to */
	uint64_t btime_ns;              /* of a file that is mapped shared: inode numbers are used again; 0: not known */
	uint32_t id;
	bool shared;
	bool whole;                     /* stored whole: an ELF file */
	bool public;                    /* of a file that everybody may read: what it is packed to may be kept */
	bool searched;                  /* its code was, for `sites` */
	bool stale;                     /* private, and its file was written to since */
	bool live;                      /* private: may still be mapped */
	char *path;                     /* of a shared one, as it was mapped first; malloc'ed */
	bool stored_to;                 /* a shared one: it was mapped for writing */
	bool named;                     /* shared, and others could know it: not new anonymous memory */
	bool outsider;                  /* somebody who is not recorded can write to it, and that was told */
	uint64_t outsider_ns;           /* when somebody was looked for last */
	bool outsider_due;              /* somebody is looked for now */
	struct insn_sites sites;        /* of a whole one: instructions to be made to trap */
	struct known_sites *known;      /* of a whole one: agent_known.c */
	uint64_t *have;                 /* bitmap of the pages already stored, a word for each group */
	size_t have_groups;
	struct file_note *note;         /* what is known of the file from earlier recordings, or NULL */
	bool note_sought;
	struct object_entry *next;
};

/* What cpuid says of a leaf and subleaf, as the program is told. */
struct cpuid_answer {
	uint32_t leaf, sub, a, b, c, d;
};

#define CPUID_ANSWERS 128

struct recording {
	const struct record_opts *opts;
	struct record_result *result;
	struct trace_writer *w;
	uint64_t start_ns;
	uint64_t rng;

	struct task *tasks;
	struct proc *procs;
	uint32_t n_tasks_ever, n_procs_ever;
	struct task *current;
	const struct task *signal_next; /* nobody has run since its last event, and a signal comes before it does */
	pid_t root_pid;
	bool root_done;
	int root_status;
	struct object_entry *objects;
	struct object_entry *meets;     /* mapped shared by the present call, and privately before */
	uint64_t outsider_next_ns;      /* processes are not looked at before */
	uint32_t n_known_calls;         /* places of calls in files that are patched wherever they are mapped */
	struct sec_filter *filters;     /* all there are */
	uint64_t proc_dev;              /* st_dev of /proc */
	struct proc_copies *copies;     /* of prochide.c */
	uint64_t copy_dev;              /* st_dev of its copies; 0: there are none */

	struct clock_places *places;    /* of clock_step.c */
	struct clock_insns *insns;      /* of clock_words.c */
	uint64_t slice_cpu_ns;          /* processor time of the current task when its slice began */
	bool slice_over;                /* the current task should yield at the next synchronous point */
	timer_t timer, flush_timer;
	bool unflushed;                 /* events were appended since the last flush */
	struct sigaction old_alarm;     /* as we were started with */
	sigset_t old_mask;
	struct rlimit old_nofile;
	cpu_set_t cpus;                 /* what the program is to see as its processors */
	int cpu;
	bool cpuid_faults;
	struct cpuid_answer cpuid[CPUID_ANSWERS];   /* those given so far */
	size_t n_cpuid;
	bool ptrace_refused, listener_refused;   /* told already */
	bool outer_filter;              /* we are ourselves under a seccomp filter: see run_user */
	uint64_t unknown[16];           /* calls whose outputs were learned: number << 32 | ioctl request */
	size_t n_unknown;
	int err;                        /* the first failure to write the trace */

	/* The event under construction. */
	struct event ev;
	struct buf ev_bytes;            /* contents of writes; offsets until emit */
	struct ev_write *writes; size_t n_writes, cap_writes;
	struct ev_asop *asops; size_t n_asops, cap_asops;
	uint64_t maps_gen;              /* counts changes of mappings, in whichever address space */
	struct ev_output *outputs; size_t n_outputs, cap_outputs;
	struct early_stop { pid_t tid; int status; struct early_stop *next; } *early;
};

/* emit.c: building one event at a time */
void ev_begin(struct recording *r, struct task *t, enum event_kind kind);
void ev_write_bytes(struct recording *r, uint32_t task, uint64_t addr, const void *bytes, size_t n);
/* Record n bytes of the task's memory as written by the kernel. Holes are left out. */
void ev_write_memory(struct recording *r, struct task *t, uint64_t addr, size_t n);
void ev_asop(struct recording *r, const struct ev_asop *op);
void ev_output(struct recording *r, int stream, uint64_t addr, uint64_t len);
void ev_end(struct recording *r);
/* Pass on what has been waiting for some time. To be called now and then; not between ev_begin and ev_end. */
void flush_events(struct recording *r);
uint64_t now_ns(void);
uint64_t rnd(struct recording *r);

/* task.c */
struct task *task_add(struct recording *r, pid_t tid, struct proc *p, struct mm *mm);
struct proc *proc_add(struct recording *r, pid_t pid, struct mm *mm);
struct task *task_by_tid(struct recording *r, pid_t tid);
/* pidns.c */
/* The task of which @viewer speaks by this number. NULL: it is not recorded. */
struct task *task_by_number(struct recording *r, const struct task *viewer, pid_t number);
/* Whether a file is one of /proc, wherever that is mounted; and whose it is, by a number in its name or text. */
bool is_proc(const struct recording *r, const char *path, const struct stat *st);
struct task *task_by_proc_number(struct recording *r, const struct task *viewer, const struct stat *st, pid_t number);

/* Whether no other task of its process lives; a dead leader that wait(2) has yet to report does not. */
bool task_is_last(const struct recording *r, const struct task *t);
void task_remove(struct recording *r, struct task *t);
struct mm *mm_new(pid_t tid);
void mm_put(struct mm *mm);
int task_call(struct task *t, long nr, const uint64_t arg[6], int64_t *ret);
int task_calls(struct task *t, struct remote_op *ops, size_t n);   /* several, with one stop */
void task_halt_again(struct task *t, enum halt how);   /* what was put off comes when it runs next; HALT_NO: nothing was */
int task_mask_signals(struct task *t, uint64_t *ret_old);   /* block all; for injected calls and stepping */
int task_unmask_signals(struct task *t, uint64_t old);
struct sys_mem task_memory(struct task *t);
/*
 * The canonical form of the task's extended state (XSTATE_MAX bytes at @canon; returns its length, 0 on failure), which is
 * then put back from it, as replay will do. What XSAVE writes tells which components are "in use", whatever their values:
 * programs keep that on their stacks (ld.so's lazy binding does), so it has to be the same on both sides.
 */
size_t task_settle_xstate(struct task *t, uint8_t *canon);
/* The write of CLONE_CHILD_SETTID, for the event that has parent->child. */
void ev_child_settid(struct recording *r, struct task *parent);
void task_new_child(struct recording *r, struct task *parent);
void task_exiting(struct recording *r, struct task *t);
void task_died(struct recording *r, struct task *t, int status);
int task_execed(struct recording *r, struct task *t);

/* start.c */
/* Let a task run in user mode, to its next stop: run_until_stop with the request that finds its system calls. */
int run_user(struct recording *r, struct task *t, int sig);
int start_program(struct recording *r, struct task **ret_root);

/* ckpt.c: the checkpoint of an exec */
int ckpt_exec(struct recording *r, struct task *t, uint32_t *ret_id);

/* object.c: contents of mapped files */
int object_of_mapping(struct recording *r, struct task *t, const struct mapping *m, uint32_t *ret_id);
/* The object of a file that is stored whole, if it is one already. It is about to be mapped, or just was. */
struct object_entry *object_of_file(struct recording *r, struct task *t, int fd);
struct object_entry *object_by_id(struct recording *r, uint32_t id);
/* Whether this mapping's file was written to since it was mapped privately by somebody; NULL: whether any was. */
bool object_was_written(const struct recording *r, const struct mapping *m);
/* The shared object of a mapping or file; NULL: it was never mapped. */
struct object_entry *object_shared(struct recording *r, uint64_t dev, uint64_t ino, uint64_t btime_ns);
uint64_t file_btime_ns(int fd, const char *path);
/* Whether this mapping's file is an ELF file that was mapped privately. */
bool object_is_whole(const struct recording *r, const struct mapping *m);
/* Store what is not stored yet of a part of a shared object's file. */
int object_add(struct recording *r, struct object_entry *o, int fd, uint64_t off, uint64_t end);

/* private.c: private mappings of files that are mapped shared, too */
/* Whether no earlier task of the list stands for the same memory. */
bool is_first_of_mm(const struct recording *r, const struct task *t);
/* The shared object whose pages a private mapping shows, as long as they are the file's. NULL: there is none. */
struct object_entry *private_shows(struct recording *r, const struct mapping *m, uint64_t btime_ns);
/* A file was mapped shared; and when that call's event is written: what was private before becomes the object's. */
void private_meets(struct recording *r, const struct task *t, const struct mapping *m, struct object_entry *o);
void private_join(struct recording *r, struct task *t);

/* filewrite.c: what a call did to files that recorded processes have mapped, and to other processes' memory */
void file_written(struct recording *r, struct task *t, const struct sys_call *c);

/* outsider.c: memory that others write to */
/* Look for somebody who is not recorded and can write to shared memory. @fd: its file, or -1. */
void outsider_look(struct recording *r, struct object_entry *o, int fd);
/* At all there is. @last: nobody is left who could find out later. */
void outsider_look_again(struct recording *r, bool last);

/* aspace.c: what a call did to the address space */
/* Mappings of objects in [addr, addr + len), as the kernel has them now, become AS_MAP operations. */
void map_objects(struct recording *r, struct task *t, uint64_t addr, uint64_t len, uint16_t extra_flags);
/* The lowest address to which the kernel would let the main stack m grow. Replay maps it to there at once. */
uint64_t stack_bottom(struct task *t, const struct maps *maps, const struct mapping *m);
/* After the event of a call: a stack's limit may have changed, this task's or another one's. */
void stack_limited(struct recording *r, struct task *t, const struct sys_call *c);
void aspace_before(struct recording *r, struct task *t);
void aspace_after(struct recording *r, struct task *t, const struct sys_call *c);

/* syscall.c */
/* Whether a PTRACE_SYSCALL stop of a task in user mode is a system call's beginning. */
bool is_call_entry(const struct task *t);
/* Which of our own standard streams a descriptor of the task is: 1, 2 or 0 for neither. */
int stdio_of(const struct task *t, int fd);
void syscall_entry(struct recording *r, struct task *t);
void syscall_exit(struct recording *r, struct task *t);
/* Write EV_SYSCALL_ENTER if the task is in a call and that is not written yet. */
void syscall_enter(struct recording *r, struct task *t);

/* learn.c: outputs of calls that the table does not know */
void learn_before(struct recording *r, struct task *t);
void learn_after(struct recording *r, struct task *t);
/* Name them in the result's warning. */
void learn_warn(struct recording *r);

/* written.c: which pages were written. Lists are zeroed at first, and may be used again. */
/* The program's pages that were ever written: private ones, and shared ones that are present if asked for. */
int written_ever(struct task *t, bool shared, struct page_list *l);
/* Those written since the last clock point of t's memory. */
int written_for_clock(struct recording *r, struct task *t, struct page_list *l);
/* Begin to track t's memory, unless that is done already. t must be at the border to user mode. */
int written_track(struct recording *r, struct task *t);
/* Those written since the last question. The memory must be tracked. */
int written_now(struct task *t, struct page_list *l);

/* keptargs.c: before a call; and then, at its end, the memory that says where its outputs are */
void keep_args(struct task *t);
struct sys_mem kept_memory(struct task *t);

/* prochide.c: what /proc says of recorded processes. A call has ended, t->call, and its event is made; or one begins */
void proc_hide_opened(struct recording *r, struct task *t);
void proc_hide_read(struct recording *r, struct task *t);
/* Whether a file of the program's is such a copy of one in /proc. */
bool proc_is_copy(const struct recording *r, const struct stat *st);
void proc_hide_free(struct recording *r);

/* proctext.c: the text of such a file, and what it would be if nobody recorded */
struct proc_text {
	struct recording *r;
	const struct task *viewer;      /* who reads it */
	struct task *of;                /* of whom it tells; NULL: not recorded */
	struct buf text;                /* followed by a zero */
};
/* A name of such files, as a constant; NULL: it is none. */
const char *proc_text_known(const char *name);
/* False: nothing is to be hidden there. */
bool proc_text_edit(struct proc_text *p, const char *name);
/* The auxiliary vector: the vDSO must not exist. */
void proc_text_auxv(uint8_t *bytes, size_t n);

/* quirks.c: calls whose effect on the program differs from what the kernel would do */
void quirk_entry(struct recording *r, struct task *t);
void quirk_exit(struct recording *r, struct task *t);

/* nested.c: the program's own ptrace(2) */
void nested_entry(struct recording *r, struct task *t);   /* may answer t's call */
void nested_exit(struct recording *r, struct task *t);    /* the writes of that, for the event under construction */
void nested_ended(struct recording *r, const struct task *t);   /* t ends, and holds nobody any more */
void nested_execed(struct recording *r, struct task *t);
bool nested_at_call(struct recording *r, struct task *t);   /* it is about to make one, or has made it: whether it must stand still first */
void nested_waited(struct recording *r, struct task *t);   /* a call of t's is to be made again: answer it if it waits for a stop */
void nested_siginfo(struct recording *r, struct task *t, siginfo_t *info);
/* A signal is about to come to t. Whether it must stand still first, until its tracer lets it go on. */
bool nested_holds(struct recording *r, struct task *t, const siginfo_t *info, bool forced, bool faults);

/* trap.c: instructions whose results differ from run to run */
/* Do what the trapping instruction at rip would do, and record it. False: there is none. */
bool trap_emulate(struct recording *r, struct task *t);
/* The time stamp counter: at an exec, PR_SET_TSC's value; when memory gets mapped; make it trap; before t runs again. */
uint64_t tsc_start(struct recording *r, struct task *t);
void tsc_mapped(struct recording *r, struct task *t, const struct mapping *m, uint32_t obj);
void tsc_trap(struct recording *r, struct task *t);
void tsc_settle(struct task *t);
/* The program has asked for it to trap, or not to (PR_SET_TSC). */
void tsc_own(struct task *t, bool faults);
/* After a signal that was forced upon t and is not delivered: put back what that has changed. */
void signal_undo_forced(struct task *t);
/* Whether cpuid looks at ecx, too. */
bool cpuid_has_subleaves(uint32_t leaf);

/* code.c: instructions in files' code that are changed */
/* Make those in a new mapping of an object trap, or jump to the agent; emit: as writes of the event under construction. */
int trap_sites(struct recording *r, struct task *t, const struct mapping *m, uint32_t obj, bool emit);
/* Whether there are such, so that it matters who executes this. */
bool trap_has_sites(struct recording *r, const struct mapping *m, uint32_t obj);
/* The same where memory became executable. */
void trap_sites_protected(struct recording *r, struct task *t, uint64_t addr, uint64_t len);
/* The same where it is executed for the first time. */
void trap_sites_reached(struct recording *r, struct task *t, uint64_t addr, uint64_t len);

/* guard.c: files' code that is not changed before it is executed */
/* Whether code in a new mapping is to be so from now on; then m's protection is without execution, as replay's must be. */
bool guard_code(struct task *t, struct mapping *m);
bool guard_holds(const struct mm *mm, uint64_t addr);
/* What the program's calls do: these addresses mean something else; they are elsewhere now. */
void guard_forget(struct mm *mm, uint64_t start, uint64_t len);
void guard_moved(struct mm *mm, uint64_t start, uint64_t len, uint64_t to, uint64_t to_len);
void guard_inherit(struct mm *mm, const struct mm *parent);
/* t has a fault at an address. If it is that it executes such code: make it executable, and write the event. */
bool guard_reached(struct recording *r, struct task *t, uint64_t addr);

/* signal.c */
void signal_stop(struct recording *r, struct task *t);
/*
 * At the end of a call: whether a signal is waiting that the kernel delivers before the task runs in user mode again, unless
 * somebody else runs before.
 */
bool signal_waits(const struct task *t);
bool signal_is_ignored(struct task *t, int sig);
/* Calls that change what the program wants of SIGSEGV have ended. */
void signal_note_inherited(struct proc *p);
void signal_note_mask(struct task *t);
void signal_note_action(struct task *t);
void signal_note_sent(struct task *t);

/* timer_pace.c: the program gets on, however fast its timers are */
void pace_comes(struct task *t, const siginfo_t *info);   /* a signal is about to be delivered to a handler; */
void pace_handled(struct task *t);                        /* that is recorded; */
void pace_returned(struct task *t);                       /* the handler has returned */
void pace_hold(struct recording *r, struct task *t);   /* before t runs in user mode; */
bool pace_let(struct task *t);    /* and at its next stop. True: which is only because a signal may come now */

/* quirks.c: a sentence for relive info and for the end of the recording, the first time that it applies */
void tell_once(struct recording *r, bool *told, const char *text);

/* seccomp.c: the program's own filters, run by us instead of the kernel */
void seccomp_entry(struct recording *r, struct task *t);   /* may answer t's call */
void seccomp_call(struct recording *r, struct task *t);   /* the calls that set filters, and ask for them */
void seccomp_exit(struct recording *r, struct task *t);   /* let happen to t what it was condemned to */
/* If this signal is that one: put its details into *info and into the task. */
bool seccomp_siginfo(struct task *t, siginfo_t *info);
void seccomp_inherit(struct task *child, const struct task *parent);
uint32_t seccomp_n_filters(const struct task *t);   /* of the program's own */
void seccomp_free(struct recording *r);

/* clock.c */
enum clock_result { CLOCK_POINT, CLOCK_SYNC, CLOCK_GONE };
/*
 * End a slice where the task stands, or a few instructions on where replay can stop more cheaply. CLOCK_POINT: the
 * event is written. CLOCK_SYNC: a synchronous point comes at once; if t->have_stop, it has come.
 */
enum clock_result clock_point(struct recording *r, struct task *t);
/*
 * The steps alone, without a signal in between: CLOCK_SYNC: in front of a system call, or a fault happened (t->have_stop).
 * @unseen: none that could see that a signal handler has not run yet.
 */
enum clock_result clock_step(struct recording *r, struct task *t, bool unseen);
/* The address of the instruction after this one in a loop's likely course; 0: not known. */
uint64_t clock_next_insn(const struct insn *in);
/* Where the instructions that follow store to, as far as the registers tell now. How many words there are. */
#define CLOCK_WORDS_MAX 16
size_t clock_words_find(struct recording *r, struct task *t, const struct user_regs_struct *regs, uint64_t words[CLOCK_WORDS_MAX]);
/*
 * What the registers point to in written pages, and what that points to there. @pages sorted. How many pieces there are.
 */
#define CLOCK_CHUNKS_MAX 32
#define CLOCK_CHUNK_BYTES 160
struct clock_words_chunk {
	uint64_t addr;
	size_t n;
	uint8_t bytes[CLOCK_CHUNK_BYTES];
};
size_t clock_words_behind(struct task *t, const struct user_regs_struct *regs, const struct ev_page *pages, size_t n_pages,
			  struct clock_words_chunk v[CLOCK_CHUNKS_MAX]);
/* The event alone, at the task's present registers. */
void clock_record(struct recording *r, struct task *t);
/* The same where it has run straight ahead since its last event: the registers alone tell that it has arrived. */
void clock_record_near(struct recording *r, struct task *t);

/* With verify_full: hash all memory at a call's entry; and put that into the event under construction. */
void clock_verify_take(struct recording *r, struct task *t);
void clock_verify_put(struct recording *r, struct task *t);

/* sched.c */
struct task *sched_pick(struct recording *r);   /* NULL: no task is left */
bool sched_others_ready(const struct recording *r, const struct task *t);
int sched_open(struct recording *r);
void sched_close(struct recording *r);
/* What it took to end a slice by a clock point, in processor time: the next slices are to be long enough that this is a small part of them. */
void sched_cost(uint64_t ns);
/*
 * Whether the slice that is over goes on: others than ours had the processor for most of it. What ends slices costs a share of the
 * task's own time, on a busy machine too.
 */
bool sched_prolong(const struct recording *r, const struct task *t);
/* The running task is about to reach a synchronous point: don't interrupt it any more in this slice. */
void sched_let_be(void);
/* Interrupt whoever runs after this time; 0: don't. Whether what was asked for before has come. */
bool sched_wake(uint64_t ns);
/* Around a wait for a running task: the timer may interrupt it only between these. */
void sched_run_begin(struct recording *r, struct task *t);
void sched_run_end(void);
/* Something happened while t runs: does that make it preemptible now? */
void sched_recheck(struct recording *r, struct task *t);

/* loop.c */
int record_loop(struct recording *r);
/* Resume t and wait for its next stop, taking care of what other tasks report meanwhile. */
int run_until_stop(struct recording *r, struct task *t, int request, int sig);
/* Take in what waitpid(2) reported about a task. */
void note_stop(struct recording *r, pid_t tid, int status);

#endif
