/* System calls in words. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <netinet/in.h>
#include <cmocka.h>

#include "tracee/sysfmt.h"
#include "tracee/sysinfo_nr.h"

#define BASE 0x10000u

/* A page of memory at BASE. */
static unsigned char page[4096];

static int read_page(void *ctx, uint64_t addr, void *out, size_t n)
{
	(void)ctx;
	if (addr < BASE || addr - BASE > sizeof(page) || n > sizeof(page) - (addr - BASE))
		return -EFAULT;
	memcpy(out, page + (addr - BASE), n);
	return 0;
}
static const struct sys_mem mem = { .read = read_page };

static uint64_t put(size_t offset, const void *bytes, size_t n)
{
	memcpy(page + offset, bytes, n);
	return BASE + offset;
}

static void assert_says(const struct sys_call *c, const struct sys_mem *m, const char *want)
{
	char text[512];
	size_t n = sysfmt_call(c, m, text, sizeof(text));

	assert_int_equal(n, strlen(text));
	assert_string_equal(text, want);
}

static void strings_and_flags_are_decoded(void **state)
{
	uint64_t path = put(0, "/etc/\"x\"\n", 10);
	struct sys_call open_ro = { .nr = __NR_openat,
				    .arg = { (uint64_t)AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0600 }, .ret = -ENOENT };
	struct sys_call open_new = { .nr = __NR_openat, .arg = { 5, path, O_WRONLY | O_CREAT, 0600 }, .ret = 3 };

	(void)state;
	assert_says(&open_ro, &mem, "openat(AT_FDCWD, \"/etc/\\\"x\\\"\\n\", O_RDONLY|O_CLOEXEC) = "
				    "-1 ENOENT (No such file or directory)");
	assert_says(&open_new, &mem, "openat(5, \"/etc/\\\"x\\\"\\n\", O_WRONLY|O_CREAT, 0600) = 3");
	assert_says(&open_new, NULL, "openat(5, 0x10000, O_WRONLY|O_CREAT, 0600) = 3");
}

static void buffers_show_what_was_transferred(void **state)
{
	uint64_t buf = put(64, "hello\0world", 11);
	struct sys_call r = { .nr = __NR_read, .arg = { 3, buf, 100 }, .ret = 5 };
	struct sys_call w = { .nr = __NR_write, .arg = { 1, buf, 11 }, .ret = 11 };
	struct sys_call failed = { .nr = __NR_read, .arg = { 3, buf, 100 }, .ret = -EAGAIN };

	(void)state;
	assert_says(&r, &mem, "read(3, \"hello\", 100) = 5");
	assert_says(&w, &mem, "write(1, \"hello\\x00world\", 11) = 11");
	assert_says(&failed, &mem, "read(3, 0x10040, 100) = -1 EAGAIN (Resource temporarily unavailable)");
}

static void long_buffers_are_cut(void **state)
{
	struct sys_call w = { .nr = __NR_write, .arg = { 1, BASE + 1024, 100 }, .ret = 100 };
	char text[512];

	(void)state;
	memset(page + 1024, 'a', 100);
	sysfmt_call(&w, &mem, text, sizeof(text));
	assert_non_null(strstr(text, "a\"..., 100) = 100"));
}

static void address_space_calls_show_addresses(void **state)
{
	struct sys_call map = { .nr = __NR_mmap,
				.arg = { 0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, (uint64_t)-1, 0 },
				.ret = 0x7f0000001000 };

	(void)state;
	assert_says(&map, NULL, "mmap(NULL, 4096, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0x0) = "
				"0x7f0000001000");
}

static void structures_are_decoded(void **state)
{
	struct pollfd p = { .fd = 4, .events = POLLIN, .revents = POLLIN | POLLHUP };
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons(80),
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	uint64_t set = 1u << (SIGUSR1 - 1) | 1u << (SIGINT - 1);
	int status = 3 << 8;
	int64_t time[2] = { 1, 500 };
	struct sys_call poll_call = { .nr = __NR_poll, .arg = { put(0, &p, sizeof(p)), 1, (uint64_t)-1 }, .ret = 1 };
	struct sys_call con = { .nr = __NR_connect, .arg = { 3, put(64, &in, sizeof(in)), sizeof(in) } };
	struct sys_call mask = { .nr = __NR_rt_sigprocmask, .arg = { SIG_SETMASK, put(128, &set, 8), 0, 8 } };
	struct sys_call wait = { .nr = __NR_wait4, .arg = { (uint64_t)-1, put(256, &status, 4), 0, 0 }, .ret = 77 };
	struct sys_call clock = { .nr = __NR_clock_gettime, .arg = { 1, put(300, time, 16) } };
	struct sys_call term = { .nr = __NR_ioctl, .arg = { 0, 0x5401, 0x1000 }, .ret = -ENOTTY };

	(void)state;
	assert_says(&poll_call, &mem, "poll([{4, POLLIN => POLLIN|POLLHUP}], 1, -1) = 1");
	assert_says(&con, &mem, "connect(3, {AF_INET, 127.0.0.1:80}, 16) = 0");
	assert_says(&mask, &mem, "rt_sigprocmask(SIG_SETMASK, [INT USR1], NULL, 8) = 0");
	assert_says(&wait, &mem, "wait4(-1, [exit 3], 0, NULL) = 77");
	assert_says(&clock, &mem, "clock_gettime(CLOCK_MONOTONIC, {1, 500}) = 0");
	assert_says(&term, &mem, "ioctl(0, TCGETS, 0x1000) = -1 ENOTTY (Inappropriate ioctl for device)");
}

