/* The system call table as a whole. */
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <cmocka.h>

#include "common/err.h"
#include "tracee/sysinfo.h"
#include "tracee/sysinfo_nr.h"
#include "tracee/sysout.h"

static int read_nothing(void *ctx, uint64_t addr, void *out, size_t n)
{
	(void)ctx, (void)addr, (void)out, (void)n;
	return -EFAULT;
}
static const struct sys_mem no_memory = { .read = read_nothing };

static void every_number_of_the_kernel_is_there(void **state)
{
	(void)state;
	for (int nr = 0; nr < SYS_NR_END; nr++) {
		bool hole = nr > 336 && nr < 424;

		if (hole)
			assert_null(sys_desc(nr));
		else
			assert_non_null(sys_desc(nr));
	}
	assert_null(sys_desc(-1));
	assert_null(sys_desc(SYS_NR_END));
	assert_null(sys_desc(0x40000000));       /* x32 */
}

static void every_line_is_well_formed(void **state)
{
	(void)state;
	for (int nr = 0; nr < SYS_NR_END; nr++) {
		const struct sys_desc *d = sys_desc(nr);

		if (!d)
			continue;
		assert_true(strlen(d->args) <= 6);
		assert_int_equal(strspn(d->args, "failuxopsybwvONPMRACGgmSHtTVkjELDYhWBcrFIZzQe"), strlen(d->args));
		assert_true((d->class == SC_REFUSE) == (d->err > 0));
		assert_true(!(d->flags & SYSF_FD0) || d->args[0] == 'f');
		for (int i = 0; i < SYS_OUTS_MAX; i++) {
			const struct sys_out *o = &d->out[i];

			assert_true(o->arg < 6 && o->count < 6);
			assert_true(o->kind == SO_NONE || o->kind == SO_CUSTOM || o->unit > 0);
			assert_true((o->kind == SO_CUSTOM) == (o->fn != NULL));
		}
	}
}

static void unknown_calls_are_unsupported_unless_the_kernel_lacks_them_too(void **state)
{
	struct sys_ranges out = { 0 };

	(void)state;
	assert_int_equal(sys_outputs(&(struct sys_call){ .nr = 9999 }, &no_memory, &out), -RL_EUNSUPPORTED);
	assert_int_equal(sys_outputs(&(struct sys_call){ .nr = 9999, .ret = -ENOSYS }, &no_memory, &out), 0);
	assert_int_equal(sys_outputs(&(struct sys_call){ .nr = __NR_bpf }, &no_memory, &out), -RL_EUNSUPPORTED);
	assert_int_equal(sys_outputs(&(struct sys_call){ .nr = __NR_io_uring_setup, .ret = -ENOSYS }, &no_memory,
				     &out), 0);
	assert_int_equal(out.n, 0);
	sys_ranges_free(&out);
}

static void refused_calls_name_an_error_that_programs_expect(void **state)
{
	(void)state;
	assert_int_equal(sys_desc(__NR_rseq)->err, ENOSYS);
	assert_int_equal(sys_desc(__NR_io_uring_setup)->err, ENOSYS);
	assert_int_equal(sys_desc(__NR_userfaultfd)->err, ENOSYS);
}

static bool may_block(int nr, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
	return sys_may_block(&(struct sys_call){ .nr = nr, .arg = { a, b, c, d } }, NULL);
}

static void arguments_tell_whether_a_call_may_block(void **state)
{
	(void)state;
	assert_true(may_block(__NR_read, 0, 0, 0, 0));
	assert_false(may_block(__NR_getpid, 0, 0, 0, 0));
	assert_false(may_block(9999, 0, 0, 0, 0));
	assert_true(may_block(__NR_futex, 0, FUTEX_WAIT_PRIVATE, 0, 0));
	assert_true(may_block(__NR_futex, 0, FUTEX_WAIT_BITSET | FUTEX_CLOCK_REALTIME, 0, 0));
	assert_false(may_block(__NR_futex, 0, FUTEX_WAKE_PRIVATE, 0, 0));
	assert_true(may_block(__NR_fcntl, 0, F_SETLKW, 0, 0));
	assert_false(may_block(__NR_fcntl, 0, F_SETLK, 0, 0));
	assert_true(may_block(__NR_poll, 0, 0, 5, 0));
	assert_false(may_block(__NR_poll, 0, 0, 0, 0));
	assert_false(may_block(__NR_epoll_wait, 0, 0, 0, 0));
	assert_true(may_block(__NR_epoll_wait, 0, 0, 0, (uint32_t)-1));
	assert_true(may_block(__NR_wait4, 0, 0, 0, 0));
	assert_false(may_block(__NR_wait4, 0, 0, WNOHANG, 0));
	assert_false(may_block(__NR_recvfrom, 0, 0, 0, MSG_DONTWAIT));
	assert_false(may_block(__NR_openat, 0, 0, O_RDONLY | O_NONBLOCK, 0));
	assert_false(may_block(__NR_ioctl, 0, FIONREAD, 0, 0));
	assert_true(may_block(__NR_ioctl, 0, 0xc0104e82, 0, 0));
}

