/* The checkpoint that an exec is: the new address space, prepared for recording and written down. */
#include "recorder/internal.h"

#include <asm/prctl.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "common/err.h"
#include "common/grow.h"
#include "common/scope.h"
#include "recorder/agent.h"
#include "tracee/layout.h"
#include "tracee/procfile.h"
#include "tracee/xstate.h"

/* The first injected call has no stub to run at: borrow the bytes at the entry point. */
static int call_at_entry(struct task *t, long nr, const uint64_t arg[6], int64_t *ret)
{
	enum halt halted = HALT_NO;
	struct remote remote = { .tid = t->tid, .ret_halted = &halted };
	struct user_regs_struct regs;
	uint8_t saved[REMOTE_STUB_CALL];
	uint64_t mask;
	int err = remote_getregs(t->tid, &regs);

	if (err)
		return err;
	remote.site = regs.rip;
	err = mem_read(t->mm->mem_fd, regs.rip, saved, sizeof(saved));
	if (!err)
		err = mem_write(t->mm->mem_fd, regs.rip, remote_stub, sizeof(saved));
	if (!err)
		err = task_mask_signals(t, &mask);
	if (err)
		return err;
	err = remote_call(&remote, nr, arg, ret);
	if (!err)
		err = task_unmask_signals(t, mask);
	if (!err)
		err = mem_write(t->mm->mem_fd, regs.rip, saved, sizeof(saved));
	task_halt_again(t, halted);
	return err;
}

static int map_stub(struct task *t)
{
	int64_t at = 0;
	int err = call_at_entry(t, SYS_mmap, REMOTE_ARGS(RL_STUB, 0x1000, PROT_READ | PROT_EXEC,
				MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1ull, 0), &at);

	if (err)
		return err;
	if (at != (int64_t)RL_STUB)
		return -RL_EUNSUPPORTED;   /* the program itself lives there */
	err = mem_write(t->mm->mem_fd, RL_STUB, remote_stub, sizeof(remote_stub));
	if (err)
		return err;
	err = task_call(t, SYS_mmap, REMOTE_ARGS(RL_DATA, RL_END - RL_DATA, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE | MAP_NORESERVE, -1ull, 0), &at);
	if (err)
		return err;
	return at == (int64_t)RL_DATA ? 0 : -RL_EUNSUPPORTED;
}

/* ---- the auxiliary vector ---- */

/* Words of the initial stack, read a page at a time. */
struct stack_words {
	int mem_fd;
	uint64_t at;           /* of the next one */
	uint64_t start;        /* of those that are here */
	uint64_t v[512];
	size_t n;
};

static int next_word(struct stack_words *w, uint64_t *ret)
{
	if (w->at - w->start >= w->n * sizeof(w->v[0])) {
		w->start = w->at;
		w->n = mem_read_some(w->mem_fd, w->at, w->v, sizeof(w->v)) / sizeof(w->v[0]);
		if (!w->n)
			return -EFAULT;
	}
	*ret = w->v[(w->at - w->start) / sizeof(w->v[0])];
	w->at += sizeof(*ret);
	return 0;
}

/* Go to the auxiliary vector: above argc, argv and envp (System V ABI, figure 3.9). */
static int seek_auxv(struct stack_words *w)
{
	uint64_t word;
	int err = next_word(w, &word);

	w->at += (word + 1) * sizeof(word);
	while (!err && word)
		err = next_word(w, &word);
	return err;
}

#define AUXV_MAX 64

/* Read the vector, with the vDSO taken out: what would read the clock behind our back must not exist. */
static int auxv_take(struct task *t, uint64_t sp, uint64_t (*out)[2], uint32_t *ret_n)
{
	struct stack_words w = { .mem_fd = t->mm->mem_fd, .at = sp };
	uint32_t n = 0;
	int err = seek_auxv(&w);

	for (bool more = true; more && !err && n < AUXV_MAX; n++) {
		err = next_word(&w, &out[n][0]);
		if (!err)
			err = next_word(&w, &out[n][1]);
		if (!err && out[n][0] == AT_SYSINFO_EHDR) {
			out[n][0] = AT_IGNORE;
			out[n][1] = 0;
			err = mem_write(t->mm->mem_fd, w.at - 16, out[n], 16);
		}
		more = out[n][0] != AT_NULL;
	}
	*ret_n = n;
	return err;
}