static void unknown_calls_and_results_are_shown_raw(void **state)
{
	struct sys_call unknown = { .nr = 9999, .arg = { 1, 2, 3, 4, 5, 6 }, .ret = -ENOSYS };
	struct sys_call restart = { .nr = __NR_pause, .ret = -514 };

	(void)state;
	assert_says(&unknown, &mem, "syscall_9999(0x1, 0x2, 0x3, 0x4, 0x5, 0x6) = "
				    "-1 ENOSYS (Function not implemented)");
	assert_says(&restart, &mem, "pause() = ? ERESTARTNOHAND");
}

static void a_call_that_has_not_ended_has_no_result(void **state)
{
	struct sys_call r = { .nr = __NR_read, .arg = { 3, BASE, 100 }, .ret = 50 };
	char text[64];

	(void)state;
	sysfmt_enter(&r, &mem, text, sizeof(text));
	assert_string_equal(text, "read(3, 0x10000, 100)");
}

static void text_is_cut_at_every_size(void **state)
{
	struct sys_call c = { .nr = __NR_openat, .arg = { (uint64_t)AT_FDCWD, BASE, O_RDWR, 0 }, .ret = -EPERM };
	char whole[256], cut[256];
	size_t n = sysfmt_call(&c, NULL, whole, sizeof(whole));

	(void)state;
	for (size_t max = 1; max <= n + 1; max++) {
		memset(cut, '#', sizeof(cut));
		assert_int_equal(sysfmt_call(&c, NULL, cut, max), max - 1);
		assert_memory_equal(cut, whole, max - 1);
		assert_int_equal(cut[max - 1], 0);
		assert_int_equal(cut[max], '#');
	}
	assert_int_equal(sysfmt_call(&c, NULL, cut, 0), 0);
}

/* Every call of the table, with memory and without. */
static void every_call_can_be_written(void **state)
{
	static const uint64_t values[] = { 0, 1, 17, BASE, BASE + 4090, UINT64_MAX };
	char text[1024];

	(void)state;
	memset(page, 0x41, sizeof(page));
	for (int nr = 0; nr < SYS_NR_END; nr++)
		for (size_t v = 0; v < sizeof(values) / sizeof(values[0]); v++)
			for (int64_t ret = -2; ret < 3; ret++) {
				struct sys_call c = { .nr = nr, .ret = ret };

				for (int i = 0; i < 6; i++)
					c.arg[i] = values[v];
				assert_true(sysfmt_call(&c, &mem, text, sizeof(text)) > 0);
				for (const char *s = text; *s; s++)
					assert_true(*s >= 32 && *s < 127);
			}
}

static void names_of_errors_and_signals(void **state)
{
	(void)state;
	assert_string_equal(sys_errno_name(ENOENT), "ENOENT");
	assert_string_equal(sys_errno_name(512), "ERESTARTSYS");
	assert_null(sys_errno_name(4094));
	assert_null(sys_errno_name(0));
	assert_string_equal(sys_signal_name(SIGSEGV), "SIGSEGV");
	assert_string_equal(sys_signal_name(64), "SIGRT_32");
	assert_string_equal(sys_signal_name(32), "SIGRT_0");
	assert_null(sys_signal_name(0));
	assert_null(sys_signal_name(65));
	assert_string_equal(sys_name(0), "read");
	assert_null(sys_name(-1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(strings_and_flags_are_decoded),
		cmocka_unit_test(buffers_show_what_was_transferred),
		cmocka_unit_test(long_buffers_are_cut),
		cmocka_unit_test(address_space_calls_show_addresses),
		cmocka_unit_test(structures_are_decoded),
		cmocka_unit_test(unknown_calls_and_results_are_shown_raw),
		cmocka_unit_test(a_call_that_has_not_ended_has_no_result),
		cmocka_unit_test(text_is_cut_at_every_size),
		cmocka_unit_test(every_call_can_be_written),
		cmocka_unit_test(names_of_errors_and_signals),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
