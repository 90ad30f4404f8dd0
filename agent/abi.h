/*
 * What the agent shares with the recorder and the replayer: addresses, its data, and the entries of its buffer.
 *
 * The AGENT is freestanding code at a fixed address in every recorded process, and the same code in every replayed
 * one. System call sites that are reached often jump to it. At recording it makes the call, if that cannot block and
 * needs none of the recorder's care, and appends the call's result and outputs to the buffer; all other calls it hands
 * on to a traced `syscall`. At replay the same code takes results and outputs from the buffer, and hands on to the
 * traced `syscall` when the buffer is used up.
 *
 * One task of an address space executes at a time, and it is never stopped for good inside the agent, so that one
 * stack, one set of data and one buffer serve all of them: the recorder empties the buffer at each stop.
 */
#ifndef RELIVE_AGENT_ABI_H
#define RELIVE_AGENT_ABI_H

/* As tracee/layout.h has it; plain numbers, since assembly reads them too. */
#define AGENT_CODE        0x72010000
#define AGENT_CODE_BYTES  0x10000
#define AGENT_CPUID       0x72017000   /* a page of struct agent_cpuid: written at an exec, part of its checkpoint */
#define AGENT_XCR0        0x72017fe0   /* u64, at its end: the recording processor's XCR0 */
#define AGENT_TRAMPS      0x72018000   /* in the second half of the code: trampolines of sites within 2 GB */
#define AGENT_DATA        0x72020000
#define AGENT_STACK_TOP   0x72028000   /* grows down towards the descriptor table */
#define AGENT_BUF         0x72028000
#define AGENT_BUF_BYTES   0x40000

/* The image's first words, at AGENT_CODE. */
#define AGENT_HDR_ENTRY     (AGENT_CODE + 8)    /* u64: where trampolines call */
#define AGENT_HDR_FAST_EXIT (AGENT_CODE + 16)   /* u64: of a jump to the trampoline, all registers but rsp and rcx restored */
#define AGENT_HDR_SLOW_EXIT (AGENT_CODE + 24)   /* u64: of a jump to where AGENT_SLOW_TARGET says */
#define AGENT_HDR_FAULT     (AGENT_CODE + 32)   /* u64: where the recorder sends a task that faults in the agent */
#define AGENT_HDR_CPUID     (AGENT_CODE + 40)   /* u64: where trampolines of cpuid call */
#define AGENT_HDR_TSC       (AGENT_CODE + 48)   /* u64: where trampolines of rdtsc call */
#define AGENT_HDR_XSAVE     (AGENT_CODE + 56)   /* u64: where trampolines of xsavec call */
#define AGENT_SYSCALL       (AGENT_CODE + 64)   /* `syscall`: the one address that the filter lets through */

/* struct agent_ctl's members that assembly uses. */
#define AGENT_SAVED_RSP    (AGENT_DATA + 0)
#define AGENT_SLOW_TARGET  (AGENT_DATA + 8)

/* struct agent_cpuid, as assembly sees it. */
#define AGENT_CPUID_SUB    4
#define AGENT_CPUID_MASK   8
#define AGENT_CPUID_ANSWER 12
#define AGENT_CPUID_USED   28
#define AGENT_CPUID_BYTES  32
#define AGENT_CPUID_MAX    126

/*
 * A trampoline: at +0 the traced call, at +AGENT_TRAMP_ENTER where the patched site jumps, at +AGENT_TRAMP_BACK where
 * the agent returns to.
 *
 *	+0   syscall
 *	+2   jmp done
 *	+4   mov %rsp, AGENT_SAVED_RSP; mov $AGENT_STACK_TOP, %esp; call *AGENT_HDR_ENTRY
 *	+24  mov AGENT_SAVED_RSP, %rsp
 *	+32  done: movabs $(address after the site's syscall), %rcx
 *	+42  the displaced instructions
 *	     jmp to the first that was not displaced
 *
 * One that is made before anybody has come to the site holds no address, so that it is the same in each process that has
 * its file and its trampolines equally far apart: at +32 it has `lea after(%rip), %rcx`, padded. That of a cpuid, rdtsc or
 * rdtscp calls *AGENT_HDR_CPUID or *AGENT_HDR_TSC; it has the instruction made to trap at +0 (that of a rdtscp, which is too
 * long, a rdtsc), and at +32 a jmp over the distance from itself to what comes after.
 *
 * Where what follows a cpuid cannot move, the instructions in front of it do: the site is theirs, and the cpuid stays where it is, made to trap.
 * The site jumps to +42, where they are, followed by a jmp to +4; the jmp at +32 leads behind that one. An xsavec is longer than two bytes:
 * it stands, made to trap, at +42, where a jmp at +0 leads, and nothing else is displaced.
 */
#define AGENT_TRAMP_ENTER  4
#define AGENT_TRAMP_BACK   24
#define AGENT_TRAMP_DONE   32
#define AGENT_TRAMP_MOVED  42
#define AGENT_TRAMP_TAIL   84           /* struct agent_tramp_tail */
#define AGENT_TRAMP_BYTES  128          /* and its address is a multiple of that */

#ifndef __ASSEMBLER__
#include <stdint.h>
#include "agent/maps_abi.h"

#define AGENT_PATCH_MAX 32
#define AGENT_MOVED_MAX 4

/* At the end of a trampoline, for debuggers. Offsets of displaced instructions: from the site, from the trampoline. */
struct agent_tramp_tail {
	uint8_t len;                            /* bytes replaced at the site */
	uint8_t n_moved;
	uint8_t moved_from[AGENT_MOVED_MAX];
	uint8_t moved_to[AGENT_MOVED_MAX];
	uint8_t original[AGENT_PATCH_MAX];      /* what stood at the site */
	uint8_t before;                         /* so many bytes of it come before the instruction: none or all */
	uint8_t more;                           /* bytes that the instruction is longer than 2 */
};