/* ---- what has to be done from within ---- */

#define PREPARE_MAX 32

/* Calls to be made with one stop. */
struct call_list {
	struct remote_op v[PREPARE_MAX];
	size_t n;
};

static void add_call(struct call_list *l, long nr, const uint64_t arg[6])
{
	if (l->n == PREPARE_MAX)
		return;
	l->v[l->n].nr = (uint64_t)nr;
	memcpy(l->v[l->n++].arg, arg, sizeof(l->v[0].arg));
}

static int hide_vdso(struct recording *r, struct task *t, struct call_list *l)
{
	struct remote_op ops[VDSO_PARTS];
	int n = vdso_hide(r, t, ops);

	for (int i = 0; i < n; i++)
		add_call(l, (long)ops[i].nr, ops[i].arg);
	return n < 0 ? n : 0;
}

static void trap_instructions(struct recording *r, struct task *t, struct call_list *l)
{
	add_call(l, SYS_prctl, REMOTE_ARGS(PR_SET_TSC, tsc_start(r, t)));
	if (r->cpuid_faults)
		add_call(l, SYS_arch_prctl, REMOTE_ARGS(ARCH_SET_CPUID, 0));
}

static int prepare(struct recording *r, struct task *t)
{
	struct call_list l = { .n = 0 };
	int err = map_stub(t);

	if (!err)
		err = hide_vdso(r, t, &l);
	if (err)
		return err;
	trap_instructions(r, t, &l);
	if (r->opts->agent)
		add_call(&l, SYS_mmap, REMOTE_ARGS(RL_AGENT, RL_AGENT_CODE_BYTES, PROT_READ | PROT_EXEC,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1ull, 0));
	add_call(&l, SYS_brk, REMOTE_ARGS(0));
	err = task_calls(t, l.v, l.n);
	if (err)
		return err;
	t->mm->brk_start = t->mm->brk = (uint64_t)l.v[l.n - 1].ret;
	return r->opts->agent && l.v[l.n - 2].ret != (int64_t)RL_AGENT ? -RL_EUNSUPPORTED : 0;
}

/* ---- writing it down ---- */

struct ckpt_build {
	struct ckpt_map *maps;
	size_t n_maps, cap_maps;
	struct ckpt_page *pages;
	size_t n_pages, cap_pages;
	struct page_runs runs;         /* all memory that is present */
	size_t i_run;                  /* those before it lie before the mapping at hand */
	struct mapping last;           /* the last mapping of a file, */
	uint32_t last_obj;             /* and the object that it shows */
};

#define READ_PAGES 16

static int put_run(struct recording *r, struct task *t, struct ckpt_build *b, uint64_t start, uint64_t end)
{
	uint8_t bytes[READ_PAGES * TRACE_PAGE];
	int err = 0;

	while (!err && start < end) {
		size_t n = end - start < sizeof(bytes) ? (size_t)(end - start) : sizeof(bytes);

		err = mem_read(t->mm->mem_fd, start, bytes, n);
		for (size_t off = 0; !err && off < n; off += TRACE_PAGE) {
			struct ckpt_page *p = GROW(b->pages, b->n_pages, b->cap_pages);

			if (!p)
				return -ENOMEM;
			p->addr = start + off;
			err = trace_put_page(r->w, bytes + off, &p->page_id);
			b->n_pages++;
		}
		start += n;
	}
	return err;
}

static int put_pages(struct recording *r, struct task *t, struct ckpt_build *b, const struct mapping *m)
{
	int err = 0;

	while (b->i_run < b->runs.n && b->runs.v[b->i_run].end <= m->start)
		b->i_run++;
	for (size_t i = b->i_run; !err && i < b->runs.n && b->runs.v[i].start < m->end; i++) {
		const struct page_run *p = &b->runs.v[i];

		if (page_is_anon(p->flags))
			err = put_run(r, t, b, p->start > m->start ? p->start : m->start, p->end < m->end ? p->end : m->end);
	}
	return err;
}

