#include "cli/placename.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "replayer/objelf.h"
#include "tracee/elfsym.h"
#include "tracee/srcline.h"

/* An ELF file of the trace, as far as it could be opened. */
struct file {
	struct object_ref ref;
	struct elfsym *elf;
	struct srcline *lines;
	struct file *next;
};

struct placenames {
	struct trace *t;
	const struct lock_module *modules;
	size_t n_modules;
	struct file *files;
};

static int copy_out(struct file *f, uint64_t size)
{
	static uint8_t part[1 << 16];
	int fd = memfd_create("relive-elf", MFD_CLOEXEC);

	for (uint64_t at = 0; fd >= 0 && at < size; at += sizeof(part)) {
		int64_t n = trace_object_read(f->ref.trace, f->ref.id, at, part, sizeof(part));

		if (n > 0 && pwrite(fd, part, (size_t)n, (off_t)at) == n)
			continue;
		close(fd);
		fd = -1;
	}
	return fd;
}

static struct file *file_of(struct placenames *p, uint32_t obj)
{
	const struct trace_object *o = trace_object(p->t, obj);
	struct file *f = p->files;
	int fd;

	while (f && f->ref.id != obj)
		f = f->next;
	if (f || !o)
		return f;
	f = calloc(1, sizeof(*f));
	if (!f)
		return NULL;
	f->ref = (struct object_ref){ p->t, obj };
	f->next = p->files;
	p->files = f;
	if (object_elf_open(&f->ref, &f->elf))
		f->elf = NULL;
	fd = f->elf ? copy_out(f, o->size) : -1;
	if (fd >= 0) {
		f->lines = srcline_open(fd);
		close(fd);
	}
	return f;
}

struct placenames *placenames_open(struct trace *t, const struct lock_module *modules, size_t n_modules)
{
	struct placenames *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	p->t = t;
	p->modules = modules;
	p->n_modules = n_modules;
	return p;
}

void placenames_close(struct placenames *p)
{
	while (p && p->files) {
		struct file *f = p->files;

		p->files = f->next;
		elfsym_close(f->elf);
		srcline_close(f->lines);
		free(f);
	}
	free(p);
}

static const struct lock_module *module_at(const struct placenames *p, uint32_t proc, uint64_t addr)
{
	for (size_t i = p->n_modules; i--;) {
		const struct lock_module *m = &p->modules[i];

		if (m->proc == proc && addr >= m->lo && addr < m->hi)
			return m;
	}
	return NULL;
}

struct place_name placename(struct placenames *p, uint32_t proc, uint64_t addr, bool code)
{
	uint64_t at = code ? addr - 1 : addr;
	const struct lock_module *m = module_at(p, proc, at);
	const struct trace_object *o = m ? trace_object(p->t, m->obj) : NULL;
	struct file *f = o ? file_of(p, m->obj) : NULL;
	struct place_name name = { .object = o ? o->path : NULL };
	struct elf_symbol sym;

	if (!f || !f->elf)
		return name;
	if (!elfsym_find_addr(f->elf, at - m->bias, &sym) && (code || sym.type == STT_OBJECT)) {
		name.symbol = sym.name;
		name.offset = addr - m->bias - sym.value;
	}
	if (code && srcline_find(f->lines, at - m->bias, &name.file, &name.line))
		name.file = NULL;
	return name;
}
