/* Tasks, processes and address spaces: how they begin and end. */
#include "recorder/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include "common/err.h"
#include "common/grow.h"
#include "common/log.h"
#include "recorder/agent.h"
#include "tracee/layout.h"
#include "tracee/procfile.h"

struct mm *mm_new(pid_t tid)
{
	struct mm *mm = calloc(1, sizeof(*mm));

	if (!mm)
		return NULL;
	mm->mem_fd = remote_open_mem(tid);
	return mm;
}

void mm_put(struct mm *mm)
{
	if (!mm || --mm->refs > 0)
		return;
	if (mm->pages)
		pagetrack_close(mm->pages);
	page_list_free(&mm->kept);
	if (mm->mem_fd >= 0)
		close(mm->mem_fd);
	agent_free(mm->agent);
	free(mm->mmap_stacks);
	free(mm->growing);
	free(mm->guards);
	free(mm);
}

struct proc *proc_add(struct recording *r, pid_t pid, struct mm *mm)
{
	struct proc *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	p->no = ++r->n_procs_ever;
	p->pid = pid;
	p->mm = mm;
	p->next = r->procs;
	r->procs = p;
	return p;
}

static void proc_put(struct recording *r, struct proc *p)
{
	if (--p->n_tasks > 0)
		return;
	for (struct proc **at = &r->procs; *at; at = &(*at)->next) {
		if (*at == p) {
			*at = p->next;
			break;
		}
	}
	free(p);
}

static void take_slot(struct task *t)
{
	for (size_t i = 0; i < RL_SCRATCH_SLOTS; i++) {
		if (!t->mm->slot_used[i]) {
			t->mm->slot_used[i] = 1;
			t->slot = (int)i;
			return;
		}
	}
}

static void leave_mm(struct task *t)
{
	if (t->slot >= 0)
		t->mm->slot_used[t->slot] = 0;
	t->slot = -1;
	mm_put(t->mm);
	t->mm = NULL;
}

static void enter_mm(struct task *t, struct mm *mm)
{
	t->mm = mm;
	mm->refs++;
	take_slot(t);
}

struct task *task_add(struct recording *r, pid_t tid, struct proc *p, struct mm *mm)
{
	struct task *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->no = ++r->n_tasks_ever;
	t->cpus = r->cpus;
	t->tid = tid;
	t->proc = p;
	t->restart_nr = -1;
	t->slot = -1;
	t->stat_fd = -1;
	p->n_tasks++;
	enter_mm(t, mm);
	t->next = r->tasks;
	r->tasks = t;
	return t;
}

struct task *task_by_tid(struct recording *r, pid_t tid)
{
	struct task *t = r->tasks;

	while (t && t->tid != tid)
		t = t->next;
	return t;
}

void task_remove(struct recording *r, struct task *t)
{
	nested_ended(r, t);
	for (struct task **at = &r->tasks; *at; at = &(*at)->next) {
		if (*at == t) {
			*at = t->next;
			break;
		}
	}
	if (r->current == t)
		r->current = NULL;
	if (t->stat_fd >= 0)
		close(t->stat_fd);
	if (t->mm)
		leave_mm(t);
	proc_put(r, t->proc);
	sys_ranges_free(&t->kept);
	buf_free(&t->kept_bytes);
	free(t->learn);
	free(t->verify);
	sysplan_free(&t->plan);
	free(t);
}

static int memory_read(void *ctx, uint64_t addr, void *out, size_t n)
{
	return mem_read(((struct task *)ctx)->mm->mem_fd, addr, out, n);
}

struct sys_mem task_memory(struct task *t)
{
	return (struct sys_mem){ .read = memory_read, .ctx = t };
}

int task_mask_signals(struct task *t, uint64_t *ret_old)
{
	/* Not SIGTRAP: our own traps would make the kernel reset the program's handler for it. */
	uint64_t all = ~(1ull << (SIGTRAP - 1));

	if (ptrace(PTRACE_GETSIGMASK, t->tid, sizeof(*ret_old), ret_old) < 0 ||
	    ptrace(PTRACE_SETSIGMASK, t->tid, sizeof(all), &all) < 0)
		return errno == ESRCH ? -RL_EGONE : -errno;
	return 0;
}

