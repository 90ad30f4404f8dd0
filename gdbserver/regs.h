/*
 * The registers as gdb sees them: one table gives their numbers, their places in the g packet and target.xml, and
 * where their bytes are found in user_regs_struct and in the XSAVE area.
 */
#ifndef RELIVE_GDB_REGS_H
#define RELIVE_GDB_REGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/user.h>

#include "gdbserver/text.h"

/* Numbers of the registers sent along with every stop, and of the one that tells which system call is being made. */
enum { GDB_RBP = 6, GDB_RSP = 7, GDB_RIP = 16, GDB_ORIG_RAX = 57 };

#define REGS_XSAVE_MAX 16384    /* more than any processor's area with the tiles of AMX */
#define REGS_ONE_MAX 64         /* bytes of the largest register */
#define REGS_COMPONENTS 20

/* What of XSAVE exists: which features are announced, and where their components are. */
struct regs_layout {
	uint64_t xcr0;
	uint32_t offset[REGS_COMPONENTS];   /* of component i in the standard format; 0: absent */
};

/* A thread's registers, as the target gives them. */
struct regs_state {
	struct user_regs_struct gpr;
	size_t xsave_n;                     /* 0: unknown, shown as unavailable */
	_Alignas(64) uint8_t xsave[REGS_XSAVE_MAX];
};

/* Offsets as this machine's cpuid gives them: the kernel's ptrace interface uses the same ones. */
struct regs_layout regs_layout_here(uint64_t xcr0);

/* How many registers a target with this layout has; numbers run from 0. */
int regs_count(const struct regs_layout *l);
/* Size in bytes, or -EINVAL for a number out of range. */
int regs_size(const struct regs_layout *l, int number);
/*
 * The bytes of one register, as many as regs_size says. Whether its value is known.
 *
 * @number  must be in range.
 */
bool regs_get(const struct regs_layout *l, const struct regs_state *s, int number, uint8_t *out);

/* Append the register's bytes in hexadecimal, x's if unknown. */
void regs_put(const struct regs_layout *l, const struct regs_state *s, int number, struct buf *out);
/* Append the whole target description. */
void regs_xml(const struct regs_layout *l, struct buf *out);

#endif
