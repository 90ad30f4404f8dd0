/* A scripted target: resumes answer from a list, every call that changes something is written down as text. */
#ifndef FAKE_TARGET_H
#define FAKE_TARGET_H

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gdbserver/session.h"

#define FAKE_PID 0x100
#define FAKE_MEM 0x400000ull
#define FAKE_MEM_N 0x3000

struct fake {
	struct target target;
	struct target_stop script[16];   /* what the next resumes answer; when over: STOP_END */
	int n_script, at;
	int resume_error;
	int polls;                       /* how often resume polls for an interrupt */
	bool deaf;                       /* it polls, but goes on all the same */
	int n_threads;
	uint64_t xcr0;
	int32_t pid;                     /* the debugged process, after a fork's child was followed; else 0 */
	uint8_t mem[FAKE_MEM_N];
	uint8_t auxv[1000];
	char log[1 << 16];
	size_t log_n;
	struct session *s;
};

static void __attribute__((format(printf, 2, 3))) fake_log(struct fake *f, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(f->log + f->log_n, sizeof(f->log) - f->log_n, fmt, ap);
	va_end(ap);
	if (n > 0 && f->log_n + (size_t)n < sizeof(f->log))
		f->log_n += (size_t)n;
}

static int fake_threads(void *self, struct target_thread *out, int max)
{
	struct fake *f = self;

	for (int i = 0; i < f->n_threads && i < max; i++) {
		out[i] = (struct target_thread){ .pid = f->pid ? f->pid : FAKE_PID, .tid = (f->pid ? f->pid : FAKE_PID) + i };
		snprintf(out[i].name, sizeof(out[i].name), "worker-%d", i);
	}
	return f->n_threads;
}

static int32_t fake_id(void *self)
{
	struct fake *f = self;

	return f->pid ? f->pid : FAKE_PID;
}

static int fake_regs(void *self, int32_t tid, struct user_regs_struct *ret)
{
	(void)self;
	memset(ret, 0, sizeof(*ret));
	ret->rip = 0x401000 + (uint64_t)(tid - FAKE_PID);
	ret->rsp = 0x7ffe1000;
	ret->rbp = 0x7ffe1080;
	ret->rax = 0x1122334455667788;
	ret->eflags = 0x246;
	ret->orig_rax = ~0ull;
	return 0;
}

static int fake_xsave(void *self, int32_t tid, void *buf, size_t max, size_t *ret_n)
{
	uint64_t bv = 7;

	(void)self, (void)tid;
	memset(buf, 0, 832);
	memcpy((uint8_t *)buf + 512, &bv, sizeof(bv));
	*ret_n = max < 832 ? max : 832;
	return 0;
}

static uint64_t fake_xcr0(void *self)
{
	return ((struct fake *)self)->xcr0;
}

static int64_t fake_read(void *self, uint64_t addr, void *out, size_t n)
{
	struct fake *f = self;

	if (addr < FAKE_MEM || addr >= FAKE_MEM + FAKE_MEM_N)
		return -EFAULT;
	if (n > FAKE_MEM + FAKE_MEM_N - addr)
		n = FAKE_MEM + FAKE_MEM_N - addr;
	memcpy(out, f->mem + (addr - FAKE_MEM), n);
	return (int64_t)n;
}

static int fake_add_break(void *self, enum target_bp_kind kind, uint64_t addr, uint64_t len)
{
	fake_log(self, "add %d %llx %llx;", kind, (unsigned long long)addr, (unsigned long long)len);
	return kind == WP_READ ? -ENOSPC : 0;
}

static int fake_del_break(void *self, enum target_bp_kind kind, uint64_t addr, uint64_t len)
{
	fake_log(self, "del %d %llx %llx;", kind, (unsigned long long)addr, (unsigned long long)len);
	return 0;
}

static int fake_resume(void *self, const struct target_resume *r, struct target_stop *stop)
{
	struct fake *f = self;

	fake_log(f, "%s%s %x", r->dir == TARGET_FORWARD ? "" : "back ", r->step ? "step" : "cont", r->tid);
	if (r->range_end)
		fake_log(f, " %llx-%llx", (unsigned long long)r->range_start, (unsigned long long)r->range_end);
	fake_log(f, ";");
	*stop = (struct target_stop){ .kind = STOP_END, .pid = fake_id(f), .tid = fake_id(f) };
	for (int i = 0; i < f->polls; i++) {
		if (!f->target.interrupted(f->target.interrupted_arg) || f->deaf)
			continue;
		stop->kind = STOP_INTERRUPTED;
		return 0;
	}
	if (f->resume_error)
		return f->resume_error;
	if (f->at < f->n_script)
		*stop = f->script[f->at++];
	return 0;
}