static inline int agent_is_rdtscp(const struct agent_tramp_tail *t)
{
	return t->more == 1;
}

static inline uint8_t agent_insn_bytes(const struct agent_tramp_tail *t)
{
	return (uint8_t)(2 + t->more);
}

/* An answer that needs no stop. */
struct agent_cpuid {
	uint32_t leaf, sub;
	uint32_t sub_mask;                      /* of the bits of ecx that count: all, or none */
	uint32_t a, b, c, d;
	uint32_t used;                          /* 0: the end of the table */
};
_Static_assert(sizeof(struct agent_cpuid) == AGENT_CPUID_BYTES, "as entry.S has it");

#define AGENT_FDS 4096
#define AGENT_INO_BITS 8192u

static inline unsigned agent_ino_bit(uint64_t ino)
{
	return (unsigned)((ino * 0x9e3779b97f4a7c15ull) >> 32) % AGENT_INO_BITS;
}

/* What is known of a descriptor; 0: nothing. */
enum agent_fd {
	AGENT_FD_READ = 1,     /* a file or device whose reads do not wait for anybody */
	AGENT_FD_WRITE = 2,    /* one whose writes nobody else must know of: it is not mapped, nor our own output */
	AGENT_FD_DIR = 4,
	AGENT_FD_STREAM = 8,   /* a pipe or socket: to be tried without waiting */
	AGENT_FD_CLOSE = 16,   /* closing it does not wait */
	AGENT_FD_EVENTS = 32,  /* eventfd(2) and the like */
	AGENT_FD_SLOW = 0x80,  /* always the traced path */
};

/* How the agent may read the time stamp counter. */
enum agent_tsc {
	AGENT_TSC_STOPS,       /* not at all: only the recorder knows what the program is to see */
	AGENT_TSC_READS,
	AGENT_TSC_SWITCHES,    /* it traps, but where the agent allows it for a moment */
};

#define AGENT_MESSAGES 8u         /* in one call, at most */
#define AGENT_NAME_MAX 128u       /* struct sockaddr_storage */
#define AGENT_CONTROL_MAX 1024u   /* more than that is traced */

/* No signal mask: SIGKILL cannot be blocked. */
#define AGENT_MASK_DUE UINT64_MAX

/* Whether SIGSEGV is blocked now. */
enum agent_segv { AGENT_SEGV_AS_BEFORE, AGENT_SEGV_OPEN, AGENT_SEGV_BLOCKED };

/* At AGENT_DATA. */
struct agent_ctl {
	uint64_t saved_rsp;    /* the program's, while the agent runs */
	uint64_t slow_target;
	uint64_t pos;          /* bytes of the buffer used: written at recording, read at replay */
	uint64_t end;          /* replay: bytes in the buffer */
	uint32_t recording;    /* 0: replay */
	uint32_t yield;        /* somebody else wants to run: stop at the n-th call from now; 0: at none */
	uint32_t off;          /* stop at every call */
	uint32_t fds_off;      /* fd_class may not be used: tasks with different descriptors share this memory */
	uint64_t proc_dev;     /* st_dev of /proc: its files have their own ways */
	uint64_t clock;        /* the kernel's own clock_gettime(2) for user mode; 0: not to be called */
	uint32_t tsc;          /* enum agent_tsc */
	uint32_t segv;         /* enum agent_segv: what the calls in the buffer did to the task's mask */
	uint64_t old_mask;     /* AGENT_MASK_DUE: an rt_sigprocmask is about to be made; not 0: it was */
	uint32_t masked;       /* the recorder has signals blocked: no call to which that matters may be made */
	uint32_t n_own;        /* of own[] */
	uint64_t copy_dev;     /* st_dev of files that stand for such of /proc, and are filled when they are read; 0: there are none */
	uint64_t brk;          /* where it is; 0: not known */
	uint32_t maps_off;     /* no mapping may be changed: the program gets others than it asks for */
	uint32_t mapped;       /* calls in the buffer changed mappings */
	uint8_t unused[16];
	uint8_t xsave[4096 - 128];   /* what the processor saves, before it is put into the program's memory: multiple of 64 */
	uint8_t inos[AGENT_INO_BITS / 8];   /* bit agent_ino_bit(inode): writes to such files concern the recorder */
	uint8_t fd_class[AGENT_FDS];
	uint32_t in[2 * AGENT_MESSAGES];    /* lengths that the present call overwrites: of names and of control data */
	struct agent_range own[AGENT_OWN_MAX];
};

/*
 * An entry of the buffer, followed by its outputs, one after the other, each as many bytes as the call with these
 * arguments and this result writes; padded with zeros to a multiple of 8. That of an mmap, munmap, mprotect, brk or madvise
 * that changed something has a struct agent_op in their place.
 */
struct agent_entry {
	uint32_t head;         /* number | length of the whole entry / 8 << 10 | hash of the arguments << 24 */
	int32_t result;        /* AGENT_WIDE: the next 8 bytes are the result */
};
#define AGENT_WIDE INT32_MIN
#define AGENT_NR_END 1024u
#define AGENT_NR_TSC 1023u       /* no call: an rdtsc */
#define AGENT_NR_TSC_AUX 1022u   /* and behind it what rdtscp has besides */
#define AGENT_ENTRY_NR(head) ((head) & 1023)
#define AGENT_ENTRY_BYTES(head) (((head) >> 10 & 0x3fff) * 8)

#endif
#endif
