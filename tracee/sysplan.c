#include "tracee/sysplan.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/err.h"
#include "tracee/sysinfo_nr.h"
#include "tracee/sysout.h"
#include "tracee/sysplan_int.h"

#define ALIGN 16u
#define USER_END (UINT64_C(1) << 47)
/* Reads are not shortened below this: eventfd, inotify and the like refuse small buffers. */
#define SHORT_MIN 4096u

struct plan_mark plan_mark(const struct plan_builder *b)
{
	return (struct plan_mark){ b->low, b->high, b->plan->n_image, b->plan->n_blocks, b->plan->n_fixups };
}

void plan_rollback(struct plan_builder *b, struct plan_mark mark)
{
	b->low = mark.low;
	b->high = mark.high;
	b->plan->n_image = mark.n_image;
	b->plan->n_blocks = mark.n_blocks;
	b->plan->n_fixups = mark.n_fixups;
	b->err = 0;
}

uint64_t plan_room(const struct plan_builder *b)
{
	uint64_t low = (b->low + ALIGN - 1) & ~(uint64_t)(ALIGN - 1);

	return low < b->high ? (b->high - low) & ~(uint64_t)(ALIGN - 1) : 0;
}

/* Room for one more element of `size` bytes. */
static int grow(void **v, size_t *cap, size_t n, size_t size)
{
	size_t new_cap = *cap ? *cap : 16;
	void *p;

	if (n <= *cap)
		return 0;
	while (new_cap < n)
		new_cap *= 2;
	p = reallocarray(*v, new_cap, size);
	if (!p)
		return -ENOMEM;
	*v = p;
	*cap = new_cap;
	return 0;
}

static uint64_t add_block(struct plan_builder *b, uint64_t user, uint64_t len, uint64_t at)
{
	struct sysplan *p = b->plan;

	b->err = grow((void **)&p->blocks, &p->blocks_cap, p->n_blocks + 1, sizeof(*p->blocks));
	if (b->err)
		return user;
	p->blocks[p->n_blocks++] = (struct sysplan_block){ .user_addr = user, .len = len, .scratch_addr = at };
	return at;
}

uint64_t plan_out(struct plan_builder *b, uint64_t user, uint64_t len)
{
	char byte;

	if (b->err || !user || !len || b->m->read(b->m->ctx, user, &byte, 1))
		return user;
	if (len > plan_room(b)) {
		b->err = -ENOSPC;
		return user;
	}
	b->high = (b->high - len) & ~(uint64_t)(ALIGN - 1);
	return add_block(b, user, len, b->high);
}

uint64_t plan_inout(struct plan_builder *b, uint64_t user, uint64_t len)
{
	struct sysplan *p = b->plan;
	size_t at = (p->n_image + ALIGN - 1) & ~(size_t)(ALIGN - 1);

	if (b->err || !user || !len)
		return user;
	if (len > plan_room(b)) {
		b->err = -ENOSPC;
		return user;
	}
	b->err = grow((void **)&p->image, &p->image_cap, at + len, 1);
	if (b->err || b->m->read(b->m->ctx, user, p->image + at, len))
		return user;
	memset(p->image + p->n_image, 0, at - p->n_image);
	p->n_image = at + len;
	b->low = p->scratch_addr + p->n_image;
	return add_block(b, user, len, p->scratch_addr + at);
}

void plan_arg_out(struct plan_builder *b, int i, uint64_t len)
{
	b->plan->arg[i] = plan_out(b, b->plan->arg[i], len);
}

void plan_arg_inout(struct plan_builder *b, int i, uint64_t len)
{
	b->plan->arg[i] = plan_inout(b, b->plan->arg[i], len);
}

void plan_rewrite(struct plan_builder *b, uint64_t scratch_at, uint64_t value)
{
	struct sysplan *p = b->plan;
	uint8_t *field = p->image + (scratch_at - p->scratch_addr);
	uint64_t old;

	if (b->err)
		return;
	memcpy(&old, field, sizeof(old));
	if (old == value)
		return;
	b->err = grow((void **)&p->fixups, &p->fixups_cap, p->n_fixups + 1, sizeof(*p->fixups));
	if (b->err)
		return;
	p->fixups[p->n_fixups++] = (struct sysplan_fixup){ .scratch_addr = scratch_at, .user_value = old };
	memcpy(field, &value, sizeof(value));
}