/* The parts of a file that follow each other show one object. */
static int file_object(struct recording *r, struct task *t, struct ckpt_build *b, const struct mapping *m, uint32_t *ret)
{
	const struct object_entry *o = b->last_obj ? object_by_id(r, b->last_obj) : NULL;
	int err;

	if (o && o->whole && !m->shared && m->dev == b->last.dev && m->ino == b->last.ino) {
		*ret = b->last_obj;
		return 0;
	}
	err = object_of_mapping(r, t, m, ret);
	b->last = *m;
	b->last_obj = err ? 0 : *ret;
	return err;
}

static int put_mapping(struct recording *r, struct task *t, struct ckpt_build *b, const struct maps *maps,
		       const struct mapping *m)
{
	struct ckpt_map *c = GROW(b->maps, b->n_maps, b->cap_maps);
	int err;

	if (!c)
		return -ENOMEM;
	*c = (struct ckpt_map){ .addr = m->start, .len = m->end - m->start, .prot = (uint8_t)m->prot,
				.flags = m->shared ? AS_SHARED : 0, .name = m->name };
	if (strcmp(m->name, "[stack]") == 0) {
		c->addr = stack_bottom(t, maps, m);
		c->len = m->end - c->addr;
		t->mm->stack_low = c->addr;
		t->mm->stack_top = m->end;
		c->flags |= AS_STACK | AS_GROWSDOWN;
		t->stack = (struct stack_range){ c->addr, m->end };
	}
	if (m->ino || m->shared) {
		c->obj_off = m->off;
		err = file_object(r, t, b, m, &c->obj);
		if (err)
			return err;
	}
	tsc_mapped(r, t, m, c->obj);
	b->n_maps++;
	return 0;
}

/* Change the code that is here already; *ret_mapped: memory was mapped for that, too. */
static int change_code(struct recording *r, struct task *t, const struct maps *maps, bool *ret_mapped)
{
	size_t before = agent_n_blocks(t->mm);
	int err = 0;

	for (size_t i = 0; !err && i < maps->n; i++) {
		const struct mapping *m = &maps->v[i];
		uint32_t obj;

		if (!m->ino || m->shared || !(m->prot & PROT_EXEC))
			continue;
		err = object_of_mapping(r, t, m, &obj);
		if (!err)
			err = trap_sites(r, t, m, obj, false);
	}
	*ret_mapped = agent_n_blocks(t->mm) != before;
	return err;
}

static bool is_ours(const struct mapping *m)
{
	bool agent = m->start == RL_AGENT && !(m->prot & PROT_WRITE);   /* a replay needs the recording's own */

	return (m->start >= RL_BASE && m->start < RL_END && !agent) || strcmp(m->name, "[vsyscall]") == 0;
}

static size_t split_argv(char *text, size_t n, const char **out, size_t max)
{
	size_t argc = 0;

	for (size_t i = 0; i < n && argc < max; i += strlen(text + i) + 1)
		out[argc++] = text + i;
	return argc;
}

#define CMDLINE_MAX 65536
#define ARGV_MAX 4096

static pid_t parent_of(struct task *t)
{
	char text[512];
	const char *state;

	procfile_read(t->tid, "stat", text, sizeof(text));
	state = procfile_stat_fields(text);
	return *state ? (pid_t)strtol(state + 1, NULL, 10) : 0;
}

#define GAP_MAX (1ull << 20)   /* looked through, too: cheaper than asking again */

static int list_pages(struct task *t, const struct maps *maps, struct page_runs *runs)
{
	autoclose int pagemap = pagemap_open(t->tid);
	int err = pagemap < 0 ? pagemap : 0;
	size_t n;

	for (size_t i = 0; !err && i < maps->n; i += n) {
		const struct mapping *m = &maps->v[i];

		for (n = 1; i + n < maps->n && m[n].start - m[n - 1].end <= GAP_MAX && is_ours(m) == is_ours(&m[n]); )
			n++;
		if (!is_ours(m))
			err = pagemap_runs(pagemap, m->start, m[n - 1].end, runs);
	}
	return err;
}

