/*
 * The low page range that relive keeps for itself in every recorded and every replayed process. The recorder and the
 * replayer agree on it; a recording never has mappings of its own there.
 */
#ifndef RELIVE_LAYOUT_H
#define RELIVE_LAYOUT_H

#define RL_BASE        0x70000000ull
#define RL_STUB        RL_BASE                 /* one page, r-x: code for injected calls */
#define RL_STUB_CALL   RL_STUB                 /* remote_stub; its syscall is the one that the seccomp filters let through */
#define RL_DATA        (RL_BASE + 0x1000)      /* RL_DATA_BYTES, rw-: arguments of injected calls */
#define RL_DATA_BYTES  0xf000ull
#define RL_CALLS       (RL_BASE + 0x8000)      /* in its second half: the table of several calls */
#define RL_CALLS_MAX   256
#define RL_SCRATCH     (RL_BASE + 0x10000)     /* RL_SCRATCH_BYTES a slot: outputs of calls that block */
#define RL_SCRATCH_BYTES 0x10000ull
#define RL_SCRATCH_SLOTS 511ull
#define RL_VDSO        (RL_SCRATCH + RL_SCRATCH_BYTES * RL_SCRATCH_SLOTS)   /* while recording: the kernel's, hidden here */
#define RL_VDSO_BYTES  0x10000ull
#define RL_AGENT       (RL_VDSO + RL_VDSO_BYTES)
#define RL_AGENT_CODE_BYTES 0x10000ull         /* r-x: the agent's code, then trampolines of low sites: part of checkpoints */
#define RL_AGENT_DATA  (RL_AGENT + RL_AGENT_CODE_BYTES)   /* rw-: see agent/abi.h */
#define RL_AGENT_DATA_BYTES 0x50000ull
#define RL_END         (RL_AGENT_DATA + RL_AGENT_DATA_BYTES)

#endif
