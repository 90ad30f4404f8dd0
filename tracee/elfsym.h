/*
 * ELF files (64-bit, x86-64): symbols, build-id, segments, and the offsets by which thread-local variables are found.
 *
 * The bytes may be hostile, as they come out of traces: every offset is checked, and no more memory is taken than the
 * file is long (times three). Symbol values are as in the file; the caller adds the load bias.
 */
#ifndef RELIVE_TRACEE_ELFSYM_H
#define RELIVE_TRACEE_ELFSYM_H

#include <elf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Where a file's bytes come from. */
struct elf_source {
	/* All or nothing: n bytes from off, which lie inside of size. 0 or negative. */
	int (*read)(void *ctx, uint64_t off, void *out, size_t n);
	void *ctx;
	uint64_t size;
};

struct elf_symbol {
	const char *name;   /* owned by the elfsym */
	uint64_t value, size;
	uint8_t type;       /* STT_FUNC, STT_OBJECT, STT_GNU_IFUNC, STT_TLS... */
	uint8_t bind;       /* STB_LOCAL, STB_GLOBAL, STB_WEAK */
};

struct elfsym;

/* Whether the bytes begin a file that this module can read. 64 bytes are enough. */
bool elf_is(const void *bytes, size_t n);

/**
 * Open a file. Reads headers and segments now, symbols at the first question for one.
 *
 * @src  copied; its ctx must stay valid until elfsym_close.
 *
 * 0; -RL_EUNSUPPORTED (no ELF file, or another kind); -RL_ECORRUPT (offsets outside of the file); -ENOMEM; an error
 * of read.
 */
int elfsym_open(const struct elf_source *src, struct elfsym **ret);

/* The same of bytes in memory, which must stay there until elfsym_close. */
int elfsym_open_memory(const void *bytes, size_t n, struct elfsym **ret);

/* NULL is fine. */
void elfsym_close(struct elfsym *e);

const Elf64_Ehdr *elfsym_header(const struct elfsym *e);   /* e_type, e_entry... */
const Elf64_Phdr *elfsym_segments(const struct elfsym *e, size_t *ret_n);

/* The GNU build-id. @ret: 64 bytes. Its length, or 0: it has none. */
size_t elfsym_build_id(struct elfsym *e, uint8_t *ret);

/**
 * Find a defined symbol by name, in .symtab, .dynsym, or, of a file without sections, by the dynamic segment. A global
 * one wins over a weak one, that over a local one. 0, -ENOENT, or an error as of elfsym_open.
 */
int elfsym_find(struct elfsym *e, const char *name, struct elf_symbol *ret);

/**
 * The function or object that holds an address; failing that, the nearest one before it in the same segment whose size
 * is not known. 0, -ENOENT, or an error as of elfsym_open.
 */
int elfsym_find_addr(struct elfsym *e, uint64_t value, struct elf_symbol *ret);

/* All defined symbols, by value. fn returns nonzero to stop. 0, fn's value, or an error as of elfsym_open. */
int elfsym_each(struct elfsym *e, int (*fn)(void *ctx, const struct elf_symbol *s), void *ctx);

/* Initialised data at an address of the file's own. 0, -EFAULT (not in the file), or an error of read. */
int elfsym_read(struct elfsym *e, uint64_t vaddr, void *out, size_t n);

/* Between addresses and file offsets, by the loadable segments. 0 or -EFAULT. */
int elfsym_offset_of(const struct elfsym *e, uint64_t vaddr, uint64_t *ret_off);
int elfsym_addr_of(const struct elfsym *e, uint64_t off, uint64_t *ret_vaddr);

/* How a C library lays out thread-local storage; from the constants that it keeps for libthread_db. */
struct elf_tls_layout {
	uint32_t modid_off, modid_bytes;     /* link_map.l_tls_modid */
	uint32_t dtv_off;                    /* from the thread pointer to the pointer to the dtv */
	uint32_t dtv_first, dtv_stride;      /* offset of dtv[0], bytes an entry */
	uint32_t value_off;                  /* of the pointer in an entry */
};

/* 0; -ENOENT: no glibc, or one without these constants; or an error as of elfsym_open. */
int elfsym_tls_layout(struct elfsym *libc, struct elf_tls_layout *ret);

/**
 * The address of a thread-local variable, as libthread_db finds it.
 *
 * @read     reads the process's memory: 0 or negative.
 * @tp       the thread pointer (fs_base).
 * @lm       address of the module's struct link_map.
 * @offset   of the variable in the module's storage.
 *
 * 0; -ENODATA: this thread has not touched the module's storage, so it does not exist yet; an error of read.
 */
int elf_tls_address(const struct elf_tls_layout *l, int (*read)(void *ctx, uint64_t addr, void *out, size_t n),
		    void *ctx, uint64_t tp, uint64_t lm, uint64_t offset, uint64_t *ret);

#endif
