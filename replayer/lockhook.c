/* Finding lock functions in replayed memory, and patching them: see lockhook.h. */
#include "replayer/lockhook_int.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include "common/err.h"
#include "common/grow.h"
#include "common/log.h"
#include "replayer/objelf.h"
#include "tracee/elfsym.h"
#include "tracee/remote.h"

#define AROUND 4096    /* bytes looked at: behind a function's entry for loops to its beginning, on both sides for padding */

#define LOCK_FUNC(name_, op_, how_) { name_, op_, how_ },
const struct lock_func lock_funcs[] = {
#include "replayer/lockfuncs.def"
};
#undef LOCK_FUNC
const size_t n_lock_funcs = sizeof(lock_funcs) / sizeof(lock_funcs[0]);

/* ---- functions of a file ---- */

struct search {
	struct lockhooks *h;
	struct elfsym *e;
	uint32_t obj;
	int err;
};

static int look_at_symbol(void *ctx, const struct elf_symbol *sym)
{
	struct search *q = ctx;
	struct lockhooks *h = q->h;
	uint64_t off;

	if (sym->type != STT_FUNC || (strncmp(sym->name, "pthread_", 8) != 0 && strncmp(sym->name, "sem_", 4) != 0))
		return 0;
	for (size_t i = 0; i < n_lock_funcs; i++) {
		struct lock_found *f;

		if (strcmp(sym->name, lock_funcs[i].name) != 0 || elfsym_offset_of(q->e, sym->value, &off))
			continue;
		f = GROW(h->found, h->n_found, h->cap_found);
		if (!f)
			return -ENOMEM;
		*f = (struct lock_found){ q->obj, (uint8_t)i, sym->value, off };
		h->n_found++;
	}
	return 0;
}

static void module_of(struct lockhooks *h, struct elfsym *e, const struct lock_change *c, uint32_t proc)
{
	struct lock_module *m = GROW(h->modules, h->n_modules, h->cap_modules);
	const Elf64_Phdr *p;
	size_t n;
	uint64_t vaddr;

	if (!m || elfsym_addr_of(e, c->obj_off, &vaddr))
		return;
	*m = (struct lock_module){ .proc = proc, .obj = c->obj, .bias = c->addr - vaddr, .lo = ~0ull };
	p = elfsym_segments(e, &n);
	for (size_t i = 0; i < n; i++) {
		if (p[i].p_type != PT_LOAD)
			continue;
		m->lo = p[i].p_vaddr + m->bias < m->lo ? p[i].p_vaddr + m->bias : m->lo;
		m->hi = p[i].p_vaddr + p[i].p_memsz + m->bias > m->hi ? p[i].p_vaddr + p[i].p_memsz + m->bias : m->hi;
	}
	h->n_modules++;
}

static bool was_read(const struct lockhooks *h, uint32_t obj)
{
	for (size_t i = 0; i < h->n_read; i++) {
		if (h->read_objs[i] == obj)
			return true;
	}
	return false;
}

/* Learn of a file that has been mapped. One that cannot be read has no functions. */
static int read_file(struct lockhooks *h, const struct lock_change *c, uint32_t proc)
{
	struct object_ref ref = { h->s->trace, c->obj };
	struct search q = { .h = h, .obj = c->obj };
	uint32_t *slot = NULL;
	int err = 0;

	if (object_elf_open(&ref, &q.e))
		return 0;
	module_of(h, q.e, c, proc);
	if (!was_read(h, c->obj)) {
		slot = GROW(h->read_objs, h->n_read, h->cap_read);
		if (slot) {
			*slot = c->obj;
			h->n_read++;
		}
		err = elfsym_each(q.e, look_at_symbol, &q);
	}
	elfsym_close(q.e);
	return err == -ENOMEM ? err : 0;
}

/* ---- tables ---- */

struct lock_table *lock_table_of(struct lockhooks *h, const struct rtask *t)
{
	for (struct lock_table *tab = h->tables; tab; tab = tab->next) {
		if (tab->host == t->host && tab->pid == t->host->pid)
			return tab;
	}
	return NULL;
}

struct lock_hook *lock_hook_at(struct lock_table *tab, uint64_t addr)
{
	for (size_t i = 0; addr >= tab->lo && addr < tab->hi && i < tab->n; i++) {
		if (tab->v[i].addr == addr)
			return &tab->v[i];
	}
	return NULL;
}

int lock_hook_put(struct lock_table *tab, struct lock_hook *k, bool patched)
{
	int err = mem_write(tab->host->mem_fd, k->addr, patched ? k->stub.patch : k->stub.orig, k->stub.n_patch);

	k->aside = !patched;
	return err;
}

