/* What the files of a recorded process in /proc would say if nobody recorded it. */
#include "recorder/agent_int.h"

#include <ctype.h>
#include <elf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "tracee/procfile.h"

/* ---- lists of mappings ---- */

static bool is_ours(uint64_t addr, const struct agent_mm *a)
{
	if (addr >= RL_BASE && addr < RL_END)
		return true;
	for (size_t i = 0; a && i < a->n_blocks; i++) {
		if (a->blocks[i].addr == addr)
			return true;
	}
	return false;
}

/* A line that begins a mapping's entry: its address, in lower case, and `-` or a blank. */
static bool begins_entry(const char *line, uint64_t *ret_addr)
{
	char *end;

	if (!isdigit((unsigned char)*line) && !(*line >= 'a' && *line <= 'f'))
		return false;
	*ret_addr = strtoull(line, &end, 16);
	return *end == '-' || *end == ' ';
}

/* What nobody has executed yet: "ADDRESS-ADDRESS r--p", if the list shows protections. */
static void show_executable(char *line)
{
	char *prot = strchr(line, ' ');

	if (prot && strncmp(prot, " r--", 4) == 0)
		prot[3] = 'x';
}

/* Drop our entries, and show the others as the program made them. False: there is none, so that this is not a process that runs under relive. */
static bool edit_list(struct proc_text *p)
{
	const struct mm *mm = p->of ? p->of->mm : NULL;
	const struct agent_mm *a = mm ? mm->agent : NULL;
	char *to = (char *)p->text.p, *from = to, *end = to + p->text.n;
	bool dropping = false, ours = false;

	while (from < end) {
		char *nl = memchr(from, '\n', (size_t)(end - from));
		size_t n = (size_t)((nl ? nl + 1 : end) - from);
		uint64_t addr;
		bool begins = begins_entry(from, &addr);

		if (begins) {
			dropping = is_ours(addr, a);
			ours = ours || addr == RL_BASE;
		}
		if (!dropping) {
			memmove(to, from, n);
			if (begins && mm && guard_holds(mm, addr))
				show_executable(to);
			to += n;
		}
		from += n;
	}
	p->text.n = (size_t)(to - (char *)p->text.p);
	return ours;
}

/* ---- what it is doing ---- */

/* The kernel finds it stopped by us: it would run, or be stopped by a signal. */
static const char *state_of(const struct task *of)
{
	return of->state == TASK_FROZEN ? "T (stopped)" : "R (running)";
}

static bool is_held_by_us(const struct task *of, char kernel_says)
{
	return kernel_says == 't' && !of->holder;
}

static void replace(struct proc_text *p, char *from, char *end, const char *by)
{
	size_t at = (size_t)(from - (char *)p->text.p), old = (size_t)(end - from), n = strlen(by);

	if (n > old && buf_reserve(&p->text, n - old + 1))
		return;
	from = (char *)p->text.p + at;
	memmove(from + n, from + old, p->text.n - at - old + 1);
	memcpy(from, by, n);
	p->text.n += n - old;
}

/* The value on the line that begins with a name; NULL: there is none. */
static char *value_of(struct proc_text *p, const char *name, char **ret_end)
{
	char *at = strstr((char *)p->text.p, name);

	if (!at || (at > (char *)p->text.p && at[-1] != '\n'))
		return NULL;
	*ret_end = strchr(at, '\n');
	return *ret_end ? at + strlen(name) : NULL;
}

static void set_number(struct proc_text *p, const char *name, long v)
{
	char digits[24], *end, *value = value_of(p, name, &end);

	snprintf(digits, sizeof(digits), "%ld", v);
	if (value)
		replace(p, value, end, digits);
}