static int put_all(struct recording *r, struct task *t, const struct maps *maps, struct trace_ckpt *c)
{
	struct ckpt_build b = { 0 };
	int err = 0;

	for (size_t i = 0; !err && i < maps->n; i++) {
		if (!is_ours(&maps->v[i]))
			err = put_mapping(r, t, &b, maps, &maps->v[i]);
	}
	/* Now, because instructions that must trap have been written into some. */
	if (!err)
		err = list_pages(t, maps, &b.runs);
	for (size_t i = 0; !err && i < maps->n; i++) {
		if (!is_ours(&maps->v[i]) && !maps->v[i].shared)
			err = put_pages(r, t, &b, &maps->v[i]);
	}
	if (!err) {
		c->maps = b.maps;
		c->n_maps = (uint32_t)b.n_maps;
		c->pages = b.pages;
		c->n_pages = (uint32_t)b.n_pages;
		err = trace_put_ckpt(r->w, c, &c->id);
	}
	page_runs_free(&b.runs);
	free(b.maps);
	free(b.pages);
	return err;
}

static int write_down(struct recording *r, struct task *t, const uint64_t (*auxv)[2], uint32_t n_auxv, uint32_t *ret_id)
{
	uint8_t canon[XSTATE_MAX];
	struct ckpt_task task = { .task = t->no, .tid = t->tid, .xstate = canon };
	autofree char *cmdline = malloc(CMDLINE_MAX);
	autofree const char **argv = malloc(ARGV_MAX * sizeof(*argv));
	char link[64], exe[4096];
	ssize_t n;
	struct trace_ckpt c = {
		.event_no = trace_writer_events(r->w) + 1, .proc = t->proc->no, .pid = t->proc->pid,
		.ppid = parent_of(t), .exe = exe, .brk_start = t->mm->brk_start, .brk = t->mm->brk,
		.n_tasks = 1, .tasks = &task, .n_auxv = n_auxv, .auxv = auxv, .argv = argv,
	};
	struct maps maps = { 0 };
	bool mapped;
	int err;

	if (!cmdline || !argv)
		return -ENOMEM;
	snprintf(link, sizeof(link), "/proc/%d/exe", t->tid);
	n = readlink(link, exe, sizeof(exe) - 1);
	exe[n > 0 ? n : 0] = '\0';
	c.n_argv = (uint32_t)split_argv(cmdline, procfile_read(t->tid, "cmdline", cmdline, CMDLINE_MAX), argv, ARGV_MAX);
	err = remote_getregs(t->tid, &task.regs);
	if (err)
		return err;
	task.n_xstate = (uint32_t)task_settle_xstate(t, canon);
	err = maps_read(t->tid, &maps);
	if (!err)
		err = change_code(r, t, &maps, &mapped);
	if (!err && mapped) {
		maps_free(&maps);
		err = maps_read(t->tid, &maps);
	}
	if (!err)
		err = put_all(r, t, &maps, &c);
	maps_free(&maps);
	if (!err)
		*ret_id = c.id;
	return err;
}

static bool has_linker(const uint64_t (*auxv)[2], uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		if (auxv[i][0] == AT_BASE)
			return auxv[i][1] != 0;
	}
	return false;
}

int ckpt_exec(struct recording *r, struct task *t, uint32_t *ret_id)
{
	uint64_t auxv[AUXV_MAX][2];
	struct user_regs_struct regs;
	uint32_t n_auxv = 0;
	int err = prepare(r, t);

	if (!err)
		err = agent_map(r, t);
	if (!err)
		err = vdso_hidden(t);
	if (!err)
		err = remote_getregs(t->tid, &regs);
	if (!err)
		err = auxv_take(t, regs.rsp, auxv, &n_auxv);
	t->mm->may_interpret = !err && !has_linker(auxv, n_auxv);
	return err ? err : write_down(r, t, auxv, n_auxv, ret_id);
}