int task_unmask_signals(struct task *t, uint64_t old)
{
	if (ptrace(PTRACE_SETSIGMASK, t->tid, sizeof(old), &old) < 0)
		return errno == ESRCH ? -RL_EGONE : -errno;
	return 0;
}

/* A group's stop may have been ended by SIGCONT meanwhile, and another SIGSTOP would not be: the kernel tells at the next stop. */
void task_halt_again(struct task *t, enum halt how)
{
	if (how == HALT_GROUP)
		(void)ptrace(PTRACE_INTERRUPT, t->tid, 0, 0);
	else if (how == HALT_SIGNAL)
		(void)syscall(SYS_tgkill, t->proc->pid, t->tid, SIGSTOP);
}

int task_call(struct task *t, long nr, const uint64_t arg[6], int64_t *ret)
{
	enum halt halted = HALT_NO;
	struct remote remote = { .tid = t->tid, .site = RL_STUB_CALL, .ret_halted = &halted };
	uint64_t mask;
	int err = task_mask_signals(t, &mask);

	if (err)
		return err;
	err = remote_call(&remote, nr, arg, ret);
	if (!err)
		err = task_unmask_signals(t, mask);
	task_halt_again(t, halted);
	return err;
}

int task_calls(struct task *t, struct remote_op *ops, size_t n)
{
	enum halt halted = HALT_NO;
	struct remote remote = { .tid = t->tid, .site = RL_STUB_CALL, .ret_halted = &halted };
	uint64_t mask;
	int err = task_mask_signals(t, &mask);

	if (err)
		return err;
	err = remote_calls(&remote, t->mm->mem_fd, RL_CALLS, ops, n);
	if (!err)
		err = task_unmask_signals(t, mask);
	task_halt_again(t, halted);
	return err;
}

size_t task_settle_xstate(struct task *t, uint8_t *canon)
{
	static struct xstate now, same;
	size_t n;

	if (xstate_read(t->tid, &now))
		return 0;
	n = xstate_canon(&now, canon);
	if (xstate_from_canon(canon, n, now.n, &same) == 0)
		(void)xstate_write(t->tid, &same);
	return n;
}

/* ---- birth ---- */

static void child_stack(struct task *child, const struct task *parent, const struct sys_clone *c)
{
	if (!(c->flags & CLONE_VM) || !c->stack) {
		child->stack = parent->stack;
		return;
	}
	if (c->stack_len) {
		child->stack = (struct stack_range){ c->stack, c->stack + c->stack_len };
		return;
	}
	for (size_t i = 0; i < parent->mm->n_mmap_stacks; i++) {
		struct stack_range s = parent->mm->mmap_stacks[i];

		if (c->stack > s.start && c->stack <= s.end)
			child->stack = s;
	}
}

static struct task *child_make(struct recording *r, struct task *parent, pid_t tid, const struct sys_clone *c)
{
	struct mm *mm = parent->mm;
	struct proc *p = parent->proc;

	if (!(c->flags & CLONE_VM)) {
		mm = mm_new(tid);
		if (!mm)
			return NULL;
		mm->brk_start = parent->mm->brk_start;
		mm->brk = parent->mm->brk;
		agent_inherit(mm, parent->mm);
		guard_inherit(mm, parent->mm);
		mm->has_shared = parent->mm->has_shared;
		mm->undumpable = parent->mm->undumpable;
		mm->tsc_own = parent->mm->tsc_own;
		mm->tsc_traps = parent->mm->tsc_traps;
		mm->stack_low = parent->mm->stack_low;
		mm->stack_top = parent->mm->stack_top;
		for (size_t i = 0; i < parent->mm->n_mmap_stacks; i++) {
			struct stack_range *s = GROW(mm->mmap_stacks, mm->n_mmap_stacks, mm->cap_mmap_stacks);

			if (s) {
				*s = parent->mm->mmap_stacks[i];
				mm->n_mmap_stacks++;
			}
		}
		for (size_t i = 0; i < parent->mm->n_growing; i++) {
			struct stack_range *s = GROW(mm->growing, mm->n_growing, mm->cap_growing);

			if (s) {
				*s = parent->mm->growing[i];
				mm->n_growing++;
			}
		}
	}
	if (!(c->flags & CLONE_THREAD))
		p = proc_add(r, tid, mm);
	return p ? task_add(r, tid, p, mm) : NULL;
}

