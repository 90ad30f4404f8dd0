/* Scratch plans: shape, limits, hostile arguments. That they work is shown by test_sysreal*.c. */
#include "sys_arena.h"

#include <linux/futex.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "common/err.h"

static int make(const struct arena *a, const struct sys_call *c, size_t scratch_len, struct sysplan *p)
{
	return sysplan_make(c, &a->m, (uint64_t)a->scratch, scratch_len, p);
}

static void a_call_without_outputs_has_an_empty_plan(void **state)
{
	struct arena *a = arena_new();
	struct sysplan p = { 0 };
	struct sys_call calls[] = {
		{ .nr = __NR_write, .arg = { 1, at(a, 0), 10 } },
		{ .nr = __NR_futex, .arg = { at(a, 0), FUTEX_WAIT, 0 } },
		{ .nr = __NR_nanosleep, .arg = { at(a, 0), 0 } },
		{ .nr = __NR_accept, .arg = { 3, 0, 0 } },
		{ .nr = __NR_execve, .arg = { at(a, 0) } },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		assert_int_equal(make(a, &calls[i], SCRATCH_SIZE, &p), 0);
		assert_int_equal(p.n_blocks, 0);
		assert_int_equal(p.flags, 0);
		assert_memory_equal(p.arg, calls[i].arg, sizeof(p.arg));
	}
	sysplan_free(&p);
	arena_free(a);
}

static void priority_inheritance_futexes_stay_in_place(void **state)
{
	struct arena *a = arena_new();
	struct sysplan p = { 0 };
	struct sys_call c = { .nr = __NR_futex, .arg = { at(a, 64), FUTEX_LOCK_PI } };
	struct sys_ranges out = { 0 };

	(void)state;
	assert_int_equal(make(a, &c, SCRATCH_SIZE, &p), 0);
	assert_int_equal(p.flags, SYSPLAN_IN_PLACE);
	assert_int_equal(sysplan_finish(&p, &c, &a->m, &out), 0);
	assert_int_equal(out.n, 1);
	assert_int_equal(out.v[0].addr, at(a, 64));
	assert_int_equal(out.v[0].from, at(a, 64));
	sys_ranges_free(&out);
	sysplan_free(&p);
	arena_free(a);
}

static void a_read_is_shortened_to_what_fits(void **state)
{
	struct arena *a = arena_new();
	struct sysplan p = { 0 };
	struct sys_call c = { .nr = __NR_read, .arg = { 3, at(a, 0), ARENA_SIZE } };

	(void)state;
	assert_int_equal(make(a, &c, 8192, &p), 0);
	assert_int_equal(p.flags, SYSPLAN_SHORTENED);
	assert_int_equal(p.arg[2], 8192);
	assert_int_equal(make(a, &c, 100, &p), -ENOSPC);
	sysplan_free(&p);
	arena_free(a);
}

static void a_datagram_is_never_shortened(void **state)
{
	struct arena *a = arena_new();
	struct sysplan p = { 0 };
	struct iovec iov = { a->mem + 4096, 10000 };
	struct msghdr h = { .msg_iov = (void *)(a->mem + 512), .msg_iovlen = 1 };
	struct sys_call from = { .nr = __NR_recvfrom, .arg = { 3, at(a, 4096), 10000 } };
	struct sys_call msg = { .nr = __NR_recvmsg, .arg = { 3, at(a, 0) } };

	(void)state;
	memcpy(a->mem + 512, &iov, sizeof(iov));
	memcpy(a->mem, &h, sizeof(h));
	assert_int_equal(make(a, &from, 8192, &p), -ENOSPC);
	assert_int_equal(make(a, &msg, 8192, &p), -ENOSPC);
	assert_int_equal(make(a, &from, 16384, &p), 0);
	assert_int_equal(make(a, &msg, 16384, &p), 0);
	sysplan_free(&p);
	arena_free(a);
}