uint64_t plan_iov(struct plan_builder *b, uint64_t iov, uint64_t *count, bool shorten)
{
	uint64_t n = *count;
	uint64_t at;

	/* The kernel refuses such arrays, also at their old place. */
	if (n == 0 || n > K_IOV_MAX)
		return iov;
	at = plan_inout(b, iov, n * K_IOVEC);
	if (at == iov)
		return iov;

	for (uint64_t i = 0; i < n && !b->err; i++) {
		uint64_t entry = at + i * K_IOVEC;
		uint64_t v[2], len;

		memcpy(v, b->plan->image + (entry - b->plan->scratch_addr), sizeof(v));
		len = v[1];
		if (shorten && len > plan_room(b)) {
			b->plan->flags |= SYSPLAN_SHORTENED;
			len = plan_room(b);
			plan_rewrite(b, entry + 8, len);
			n = i + 1;
		}
		plan_rewrite(b, entry, plan_out(b, v[0], len));
	}
	*count = n;
	return at;
}

static bool may_shorten(int nr)
{
	switch (nr) {
	case __NR_read:
	case __NR_pread64:
	case __NR_getdents:
	case __NR_getdents64:
	case __NR_getrandom:
	case __NR_epoll_wait:
	case __NR_epoll_pwait:
	case __NR_epoll_pwait2:
		return true;
	default:
		return false;
	}
}

/* A buffer of arg[count] units. */
static void plan_counted(struct plan_builder *b, const struct sys_out *o, bool shorten)
{
	uint64_t n = b->plan->arg[o->count];
	uint64_t room = plan_room(b) / o->unit;

	/* Counts of units are ints, except the bytes of a buffer. The kernel refuses these, with no help from here. */
	if (n > USER_END / o->unit || b->plan->arg[o->arg] > USER_END - n * o->unit)
		return;
	if (shorten && n > room && room * o->unit >= SHORT_MIN) {
		b->plan->flags |= SYSPLAN_SHORTENED;
		b->plan->arg[o->count] = n = room;
	}
	plan_arg_out(b, o->arg, n * o->unit);
}

static void plan_declared(struct plan_builder *b, int nr, const struct sys_out *o)
{
	switch (o->kind) {
	case SO_FIXED:
	case SO_POSITIVE:
		/* Copies, because some of them are inputs too (a file offset). */
		plan_arg_inout(b, o->arg, o->unit);
		break;
	case SO_RESULT:
	case SO_ARRAY:
		plan_counted(b, o, may_shorten(nr));
		break;
	}
}

static void plan_outputs(struct plan_builder *b, const struct sys_call *c, const struct sys_desc *d)
{
	/* Small fixed blocks first: a shortened buffer takes all the room there is. */
	for (int i = 0; i < SYS_OUTS_MAX; i++)
		if (d->out[i].kind == SO_FIXED || d->out[i].kind == SO_POSITIVE)
			plan_declared(b, c->nr, &d->out[i]);
	for (int i = 0; i < SYS_OUTS_MAX; i++)
		if (d->out[i].kind == SO_RESULT || d->out[i].kind == SO_ARRAY)
			plan_declared(b, c->nr, &d->out[i]);
	for (int i = 0; i < SYS_OUTS_MAX; i++)
		if (d->out[i].kind == SO_CUSTOM)
			plan_custom(b, c);
}

int sysplan_make(const struct sys_call *c, const struct sys_mem *m, uint64_t scratch_addr, size_t scratch_len,
		 struct sysplan *ret)
{
	const struct sys_desc *d = sys_desc(c->nr);
	struct plan_builder b = {
		.m = m, .plan = ret, .low = scratch_addr, .high = scratch_addr + scratch_len,
	};

	memcpy(ret->arg, c->arg, sizeof(ret->arg));
	ret->scratch_addr = scratch_addr;
	ret->flags = 0;
	ret->n_image = ret->n_blocks = ret->n_fixups = 0;

