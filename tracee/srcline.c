#include "tracee/srcline.h"

#include <elfutils/libdwfl.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

struct srcline {
	Dwfl *dwfl;
	Dwfl_Module *module;
};

/* Nothing is looked for outside of the file: not on this machine's disk, not on the net. */
static int no_debuginfo(Dwfl_Module *mod, void **user, const char *name, Dwarf_Addr base, const char *file, const char *link,
			GElf_Word crc, char **ret_name)
{
	(void)mod, (void)user, (void)name, (void)base, (void)file, (void)link, (void)crc, (void)ret_name;
	return -1;
}

static int no_elf(Dwfl_Module *mod, void **user, const char *name, Dwarf_Addr base, char **ret_name, Elf **ret_elf)
{
	(void)mod, (void)user, (void)name, (void)base, (void)ret_name, (void)ret_elf;
	return -1;
}

static const Dwfl_Callbacks callbacks = { .find_elf = no_elf, .find_debuginfo = no_debuginfo, .section_address = dwfl_offline_section_address };

struct srcline *srcline_open(int fd)
{
	struct srcline *s = calloc(1, sizeof(*s));
	int own = s ? dup(fd) : -1;

	if (own < 0) {
		free(s);
		return NULL;
	}
	s->dwfl = dwfl_begin(&callbacks);
	if (s->dwfl)
		s->module = dwfl_report_elf(s->dwfl, "file", "file", own, 0, true);
	if (!s->module) {
		close(own);
		srcline_close(s);
		return NULL;
	}
	dwfl_report_end(s->dwfl, NULL, NULL);
	return s;
}

void srcline_close(struct srcline *s)
{
	if (!s)
		return;
	if (s->dwfl)
		dwfl_end(s->dwfl);
	free(s);
}

int srcline_find(struct srcline *s, uint64_t vaddr, const char **ret_file, int *ret_line)
{
	Dwfl_Line *line = s ? dwfl_module_getsrc(s->module, vaddr) : NULL;

	*ret_file = line ? dwfl_lineinfo(line, NULL, ret_line, NULL, NULL, NULL) : NULL;
	return *ret_file ? 0 : -ENOENT;
}
