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
#include "tracee/xstate.h"

static const uint8_t stub_code[] = { 0x0f, 0x05, 0xcc };   /* syscall; int3 */

/* The first injected call has no stub to run at: borrow the bytes at the entry point. */
static int call_at_entry(struct task *t, long nr, const uint64_t arg[6], int64_t *ret)
{
	struct remote remote = { .tid = t->tid };
	struct user_regs_struct regs;
	uint8_t saved[sizeof(stub_code)];
	uint64_t mask;
	int err = remote_getregs(t->tid, &regs);

	if (err)
		return err;
	remote.site = regs.rip;
	err = mem_read(t->mm->mem_fd, regs.rip, saved, sizeof(saved));
	if (!err)
		err = mem_write(t->mm->mem_fd, regs.rip, stub_code, sizeof(stub_code));
	if (!err)
		err = task_mask_signals(t, &mask);
	if (err)
		return err;
	err = remote_call(&remote, nr, arg, ret);
	if (!err)
		err = task_unmask_signals(t, mask);
	if (!err)
		err = mem_write(t->mm->mem_fd, regs.rip, saved, sizeof(saved));
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
	err = mem_write(t->mm->mem_fd, RL_STUB, stub_code, sizeof(stub_code));
	if (err)
		return err;
	err = task_call(t, SYS_mmap, REMOTE_ARGS(RL_DATA, RL_END - RL_DATA, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE | MAP_NORESERVE, -1ull, 0), &at);
	if (err)
		return err;
	return at == (int64_t)RL_DATA ? 0 : -RL_EUNSUPPORTED;
}

/* Find the auxiliary vector above argc, argv and envp (System V ABI, figure 3.9). */
static int auxv_locate(struct task *t, uint64_t sp, uint64_t *ret_addr)
{
	uint64_t word, at = sp;

	if (mem_read(t->mm->mem_fd, at, &word, 8))
		return -EFAULT;
	at += 8 + (word + 1) * 8;
	do {
		if (mem_read(t->mm->mem_fd, at, &word, 8))
			return -EFAULT;
		at += 8;
	} while (word);
	*ret_addr = at;
	return 0;
}

#define AUXV_MAX 64

/* Read the vector, with the vDSO taken out: what would read the clock behind our back must not exist. */
static int auxv_take(struct task *t, uint64_t sp, uint64_t (*out)[2], uint32_t *ret_n)
{
	uint64_t at;
	uint32_t n = 0;
	int err = auxv_locate(t, sp, &at);

	if (err)
		return err;
	for (; n < AUXV_MAX; n++, at += 16) {
		err = mem_read(t->mm->mem_fd, at, out[n], 16);
		if (err)
			return err;
		if (out[n][0] == AT_SYSINFO_EHDR) {
			out[n][0] = AT_IGNORE;
			out[n][1] = 0;
			err = mem_write(t->mm->mem_fd, at, out[n], 16);
			if (err)
				return err;
		}
		if (out[n][0] == AT_NULL) {
			n++;
			break;
		}
	}
	*ret_n = n;
	return 0;
}

static int drop_vdso(struct task *t)
{
	struct maps maps = { 0 };
	int err = maps_read(t->tid, &maps);

	for (size_t i = 0; !err && i < maps.n; i++) {
		const struct mapping *m = &maps.v[i];
		int64_t result;

		if (strncmp(m->name, "[vdso", 5) == 0 || strncmp(m->name, "[vvar", 5) == 0)
			err = task_call(t, SYS_munmap, REMOTE_ARGS(m->start, m->end - m->start), &result);
	}
	maps_free(&maps);
	return err;
}

static int trap_instructions(struct recording *r, struct task *t)
{
	int64_t result;
	int err = task_call(t, SYS_prctl, REMOTE_ARGS(PR_SET_TSC, PR_TSC_SIGSEGV), &result);

	if (!err && r->cpuid_faults)
		err = task_call(t, SYS_arch_prctl, REMOTE_ARGS(ARCH_SET_CPUID, 0), &result);
	return err;
}

/* ---- writing it down ---- */

struct ckpt_build {
	struct ckpt_map *maps;
	size_t n_maps, cap_maps;
	struct ckpt_page *pages;
	size_t n_pages, cap_pages;
};