static int fake_restart(void *self, struct target_stop *stop)
{
	fake_log(self, "restart;");
	((struct fake *)self)->pid = 0;
	*stop = (struct target_stop){ .kind = STOP_BEGIN, .pid = FAKE_PID, .tid = FAKE_PID };
	return 0;
}

static int fake_restart_at(void *self, const char *where, struct target_stop *stop)
{
	fake_log(self, "restart at %s;", where);
	*stop = (struct target_stop){ .kind = STOP_STEP, .pid = FAKE_PID, .tid = FAKE_PID };
	return where[0] >= '0' && where[0] <= '9' ? 0 : -ENOENT;
}

static int fake_auxv(void *self, void **ret, size_t *ret_n)
{
	struct fake *f = self;

	*ret = malloc(sizeof(f->auxv));
	memcpy(*ret, f->auxv, sizeof(f->auxv));
	*ret_n = sizeof(f->auxv);
	return 0;
}

static int fake_exec_file(void *self, char *buf, size_t max)
{
	(void)self;
	snprintf(buf, max, "/bin/prog");
	return 0;
}

static int fake_file_size(void *self, const char *path, uint64_t *ret)
{
	(void)self;
	if (strcmp(path, "/bin/prog"))
		return -ENOENT;
	*ret = 300000;
	return 0;
}

/* Byte i of the file is i's low byte: every value that needs an escape is there. */
static int64_t fake_file_read(void *self, const char *path, uint64_t off, void *out, size_t n)
{
	(void)self, (void)path;
	for (size_t i = 0; i < n; i++)
		((uint8_t *)out)[i] = (uint8_t)(off + i);
	return (int64_t)n;
}

static int fake_tls(void *self, int32_t tid, uint64_t lm, uint64_t offset, uint64_t *ret)
{
	(void)self, (void)tid;
	*ret = lm + offset;
	return lm ? 0 : -ENOENT;
}

static int fake_catch(void *self, bool on, const int *nrs, size_t n)
{
	fake_log(self, "catch %d", on);
	for (size_t i = 0; i < n; i++)
		fake_log(self, " %d", nrs[i]);
	fake_log(self, ";");
	return 0;
}

static int fake_monitor(void *self, const char *cmd, char **ret)
{
	(void)self;
	if (!strcmp(cmd, "silent"))
		return 0;
	if (strcmp(cmd, "when"))
		return -ENOENT;
	*ret = strdup("event 5\n");
	return 0;
}

static int fake_siginfo(void *self, void *buf, size_t max, size_t *ret_n)
{
	(void)self;
	memset(buf, 0x41, max < 128 ? max : 128);
	*ret_n = 128;
	return 0;
}

static inline int fake_follow(void *self, int32_t pid)
{
	fake_log(self, "follow %x;", pid);
	((struct fake *)self)->pid = pid;
	return 0;
}

static const struct target_ops fake_ops = {
	.threads = fake_threads, .current_tid = fake_id, .current_pid = fake_id, .regs = fake_regs, .xsave = fake_xsave,
	.xcr0 = fake_xcr0, .read = fake_read, .add_break = fake_add_break, .del_break = fake_del_break,
	.resume = fake_resume, .restart = fake_restart, .auxv = fake_auxv, .exec_file = fake_exec_file,
	.file_size = fake_file_size, .file_read = fake_file_read, .tls_addr = fake_tls, .catch_syscalls = fake_catch,
	.monitor = fake_monitor, .siginfo = fake_siginfo, .restart_at = fake_restart_at,
};

static inline struct fake *fake_new(void)
{
	struct fake *f = calloc(1, sizeof(*f));

	f->target.ops = &fake_ops;
	f->target.self = f;
	f->n_threads = 3;
	f->xcr0 = 7;
	for (size_t i = 0; i < sizeof(f->mem); i++)
		f->mem[i] = (uint8_t)(i * 7);
	for (size_t i = 0; i < sizeof(f->auxv); i++)
		f->auxv[i] = (uint8_t)i;
	if (session_new(&f->target, &f->s) < 0)
		abort();
	return f;
}

static inline void fake_free(struct fake *f)
{
	session_free(f->s);
	free(f);
}

#endif
