#include "tracee/elfsym.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/err.h"
#include "common/scope.h"
#include "tracee/elfsym_int.h"

bool elf_is(const void *bytes, size_t n)
{
	const Elf64_Ehdr *h = bytes;

	return n >= sizeof *h && memcmp(h->e_ident, ELFMAG, SELFMAG) == 0 && h->e_ident[EI_CLASS] == ELFCLASS64 &&
	       h->e_ident[EI_DATA] == ELFDATA2LSB && h->e_machine == EM_X86_64 &&
	       (!h->e_phnum || h->e_phentsize == sizeof(Elf64_Phdr));
}

static int read_at(const struct elfsym *e, uint64_t off, void *out, size_t n)
{
	if (off > e->src.size || n > e->src.size - off)
		return -RL_ECORRUPT;
	return n ? e->src.read(e->src.ctx, off, out, n) : 0;
}

int elf_read_array(const struct elfsym *e, uint64_t off, uint64_t n, size_t size, void **ret)
{
	/* Before allocating: what is not in the file cannot be read from it. */
	if (off > e->src.size || n > (e->src.size - off) / size)
		return -RL_ECORRUPT;
	autofree void *v = malloc(n * size + 1);

	if (!v)
		return -ENOMEM;
	int err = read_at(e, off, v, n * size);

	if (err)
		return err;
	*ret = v;
	v = NULL;
	return 0;
}

int elfsym_open(const struct elf_source *src, struct elfsym **ret)
{
	struct elfsym *e = calloc(1, sizeof *e);
	void *segments;
	int err;

	if (!e)
		return -ENOMEM;
	e->src = *src;
	err = src->size < sizeof e->h ? -RL_EUNSUPPORTED : read_at(e, 0, &e->h, sizeof e->h);
	if (!err && !elf_is(&e->h, sizeof e->h))
		err = -RL_EUNSUPPORTED;
	if (!err)
		err = elf_read_array(e, e->h.e_phoff, e->h.e_phnum, sizeof(Elf64_Phdr), &segments);
	if (err) {
		free(e);
		return err;
	}
	e->segments = segments;
	e->n_segments = e->h.e_phnum;
	*ret = e;
	return 0;
}

static int read_memory(void *ctx, uint64_t off, void *out, size_t n)
{
	memcpy(out, (const uint8_t *)ctx + off, n);
	return 0;
}

int elfsym_open_memory(const void *bytes, size_t n, struct elfsym **ret)
{
	struct elf_source src = { .read = read_memory, .ctx = (void *)bytes, .size = n };

	return elfsym_open(&src, ret);
}

void elfsym_close(struct elfsym *e)
{
	if (!e)
		return;
	while (e->tables) {
		struct table *t = e->tables;

		e->tables = t->next;
		free(t->names);
		free(t);
	}
	free(e->segments);
	free(e->by_value);
	free(e->by_name);
	free(e);
}

const Elf64_Ehdr *elfsym_header(const struct elfsym *e)
{
	return &e->h;
}

const Elf64_Phdr *elfsym_segments(const struct elfsym *e, size_t *ret_n)
{
	*ret_n = e->n_segments;
	return e->segments;
}

/* Look through one note segment. */
static size_t build_id_in(const uint8_t *notes, size_t n, uint8_t *ret)
{
	size_t at = 0;

	while (n - at >= sizeof(Elf64_Nhdr)) {
		Elf64_Nhdr h;

		memcpy(&h, notes + at, sizeof h);
		at += sizeof h;
		size_t name = ((size_t)h.n_namesz + 3) & ~(size_t)3, desc = ((size_t)h.n_descsz + 3) & ~(size_t)3;

		if (name > n - at || desc > n - at - name)
			return 0;
		if (h.n_type == NT_GNU_BUILD_ID && h.n_namesz == 4 && memcmp(notes + at, "GNU", 4) == 0 &&
		    h.n_descsz <= 64) {
			memcpy(ret, notes + at + name, h.n_descsz);
			return h.n_descsz;
		}
		at += name + desc;
	}
	return 0;
}