bool lockhook_near(const struct lock_table *tab, uint64_t addr)
{
	return addr + TRACE_PAGE > tab->lo && addr < tab->hi;
}

void lockhook_unpatch(const struct lock_table *tab, uint64_t addr, uint8_t *page)
{
	if (!lockhook_near(tab, addr))
		return;
	for (size_t i = 0; i < tab->n; i++) {
		const struct lock_hook *k = &tab->v[i];

		if (!k->patched)
			continue;
		for (unsigned b = 0; !k->aside && b < k->stub.n_patch; b++) {
			if (k->addr + b - addr < TRACE_PAGE)
				page[k->addr + b - addr] = k->stub.orig[b];
		}
		for (unsigned b = 0; k->stub.cave && b < LOCKSTUB_CAVE; b++) {
			if (k->stub.cave + b - addr < TRACE_PAGE)
				page[k->stub.cave + b - addr] = k->stub.cave_orig[b];
		}
	}
}

static int make_room(struct rtask *t, struct lock_table *tab)
{
	struct remote r = { .tid = t->host_tid, .site = RL_STUB_CALL };
	struct lockstub_vars vars = { .table = tab->id, .pos = LOCKSTUB_BUF };
	uint8_t code[LOCKSTUB_BYTES];
	size_t n = lockstub_build_return(code, &tab->return_full);
	int64_t got;
	int err = rtask_flush(t);

	if (!err)
		err = remote_call(&r, SYS_mprotect, REMOTE_ARGS(LOCKSTUB_BASE, LOCKSTUB_ALL, PROT_READ | PROT_WRITE | PROT_EXEC), &got);
	if (!err && got)
		err = (int)got;
	if (!err)
		err = mem_write(t->host->mem_fd, LOCKSTUB_CODE, code, n);
	return err ? err : mem_write(t->host->mem_fd, LOCKSTUB_VARS, &vars, sizeof(vars));
}

/* A forked memory has its parent's patches. */
static int inherit(struct lockhooks *h, struct lock_table *tab, uint64_t id)
{
	for (const struct lock_table *p = h->tables; p; p = p->next) {
		if (p->id != id)
			continue;
		tab->v = malloc((p->n + 1) * sizeof(*tab->v));
		if (!tab->v)
			return -ENOMEM;
		memcpy(tab->v, p->v, p->n * sizeof(*tab->v));
		tab->n = tab->cap = p->n;
		tab->n_stubs = p->n_stubs;
		tab->return_full = p->return_full;
		tab->lo = p->lo;
		tab->hi = p->hi;
		for (size_t i = 0, n = h->n_modules; i < n; i++) {
			struct lock_module *m = GROW(h->modules, h->n_modules, h->cap_modules);

			if (!m)
				return -ENOMEM;
			if (h->modules[i].proc != p->proc)
				continue;
			*m = h->modules[i];
			m->proc = tab->proc;
			h->n_modules++;
		}
		return mem_write(tab->host->mem_fd, LOCKSTUB_VARS, &tab->id, 8);
	}
	return -RL_ECORRUPT;
}

static int new_table(struct lockhooks *h, struct rtask *t, struct lock_table **ret)
{
	struct lock_table *tab = calloc(1, sizeof(*tab));
	uint64_t id = 0;
	int err;

	if (!tab)
		return -ENOMEM;
	tab->id = ++h->n_tables;
	tab->host = t->host;
	tab->pid = t->host->pid;
	tab->proc = t->proc;
	tab->lo = ~0ull;
	err = mem_read(t->host->mem_fd, LOCKSTUB_VARS, &id, 8);
	if (!err)
		err = id ? inherit(h, tab, id) : make_room(t, tab);
	tab->next = h->tables;
	h->tables = tab;
	t->host->locks = tab;
	*ret = tab;
	return err;
}

static void forget_range(struct lock_table *tab, uint64_t addr, uint64_t len)
{
	size_t kept = 0;

	for (size_t i = 0; i < tab->n; i++) {
		if (tab->v[i].addr - addr >= len)
			tab->v[kept++] = tab->v[i];
	}
	tab->n = kept;
}

static bool cave_taken(const void *arg, uint64_t addr)
{
	const struct lock_table *tab = arg;

	for (size_t i = 0; i < tab->n; i++) {
		if (tab->v[i].patched && tab->v[i].stub.cave + LOCKSTUB_CAVE > addr && tab->v[i].stub.cave < addr + LOCKSTUB_CAVE)
			return true;
	}
	return false;
}