static int put_pages(struct recording *r, struct task *t, struct ckpt_build *b, const struct mapping *m, int pagemap)
{
	struct page_runs runs = { 0 };
	int err = pagemap_runs(pagemap, m->start, m->end, &runs);

	for (size_t i = 0; !err && i < runs.n; i++) {
		if (!page_is_anon(runs.v[i].flags))
			continue;
		for (uint64_t at = runs.v[i].start; !err && at < runs.v[i].end; at += TRACE_PAGE) {
			struct ckpt_page *p = GROW(b->pages, b->n_pages, b->cap_pages);
			uint8_t bytes[TRACE_PAGE];

			if (!p)
				err = -ENOMEM;
			if (!err)
				err = mem_read(t->mm->mem_fd, at, bytes, sizeof(bytes));
			if (!err) {
				p->addr = at;
				err = trace_put_page(r->w, bytes, &p->page_id);
				b->n_pages++;
			}
		}
	}
	page_runs_free(&runs);
	return err;
}

static int put_mapping(struct recording *r, struct task *t, struct ckpt_build *b, const struct maps *maps,
		       const struct mapping *m, int pagemap)
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
		err = object_of_mapping(r, t, m, &c->obj);
		if (!err)
			err = trap_sites(r, t, m, c->obj, false);
		if (err)
			return err;
	}
	b->n_maps++;
	return m->shared ? 0 : put_pages(r, t, b, m, pagemap);
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

static size_t read_cmdline(pid_t tid, char *out, size_t max)
{
	char path[64];
	autoclose int fd = -1;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/cmdline", tid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? 0 : read(fd, out, max - 1);
	if (n < 0)
		n = 0;
	out[n] = '\0';
	return (size_t)n;
}

static pid_t parent_of(struct task *t)
{
	char path[64], text[512], *paren;
	autoclose int fd = -1;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/stat", t->tid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (n <= 0)
		return 0;
	text[n] = '\0';
	paren = strrchr(text, ')');
	return paren ? (pid_t)strtol(paren + 4, NULL, 10) : 0;
}

static int put_all(struct recording *r, struct task *t, const struct maps *maps, struct trace_ckpt *c)
{
	struct ckpt_build b = { 0 };
	autoclose int pagemap = pagemap_open(t->tid);
	int err = pagemap < 0 ? pagemap : 0;

	for (size_t i = 0; !err && i < maps->n; i++) {
		if (!is_ours(&maps->v[i]))
			err = put_mapping(r, t, &b, maps, &maps->v[i], pagemap);
	}
	if (!err) {
		c->maps = b.maps;
		c->n_maps = (uint32_t)b.n_maps;
		c->pages = b.pages;
		c->n_pages = (uint32_t)b.n_pages;
		err = trace_put_ckpt(r->w, c, &c->id);
	}
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
	int err;

	if (!cmdline || !argv)
		return -ENOMEM;
	snprintf(link, sizeof(link), "/proc/%d/exe", t->tid);
	n = readlink(link, exe, sizeof(exe) - 1);
	exe[n > 0 ? n : 0] = '\0';
	c.n_argv = (uint32_t)split_argv(cmdline, read_cmdline(t->tid, cmdline, CMDLINE_MAX), argv, ARGV_MAX);
	err = remote_getregs(t->tid, &task.regs);
	if (err)
		return err;
	task.n_xstate = (uint32_t)task_settle_xstate(t, canon);
	err = maps_read(t->tid, &maps);
	if (!err)
		err = put_all(r, t, &maps, &c);
	maps_free(&maps);
	if (!err)
		*ret_id = c.id;
	return err;
}

int ckpt_exec(struct recording *r, struct task *t, uint32_t *ret_id)
{
	uint64_t auxv[AUXV_MAX][2];
	struct user_regs_struct regs;
	uint32_t n_auxv = 0;
	int64_t brk = 0;
	int err = map_stub(t);

	if (!err)
		err = agent_map(r, t);
	if (!err)
		err = trap_instructions(r, t);
	if (!err)
		err = drop_vdso(t);
	if (!err)
		err = remote_getregs(t->tid, &regs);
	if (!err)
		err = auxv_take(t, regs.rsp, auxv, &n_auxv);
	if (!err)
		err = task_call(t, SYS_brk, REMOTE_ARGS(0), &brk);
	if (err)
		return err;
	t->mm->brk_start = t->mm->brk = (uint64_t)brk;
	return write_down(r, t, auxv, n_auxv, ret_id);
}