size_t elfsym_build_id(struct elfsym *e, uint8_t *ret)
{
	for (size_t i = 0; i < e->n_segments; i++) {
		const Elf64_Phdr *p = &e->segments[i];
		void *notes;

		if (p->p_type != PT_NOTE || elf_read_array(e, p->p_offset, p->p_filesz, 1, &notes))
			continue;
		size_t n = build_id_in(notes, p->p_filesz, ret);

		free(notes);
		if (n)
			return n;
	}
	return 0;
}

int elfsym_offset_of(const struct elfsym *e, uint64_t vaddr, uint64_t *ret_off)
{
	for (size_t i = 0; i < e->n_segments; i++) {
		const Elf64_Phdr *p = &e->segments[i];

		if (p->p_type == PT_LOAD && vaddr >= p->p_vaddr && vaddr - p->p_vaddr < p->p_filesz) {
			*ret_off = p->p_offset + (vaddr - p->p_vaddr);
			return 0;
		}
	}
	return -EFAULT;
}

int elfsym_addr_of(const struct elfsym *e, uint64_t off, uint64_t *ret_vaddr)
{
	for (size_t i = 0; i < e->n_segments; i++) {
		const Elf64_Phdr *p = &e->segments[i];

		if (p->p_type == PT_LOAD && off >= p->p_offset && off - p->p_offset < p->p_filesz) {
			*ret_vaddr = p->p_vaddr + (off - p->p_offset);
			return 0;
		}
	}
	return -EFAULT;
}

int elfsym_read(struct elfsym *e, uint64_t vaddr, void *out, size_t n)
{
	uint64_t first, last;

	if (!n)
		return 0;
	if (elfsym_offset_of(e, vaddr, &first) || elfsym_offset_of(e, vaddr + n - 1, &last) || last - first != n - 1)
		return -EFAULT;
	int err = read_at(e, first, out, n);

	return err == -RL_ECORRUPT ? -EFAULT : err;
}

/* One of libthread_db's descriptions: size in bits, number of elements, offset in bytes. */
static int read_description(struct elfsym *e, const char *name, uint32_t ret[3])
{
	struct elf_symbol s;
	int err = elfsym_find(e, name, &s);

	if (err)
		return err;
	err = elfsym_read(e, s.value, ret, 12);
	return err == -EFAULT ? -ENOENT : err;
}

int elfsym_tls_layout(struct elfsym *libc, struct elf_tls_layout *ret)
{
	uint32_t modid[3], dtvp[3], dtv[3], value[3];
	int err = read_description(libc, "_thread_db_link_map_l_tls_modid", modid);

	if (!err)
		err = read_description(libc, "_thread_db_pthread_dtvp", dtvp);
	if (!err)
		err = read_description(libc, "_thread_db_dtv_dtv", dtv);
	if (!err)
		err = read_description(libc, "_thread_db_dtv_t_pointer_val", value);
	if (err)
		return err;
	if (modid[0] != 64 || !dtv[0] || dtv[0] % 8)
		return -ENOENT;
	*ret = (struct elf_tls_layout){
		.modid_off = modid[2], .modid_bytes = modid[0] / 8, .dtv_off = dtvp[2],
		.dtv_first = dtv[2], .dtv_stride = dtv[0] / 8, .value_off = value[2],
	};
	return 0;
}

int elf_tls_address(const struct elf_tls_layout *l, int (*read)(void *ctx, uint64_t addr, void *out, size_t n),
		    void *ctx, uint64_t tp, uint64_t lm, uint64_t offset, uint64_t *ret)
{
	uint64_t modid = 0, dtv, block;
	int err = read(ctx, lm + l->modid_off, &modid, l->modid_bytes);

	if (!err && !modid)
		return -ENODATA;   /* the module has no thread-local storage */
	if (!err)
		err = read(ctx, tp + l->dtv_off, &dtv, sizeof dtv);
	if (!err)
		err = read(ctx, dtv + l->dtv_first + modid * l->dtv_stride + l->value_off, &block, sizeof block);
	if (err)
		return err;
	if (block == 0 || block == UINT64_MAX)
		return -ENODATA;
	*ret = block + offset;
	return 0;
}