/* From its entry on; the padding may be before it. */
static int build(struct lock_table *tab, struct lock_hook *k, const struct insn_code *around, enum lockstub_form form)
{
	size_t off = (size_t)(k->addr - around->addr), reach = form == LOCKSTUB_SHORT ? 0x78 : AROUND;
	struct insn_code code = { .bytes = around->bytes + off, .n = around->n - off, .addr = k->addr, .known = k->addr };
	uint64_t lo = off > reach ? k->addr - reach : around->addr + 32, cave = 0;

	if (form != LOCKSTUB_FAR)
		cave = off < 64 ? 0 : lockstub_find_cave(around, lo, k->addr + reach, cave_taken, tab);
	if (form != LOCKSTUB_FAR && !cave)
		return -RL_EUNSUPPORTED;
	return lockstub_build(&code, form, cave, tab->n_stubs, k->func->how == BOTH, &k->stub);
}

static int build_best(struct lock_table *tab, struct lock_hook *k, const struct insn_code *around)
{
	size_t off = (size_t)(k->addr - around->addr);
	struct insn first;
	int err = insn_decode(around->bytes + off, around->n - off, k->addr, &first);

	if (err)
		return err;
	err = build(tab, k, around, first.len < LOCKSTUB_NEAR ? LOCKSTUB_SHORT : LOCKSTUB_NEAR);
	if (err && first.len < LOCKSTUB_NEAR)
		err = build(tab, k, around, LOCKSTUB_NEAR);
	return err ? build(tab, k, around, LOCKSTUB_FAR) : 0;
}

static void try_patch(struct lock_table *tab, struct lock_hook *k, const struct lock_change *c)
{
	static uint8_t bytes[2 * AROUND];
	uint64_t from = k->addr - c->addr > AROUND ? k->addr - AROUND : c->addr;
	uint64_t end = c->addr + c->len - k->addr > AROUND ? k->addr + AROUND : c->addr + c->len;
	struct insn_code around = { .bytes = bytes, .n = (size_t)(end - from), .addr = from, .known = k->addr };
	int mem_fd = tab->host->mem_fd;
	struct lockstub *s = &k->stub;

	if (k->func->how == STOP || mem_read(mem_fd, from, bytes, around.n))
		return;
	if (build_best(tab, k, &around)) {
		log_debug("%s cannot be patched", k->func->name);
		return;
	}
	if (s->cave)
		memcpy(s->cave_orig, bytes + (s->cave - from), LOCKSTUB_CAVE);
	k->patched = mem_write(mem_fd, s->stub, s->code, s->n) == 0 &&
		     mem_write(mem_fd, LOCKSTUB_VARS + sizeof(struct lockstub_vars) + 8 * tab->n_stubs, &s->stub, 8) == 0 &&
		     (!s->cave || mem_write(mem_fd, s->cave, s->cave_patch, LOCKSTUB_CAVE) == 0) && lock_hook_put(tab, k, true) == 0;
	tab->n_stubs++;
}

static int add_hooks(struct lockhooks *h, struct lock_table *tab, const struct lock_change *c)
{
	for (size_t i = 0; i < h->n_found; i++) {
		const struct lock_found *f = &h->found[i];
		uint64_t addr = c->addr + (f->off - c->obj_off);
		struct lock_hook *k;

		if (f->obj != c->obj || f->off - c->obj_off >= c->len || lock_hook_at(tab, addr))
			continue;
		k = GROW(tab->v, tab->n, tab->cap);
		if (!k)
			return -ENOMEM;
		*k = (struct lock_hook){ .addr = addr, .func = &lock_funcs[f->func] };
		try_patch(tab, k, c);
		tab->lo = addr - AROUND < tab->lo ? addr - AROUND : tab->lo;
		tab->hi = addr + AROUND > tab->hi ? addr + AROUND : tab->hi;
		tab->n++;
		h->n_functions++;
	}
	return 0;
}

static bool concerns(struct lockhooks *h, const struct lock_change *c, const struct rtask *t)
{
	const struct rtask *by = session_task(h->s, c->task);

	if (c->event_no >= h->s->ev->no)
		return false;   /* it has not happened yet */
	return c->host ? c->host == t->host : by && by->host == t->host;
}

int lock_table_update(struct lockhooks *h, struct rtask *t)
{
	struct lock_table *tab = lock_table_of(h, t);
	size_t kept = 0;
	int err = tab ? 0 : new_table(h, t, &tab);

	for (size_t i = 0; i < h->n_changes; i++) {
		const struct lock_change c = h->changes[i];

		if (err || !concerns(h, &c, t)) {
			h->changes[kept++] = c;
			continue;
		}
		forget_range(tab, c.addr, c.len);
		if (c.obj)
			err = read_file(h, &c, t->proc);
		if (c.obj && !err)
			err = add_hooks(h, tab, &c);
	}
	h->n_changes = kept;
	return err;
}