static int read_zeros(void *ctx, uint64_t addr, void *out, size_t n)
{
	(void)ctx, (void)addr;
	memset(out, 0, n);
	return 0;
}

static void a_zero_timeout_in_memory_does_not_block(void **state)
{
	struct sys_mem zeros = { .read = read_zeros };
	struct sys_call c = { .nr = __NR_ppoll, .arg = { 0x1000, 1, 0x2000 } };

	(void)state;
	assert_false(sys_may_block(&c, &zeros));
	assert_true(sys_may_block(&c, &no_memory));
	c.arg[2] = 0;
	assert_true(sys_may_block(&c, &zeros));
}

static int read_clone_args(void *ctx, uint64_t addr, void *out, size_t n)
{
	(void)addr;
	memcpy(out, ctx, n);
	return 0;
}

static void clone_and_clone3_decode_alike(void **state)
{
	uint64_t v[11] = { CLONE_VM | CLONE_THREAD, 0x100, 0x200, 0x300, 0, 0x400, 0x500, 0x600 };
	struct sys_mem m = { .read = read_clone_args, .ctx = v };
	struct sys_call c3 = { .nr = __NR_clone3, .arg = { 0x1000, 88 } };
	struct sys_call c1 = { .nr = __NR_clone, .arg = { CLONE_VM | CLONE_PIDFD | 17, 0x900, 0x300, 0x200, 0x600 } };
	struct sys_clone got;

	(void)state;
	assert_int_equal(sys_clone_decode(&c3, &m, &got), 0);
	assert_int_equal(got.flags, CLONE_VM | CLONE_THREAD);
	assert_int_equal(got.pidfd, 0x100);
	assert_int_equal(got.child_tid, 0x200);
	assert_int_equal(got.parent_tid, 0x300);
	assert_int_equal(got.stack, 0x400);
	assert_int_equal(got.stack_len, 0x500);
	assert_int_equal(got.tls, 0x600);

	assert_int_equal(sys_clone_decode(&c1, &no_memory, &got), 0);
	assert_int_equal(got.flags, CLONE_VM | CLONE_PIDFD);
	assert_int_equal(got.exit_signal, 17);
	assert_int_equal(got.pidfd, 0x300);
	assert_int_equal(got.child_tid, 0x200);

	assert_int_equal(sys_clone_decode(&c3, &no_memory, &got), -EFAULT);
	c3.arg[1] = 8;
	assert_int_equal(sys_clone_decode(&c3, &m, &got), -EINVAL);
}

static void neighbouring_ranges_join(void **state)
{
	struct sys_ranges r = { 0 };

	(void)state;
	sys_ranges_add(&r, 0x1006, 2);
	sys_ranges_add(&r, 0x100e, 2);
	sys_ranges_add(&r, 0x2000, 2);
	sys_ranges_add(&r, 0, 8);                /* null: no output */
	sys_ranges_add(&r, 0x3000, 0);
	assert_int_equal(r.n, 3);
	sys_ranges_join(&r, 6);
	assert_int_equal(r.n, 2);
	assert_int_equal(r.v[0].addr, 0x1006);
	assert_int_equal(r.v[0].len, 10);
	assert_int_equal(r.v[1].addr, 0x2000);
	sys_ranges_free(&r);
	sys_ranges_join(&r, 0);
	assert_int_equal(r.n, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_number_of_the_kernel_is_there),
		cmocka_unit_test(every_line_is_well_formed),
		cmocka_unit_test(unknown_calls_are_unsupported_unless_the_kernel_lacks_them_too),
		cmocka_unit_test(refused_calls_name_an_error_that_programs_expect),
		cmocka_unit_test(arguments_tell_whether_a_call_may_block),
		cmocka_unit_test(a_zero_timeout_in_memory_does_not_block),
		cmocka_unit_test(clone_and_clone3_decode_alike),
		cmocka_unit_test(neighbouring_ranges_join),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