	if (!d || d->class == SC_LEARN || d->class == SC_RESTART)
		return -RL_EUNSUPPORTED;
	if (d->class != SC_PLAIN)
		return 0;
	if (d->flags & SYSF_IN_PLACE) {
		ret->flags |= SYSPLAN_IN_PLACE;
		return 0;
	}
	plan_outputs(&b, c, d);
	return b.err;
}

/*
 * The first block at or after index `start`, around the end, that holds addr. NULL: none; then *ret_next is where the
 * next one begins, or the end of all memory.
 */
static const struct sysplan_block *block_at(const struct sysplan *p, uint64_t addr, size_t start, uint64_t *ret_next)
{
	*ret_next = UINT64_MAX;
	for (size_t i = 0; i < p->n_blocks; i++) {
		const struct sysplan_block *k = &p->blocks[(start + i) % p->n_blocks];

		if (addr >= k->user_addr && addr - k->user_addr < k->len) {
			*ret_next = k->user_addr + k->len;
			return k;
		}
		if (k->user_addr > addr && k->user_addr < *ret_next)
			*ret_next = k->user_addr;
	}
	return NULL;
}

struct overlay {
	const struct sysplan *plan;
	const struct sys_mem *m;
};

/* Put the program's own pointers back into bytes that were read from scratch memory. */
static void undo_fixups(const struct sysplan *p, uint64_t at, uint8_t *bytes, size_t n)
{
	for (size_t i = 0; i < p->n_fixups; i++) {
		const struct sysplan_fixup *f = &p->fixups[i];

		for (unsigned k = 0; k < 8; k++) {
			uint64_t byte_at = f->scratch_addr + k;

			if (byte_at >= at && byte_at - at < n)
				bytes[byte_at - at] = (uint8_t)(f->user_value >> (8 * k));
		}
	}
}

/* The caller's memory as it would be had the call been made without a plan. */
static int overlay_read(void *ctx, uint64_t addr, void *out, size_t n)
{
	const struct overlay *o = ctx;
	uint8_t *to = out;

	while (n > 0) {
		uint64_t next, from = addr;
		const struct sysplan_block *k = block_at(o->plan, addr, 0, &next);
		size_t run;
		int err;

		if (k)
			from = k->scratch_addr + (addr - k->user_addr);
		run = next - addr < n ? next - addr : n;
		err = o->m->read(o->m->ctx, from, to, run);
		if (err)
			return err;
		if (k)
			undo_fixups(o->plan, from, to, run);
		addr += run;
		to += run;
		n -= run;
	}
	return 0;
}

/*
 * The parts of a range that have a stand-in; the kernel knew of no other memory. Ranges and blocks have the same
 * order, so looking from the last one on tells buffers apart that are one and the same to the program.
 */
static int add_in_blocks(const struct sysplan *p, struct sys_range r, size_t *start, struct sys_ranges *out)
{
	uint64_t end = r.addr + r.len;

	for (uint64_t addr = r.addr, next; addr < end; addr = next) {
		const struct sysplan_block *k = block_at(p, addr, *start, &next);

		if (!k)
			continue;
		*start = (size_t)(k - p->blocks) + 1;
		sys_ranges_add_from(out, addr, (next < end ? next : end) - addr,
				    k->scratch_addr + (addr - k->user_addr));
	}
	return out->err;
}

int sysplan_finish(const struct sysplan *p, const struct sys_call *c, const struct sys_mem *m,
		   struct sys_ranges *out)
{
	struct overlay ctx = { .plan = p, .m = m };
	struct sys_mem overlay = { .read = overlay_read, .ctx = &ctx };
	struct sys_ranges all = { 0 };
	size_t start = 0;
	int err;

	if (p->n_blocks == 0)
		return sys_outputs(c, m, out);

	sys_ranges_clear(out);
	err = sys_outputs(c, &overlay, &all);
	for (size_t i = 0; i < all.n && !err; i++)
		err = add_in_blocks(p, all.v[i], &start, out);
	sys_ranges_free(&all);
	return err;
}

void sysplan_free(struct sysplan *p)
{
	free(p->image);
	free(p->blocks);
	free(p->fixups);
	*p = (struct sysplan){ 0 };
}