/* ---- what events do ---- */

static int note(struct lockhooks *h, const struct lock_change *c)
{
	struct lock_change *slot = GROW(h->changes, h->n_changes, h->cap_changes);

	if (!slot)
		return -ENOMEM;
	*slot = *c;
	slot->event_no = h->s->ev->no;
	h->n_changes++;
	return 0;
}

static int note_exec(struct lockhooks *h, const struct event *ev)
{
	const struct trace_ckpt *c;
	int err = trace_ckpt(h->s->trace, ev->ckpt, &c);

	for (uint32_t i = 0; !err && i < c->n_maps; i++) {
		const struct ckpt_map *m = &c->maps[i];

		if (m->obj && m->prot & PROT_EXEC)
			err = note(h, &(struct lock_change){ .task = ev->task, .addr = m->addr, .len = m->len,
				   .obj_off = m->obj_off, .obj = m->obj });
	}
	return err;
}

static bool near_hooks(const struct lock_table *tab, uint64_t addr, uint64_t len)
{
	return tab && tab->n && addr < tab->hi && addr + len > tab->lo;
}

static bool overlaps(const struct ev_write *w, uint64_t addr, uint64_t len)
{
	return w->addr < addr + len && w->addr + w->len > addr;
}

/* Another patch comes where ours is: from now on, stop there. */
static int give_way(struct lockhooks *h, const struct ev_write *w)
{
	const struct rtask *t = w->task & EV_WRITE_OBJECT ? NULL : session_task(h->s, w->task);
	struct lock_table *tab = t && t->host ? lock_table_of(h, t) : NULL;
	int err = 0;

	for (size_t i = 0; !err && near_hooks(tab, w->addr, w->len) && i < tab->n; i++) {
		struct lock_hook *k = &tab->v[i];

		if (!k->patched || !(overlaps(w, k->addr, k->stub.n_patch) || overlaps(w, k->stub.cave, LOCKSTUB_CAVE)))
			continue;
		err = k->aside ? 0 : lock_hook_put(tab, k, false);
		if (!err && k->stub.cave)
			err = mem_write(tab->host->mem_fd, k->stub.cave, k->stub.cave_orig, LOCKSTUB_CAVE);
		k->patched = k->aside = false;
	}
	return err;
}

int lock_note_changes(struct lockhooks *h, const struct event *ev)
{
	const struct rtask *t = session_task(h->s, ev->task);
	int err = ev->kind == EV_EXEC ? note_exec(h, ev) : 0;

	for (uint32_t i = 0; !err && i < ev->n_writes; i++)
		err = give_way(h, &ev->writes[i]);
	for (uint32_t i = 0; !err && t && t->host && i < ev->n_asops; i++) {
		const struct ev_asop *op = &ev->asops[i];
		struct lock_change c = { .task = ev->task, .host = t->host, .addr = op->addr, .len = op->len };

		if (op->kind == AS_MAP && op->obj && op->prot & PROT_EXEC) {
			c.obj = op->obj;
			c.obj_off = op->obj_off;
			err = note(h, &c);
		} else if (op->kind == AS_MAP || op->kind == AS_UNMAP || op->kind == AS_ZERO || op->kind == AS_REMAP) {
			if (near_hooks(lock_table_of(h, t), op->addr, op->len))
				err = note(h, &c);
			c.addr = op->new_addr;
			c.len = op->new_len;
			if (!err && op->kind == AS_REMAP && near_hooks(lock_table_of(h, t), c.addr, c.len))
				err = note(h, &c);
		}
	}
	return err;
}

/* ---- life ---- */

int lockhooks_open(struct session *s, void (*event)(void *arg, const struct lock_event *e), void *arg)
{
	struct lockhooks *h = calloc(1, sizeof(*h));

	if (!h)
		return -ENOMEM;
	h->s = s;
	h->event = event;
	h->arg = arg;
	s->locks = h;
	return 0;
}

void lockhooks_close(struct lockhooks *h)
{
	if (!h)
		return;
	while (h->tables) {
		struct lock_table *tab = h->tables;

		h->tables = tab->next;
		free(tab->v);
		free(tab);
	}
	free(h->pends);
	free(h->changes);
	free(h->found);
	free(h->read_objs);
	free(h->modules);
	free(h);
}

size_t lockhooks_modules(const struct lockhooks *h, const struct lock_module **ret)
{
	*ret = h->modules;
	return h->n_modules;
}

size_t lockhooks_functions(const struct lockhooks *h)
{
	return h->n_functions;
}
