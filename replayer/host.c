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
#include "common/err.h"
#include "common/grow.h"
#include "common/log.h"
#include "tracee/confine.h"
#include "tracee/layout.h"
#include "tracee/remote.h"

#define RSEQ_UNREGISTER 1   /* RSEQ_FLAG_UNREGISTER of linux/rseq.h */
#define USER_END 0x7ffffffff000ull

#define HOST_OPTIONS (PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK | PTRACE_O_EXITKILL)

static const uint8_t stub_code[] = { 0x0f, 0x05, 0xcc };   /* syscall; int3 */

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
	memcpy(stub, stub_code, sizeof(stub_code));
	mprotect(stub, 0x1000, PROT_READ | PROT_EXEC);
	syscall(SYS_close_range, 0, ~0u, 0);
	prctl(PR_SET_TSC, PR_TSC_SIGSEGV, 0, 0, 0);
	if (trap_cpuid && syscall(SYS_arch_prctl, ARCH_SET_CPUID, 0) < 0)
		_exit(125);
	if (leave_rseq() || confine_self(CONFINE_KILL, RL_STUB_CALL + 2, 0))
		_exit(125);
	for (;;)
		__asm__ volatile("int3");
}

static int host_call(pid_t tid, long nr, const uint64_t arg[6], int64_t *ret)
{
	struct remote r = { .tid = tid, .site = RL_STUB_CALL };
	int err = remote_call(&r, nr, arg, ret);

	if (!err && *ret < 0 && *ret >= -4095) {
		log_debug("host: call %ld(%llx, %llx, %llx, %llx): %s", nr, (unsigned long long)arg[0],
			  (unsigned long long)arg[1], (unsigned long long)arg[2], (unsigned long long)arg[3],
			  rl_strerror((int)-*ret));
		return (int)*ret;
	}
	return err;
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

static int map_object(pid_t tid, int mem_fd, struct objects *o, const struct ev_asop *op)
{
	char path[64];
	int64_t fd, at;
	int own = objects_fd(o, op->obj);
	int err;

	if (own < 0)
		return own;
	snprintf(path, sizeof(path), "/proc/%d/fd/%d", getpid(), own);
	err = mem_write(mem_fd, RL_DATA, path, strlen(path) + 1);
	if (!err)
		err = host_call(tid, SYS_openat, REMOTE_ARGS((uint64_t)AT_FDCWD, RL_DATA,
				op->flags & AS_SHARED ? O_RDWR : O_RDONLY), &fd);
	if (err)
		return err;
	err = host_call(tid, SYS_mmap, REMOTE_ARGS(op->addr, op->len, op->prot,
			MAP_FIXED | MAP_NORESERVE | (op->flags & AS_SHARED ? MAP_SHARED : MAP_PRIVATE),
			(uint64_t)fd, op->obj_off), &at);
	if (!err)
		err = host_call(tid, SYS_close, REMOTE_ARGS((uint64_t)fd), &at);
	return err;
}

static int do_map(struct host *h, pid_t tid, struct objects *o, const struct ev_asop *op)
{
	struct shared_map m = { op->addr, op->len, op->obj_off, op->obj, op->prot };
	bool shared = op->obj && op->flags & AS_SHARED;
	int err = shared ? shared_note(&h->shared, &m) : shared_forget(&h->shared, op->addr, op->len);
	int64_t at;

	if (err)
		return err;
	if (op->obj)
		return map_object(tid, h->mem_fd, o, op);
	return host_call(tid, SYS_mmap, REMOTE_ARGS(op->addr, op->len, op->prot,
			 MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1ull, 0), &at);
}

static int do_remap(struct host *h, pid_t tid, const struct ev_asop *op)
{
	uint64_t flags = MREMAP_MAYMOVE | (op->flags & AS_DONTUNMAP ? MREMAP_DONTUNMAP : 0);
	int err = shared_move(&h->shared, op->addr, op->len, op->new_addr, op->new_len, op->flags & AS_DONTUNMAP);
	int64_t at;

	if (err)
		return err;
	/* Growing or shrinking in place is not allowed to name an address. */
	if (op->new_addr == op->addr)
		return host_call(tid, SYS_mremap, REMOTE_ARGS(op->addr, op->len, op->new_len, 0, 0), &at);
	return host_call(tid, SYS_mremap, REMOTE_ARGS(op->addr, op->len, op->new_len, flags | MREMAP_FIXED,
			 op->new_addr), &at);
}

static int do_protect(struct host *h, pid_t tid, const struct ev_asop *op)
{
	int err = shared_protect(&h->shared, op->addr, op->len, op->prot);
	int64_t r;

	return err ? err : host_call(tid, SYS_mprotect, REMOTE_ARGS(op->addr, op->len, op->prot), &r);
}

static int do_unmap(struct host *h, pid_t tid, const struct ev_asop *op)
{
	int err = shared_forget(&h->shared, op->addr, op->len);
	int64_t r;

	return err ? err : host_call(tid, SYS_munmap, REMOTE_ARGS(op->addr, op->len), &r);
}

int host_asop(struct host *h, pid_t tid, struct objects *o, const struct ev_asop *op)
{
	int64_t r;

	bool agent = op->kind == AS_MAP && op->addr == RL_AGENT && op->len <= RL_AGENT_CODE_BYTES && !op->obj;

	if (op->addr + op->len < op->addr || (op->addr < RL_END && op->addr + op->len > RL_BASE && !agent))
		return -RL_ECORRUPT;
	switch (op->kind) {
	case AS_MAP:
		return do_map(h, tid, o, op);
	case AS_UNMAP:
		return do_unmap(h, tid, op);
	case AS_PROTECT:
		return do_protect(h, tid, op);
	case AS_REMAP:
		return do_remap(h, tid, op);
	case AS_RESIZE:
		return objects_resize(o, op->obj, op->len);
	case AS_PUNCH:
		return objects_punch(o, op->obj, op->obj_off, op->len);
	case AS_ZERO:
		return host_call(tid, SYS_madvise, REMOTE_ARGS(op->addr, op->len, MADV_DONTNEED), &r);
	}
	return -RL_ECORRUPT;
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
		    (!m || objects_write(o, m->obj, m->off + (addr - m->addr), bytes, part)))
			return -EFAULT;
		addr += part;
		bytes = (const char *)bytes + part;
		n -= part;
	}
	return 0;
}

