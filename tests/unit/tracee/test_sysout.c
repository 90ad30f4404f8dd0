/* Outputs in fake memory: what the running kernel cannot be made to show. */
#include "sys_arena.h"

#include <linux/quota.h>
#include <mqueue.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysinfo.h>
#include <sys/timex.h>
#include <sys/uio.h>
#include <termios.h>

#include "common/err.h"
#include "tracee/sysioctl.h"
#include "tracee/sysout.h"

_Static_assert(K_STAT == sizeof(struct stat), "stat");
_Static_assert(K_STATX == sizeof(struct statx), "statx");
_Static_assert(K_STATFS == sizeof(struct statfs), "statfs");
_Static_assert(K_RUSAGE == sizeof(struct rusage), "rusage");
_Static_assert(K_RLIMIT == sizeof(struct rlimit), "rlimit");
_Static_assert(K_SYSINFO == sizeof(struct sysinfo), "sysinfo");
_Static_assert(K_TIMEX == sizeof(struct timex), "timex");
_Static_assert(K_EPOLL_EVENT == sizeof(struct epoll_event), "epoll_event");
_Static_assert(K_MQ_ATTR == sizeof(struct mq_attr), "mq_attr");
_Static_assert(K_MSGHDR == sizeof(struct msghdr), "msghdr");
_Static_assert(K_MMSGHDR == sizeof(struct mmsghdr), "mmsghdr");
_Static_assert(K_SOCKADDR_MAX == sizeof(struct sockaddr_storage), "sockaddr_storage");
_Static_assert(K_IOVEC == sizeof(struct iovec), "iovec");

static struct arena *a;

static int make_arena(void **state)
{
	(void)state;
	a = arena_new();
	return 0;
}

static int drop_arena(void **state)
{
	(void)state;
	arena_free(a);
	return 0;
}

/* One range, or none if len is 0. */
static void assert_output(const struct sys_call *c, uint64_t addr, uint64_t len)
{
	struct sys_ranges out = { 0 };

	assert_int_equal(sys_outputs(c, &a->m, &out), 0);
	assert_int_equal(out.n, len ? 1 : 0);
	if (len) {
		assert_int_equal(out.v[0].addr, addr);
		assert_int_equal(out.v[0].len, len);
		assert_int_equal(out.v[0].from, addr);
	}
	sys_ranges_free(&out);
}

static void quotas(void **state)
{
	uint32_t get = (uint32_t)Q_GETQUOTA << 8;

	(void)state;
	assert_output(&(struct sys_call){ .nr = __NR_quotactl, .arg = { get, 0, 0, at(a, 0) } }, at(a, 0), 72);
	assert_output(&(struct sys_call){ .nr = __NR_quotactl_fd, .arg = { 3, get, 0, at(a, 0) } }, at(a, 0), 72);
	assert_output(&(struct sys_call){ .nr = __NR_quotactl, .arg = { (uint32_t)Q_SETQUOTA << 8, 0, 0, at(a, 0) } },
		      0, 0);
	assert_output(&(struct sys_call){ .nr = __NR_quotactl, .arg = { get, 0, 0, at(a, 0) }, .ret = -EPERM }, 0, 0);
}

static void an_attribute_is_as_long_as_the_smaller_of_buffer_and_result(void **state)
{
	uint64_t xa[2] = { at(a, 512), 10 };
	struct sys_call get = { .nr = __NR_getxattr, .arg = { 0, 0, at(a, 0), 0 }, .ret = 30 };
	struct sys_call getat = { .nr = __NR_getxattrat, .arg = { 0, 0, 0, 0, at(a, 0), 16 }, .ret = 7 };

	(void)state;
	memcpy(a->mem, xa, sizeof(xa));
	assert_output(&get, 0, 0);               /* size 0 asks how much is needed */
	get.arg[3] = 100;
	assert_output(&get, at(a, 0), 30);
	assert_output(&getat, at(a, 512), 7);
	getat.ret = 20;
	assert_output(&getat, at(a, 512), 10);
}

static void statmount_says_its_own_size(void **state)
{
	uint32_t size = 700;
	struct sys_call c = { .nr = __NR_statmount, .arg = { 0, at(a, 0), 4096 } };

	(void)state;
	memcpy(a->mem, &size, 4);
	assert_output(&c, at(a, 0), 700);
	c.arg[2] = 512;
	assert_output(&c, at(a, 0), 512);
}

static void structures_that_cannot_be_read_are_an_error(void **state)
{
	struct sys_ranges out = { 0 };

	(void)state;
	assert_int_equal(sys_outputs(&(struct sys_call){ .nr = __NR_readv, .arg = { 0, 0x10, 2 }, .ret = 5 }, &a->m,
				     &out), -EFAULT);
	assert_int_equal(sys_outputs(&(struct sys_call){ .nr = __NR_recvmsg, .arg = { 0, 0x10, 0 }, .ret = 5 }, &a->m,
				     &out), -EFAULT);
	sys_ranges_free(&out);
}

static void ioctls_of_unknown_drivers_are_read_from_their_number(void **state)
{
	struct sys_call c = { .nr = __NR_ioctl, .arg = { 3, _IOR(0x77, 1, char[20]), at(a, 0) } };

	(void)state;
	assert_output(&c, at(a, 0), 20);
	c.arg[1] = _IOWR(0x77, 2, char[24]);
	assert_output(&c, at(a, 0), 24);
	c.ret = -EIO;                            /* it may have written and then failed */
	assert_output(&c, at(a, 0), 24);
	c.ret = -ENOTTY;                         /* no driver has looked at it */
	assert_output(&c, 0, 0);
	c.ret = 0;
	c.arg[1] = _IOW(0x77, 3, char[24]);
	assert_output(&c, 0, 0);
}