static void fewer_messages_are_asked_for_when_they_do_not_fit(void **state)
{
	struct arena *a = arena_new();
	struct sysplan p = { 0 };
	struct sys_call c = { .nr = __NR_recvmmsg, .arg = { 3, at(a, 0), 3, 0, 0 } };

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct iovec iov = { a->mem + 8192 + 4096 * i, 4096 };
		struct mmsghdr h = { .msg_hdr = { .msg_iov = (void *)(a->mem + 1024 + 16 * i), .msg_iovlen = 1 } };

		memcpy(a->mem + 64 * i, &h, sizeof(h));
		memcpy(a->mem + 1024 + 16 * i, &iov, sizeof(iov));
	}
	assert_int_equal(make(a, &c, 10000, &p), 0);
	assert_int_equal(p.flags, SYSPLAN_SHORTENED);
	assert_int_equal(p.arg[2], 2);
	assert_int_equal(make(a, &c, 4000, &p), -ENOSPC);
	sysplan_free(&p);
	arena_free(a);
}

static void unreadable_buffers_are_left_to_the_kernel(void **state)
{
	struct arena *a = arena_new();
	struct sysplan p = { 0 };
	struct sys_call rd = { .nr = __NR_read, .arg = { 3, 0x1000, 100 } };
	struct sys_call pl = { .nr = __NR_poll, .arg = { 0x1000, 2, 0 } };
	struct sys_call rv = { .nr = __NR_readv, .arg = { 3, 0x1000, 2 } };

	(void)state;
	assert_int_equal(make(a, &rd, SCRATCH_SIZE, &p), 0);
	assert_int_equal(p.n_blocks, 0);
	assert_int_equal(make(a, &pl, SCRATCH_SIZE, &p), 0);
	assert_int_equal(p.arg[0], 0x1000);
	assert_int_equal(make(a, &rv, SCRATCH_SIZE, &p), 0);
	assert_int_equal(p.arg[1], 0x1000);
	sysplan_free(&p);
	arena_free(a);
}

/* readv into one buffer twice: the second write wins, in the kernel as in the ranges' order. */
static void buffers_that_are_one_to_the_program_are_two_in_scratch(void **state)
{
	struct arena *a = arena_new();
	struct sysplan p = { 0 };
	struct sys_ranges out = { 0 };
	struct iovec iov[2] = { { a->mem + 4096, 4 }, { a->mem + 4096, 4 } };
	struct sys_call c = { .nr = __NR_readv, .arg = { 3, at(a, 0), 2 }, .ret = 8 };

	(void)state;
	memcpy(a->mem, iov, sizeof(iov));
	assert_int_equal(make(a, &c, SCRATCH_SIZE, &p), 0);
	memcpy(a->scratch, p.image, p.n_image);
	assert_int_equal(sysplan_finish(&p, &c, &a->m, &out), 0);
	assert_int_equal(out.n, 2);
	assert_int_equal(out.v[0].addr, at(a, 4096));
	assert_int_equal(out.v[1].addr, at(a, 4096));
	assert_int_not_equal(out.v[0].from, out.v[1].from);
	sys_ranges_free(&out);
	sysplan_free(&p);
	arena_free(a);
}

static void another_thread_may_change_the_arguments_meanwhile(void **state)
{
	struct arena *a = arena_new();
	struct sysplan p = { 0 };
	struct sys_ranges out = { 0 };
	struct iovec iov = { a->mem + 4096, 4 };
	struct sys_call c = { .nr = __NR_readv, .arg = { 3, at(a, 0), 1 } };

	(void)state;
	memcpy(a->mem, &iov, sizeof(iov));
	assert_int_equal(make(a, &c, SCRATCH_SIZE, &p), 0);
	memcpy(a->scratch, p.image, p.n_image);
	memset(a->mem, 0xff, sizeof(iov));
	c.ret = 4;
	assert_int_equal(sysplan_finish(&p, &c, &a->m, &out), 0);
	assert_int_equal(out.n, 1);
	assert_int_equal(out.v[0].addr, at(a, 4096));
	assert_int_equal(out.v[0].len, 4);
	sys_ranges_free(&out);
	sysplan_free(&p);
	arena_free(a);
}

