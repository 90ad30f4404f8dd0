/* Symbol tables: by section headers, or by the dynamic segment where there are none; and looking things up in them. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/err.h"
#include "common/scope.h"
#include "tracee/elfsym_int.h"

static int add_symbol(struct elfsym *e, const Elf64_Sym *s, const struct table *t)
{
	uint8_t type = ELF64_ST_TYPE(s->st_info);

	if (s->st_shndx == SHN_UNDEF || type == STT_SECTION || type == STT_FILE || s->st_name >= t->n_names ||
	    !t->names[s->st_name])
		return 0;
	if (e->n == e->cap) {
		size_t cap = e->cap ? e->cap * 2 : 256;
		struct elf_symbol *v = reallocarray(e->by_value, cap, sizeof *v);

		if (!v)
			return -ENOMEM;
		e->by_value = v;
		e->cap = cap;
	}
	e->by_value[e->n++] = (struct elf_symbol){
		.name = t->names + s->st_name, .value = s->st_value, .size = s->st_size,
		.type = type, .bind = ELF64_ST_BIND(s->st_info),
	};
	return 0;
}

static int load_table(struct elfsym *e, uint64_t sym_off, uint64_t n_syms, uint64_t str_off, uint64_t n_str)
{
	autofree void *syms = NULL;
	void *names = NULL;
	struct table *t;
	int err = elf_read_array(e, sym_off, n_syms, sizeof(Elf64_Sym), &syms);

	if (!err)
		err = elf_read_array(e, str_off, n_str, 1, &names);
	if (err)
		return err;
	t = malloc(sizeof *t);
	if (!t) {
		free(names);
		return -ENOMEM;
	}
	((char *)names)[n_str] = 0;   /* elf_read_array leaves room */
	*t = (struct table){ .names = names, .n_names = n_str, .next = e->tables };
	e->tables = t;
	for (uint64_t i = 0; !err && i < n_syms; i++)
		err = add_symbol(e, (const Elf64_Sym *)syms + i, t);
	return err;
}

/* How many section headers there are; files with very many say so in the first one. */
static uint64_t count_sections(const struct elfsym *e)
{
	void *first;
	uint64_t n = e->h.e_shnum;

	if (n || !e->h.e_shoff)
		return n;
	if (elf_read_array(e, e->h.e_shoff, 1, sizeof(Elf64_Shdr), &first))
		return 0;
	n = ((const Elf64_Shdr *)first)->sh_size;
	free(first);
	return n;
}

static int load_by_sections(struct elfsym *e)
{
	autofree void *sections = NULL;
	uint64_t n = e->h.e_shentsize == sizeof(Elf64_Shdr) && e->h.e_shoff ? count_sections(e) : 0;
	int err = n ? elf_read_array(e, e->h.e_shoff, n, sizeof(Elf64_Shdr), &sections) : 0;

	for (uint64_t i = 0; !err && i < n; i++) {
		const Elf64_Shdr *all = sections, *s = &all[i];

		if ((s->sh_type != SHT_SYMTAB && s->sh_type != SHT_DYNSYM) || s->sh_link >= n)
			continue;
		err = load_table(e, s->sh_offset, s->sh_size / sizeof(Elf64_Sym), all[s->sh_link].sh_offset,
				 all[s->sh_link].sh_size);
	}
	return err;
}

struct dynamic {
	uint64_t symtab, strtab, strsz, hash, gnu_hash;
};

static int read_dynamic(struct elfsym *e, struct dynamic *ret)
{
	for (size_t i = 0; i < e->n_segments; i++) {
		const Elf64_Phdr *p = &e->segments[i];
		autofree void *v = NULL;

		if (p->p_type != PT_DYNAMIC)
			continue;
		uint64_t n = p->p_filesz / sizeof(Elf64_Dyn);
		int err = elf_read_array(e, p->p_offset, n, sizeof(Elf64_Dyn), &v);

		if (err)
			return err;
		for (uint64_t k = 0; k < n; k++) {
			const Elf64_Dyn *d = (const Elf64_Dyn *)v + k;
			uint64_t *to = d->d_tag == DT_SYMTAB ? &ret->symtab : d->d_tag == DT_STRTAB ? &ret->strtab :
				       d->d_tag == DT_STRSZ ? &ret->strsz : d->d_tag == DT_HASH ? &ret->hash :
				       d->d_tag == DT_GNU_HASH ? &ret->gnu_hash : NULL;

			if (to)
				*to = d->d_un.d_val;
			if (d->d_tag == DT_NULL)
				break;
		}
		return 0;
	}
	return 0;
}

/* The chains of a GNU hash table end at the last symbol; nothing else tells how many there are. */
static int count_by_gnu_hash(struct elfsym *e, uint64_t at, uint64_t *ret)
{
	uint32_t head[4], last = 0, word;
	int err = elfsym_read(e, at, head, sizeof head);
	uint64_t buckets = at + 16 + 8ull * head[2], chains = buckets + 4ull * head[0];

	for (uint32_t i = 0; !err && i < head[0]; i++) {
		err = elfsym_read(e, buckets + 4ull * i, &word, 4);
		last = word > last ? word : last;
	}
	if (!err && last < head[1]) {
		*ret = head[1];   /* no exported symbols */
		return 0;
	}
	do {
		if (!err)
			err = elfsym_read(e, chains + 4ull * (last - head[1]), &word, 4);
		last++;
	} while (!err && !(word & 1));
	*ret = last;
	return err;
}