static void ioctls_that_say_nothing_or_reach_further_are_unsupported(void **state)
{
	static const uint32_t requests[] = {
		_IO(0x77, 4), 0x8b01, _IOWR('d', 0, char[8]), _IOR(0xae, 1, char[8]), _IOW('U', 2, char[8]), 0x0707,
	};
	struct sys_ranges out = { 0 };
	uint64_t len;

	(void)state;
	for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
		struct sys_call c = { .nr = __NR_ioctl, .arg = { 3, requests[i], at(a, 0) } };

		assert_int_equal(sys_outputs(&c, &a->m, &out), -RL_EUNSUPPORTED);
		assert_int_equal(sysioctl_out_len(&c, &len), -RL_EUNSUPPORTED);
	}
	sys_ranges_free(&out);
}

static void terminal_requests_have_names(void **state)
{
	(void)state;
	assert_string_equal(sysioctl_name(TCGETS), "TCGETS");
	assert_string_equal(sysioctl_name(TIOCGWINSZ), "TIOCGWINSZ");
	assert_null(sysioctl_name(0x12345678));
}

static void assert_written(const struct sys_call *c, size_t n, const struct sys_range *want)
{
	struct sys_ranges out = { 0 };

	assert_int_equal(sys_written(c, &a->m, &out), 0);
	assert_int_equal(out.n, n);
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(out.v[i].addr, want[i].addr);
		assert_int_equal(out.v[i].len, want[i].len);
	}
	sys_ranges_free(&out);
}

static void sent_bytes_are_as_many_as_the_result(void **state)
{
	struct iovec iov[2] = { { a->mem + 512, 4 }, { a->mem + 1024, 10 } };
	struct msghdr h = { .msg_iov = (void *)a->mem, .msg_iovlen = 2 };
	const struct sys_range whole[] = { { at(a, 512), 4, 0 }, { at(a, 1024), 2, 0 } };
	const struct sys_range plain[] = { { at(a, 256), 5, 0 } };
	struct sys_ranges out = { 0 };

	(void)state;
	memcpy(a->mem, iov, sizeof(iov));
	memcpy(a->mem + 128, &h, sizeof(h));
	assert_written(&(struct sys_call){ .nr = __NR_write, .arg = { 1, at(a, 256), 9 }, .ret = 5 }, 1, plain);
	assert_written(&(struct sys_call){ .nr = __NR_write, .arg = { 1, at(a, 256), 9 }, .ret = -EPIPE }, 0, NULL);
	assert_written(&(struct sys_call){ .nr = __NR_writev, .arg = { 1, at(a, 0), 2 }, .ret = 6 }, 2, whole);
	assert_written(&(struct sys_call){ .nr = __NR_sendmsg, .arg = { 1, at(a, 128) }, .ret = 6 }, 2, whole);
	assert_int_equal(sys_written(&(struct sys_call){ .nr = __NR_read, .ret = 6 }, &a->m, &out),
			 -RL_EUNSUPPORTED);
	sys_ranges_free(&out);
}

static void sent_messages_are_found_through_their_headers(void **state)
{
	const struct sys_range want[] = { { at(a, 4096), 3, 0 }, { at(a, 4096), 2, 0 } };

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct iovec iov = { a->mem + 4096, 100 };
		struct mmsghdr h = { .msg_hdr = { .msg_iov = (void *)(a->mem + 1024 + 16 * i), .msg_iovlen = 1 },
				     .msg_len = (unsigned)(3 - i) };

		memcpy(a->mem + 64 * i, &h, sizeof(h));
		memcpy(a->mem + 1024 + 16 * i, &iov, sizeof(iov));
	}
	assert_written(&(struct sys_call){ .nr = __NR_sendmmsg, .arg = { 1, at(a, 0), 2 }, .ret = 2 }, 2, want);
}

static void a_new_task_leaves_its_number_and_descriptor(void **state)
{
	struct sys_ranges out = { 0 };
	struct sys_call c = { .nr = __NR_clone, .arg = { 0x100000 | 0x1000, 0, at(a, 64), at(a, 128) }, .ret = 77 };

	(void)state;
	assert_int_equal(sys_outputs(&c, &a->m, &out), 0);
	assert_int_equal(out.n, 2);              /* CLONE_PARENT_SETTID and CLONE_PIDFD share a pointer */
	assert_int_equal(out.v[0].addr, at(a, 64));
	c.ret = -EAGAIN;
	assert_int_equal(sys_outputs(&c, &a->m, &out), 0);
	assert_int_equal(out.n, 0);
	sys_ranges_free(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(quotas),
		cmocka_unit_test(an_attribute_is_as_long_as_the_smaller_of_buffer_and_result),
		cmocka_unit_test(statmount_says_its_own_size),
		cmocka_unit_test(structures_that_cannot_be_read_are_an_error),
		cmocka_unit_test(ioctls_of_unknown_drivers_are_read_from_their_number),
		cmocka_unit_test(ioctls_that_say_nothing_or_reach_further_are_unsupported),
		cmocka_unit_test(terminal_requests_have_names),
		cmocka_unit_test(sent_bytes_are_as_many_as_the_result),
		cmocka_unit_test(sent_messages_are_found_through_their_headers),
		cmocka_unit_test(a_new_task_leaves_its_number_and_descriptor),
	};

	return cmocka_run_group_tests(tests, make_arena, drop_arena);
}