/* The recorder is the tracer only of what it records; in a process namespace of the program's nobody sees it. */
static bool edit_status(struct proc_text *p)
{
	char *end, *value = value_of(p, "TracerPid:\t", &end);
	long tracer = value ? strtol(value, NULL, 10) : 0;

	if (!value || (tracer != getpid() && (tracer || !p->of)))
		return false;
	set_number(p, "TracerPid:\t", p->of && p->of->holder ? p->of->holder->proc->pid : 0);
	if (!p->of)
		return true;
	value = value_of(p, "State:\t", &end);
	if (value && is_held_by_us(p->of, *value))
		replace(p, value, end, state_of(p->of));
	if (p->r->outer_filter)
		return true;
	set_number(p, "Seccomp:\t", p->of->filters ? 2 : p->of->sec_strict);
	set_number(p, "Seccomp_filters:\t", seccomp_n_filters(p->of));
	return true;
}

static bool edit_stat(struct proc_text *p)
{
	const char *state = procfile_stat_fields((char *)p->text.p);

	if (p->of && is_held_by_us(p->of, *state))
		p->text.p[state - (char *)p->text.p] = (uint8_t)*state_of(p->of);
	return p->of;
}

static bool is_in_call(const struct proc_text *p)
{
	return p->of->state == TASK_BLOCKED || p->of == p->viewer;
}

static bool set_text(struct proc_text *p, const char *text)
{
	buf_clear(&p->text);
	return buf_put(&p->text, text, strlen(text) + 1) == 0 && p->text.n--;
}

/* As the program has made it: the kernel was given other places for outputs. */
static bool edit_syscall(struct proc_text *p)
{
	struct user_regs_struct e;
	char text[256];

	if (!p->of)
		return false;
	if (!is_in_call(p))
		return set_text(p, "running\n");
	e = p->of->entry;
	agent_fix_rip(p->of, &e);
	snprintf(text, sizeof(text), "%lld 0x%llx 0x%llx 0x%llx 0x%llx 0x%llx 0x%llx 0x%llx 0x%llx\n", (long long)e.orig_rax, e.rdi, e.rsi,
		 e.rdx, e.r10, e.r8, e.r9, e.rsp, e.rip);
	return set_text(p, text);
}

/* The kernel's function in which it waits: one that does not, waits for us. */
static bool edit_wchan(struct proc_text *p)
{
	if (!p->of)
		return false;
	return p->of->state == TASK_BLOCKED || set_text(p, p->of->state == TASK_FROZEN ? "do_signal_stop" : "0");
}

/* ---- what it was told at its start ---- */

static bool edit_auxv(struct proc_text *p)
{
	if (p->of)
		proc_text_auxv(p->text.p, p->text.n);
	return p->of;
}

void proc_text_auxv(uint8_t *bytes, size_t n)
{
	for (size_t at = 0; n - at >= sizeof(Elf64_auxv_t); at += sizeof(Elf64_auxv_t)) {
		Elf64_auxv_t v;

		memcpy(&v, bytes + at, sizeof(v));
		if (v.a_type != AT_SYSINFO_EHDR)
			continue;
		v = (Elf64_auxv_t){ .a_type = AT_IGNORE };
		memcpy(bytes + at, &v, sizeof(v));
	}
}

static const struct proc_edit {
	const char *name;
	bool (*edit)(struct proc_text *p);
} edits[] = {
	{ "maps", edit_list }, { "smaps", edit_list }, { "numa_maps", edit_list }, { "status", edit_status }, { "stat", edit_stat },
	{ "syscall", edit_syscall }, { "wchan", edit_wchan }, { "auxv", edit_auxv },
};

static const struct proc_edit *edit_of(const char *name)
{
	for (size_t i = 0; i < sizeof(edits) / sizeof(edits[0]); i++) {
		if (!strcmp(edits[i].name, name))
			return &edits[i];
	}
	return NULL;
}

const char *proc_text_known(const char *name)
{
	const struct proc_edit *e = edit_of(name);

	return e ? e->name : NULL;
}

bool proc_text_edit(struct proc_text *p, const char *name)
{
	return edit_of(name)->edit(p);
}