static void child_first_stop(struct recording *r, pid_t tid)
{
	struct stop s;

	for (struct early_stop **at = &r->early; *at; at = &(*at)->next) {
		if ((*at)->tid == tid) {
			struct early_stop *e = *at;

			*at = e->next;
			free(e);
			return;
		}
	}
	remote_wait(tid, &s);
}

void task_new_child(struct recording *r, struct task *parent)
{
	struct sys_clone c = { 0 };
	struct ev_new_task *nt = &parent->child;
	unsigned long msg;
	struct task *child;
	pid_t tid;

	struct sys_mem mem = task_memory(parent);

	if (ptrace(PTRACE_GETEVENTMSG, parent->tid, 0, &msg) < 0 || sys_clone_decode(&parent->call, &mem, &c))
		return;
	tid = (pid_t)msg;
	child_first_stop(r, tid);
	child = child_make(r, parent, tid, &c);
	if (!child) {
		r->err = -ENOMEM;
		return;
	}
	child_stack(child, parent, &c);
	agent_new_child(parent, child, c.flags);
	child->segv_blocked = parent->segv_blocked;
	child->tsc_faults = parent->tsc_faults;
	child->read_is_exec = parent->read_is_exec;
	child->cpus = parent->cpus;
	child->tsc_due = parent->tsc_due;
	seccomp_inherit(child, parent);
	if (child->proc != parent->proc && !(c.flags & CLONE_CLEAR_SIGHAND))
		child->proc->segv = parent->proc->segv;
	if (c.flags & CLONE_CHILD_CLEARTID)
		child->clear_tid = c.child_tid;
	parent->child_settid = c.flags & CLONE_CHILD_SETTID ? c.child_tid : 0;
	/* In a process namespace of its own it is another number than ours. */
	if (!parent->child_settid || mem_read(child->mm->mem_fd, c.child_tid, &parent->child_sees, sizeof(parent->child_sees)))
		parent->child_sees = tid;
	nt->task = child->no;
	nt->proc = child->proc->no;
	nt->tid = tid;
	nt->pid = child->proc->pid;
	nt->flags = (c.flags & CLONE_VM ? NT_VM : 0) | (c.flags & CLONE_THREAD ? NT_THREAD : 0) |
		    (c.flags & CLONE_VFORK ? NT_VFORK : 0);
	remote_getregs(tid, &nt->regs);
	log_debug("task %u (%d) made task %u (%d) flags %llx", parent->no, parent->tid, child->no, tid,
		  (unsigned long long)c.flags);
	if (c.flags & CLONE_VFORK) {
		/* The parent sleeps in the kernel until the child lets go of its memory. */
		ev_begin(r, parent, EV_SYSCALL_ENTER);
		r->ev.flags = EVF_BEFORE;
		r->ev.nr = parent->call.nr;
		r->ev.before = parent->entry;
		clock_verify_put(r, parent);
		r->ev.new_task = *nt;
		ev_child_settid(r, parent);
		ev_end(r);
		nt->task = 0;
		parent->entered = true;
		parent->state = TASK_BLOCKED;
	}
}

void ev_child_settid(struct recording *r, struct task *parent)
{
	if (parent->child_settid)
		ev_write_bytes(r, parent->child.task, parent->child_settid, &parent->child_sees, sizeof(parent->child_sees));
}

/* ---- death ---- */

#define ROBUST_MAX 2048