int host_reshare(struct host *h, pid_t tid, struct objects *o)
{
	for (size_t i = 0; i < h->shared.n; i++) {
		const struct shared_map *m = &h->shared.v[i];
		struct ev_asop op = { .kind = AS_MAP, .prot = m->prot, .flags = AS_SHARED, .obj = m->obj,
				      .addr = m->addr, .len = m->len, .obj_off = m->off };
		int err = map_object(tid, h->mem_fd, o, &op);

		if (err)
			return err;
	}
	return 0;
}

int host_load(struct host *h, struct trace *t, struct objects *o, const struct trace_ckpt *c)
{
	int err = 0;

	for (uint32_t i = 0; !err && i < c->n_maps; i++) {
		const struct ckpt_map *m = &c->maps[i];
		struct ev_asop op = { .kind = AS_MAP, .prot = m->prot, .flags = m->flags, .obj = m->obj,
				      .addr = m->addr, .len = m->len, .obj_off = m->obj_off };

		err = host_asop(h, h->pid, o, &op);
	}
	for (uint32_t i = 0; !err && i < c->n_pages; i++) {
		const uint8_t *bytes = trace_page(t, c->pages[i].page_id);

		err = bytes ? mem_write(h->mem_fd, c->pages[i].addr, bytes, TRACE_PAGE) : -RL_ECORRUPT;
	}
	return err;
}
