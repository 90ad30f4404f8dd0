/* Registers and memory of the stopped process. */
#include "gdbserver/session.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/scope.h"

#define SEARCH_CHUNK 65536

/* Hg's thread and its registers. A fork's child has its parent's, but for the return value. */
static int chosen_regs(struct session *s, const struct regs_state **ret)
{
	int32_t tid = session_is_left(s, s->g) ? -ESRCH : session_thread(s, s->g);
	int err;

	if (tid >= 0 && session_is_child(s, s->g) && s->t->ops->follow)
		return session_regs(s, s->fork_child, ret);
	err = tid < 0 ? tid : session_regs(s, tid, ret);
	if (err >= 0 && (s->life == LIFE_FORKED_OFF || session_is_child(s, s->g))) {
		s->regs.gpr.rax = 0;
		session_forget(s);
	}
	return err;
}

int packet_regs_read(struct session *s, struct arg *a)
{
	const struct regs_layout *layout = session_layout(s);
	const struct regs_state *regs;
	int err = chosen_regs(s, &regs);

	(void)a;
	if (err < 0)
		return err;
	for (int i = 0, n = regs_count(layout); i < n; i++)
		regs_put(layout, regs, i, &s->reply);
	return 0;
}

int packet_reg_read(struct session *s, struct arg *a)
{
	const struct regs_layout *layout = session_layout(s);
	int number = (int)arg_hex_max(a, 0xffff);
	const struct regs_state *regs;
	int err;

	arg_want_end(a);
	if (a->err)
		return a->err;
	if (regs_size(layout, number) < 0)
		return -EINVAL;
	err = chosen_regs(s, &regs);
	if (err < 0)
		return err;
	regs_put(layout, regs, number, &s->reply);
	return 0;
}

int packet_refuse_write(struct session *s, struct arg *a)
{
	(void)a;
	return reply_refuse(s, "the recording is read-only: memory and registers cannot be changed");
}

/*
 * To go on from where `starti` has led, gdb writes the instruction pointer that it has read, and that no system call is to be
 * restarted: which changes nothing, as what comes next is recorded.
 */
int packet_reg_write(struct session *s, struct arg *a)
{
	uint64_t number = arg_hex(a), value;

	arg_want(a, '=');
	value = arg_hex(a);
	if (!a->err && s->just_begun && number == GDB_ORIG_RAX && value == UINT64_MAX)
		return reply_ok(s);
	return packet_refuse_write(s, a);
}

/* gdb shows no text for a refused memory write, only "Cannot access memory": the target's owner may say it. */
static int refuse_memory_write(struct session *s, struct arg *a)
{
	if (s->t->ops->refused)
		s->t->ops->refused(s->t->self, "the recording is read-only: memory cannot be changed");
	return packet_refuse_write(s, a);
}

/* gdb tries whether X exists with a length of 0. */
int packet_mem_write(struct session *s, struct arg *a)
{
	uint64_t n;

	arg_hex(a);
	arg_want(a, ',');
	n = arg_hex(a);
	arg_want(a, ':');
	if (a->err)
		return a->err;
	return n ? refuse_memory_write(s, a) : reply_ok(s);
}

/* The process's memory at ADDR,LENGTH, malloc'ed; bytes read (possibly fewer), or negative. */
static int64_t read_asked(struct session *s, struct arg *a, size_t max, uint8_t **ret)
{
	uint64_t addr = arg_hex(a), n;
	int64_t got;

	arg_want(a, ',');
	n = arg_hex(a);
	arg_want_end(a);
	if (a->err)
		return a->err;
	if (!session_is_here(s, s->g))
		return -ESRCH;
	if (n > max)
		n = max;
	*ret = malloc(n ? n : 1);
	if (!*ret)
		return -ENOMEM;
	got = n ? s->t->ops->read(s->t->self, addr, *ret, n) : 0;
	if (got > (int64_t)n)
		return -EIO;
	return got || !n ? got : -EFAULT;
}