/* Addresses of the futex words that the kernel may mark when the task dies: see set_robust_list(2). */
static size_t robust_words(const struct task *t, uint64_t *out, size_t max)
{
	struct { uint64_t next; int64_t offset; uint64_t pending; } head;
	uint64_t at;
	size_t n = 0;

	if (!t->robust_list || mem_read(t->mm->mem_fd, t->robust_list, &head, sizeof(head)))
		return 0;
	if (head.pending)
		out[n++] = (head.pending & ~1ull) + (uint64_t)head.offset;
	for (at = head.next & ~1ull; at != t->robust_list && n < max; at &= ~1ull) {
		out[n++] = at + (uint64_t)head.offset;
		if (mem_read(t->mm->mem_fd, at, &at, sizeof(at)))
			break;
	}
	return n;
}

static bool is_over(pid_t pid, pid_t tid)
{
	char file[64], text[512];

	snprintf(file, sizeof(file), "task/%d/stat", tid);
	procfile_read(pid, file, text, sizeof(text));
	/*
	 * Nothing: no longer there. 't': not the task that we let go, which stops no more, but a thread that executed and
	 * took its id.
	 */
	return strchr("ZXt", *procfile_stat_fields(text)) != NULL;
}

bool task_is_last(const struct recording *r, const struct task *t)
{
	for (const struct task *o = r->tasks; o; o = o->next) {
		if (o != t && o->proc == t->proc && o->state != TASK_DEAD)
			return false;
	}
	return true;
}

/* A robust futex word in shared memory, and what the kernel will leave there. */
struct shared_word {
	uint32_t obj;
	uint64_t off;
	uint32_t value;
};

#define FUTEX_TID_MASK_ 0x3fffffffu
#define FUTEX_OWNER_DIED_ 0x40000000u
#define FUTEX_WAITERS_ 0x80000000u

/* When the last task of a memory dies, what it shares with others lives on; its own view of it does not. */
static size_t shared_words(struct recording *r, struct task *t, const uint64_t *words, size_t n, struct shared_word *out)
{
	struct maps maps = { 0 };
	size_t n_out = 0;

	if (!n || !t->mm->has_shared || maps_read(t->tid, &maps))
		return 0;
	for (size_t i = 0; i < n; i++) {
		const struct mapping *m = maps_find(&maps, words[i]);
		struct object_entry *o = m && m->shared ? object_shared(r, m->dev, m->ino, 0) : NULL;
		uint32_t v;

		if (!o || mem_read(t->mm->mem_fd, words[i], &v, sizeof(v)) || (v & FUTEX_TID_MASK_) != (uint32_t)t->tid)
			continue;
		out[n_out++] = (struct shared_word){ o->id, m->off + (words[i] - m->start),
						     (v & FUTEX_WAITERS_) | FUTEX_OWNER_DIED_ };
	}
	maps_free(&maps);
	return n_out;
}

static bool is_alone(const struct recording *r, const struct task *t)
{
	for (const struct task *o = r->tasks; o; o = o->next) {
		if (o != t && o->state != TASK_DEAD)
			return false;
	}
	return true;
}

/* A task in PTRACE_EVENT_EXIT: let it die, and record what the kernel writes while it does. */
void task_exiting(struct recording *r, struct task *t)
{
	uint64_t words[ROBUST_MAX + 1];
	static struct shared_word shared[ROBUST_MAX + 1];
	size_t n_words = robust_words(t, words, ROBUST_MAX);
	bool last_of_mm = t->mm->refs == 1;
	size_t n_shared = last_of_mm ? shared_words(r, t, words, n_words, shared) : 0;
	unsigned long code = 0;
	int status;

	if (last_of_mm && (t->mm->has_shared || is_alone(r, t)))
		outsider_look_again(r, is_alone(r, t));
	ptrace(PTRACE_GETEVENTMSG, t->tid, 0, &code);
	status = (int)code;
	syscall_enter(r, t);
	t->state = TASK_DYING;
	if (remote_resume(t->tid, PTRACE_CONT, 0))
		log_debug("task %u vanished before its end", t->no);
	/* A leader with living threads stays a zombie that wait(2) does not report: so ask /proc. */
	while (!is_over(t->proc->pid, t->tid))
		sched_yield();

	ev_begin(r, t, EV_EXIT);
	r->ev.status = status;
	if (task_is_last(r, t))
		r->ev.flags |= EVF_PROC_EXIT;
	if (!last_of_mm) {
		for (size_t i = 0; i < n_words; i++)
			ev_write_memory(r, t, words[i], 4);
		if (t->clear_tid)
			ev_write_memory(r, t, t->clear_tid, 4);
	}
	/* Its memory lives on in other tasks: name one of them as the place of the writes. */
	for (struct task *o = r->tasks; o; o = o->next) {
		if (o != t && o->mm == t->mm && o->state != TASK_DEAD) {
			for (size_t i = 0; i < r->n_writes; i++)
				r->writes[i].task = o->no;
			break;
		}
	}
	for (size_t i = 0; i < n_shared; i++)
		ev_write_bytes(r, EV_WRITE_OBJECT | shared[i].obj, shared[i].off, &shared[i].value, 4);
	ev_end(r);
	t->state = TASK_DEAD;
	t->have_stop = false;
	nested_ended(r, t);
	leave_mm(t);
}

