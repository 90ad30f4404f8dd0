/* Host processes: emptied processes of ours in which recorded address spaces live again. */
#include "replayer/host.h"

#include <asm/prctl.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/rseq.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include "agent/abi.h"
#include "common/err.h"
#include "common/grow.h"
#include "common/log.h"
#include "common/scope.h"
#include "tracee/confine.h"
#include "tracee/layout.h"
#include "tracee/maps.h"
#include "tracee/remote.h"

#define RSEQ_UNREGISTER 1   /* RSEQ_FLAG_UNREGISTER of linux/rseq.h */
#define USER_END 0x7ffffffff000ull

#define HOST_OPTIONS (PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK | PTRACE_O_EXITKILL)

/*
 * The kernel writes into a thread's rseq area at every switch, also when its memory is gone: then it kills. The area's
 * registered length depends on the C library; it must be named exactly.
 */
static int leave_rseq(void)
{
	char *area = (char *)__builtin_thread_pointer() + __rseq_offset;

	if (!__rseq_size)
		return 0;
	for (unsigned len = 32; len <= 1024; len += 4) {
		if (syscall(SYS_rseq, area, len, RSEQ_UNREGISTER, RSEQ_SIG) == 0)
			return 0;
	}
	return -1;
}

/* In the new process: lay the stub, give up everything else, and stop. */
static void host_main(int go_fd, bool trap_cpuid)
{
	sigset_t alarm;
	char byte;
	void *stub, *data;

	if (read(go_fd, &byte, 1) != 1)
		_exit(125);
	stub = mmap((void *)RL_STUB, 0x1000, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	data = mmap((void *)RL_DATA, RL_END - RL_DATA, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE | MAP_NORESERVE, -1, 0);
	if (stub != (void *)RL_STUB || data != (void *)RL_DATA)
		_exit(125);
	memcpy(stub, remote_stub, sizeof(remote_stub));
	mprotect(stub, 0x1000, PROT_READ | PROT_EXEC);
	syscall(SYS_close_range, 0, ~0u, 0);
	/* Only timed.c waits for it. */
	sigemptyset(&alarm);
	sigaddset(&alarm, SIGALRM);
	sigprocmask(SIG_BLOCK, &alarm, NULL);
	prctl(PR_SET_TSC, PR_TSC_SIGSEGV, 0, 0, 0);
	if (trap_cpuid && syscall(SYS_arch_prctl, ARCH_SET_CPUID, 0) < 0)
		_exit(125);
	if (leave_rseq() || confine_replayed(RL_STUB_CALL + 2, AGENT_SYSCALL + 2))
		_exit(125);
	for (;;)
		__asm__ volatile("int3");
}

static int host_failed(long nr, const uint64_t arg[6], int64_t ret)
{
	log_debug("host: call %ld(%llx, %llx, %llx, %llx): %s", nr, (unsigned long long)arg[0], (unsigned long long)arg[1],
		  (unsigned long long)arg[2], (unsigned long long)arg[3], rl_strerror((int)-ret));
	return (int)ret;
}

static int host_call(pid_t tid, long nr, const uint64_t arg[6], int64_t *ret)
{
	struct remote r = { .tid = tid, .site = RL_STUB_CALL };
	int err = remote_call(&r, nr, arg, ret);

	return !err && *ret < 0 && *ret >= -4095 ? host_failed(nr, arg, *ret) : err;
}

static struct host *host_new(pid_t pid)
{
	struct host *h = calloc(1, sizeof(*h));

	if (!h)
		return NULL;
	h->pid = pid;
	h->mem_fd = remote_open_mem(pid);
	return h;
}

static int host_empty(pid_t pid)
{
	int64_t r;
	int err = host_call(pid, SYS_munmap, REMOTE_ARGS(0, RL_BASE), &r);

	return err ? err : host_call(pid, SYS_munmap, REMOTE_ARGS(RL_END, USER_END - RL_END), &r);
}

int host_spawn(bool trap_cpuid, struct host **ret)
{
	struct stop s;
	int go[2], err;
	pid_t pid;

	if (pipe2(go, O_CLOEXEC) < 0)
		return -errno;
	pid = fork();
	if (pid == 0)
		host_main(go[0], trap_cpuid);
	close(go[0]);
	err = pid < 0 ? -errno : 0;
	if (!err && ptrace(PTRACE_SEIZE, pid, 0, HOST_OPTIONS) < 0)
		err = -errno;
	if (!err && write(go[1], "g", 1) != 1)
		err = -EIO;
	close(go[1]);
	if (pid < 0)
		return err;
	do {
		if (!err)
			err = remote_wait(pid, &s);
		if (!err && s.kind == TS_DEAD)
			err = -RL_EUNSUPPORTED;
		if (!err && !(s.kind == TS_SIGNAL && s.sig == SIGTRAP))
			err = remote_resume(pid, PTRACE_CONT, 0);
	} while (!err && !(s.kind == TS_SIGNAL && s.sig == SIGTRAP));
	if (!err)
		err = host_empty(pid);
	*ret = err ? NULL : host_new(pid);
	if (!*ret) {
		kill(pid, SIGKILL);
		waitpid(pid, NULL, __WALL);
		return err ? err : -ENOMEM;
	}
	return 0;
}

static int clone_in(pid_t tid, uint64_t flags, pid_t *ret_tid)
{
	struct stop s;
	int64_t made;
	int err = host_call(tid, SYS_clone, REMOTE_ARGS(flags), &made);

	if (err)
		return err;
	err = remote_wait((pid_t)made, &s);
	if (err)
		return err;
	*ret_tid = (pid_t)made;
	return s.kind == TS_DEAD ? -RL_EGONE : 0;
}

int host_thread(struct host *h, pid_t tid, pid_t *ret_tid)
{
	pid_t *slot = GROW(h->threads, h->n_threads, h->cap_threads);
	int err;

	if (!slot)
		return -ENOMEM;
	err = clone_in(tid, CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM, slot);
	if (err)
		return err;
	*ret_tid = *slot;
	h->n_threads++;
	return 0;
}

int host_fork(struct host *h, pid_t tid, struct host **ret)
{
	struct host *c;
	pid_t pid;
	/* CLONE_PARENT: all hosts are our own children, so that each can be waited for. */
	int err = clone_in(tid, CLONE_PARENT | SIGCHLD, &pid);

	if (err)
		return err;
	c = host_new(pid);
	if (!c)
		return -ENOMEM;
	*ret = c;
	c->ahead = h->ahead;
	return shared_copy(&c->shared, &h->shared);
}

int host_end_thread(struct host *h, pid_t tid)
{
	struct remote r = { .tid = tid, .site = RL_STUB_CALL };
	int64_t result;
	int err = remote_call(&r, SYS_exit, REMOTE_ARGS(0), &result);

	for (size_t i = 0; i < h->n_threads; i++) {
		if (h->threads[i] == tid)
			h->threads[i--] = h->threads[--h->n_threads];
	}
	return err == -RL_EGONE ? 0 : err;
}

static void reap(pid_t tid)
{
	int status;

	do {
		while (waitpid(tid, &status, __WALL) < 0) {
			if (errno != EINTR)
				return;
		}
	} while (WIFSTOPPED(status));
}

void host_kill(struct host *h)
{
	if (!h)
		return;
	kill(h->pid, SIGKILL);
	/* A leader is reported only when its threads have been. */
	for (size_t i = 0; i < h->n_threads; i++)
		reap(h->threads[i]);
	reap(h->pid);
	free(h->threads);
	if (h->mem_fd >= 0)
		close(h->mem_fd);
	shared_free(&h->shared);
	free(h);
}

/* ---- the address space ---- */

#define PATH_BYTES 32
#define N_PATHS ((RL_CALLS - RL_DATA) / PATH_BYTES)

/* Calls that are to be made in a host, collected so that they cost one stop. */
struct calls {
	struct host *h;
	pid_t tid;
	struct remote_op op[RL_CALLS_MAX];
	size_t n;
	char path[N_PATHS][PATH_BYTES];   /* as they will stand at RL_DATA */
	size_t n_paths;
};

static int calls_make(struct calls *c)
{
	struct remote r = { .tid = c->tid, .site = RL_STUB_CALL };
	int err = 0;

	if (!c->n)
		return 0;
	if (c->n_paths)
		err = mem_write(c->h->mem_fd, RL_DATA, c->path, c->n_paths * PATH_BYTES);
	if (!err)
		err = remote_calls(&r, c->h->mem_fd, RL_CALLS, c->op, c->n);
	for (size_t i = 0; !err && i < c->n; i++) {
		const struct remote_op *op = &c->op[i];

		if (op->ret < 0 && op->ret >= -4095)
			err = host_failed((long)op->nr, op->arg, op->ret);
	}
	c->n = c->n_paths = 0;
	return err;
}

/* Make room for @n calls that belong together. */
static int calls_room(struct calls *c, size_t n)
{
	return c->n + n > RL_CALLS_MAX || c->n_paths == N_PATHS ? calls_make(c) : 0;
}

static void calls_add(struct calls *c, long nr, const uint64_t arg[6])
{
	struct remote_op *op = &c->op[c->n++];

	op->nr = (uint64_t)nr;
	memcpy(op->arg, arg, sizeof(op->arg));
	op->ret = 0;
}

static int add_call(struct calls *c, long nr, const uint64_t arg[6])
{
	int err = calls_room(c, 1);

	if (!err)
		calls_add(c, nr, arg);
	return err;
}

static int map_object(struct calls *c, struct objects *o, const struct ev_asop *op)
{
	int own = objects_fd(o, op->obj);
	int err = own < 0 ? own : calls_room(c, 3);

	if (err)
		return err;
	snprintf(c->path[c->n_paths], PATH_BYTES, "/proc/%d/fd/%d", getpid(), own);
	calls_add(c, SYS_openat, REMOTE_ARGS((uint64_t)AT_FDCWD, RL_DATA + PATH_BYTES * c->n_paths++,
		  op->flags & AS_SHARED ? O_RDWR : O_RDONLY));
	/* A host has no descriptors: that one is the lowest. */
	calls_add(c, SYS_mmap, REMOTE_ARGS(op->addr, op->len, op->prot,
		  MAP_FIXED | MAP_NORESERVE | (op->flags & AS_SHARED ? MAP_SHARED : MAP_PRIVATE), 0, op->obj_off));
	calls_add(c, SYS_close, REMOTE_ARGS(0));
	return 0;
}

static int do_map(struct calls *c, struct objects *o, const struct ev_asop *op)
{
	struct shared_map m = { op->addr, op->len, op->obj_off, op->obj, op->prot, !(op->flags & AS_SHARED) };
	bool changes = op->obj && (op->flags & AS_SHARED || objects_change(o, op->obj));
	int err = changes ? shared_note(&c->h->shared, &m) : shared_forget(&c->h->shared, op->addr, op->len);

	if (err)
		return err;
	if (op->obj)
		return map_object(c, o, op);
	return add_call(c, SYS_mmap, REMOTE_ARGS(op->addr, op->len, op->prot,
			MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1ull, 0));
}

static int do_remap(struct calls *c, const struct ev_asop *op)
{
	uint64_t flags = MREMAP_MAYMOVE | (op->flags & AS_DONTUNMAP ? MREMAP_DONTUNMAP : 0);
	int err = shared_move(&c->h->shared, op->addr, op->len, op->new_addr, op->new_len, op->flags & AS_DONTUNMAP);

	if (err)
		return err;
	/* Growing or shrinking in place is not allowed to name an address. */
	if (op->new_addr == op->addr)
		return add_call(c, SYS_mremap, REMOTE_ARGS(op->addr, op->len, op->new_len, 0, 0));
	return add_call(c, SYS_mremap, REMOTE_ARGS(op->addr, op->len, op->new_len, flags | MREMAP_FIXED, op->new_addr));
}

static int do_protect(struct calls *c, const struct ev_asop *op)
{
	int err = shared_protect(&c->h->shared, op->addr, op->len, op->prot);

	return err ? err : add_call(c, SYS_mprotect, REMOTE_ARGS(op->addr, op->len, op->prot));
}

static int do_unmap(struct calls *c, const struct ev_asop *op)
{
	int err = shared_forget(&c->h->shared, op->addr, op->len);

	return err ? err : add_call(c, SYS_munmap, REMOTE_ARGS(op->addr, op->len));
}

/* A change of an object's own, seen through all its mappings: those asked for before must be there. */
static int do_object(struct calls *c, struct objects *o, const struct ev_asop *op)
{
	int err = calls_make(c);

	if (err)
		return err;
	return op->kind == AS_RESIZE ? objects_resize(o, op->obj, op->len) : objects_punch(o, op->obj, op->obj_off, op->len);
}

static int do_asop(struct calls *c, struct objects *o, const struct ev_asop *op)
{
	bool agent = op->kind == AS_MAP && op->addr == RL_AGENT && op->len <= RL_AGENT_CODE_BYTES && !op->obj;

	if (op->addr + op->len < op->addr || (op->addr < RL_END && op->addr + op->len > RL_BASE && !agent))
		return -RL_ECORRUPT;
	switch (op->kind) {
	case AS_MAP:
		return do_map(c, o, op);
	case AS_UNMAP:
		return do_unmap(c, op);
	case AS_PROTECT:
		return do_protect(c, op);
	case AS_REMAP:
		return do_remap(c, op);
	case AS_RESIZE:
	case AS_PUNCH:
		return do_object(c, o, op);
	case AS_ZERO:
		return add_call(c, SYS_madvise, REMOTE_ARGS(op->addr, op->len, MADV_DONTNEED));
	}
	return -RL_ECORRUPT;
}

static struct calls *calls_of(struct host *h, pid_t tid)
{
	static struct calls c;

	c.h = h;
	c.tid = tid;
	c.n = c.n_paths = 0;
	return &c;
}

int host_asops(struct host *h, pid_t tid, struct objects *o, const struct ev_asop *ops, uint32_t n)
{
	struct calls *c = calls_of(h, tid);
	int err = 0;

	for (uint32_t i = 0; !err && i < n; i++)
		err = do_asop(c, o, &ops[i]);
	return err ? err : calls_make(c);
}

/* Writing through a shared mapping that is not writable is refused, even to a tracer: write to its object instead. */
int host_write(struct host *h, struct objects *o, uint64_t addr, const void *bytes, size_t n)
{
	if (mem_write(h->mem_fd, addr, bytes, n) == 0)
		return 0;
	while (n) {
		const struct shared_map *m = shared_find(&h->shared, addr);
		size_t part = TRACE_PAGE - addr % TRACE_PAGE;

		if (part > n)
			part = n;
		if (mem_write(h->mem_fd, addr, bytes, part) &&
		    (!m || m->is_private || objects_write(o, m->obj, m->off + (addr - m->addr), bytes, part)))
			return -EFAULT;
		addr += part;
		bytes = (const char *)bytes + part;
		n -= part;
	}
	return 0;
}

static int remap_part(struct calls *c, struct objects *o, const struct shared_map *m, uint64_t start, uint64_t end)
{
	struct ev_asop op = { .kind = AS_MAP, .prot = m->prot, .flags = m->is_private ? 0 : AS_SHARED, .obj = m->obj,
			      .addr = start, .len = end - start, .obj_off = m->off + (start - m->addr) };

	return start < end ? map_object(c, o, &op) : 0;
}

/* All of a private mapping but the pages of which the host has a copy of its own. */
static int remap_private(struct calls *c, struct objects *o, const struct shared_map *m)
{
	struct page_runs runs = { 0 };
	autoclose int pagemap = pagemap_open(c->h->pid);
	uint64_t at = m->addr, end = m->addr + m->len;
	int err = pagemap < 0 ? pagemap : pagemap_runs(pagemap, at, end, &runs);

	for (size_t i = 0; !err && i < runs.n; i++) {
		if (!page_is_anon(runs.v[i].flags))
			continue;
		err = remap_part(c, o, m, at, runs.v[i].start);
		at = runs.v[i].end;
	}
	if (!err)
		err = remap_part(c, o, m, at, end);
	page_runs_free(&runs);
	return err;
}

int host_reshare(struct host *h, pid_t tid, struct objects *o)
{
	struct calls *c = calls_of(h, tid);
	int err = 0;

	for (size_t i = 0; !err && i < h->shared.n; i++) {
		const struct shared_map *m = &h->shared.v[i];

		err = m->is_private ? remap_private(c, o, m) : remap_part(c, o, m, m->addr, m->addr + m->len);
	}
	return err ? err : calls_make(c);
}

#define RUN_PAGES 64

/* Pages that follow each other are written at once. */
static int load_pages(struct host *h, struct trace *t, const struct trace_ckpt *c)
{
	static uint8_t bytes[RUN_PAGES * TRACE_PAGE];
	uint32_t n;
	int err = 0;

	for (uint32_t i = 0; !err && i < c->n_pages; i += n) {
		for (n = 0; i + n < c->n_pages && n < RUN_PAGES && c->pages[i + n].addr == c->pages[i].addr + n * TRACE_PAGE; n++) {
			const uint8_t *page = trace_page(t, c->pages[i + n].page_id);

			if (!page)
				return -RL_ECORRUPT;
			memcpy(bytes + n * TRACE_PAGE, page, TRACE_PAGE);
		}
		err = mem_write(h->mem_fd, c->pages[i].addr, bytes, n * TRACE_PAGE);
	}
	return err;
}

int host_load(struct host *h, struct trace *t, struct objects *o, const struct trace_ckpt *c)
{
	struct calls *calls = calls_of(h, h->pid);
	int err = 0;

	for (uint32_t i = 0; !err && i < c->n_maps; i++) {
		const struct ckpt_map *m = &c->maps[i];
		struct ev_asop op = { .kind = AS_MAP, .prot = m->prot, .flags = m->flags, .obj = m->obj,
				      .addr = m->addr, .len = m->len, .obj_off = m->obj_off };

		err = do_asop(calls, o, &op);
	}
	if (!err)
		err = calls_make(calls);
	return err ? err : load_pages(h, t, c);
}