static void learned_and_restarted_calls_have_no_plan(void **state)
{
	struct arena *a = arena_new();
	struct sysplan p = { 0 };

	(void)state;
	assert_int_equal(make(a, &(struct sys_call){ .nr = __NR_bpf }, SCRATCH_SIZE, &p), -RL_EUNSUPPORTED);
	assert_int_equal(make(a, &(struct sys_call){ .nr = __NR_restart_syscall }, SCRATCH_SIZE, &p),
			 -RL_EUNSUPPORTED);
	assert_int_equal(make(a, &(struct sys_call){ .nr = 9999 }, SCRATCH_SIZE, &p), -RL_EUNSUPPORTED);
	sysplan_free(&p);
	arena_free(a);
}

/* xorshift: the same values in every run. */
static uint64_t next_random(uint64_t *s)
{
	*s ^= *s << 13;
	*s ^= *s >> 7;
	*s ^= *s << 17;
	return *s;
}

static uint64_t random_argument(const struct arena *a, uint64_t *s)
{
	uint64_t r = next_random(s);

	switch (r % 8) {
	case 0:
		return 0;
	case 1:
		return r >> 56;
	case 2:
		return r;
	case 3:
		return (uint32_t)r;
	default:
		return at(a, (r >> 8) % (ARENA_SIZE + 64));
	}
}

static void assert_plan_is_sound(const struct arena *a, const struct sysplan *p, size_t scratch_len)
{
	uint64_t low = (uint64_t)a->scratch, high = low + scratch_len;

	assert_true(p->n_image <= scratch_len);
	for (size_t i = 0; i < p->n_blocks; i++) {
		const struct sysplan_block *k = &p->blocks[i];

		assert_true(k->scratch_addr >= low && k->scratch_addr + k->len <= high);
		for (size_t j = 0; j < i; j++)
			assert_true(k->scratch_addr + k->len <= p->blocks[j].scratch_addr ||
				    p->blocks[j].scratch_addr + p->blocks[j].len <= k->scratch_addr);
	}
	for (size_t i = 0; i < p->n_fixups; i++)
		assert_true(p->fixups[i].scratch_addr >= low && p->fixups[i].scratch_addr + 8 <= low + p->n_image);
}

/* Pointers into the arena among random bytes, so that nested structures lead somewhere. */
static void fill_with_nonsense(struct arena *a, uint64_t *s)
{
	for (size_t i = 0; i < ARENA_SIZE; i += 8) {
		uint64_t v = random_argument(a, s);

		memcpy(a->mem + i, &v, 8);
	}
}

static void nonsense_is_survived(void **state)
{
	struct arena *a = arena_new();
	struct sysplan p = { 0 };
	struct sys_ranges out = { 0 };
	uint64_t s = 88172645463325252u;

	(void)state;
	for (int round = 0; round < 40; round++) {
		fill_with_nonsense(a, &s);
		for (int nr = 0; nr < SYS_NR_END; nr++) {
			struct sys_call c = { .nr = nr };
			size_t scratch_len = round % 2 ? SCRATCH_SIZE : 256;

			for (int i = 0; i < 6; i++)
				c.arg[i] = random_argument(a, &s);
			if (make(a, &c, scratch_len, &p) == 0) {
				assert_plan_is_sound(a, &p, scratch_len);
				if (p.n_image)
					memcpy(a->scratch, p.image, p.n_image);
				c.ret = (int64_t)(next_random(&s) % 5000) - 200;
				sysplan_finish(&p, &c, &a->m, &out);
			}
			sys_outputs(&c, &a->m, &out);
			sys_written(&c, &a->m, &out);
			sys_may_block(&c, &a->m);
		}
	}
	sys_ranges_free(&out);
	sysplan_free(&p);
	arena_free(a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_call_without_outputs_has_an_empty_plan),
		cmocka_unit_test(priority_inheritance_futexes_stay_in_place),
		cmocka_unit_test(a_read_is_shortened_to_what_fits),
		cmocka_unit_test(a_datagram_is_never_shortened),
		cmocka_unit_test(fewer_messages_are_asked_for_when_they_do_not_fit),
		cmocka_unit_test(unreadable_buffers_are_left_to_the_kernel),
		cmocka_unit_test(buffers_that_are_one_to_the_program_are_two_in_scratch),
		cmocka_unit_test(another_thread_may_change_the_arguments_meanwhile),
		cmocka_unit_test(learned_and_restarted_calls_have_no_plan),
		cmocka_unit_test(nonsense_is_survived),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
