/* The engine that turns the table's declarations into memory ranges. */
#include "tracee/sysout.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

#include "common/err.h"
#include "tracee/sysinfo_nr.h"

#define PAGE 4096u
#define FAULT_MAX (1u << 20)

void sys_ranges_clear(struct sys_ranges *r)
{
	r->n = 0;
	r->err = 0;
}

void sys_ranges_free(struct sys_ranges *r)
{
	free(r->v);
	*r = (struct sys_ranges){ 0 };
}

int sys_ranges_add_from(struct sys_ranges *r, uint64_t addr, uint64_t len, uint64_t from)
{
	if (r->err || addr == 0 || len == 0)
		return r->err;
	if (len > UINT64_MAX - addr)
		len = UINT64_MAX - addr;
	if (r->n == r->cap) {
		size_t cap = r->cap ? 2 * r->cap : 16;
		struct sys_range *v = reallocarray(r->v, cap, sizeof(*v));

		if (!v)
			return r->err = -ENOMEM;
		r->v = v;
		r->cap = cap;
	}
	r->v[r->n++] = (struct sys_range){ .addr = addr, .len = len, .from = from };
	return 0;
}

int sys_ranges_add(struct sys_ranges *r, uint64_t addr, uint64_t len)
{
	return sys_ranges_add_from(r, addr, len, addr);
}

void sys_ranges_join(struct sys_ranges *r, uint64_t gap)
{
	size_t kept = 0;

	for (size_t i = 1; i < r->n; i++) {
		struct sys_range *last = &r->v[kept];
		const struct sys_range *next = &r->v[i];
		uint64_t end = last->addr + last->len;

		if (next->addr >= end && next->addr - end <= gap &&
		    next->from - next->addr == last->from - last->addr)
			last->len = next->addr + next->len - last->addr;
		else
			r->v[++kept] = *next;
	}
	if (r->n)
		r->n = kept + 1;
}

bool sysout_interrupted(int64_t ret)
{
	return ret == -EINTR || ret == -K_ERESTARTSYS || ret == -K_ERESTARTNOINTR || ret == -K_ERESTARTNOHAND ||
	       ret == -K_ERESTART_RESTARTBLOCK;
}

int sysout_u32(const struct sys_mem *m, uint64_t addr, uint32_t *ret)
{
	return m->read(m->ctx, addr, ret, sizeof(*ret)) ? -EFAULT : 0;
}

int sysout_u64(const struct sys_mem *m, uint64_t addr, uint64_t *ret)
{
	return m->read(m->ctx, addr, ret, sizeof(*ret)) ? -EFAULT : 0;
}

int sysout_iov(const struct sys_mem *m, uint64_t iov, uint64_t iovcnt, uint64_t n_bytes, struct sys_ranges *out)
{
	for (uint64_t i = 0; i < iovcnt && i < K_IOV_MAX && n_bytes > 0; i++) {
		uint64_t v[2];    /* base, length */
		uint64_t len;

		if (m->read(m->ctx, iov + i * K_IOVEC, v, sizeof(v)))
			return -EFAULT;
		len = v[1] < n_bytes ? v[1] : n_bytes;
		sys_ranges_add(out, v[0], len);
		n_bytes -= len;
	}
	return out->err;
}

int sysout_mapped(const struct sys_mem *m, uint64_t addr, uint64_t len, struct sys_ranges *out)
{
	uint64_t done = 0;

	if (len > FAULT_MAX)
		len = FAULT_MAX;
	while (done < len) {
		uint64_t at = addr + done;
		uint64_t step = PAGE - at % PAGE;
		uint8_t byte;

		if (at < addr || m->read(m->ctx, at, &byte, 1))
			break;
		done += step < len - done ? step : len - done;
	}
	return sys_ranges_add(out, addr, done);
}

static uint64_t declared_len(const struct sys_out *o, const struct sys_call *c)
{
	uint64_t n;

	switch (o->kind) {
	case SO_FIXED:
		return o->unit;
	case SO_POSITIVE:
		return c->ret > 0 ? o->unit : 0;
	case SO_RESULT:
		n = c->arg[o->count];
		if (!sys_failed(c->ret) && n > (uint64_t)c->ret)
			n = (uint64_t)c->ret;
		break;
	case SO_ARRAY:
		n = c->arg[o->count];
		break;
	default:
		return 0;
	}
	return n > SSIZE_MAX / o->unit ? 0 : n * o->unit;
}

static int add_declared(const struct sys_out *o, const struct sys_call *c, const struct sys_mem *m,
			struct sys_ranges *out)
{
	uint64_t len = declared_len(o, c);

	if (c->ret == -EFAULT)
		return sysout_mapped(m, c->arg[o->arg], len, out);
	if (sys_failed(c->ret))
		return 0;
	return sys_ranges_add(out, c->arg[o->arg], len);
}

int sys_outputs(const struct sys_call *c, const struct sys_mem *m, struct sys_ranges *out)
{
	const struct sys_desc *d = sys_desc(c->nr);

	sys_ranges_clear(out);
	if (c->ret == -ENOSYS || (d && d->class == SC_REFUSE))
		return 0;
	if (!d || d->class == SC_LEARN)
		return -RL_EUNSUPPORTED;

	for (int i = 0; i < SYS_OUTS_MAX; i++) {
		const struct sys_out *o = &d->out[i];
		int err = o->kind == SO_CUSTOM ? o->fn(c, m, out) : add_declared(o, c, m, out);

		if (err)
			return err;
	}
	return out->err;
}

static int sent_messages(const struct sys_call *c, const struct sys_mem *m, struct sys_ranges *out)
{
	for (uint64_t i = 0; i < (uint64_t)c->ret && i < sysout_n_messages(c); i++) {
		uint64_t at = c->arg[1] + i * K_MMSGHDR;
		uint64_t iov[2];
		uint32_t len;
		int err;

		if (m->read(m->ctx, at + 16, iov, sizeof(iov)) || sysout_u32(m, at + K_MSGHDR, &len))
			return -EFAULT;
		err = sysout_iov(m, iov[0], iov[1], len, out);
		if (err)
			return err;
	}
	return 0;
}

int sys_written(const struct sys_call *c, const struct sys_mem *m, struct sys_ranges *out)
{
	const struct sys_desc *d = sys_desc(c->nr);
	uint64_t n = (uint64_t)c->ret;
	uint64_t iov[2];

	sys_ranges_clear(out);
	if (!d || !(d->flags & SYSF_WRITES_FILE))
		return -RL_EUNSUPPORTED;
	if (c->ret < 0)
		return 0;

	switch (c->nr) {
	case __NR_writev:
	case __NR_pwritev:
	case __NR_pwritev2:
		return sysout_iov(m, c->arg[1], c->arg[2], n, out);
	case __NR_sendmsg:
		if (m->read(m->ctx, c->arg[1] + 16, iov, sizeof(iov)))
			return -EFAULT;
		return sysout_iov(m, iov[0], iov[1], n, out);
	case __NR_sendmmsg:
		return sent_messages(c, m, out);
	case __NR_mq_timedsend:
		return sys_ranges_add(out, c->arg[1], c->arg[2]);
	default:
		return sys_ranges_add(out, c->arg[1], n < c->arg[2] ? n : c->arg[2]);
	}
}