int packet_mem_read(struct session *s, struct arg *a)
{
	autofree uint8_t *data = NULL;
	int64_t n = read_asked(s, a, WIRE_PACKET_MAX / 2, &data);

	/* gdb before 16 takes only the short kind of error here. */
	if (n < 0 && !(s->flags & GDB_ERROR_MESSAGE)) {
		out_str(&s->reply, "E01");
		return 0;
	}
	if (n < 0)
		return (int)n;
	out_hex(&s->reply, data, (size_t)n);
	return 0;
}

int packet_mem_read_binary(struct session *s, struct arg *a)
{
	autofree uint8_t *data = NULL;
	int64_t n = read_asked(s, a, WIRE_PACKET_MAX, &data);

	if (n < 0)
		return (int)n;
	out_char(&s->reply, 'b');
	wire_escape(&s->reply, data, (size_t)n, WIRE_PACKET_MAX - 1);
	return 0;
}

/* Where pattern starts in [addr, addr + n): 1 with *ret, 0, or -EFAULT (a hole). */
static int memory_search(struct session *s, uint64_t addr, uint64_t n, const void *pattern, size_t pattern_n,
			 uint64_t *ret)
{
	autofree uint8_t *window = malloc(SEARCH_CHUNK + pattern_n);

	if (!window)
		return -ENOMEM;
	while (n >= pattern_n) {
		size_t want = n < SEARCH_CHUNK + pattern_n ? (size_t)n : SEARCH_CHUNK + pattern_n;
		int64_t got = s->t->ops->read(s->t->self, addr, window, want);
		const uint8_t *hit = got > 0 ? memmem(window, (size_t)got, pattern, pattern_n) : NULL;
		size_t step = want - pattern_n + 1;

		if (hit) {
			*ret = addr + (uint64_t)(hit - window);
			return 1;
		}
		if (got < (int64_t)want)
			return -EFAULT;
		addr += step;
		n -= step;
	}
	return 0;
}

/* qSearch:memory:ADDR;LENGTH;PATTERN */
int packet_mem_search(struct session *s, struct arg *a)
{
	uint64_t addr = arg_hex(a), n, found = 0;
	autofree char *pattern = NULL;
	int64_t pattern_n;
	int hit;

	arg_want(a, ';');
	n = arg_hex(a);
	arg_want(a, ';');
	if (arg_at_end(a))
		return -EINVAL;
	pattern = malloc((size_t)(a->end - a->p));
	if (!pattern)
		return -ENOMEM;
	memcpy(pattern, a->p, (size_t)(a->end - a->p));
	pattern_n = wire_unescape(pattern, (size_t)(a->end - a->p));
	if (pattern_n < 0)
		return (int)pattern_n;
	if (!session_is_here(s, s->g))
		return -ESRCH;
	/* The search must not wrap around the end of the address space. */
	if (n > UINT64_MAX - addr)
		n = UINT64_MAX - addr;
	hit = memory_search(s, addr, n, pattern, (size_t)pattern_n, &found);
	if (hit < 0)
		return hit;
	if (hit)
		out_fmt(&s->reply, "1,%llx", (unsigned long long)found);
	else
		out_char(&s->reply, '0');
	return 0;
}

/* qGetTLSAddr:THREAD,OFFSET,LINK-MAP */
int packet_tls(struct session *s, struct arg *a)
{
	struct ptid id = arg_ptid(a, s->stop.pid);
	uint64_t offset, module, addr = 0;
	int32_t tid;
	int err;

	arg_want(a, ',');
	offset = arg_hex(a);
	arg_want(a, ',');
	module = arg_hex(a);
	arg_want_end(a);
	if (a->err)
		return a->err;
	if (!s->t->ops->tls_addr)
		return 0;
	tid = session_thread(s, id);
	if (tid < 0)
		return tid;
	err = s->t->ops->tls_addr(s->t->self, tid, module, offset, &addr);
	if (err < 0)
		return err;
	out_fmt(&s->reply, "%llx", (unsigned long long)addr);
	return 0;
}