/* wait(2) reported the end of a task. */
void task_died(struct recording *r, struct task *t, int status)
{
	if (t->tid == r->root_pid) {
		r->root_done = true;
		r->root_status = status;
	}
	if (t->state != TASK_DEAD) {
		/* No PTRACE_EVENT_EXIT came: killed while it was being stopped. */
		syscall_enter(r, t);
		ev_begin(r, t, EV_EXIT);
		r->ev.status = status;
		if (task_is_last(r, t))
			r->ev.flags |= EVF_PROC_EXIT;
		ev_end(r);
	}
	task_remove(r, t);
}

/* ---- exec ---- */

/* The threads of a process that executes are gone; a thread that is not the leader takes the leader's id. */
static struct task *exec_survivor(struct recording *r, pid_t tgid, pid_t former)
{
	struct task *t = task_by_tid(r, former);
	struct task *leader = task_by_tid(r, tgid);

	if (!t || t == leader)
		return leader;
	if (leader) {
		if (leader->state != TASK_DEAD) {
			ev_begin(r, leader, EV_EXIT);
			ev_end(r);
		}
		task_remove(r, leader);
	}
	if (t->stat_fd >= 0)
		close(t->stat_fd);
	t->stat_fd = -1;
	t->tid = tgid;
	return t;
}

static int run_to_syscall_exit(struct task *t)
{
	struct stop s;
	int err;

	do {
		err = remote_resume(t->tid, PTRACE_SYSCALL, 0);
		if (!err)
			err = remote_wait(t->tid, &s);
		if (err)
			return err;
		if (s.kind == TS_DEAD || s.kind == TS_EXITING)
			return -RL_EGONE;
	} while (s.kind != TS_SYSCALL);
	return 0;
}

int task_execed(struct recording *r, struct task *t)
{
	unsigned long former = (unsigned long)t->tid;
	struct mm *mm;
	uint32_t ckpt;
	int err;

	ptrace(PTRACE_GETEVENTMSG, t->proc->pid, 0, &former);
	t = exec_survivor(r, t->proc->pid, (pid_t)former);
	if (!t)
		return -RL_EGONE;
	r->current = t;
	err = run_to_syscall_exit(t);
	if (err)
		return err;
	syscall_enter(r, t);
	leave_mm(t);
	mm = mm_new(t->tid);
	if (!mm)
		return -ENOMEM;
	enter_mm(t, mm);
	t->proc->mm = mm;
	t->entered = false;
	t->have_plan = false;
	t->state = TASK_READY;
	t->where = AT_USER;
	t->clear_tid = t->robust_list = 0;
	t->restart_nr = -1;
	t->read_is_exec = false;
	signal_note_mask(t);
	if (t->proc->segv.handler != (uint64_t)(uintptr_t)SIG_IGN)
		memset(&t->proc->segv, 0, sizeof(t->proc->segv));
	err = ckpt_exec(r, t, &ckpt);
	if (err)
		return err;
	ev_begin(r, t, EV_EXEC);
	r->ev.ckpt = ckpt;
	ev_end(r);
	nested_execed(r, t);
	return 0;
}
