/* Source lines of code addresses, from a file's DWARF. The bytes may be hostile; libdw is made for that. */
#ifndef RELIVE_TRACEE_SRCLINE_H
#define RELIVE_TRACEE_SRCLINE_H

#include <stdint.h>

struct srcline;

/** @fd  the whole ELF file; kept by the caller, and not needed any more afterwards. NULL: it has nothing to tell. */
struct srcline *srcline_open(int fd);
void srcline_close(struct srcline *s);

/** Source file and line of an address of the file's own. The name lives as long as @s. 0 or -ENOENT. */
int srcline_find(struct srcline *s, uint64_t vaddr, const char **ret_file, int *ret_line);

#endif
