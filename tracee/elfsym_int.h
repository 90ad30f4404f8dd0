/* Shared by elfsym.c and elfsym_table.c; nobody else includes this. */
#ifndef RELIVE_TRACEE_ELFSYM_INT_H
#define RELIVE_TRACEE_ELFSYM_INT_H

#include "tracee/elfsym.h"

struct table {
	char *names;             /* n_names bytes, the last one 0 */
	size_t n_names;
	struct table *next;
};

struct elfsym {
	struct elf_source src;
	Elf64_Ehdr h;
	Elf64_Phdr *segments;
	size_t n_segments;
	bool loaded;
	struct table *tables;           /* the names' memory */
	struct elf_symbol *by_value;    /* all defined symbols with names */
	struct elf_symbol **by_name;    /* NULL: nobody has asked for a name */
	size_t n, cap;
};

/* n elements of size bytes at off, from malloc (never NULL on success). 0, -RL_ECORRUPT, -ENOMEM, read's error. */
int elf_read_array(const struct elfsym *e, uint64_t off, uint64_t n, size_t size, void **ret);

/* Fill in by_value. */
int elf_load_symbols(struct elfsym *e);

#endif