static int load_by_dynamic(struct elfsym *e)
{
	struct dynamic d = { 0 };
	uint64_t n = 0, sym_off, str_off;
	uint32_t hash[2];
	int err = read_dynamic(e, &d);

	if (err || !d.symtab || !d.strtab)
		return err;
	if (d.hash && elfsym_read(e, d.hash, hash, sizeof hash) == 0)
		n = hash[1];
	else if (d.gnu_hash)
		err = count_by_gnu_hash(e, d.gnu_hash, &n);
	if (err || !n || elfsym_offset_of(e, d.symtab, &sym_off) || elfsym_offset_of(e, d.strtab, &str_off))
		return err == -EFAULT ? -RL_ECORRUPT : err;
	return load_table(e, sym_off, n, str_off, d.strsz);
}

static int bind_rank(uint8_t bind)
{
	return bind == STB_GLOBAL ? 0 : bind == STB_WEAK ? 1 : 2;
}

static int by_value(const void *a_, const void *b_)
{
	const struct elf_symbol *a = a_, *b = b_;

	if (a->value != b->value)
		return a->value < b->value ? -1 : 1;
	return bind_rank(a->bind) - bind_rank(b->bind);
}

static int by_name(const void *a_, const void *b_)
{
	const struct elf_symbol *a = *(struct elf_symbol *const *)a_, *b = *(struct elf_symbol *const *)b_;
	int order = strcmp(a->name, b->name);

	return order ? order : bind_rank(a->bind) - bind_rank(b->bind);
}

/* Only when a name is asked for: comparing strings is most of what sorting takes. */
static int sort_by_name(struct elfsym *e)
{
	if (e->by_name)
		return 0;
	e->by_name = reallocarray(NULL, e->n + 1, sizeof *e->by_name);
	if (!e->by_name)
		return -ENOMEM;
	for (size_t i = 0; i < e->n; i++)
		e->by_name[i] = &e->by_value[i];
	qsort(e->by_name, e->n, sizeof *e->by_name, by_name);
	return 0;
}

int elf_load_symbols(struct elfsym *e)
{
	int err;

	if (e->loaded)
		return 0;
	e->n = 0;
	err = load_by_sections(e);
	/* Damaged or missing section headers do not matter to a program that runs. */
	if ((!err || err == -RL_ECORRUPT) && !e->n)
		err = load_by_dynamic(e);
	if (!err && e->n)
		qsort(e->by_value, e->n, sizeof *e->by_value, by_value);
	e->loaded = !err;
	return err;
}

int elfsym_find(struct elfsym *e, const char *name, struct elf_symbol *ret)
{
	int err = elf_load_symbols(e);
	size_t lo = 0, hi = e->n;

	if (!err)
		err = sort_by_name(e);
	if (err)
		return err;
	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (strcmp(e->by_name[mid]->name, name) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo == e->n || strcmp(e->by_name[lo]->name, name) != 0)
		return -ENOENT;
	*ret = *e->by_name[lo];
	return 0;
}

static bool is_place(const struct elf_symbol *s)
{
	return s->type == STT_FUNC || s->type == STT_OBJECT || s->type == STT_GNU_IFUNC || s->type == STT_NOTYPE;
}

static const Elf64_Phdr *segment_of(const struct elfsym *e, uint64_t value)
{
	for (size_t i = 0; i < e->n_segments; i++) {
		const Elf64_Phdr *p = &e->segments[i];

		if (p->p_type == PT_LOAD && value >= p->p_vaddr && value - p->p_vaddr < p->p_memsz)
			return p;
	}
	return NULL;
}

/* Symbols are sorted by value: go back from the last one at or below it, not forever. */
int elfsym_find_addr(struct elfsym *e, uint64_t value, struct elf_symbol *ret)
{
	int err = elf_load_symbols(e);
	size_t lo = 0, hi = e->n;
	const struct elf_symbol *open_ended = NULL, *found = NULL;

	if (err)
		return err;
	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (e->by_value[mid].value <= value)
			lo = mid + 1;
		else
			hi = mid;
	}
	for (size_t tries = 0; lo-- > 0 && tries < 256; tries++) {
		const struct elf_symbol *s = &e->by_value[lo];

		if (!is_place(s))
			continue;
		/* Of several at one place the first in order is the best known one. */
		if (found && s->value != found->value)
			break;
		if (s->size ? value - s->value < s->size : value == s->value)
			found = s;
		else if (!s->size && !found && (!open_ended || s->value == open_ended->value))
			open_ended = s;
	}
	if (!found && open_ended && segment_of(e, value) && segment_of(e, value) == segment_of(e, open_ended->value))
		found = open_ended;
	if (!found)
		return -ENOENT;
	*ret = *found;
	return 0;
}

int elfsym_each(struct elfsym *e, int (*fn)(void *ctx, const struct elf_symbol *s), void *ctx)
{
	int err = elf_load_symbols(e);

	for (size_t i = 0; !err && i < e->n; i++)
		err = fn(ctx, &e->by_value[i]);
	return err;
}
