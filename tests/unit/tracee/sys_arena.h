/*
 * A piece of memory in which system calls are made for real: what they changed is compared with what the table says.
 * For the tests of the system call table.
 */
#ifndef RELIVE_TEST_SYS_ARENA_H
#define RELIVE_TEST_SYS_ARENA_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cmocka.h>

#include "tracee/sysinfo.h"
#include "tracee/sysinfo_nr.h"
#include "tracee/sysplan.h"

#define ARENA_SIZE 0x10000u
#define SCRATCH_SIZE 0x10000u

struct arena {
	uint8_t *mem;              /* ARENA_SIZE bytes, then an unmapped page */
	uint8_t *scratch;          /* SCRATCH_SIZE bytes */
	uint8_t before[ARENA_SIZE];
	struct sys_mem m;
};

/* Memory of this process: only what lies in the arena or its scratch memory can be read. */
static int arena_read(void *ctx, uint64_t addr, void *out, size_t n)
{
	const struct arena *a = ctx;
	uint64_t mem = (uint64_t)a->mem, scratch = (uint64_t)a->scratch;

	if (!(addr >= mem && addr - mem <= ARENA_SIZE && n <= ARENA_SIZE - (addr - mem)) &&
	    !(addr >= scratch && addr - scratch <= SCRATCH_SIZE && n <= SCRATCH_SIZE - (addr - scratch)))
		return -EFAULT;
	memcpy(out, (const void *)addr, n);
	return 0;
}

static struct arena *arena_new(void)
{
	struct arena *a = calloc(1, sizeof(*a));

	assert_non_null(a);
	a->mem = mmap(NULL, ARENA_SIZE + 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(a->mem, MAP_FAILED);
	munmap(a->mem + ARENA_SIZE, 4096);
	a->scratch = mmap(NULL, SCRATCH_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(a->scratch, MAP_FAILED);
	a->m = (struct sys_mem){ .read = arena_read, .ctx = a };
	return a;
}

static void arena_free(struct arena *a)
{
	munmap(a->mem, ARENA_SIZE);
	munmap(a->scratch, SCRATCH_SIZE);
	free(a);
}

/* The arena's byte at an offset, as a number that system calls take. */
static inline uint64_t at(const struct arena *a, size_t offset)
{
	return (uint64_t)a->mem + offset;
}

static inline int64_t raw_call(int nr, const uint64_t arg[6])
{
	register uint64_t r10 __asm__("r10") = arg[3];
	register uint64_t r8 __asm__("r8") = arg[4];
	register uint64_t r9 __asm__("r9") = arg[5];
	int64_t ret;

	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "a"((long)nr), "D"(arg[0]), "S"(arg[1]), "d"(arg[2]), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return ret;
}

static inline bool in_ranges(const struct sys_ranges *r, uint64_t addr)
{
	for (size_t i = 0; i < r->n; i++)
		if (addr >= r->v[i].addr && addr - r->v[i].addr < r->v[i].len)
			return true;
	return false;
}

static void assert_changes_are_in(const struct arena *a, const struct sys_ranges *r, const struct sys_call *c)
{
	for (size_t i = 0; i < ARENA_SIZE; i++)
		if (a->mem[i] != a->before[i] && !in_ranges(r, at(a, i)))
			fail_msg("%s changed the byte at arena+0x%zx, outside of its outputs (result %lld)",
				 sys_desc(c->nr)->name, i, (long long)c->ret);
}

/* A call, and what prepares its inputs in an arena that is otherwise filled with a pattern. */
struct real_call {
	int nr;
	void (*setup)(struct arena *a, uint64_t arg[6]);
	void (*undo)(void);        /* or NULL */
	int64_t (*check)(const struct arena *a, const struct sys_call *c);  /* or NULL; asserts */
};

static void prepare(struct arena *a, const struct real_call *rc, int fill, struct sys_call *ret)
{
	memset(a->mem, fill, ARENA_SIZE);
	*ret = (struct sys_call){ .nr = rc->nr };
	rc->setup(a, ret->arg);
	memcpy(a->before, a->mem, ARENA_SIZE);
}

static void run_direct(struct arena *a, const struct real_call *rc, int fill)
{
	struct sys_ranges out = { 0 };
	struct sys_call c;

	prepare(a, rc, fill, &c);
	c.ret = raw_call(c.nr, c.arg);
	assert_int_equal(sys_outputs(&c, &a->m, &out), 0);
	assert_changes_are_in(a, &out, &c);
	if (rc->check)
		rc->check(a, &c);
	if (rc->undo)
		rc->undo();
	sys_ranges_free(&out);
}

static void run_planned(struct arena *a, const struct real_call *rc, int fill)
{
	struct sysplan plan = { 0 };
	struct sys_ranges out = { 0 };
	struct sys_call c;

	prepare(a, rc, fill, &c);
	memset(a->scratch, ~fill, SCRATCH_SIZE);
	assert_int_equal(sysplan_make(&c, &a->m, (uint64_t)a->scratch, SCRATCH_SIZE, &plan), 0);
	if (plan.n_image)
		memcpy(a->scratch, plan.image, plan.n_image);
	c.ret = raw_call(c.nr, plan.arg);
	if (!(plan.flags & SYSPLAN_IN_PLACE))
		assert_memory_equal(a->mem, a->before, ARENA_SIZE);
	assert_int_equal(sysplan_finish(&plan, &c, &a->m, &out), 0);
	for (size_t i = 0; i < out.n; i++)
		memmove((void *)out.v[i].addr, (void *)out.v[i].from, out.v[i].len);
	assert_changes_are_in(a, &out, &c);
	if (rc->check)
		rc->check(a, &c);
	if (rc->undo)
		rc->undo();
	sys_ranges_free(&out);
	sysplan_free(&plan);
}

/* Two patterns, so that a byte that was written but not changed by one of them is seen with the other. */
static inline void check_direct(const struct real_call *rc)
{
	struct arena *a = arena_new();

	run_direct(a, rc, 0xa5);
	run_direct(a, rc, 0x5a);
	arena_free(a);
}

static inline void check_planned(const struct real_call *rc)
{
	struct arena *a = arena_new();

	run_planned(a, rc, 0xa5);
	run_planned(a, rc, 0x5a);
	arena_free(a);
}

/* Descriptors that a setup made and close_fds() removes. */
static __attribute__((unused)) int fds[4] = { -1, -1, -1, -1 };

static inline void close_fds(void)
{
	for (int i = 0; i < 4; i++) {
		if (fds[i] >= 0)
			close(fds[i]);
		fds[i] = -1;
	}
}

static inline void put(struct arena *a, size_t offset, const void *bytes, size_t n)
{
	memcpy(a->mem + offset, bytes, n);
}

static inline void put_path(struct arena *a, const char *path)
{
	put(a, 0, path, strlen(path) + 1);
}

#define ARGS(...) memcpy(arg, (uint64_t[6]){ __VA_ARGS__ }, 6 * sizeof(uint64_t))

#endif
