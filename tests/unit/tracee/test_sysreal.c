/* The table against the running kernel: what calls really change lies inside what the table says. */
#include "sys_arena.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <time.h>

static void pipe_with(const char *text)
{
	assert_int_equal(pipe(fds), 0);
	assert_int_equal(write(fds[1], text, strlen(text)), (ssize_t)strlen(text));
}

/* --- calls with declared outputs --- */

static void setup_uname(struct arena *a, uint64_t arg[6]) { ARGS(at(a, 64)); }
static void setup_sysinfo(struct arena *a, uint64_t arg[6]) { ARGS(at(a, 64)); }
static void setup_times(struct arena *a, uint64_t arg[6]) { ARGS(at(a, 64)); }
static void setup_time(struct arena *a, uint64_t arg[6]) { ARGS(at(a, 64)); }
static void setup_getcpu(struct arena *a, uint64_t arg[6]) { ARGS(at(a, 64), at(a, 96)); }
static void setup_clock(struct arena *a, uint64_t arg[6]) { ARGS(CLOCK_MONOTONIC, at(a, 64)); }
static void setup_timeofday(struct arena *a, uint64_t arg[6]) { ARGS(at(a, 64), at(a, 128)); }
static void setup_getrlimit(struct arena *a, uint64_t arg[6]) { ARGS(7, at(a, 64)); }
static void setup_prlimit(struct arena *a, uint64_t arg[6]) { ARGS(0, 7, 0, at(a, 64)); }
static void setup_getrusage(struct arena *a, uint64_t arg[6]) { ARGS(0, at(a, 64)); }
static void setup_ids(struct arena *a, uint64_t arg[6]) { ARGS(at(a, 64), at(a, 80), at(a, 96)); }
static void setup_getcwd(struct arena *a, uint64_t arg[6]) { ARGS(at(a, 64), 4096); }
static void setup_getrandom(struct arena *a, uint64_t arg[6]) { ARGS(at(a, 64), 777, 0); }
static void setup_sigaction(struct arena *a, uint64_t arg[6]) { ARGS(SIGUSR1, 0, at(a, 64), 8); }
static void setup_sigprocmask(struct arena *a, uint64_t arg[6]) { ARGS(SIG_BLOCK, 0, at(a, 64), 8); }
static void setup_sigpending(struct arena *a, uint64_t arg[6]) { ARGS(at(a, 64), 8); }
static void setup_sigaltstack(struct arena *a, uint64_t arg[6]) { ARGS(0, at(a, 64)); }
static void setup_getitimer(struct arena *a, uint64_t arg[6]) { ARGS(0, at(a, 64)); }
static void setup_getaffinity(struct arena *a, uint64_t arg[6]) { ARGS(0, 1024, at(a, 64)); }
static void setup_getparam(struct arena *a, uint64_t arg[6]) { ARGS(0, at(a, 64)); }
static void setup_getattr(struct arena *a, uint64_t arg[6]) { ARGS(0, at(a, 64), 48, 0); }
static void setup_robust(struct arena *a, uint64_t arg[6]) { ARGS(0, at(a, 64), at(a, 128)); }
static void setup_pipe(struct arena *a, uint64_t arg[6]) { ARGS(at(a, 64)); }
static void setup_socketpair(struct arena *a, uint64_t arg[6]) { ARGS(AF_UNIX, SOCK_STREAM, 0, at(a, 64)); }
static void setup_getgroups_count(struct arena *a, uint64_t arg[6]) { ARGS(0, at(a, 64)); }
static void setup_getgroups(struct arena *a, uint64_t arg[6]) { ARGS(100, at(a, 64)); }
static void setup_adjtimex(struct arena *a, uint64_t arg[6])
{
	memset(a->mem + 64, 0, 208);
	ARGS(at(a, 64));
}
static void setup_stat(struct arena *a, uint64_t arg[6])
{
	put_path(a, "/proc/self/exe");
	ARGS(at(a, 0), at(a, 64));
}
static void setup_fstatat(struct arena *a, uint64_t arg[6])
{
	put_path(a, "/");
	ARGS((uint64_t)AT_FDCWD, at(a, 0), at(a, 64), 0);
}
static void setup_statx(struct arena *a, uint64_t arg[6])
{
	put_path(a, "/");
	ARGS((uint64_t)AT_FDCWD, at(a, 0), 0, 0xfff, at(a, 64));
}
static void setup_statfs(struct arena *a, uint64_t arg[6])
{
	put_path(a, "/");
	ARGS(at(a, 0), at(a, 64));
}
static void setup_readlink(struct arena *a, uint64_t arg[6])
{
	put_path(a, "/proc/self/exe");
	ARGS(at(a, 0), at(a, 64), 9);
}
static void setup_getxattr(struct arena *a, uint64_t arg[6])
{
	put_path(a, "/");
	put(a, 16, "user.none", 10);
	ARGS(at(a, 0), at(a, 16), at(a, 64), 100);
}
static void setup_sysfs(struct arena *a, uint64_t arg[6]) { ARGS(2, 0, at(a, 64)); }
static void setup_dir(struct arena *a, uint64_t arg[6])
{
	fds[0] = open("/proc/self", O_RDONLY | O_DIRECTORY);
	ARGS(fds[0], at(a, 64), 4096);
}
static void setup_timerfd(struct arena *a, uint64_t arg[6])
{
	fds[0] = timerfd_create(CLOCK_MONOTONIC, 0);
	ARGS(fds[0], at(a, 64));
}
static int64_t close_made(const struct arena *a, const struct sys_call *c)
{
	int made[2];

	assert_int_equal(c->ret, 0);
	memcpy(made, a->mem + 64, sizeof(made));
	assert_int_equal(close(made[0]), 0);
	assert_int_equal(close(made[1]), 0);
	return 0;
}

static void declared_outputs_cover_what_the_kernel_writes(void **state)
{
	static const struct real_call calls[] = {
		{ __NR_uname, setup_uname, NULL, NULL },
		{ __NR_sysinfo, setup_sysinfo, NULL, NULL },
		{ __NR_times, setup_times, NULL, NULL },
		{ __NR_time, setup_time, NULL, NULL },
		{ __NR_getcpu, setup_getcpu, NULL, NULL },
		{ __NR_clock_gettime, setup_clock, NULL, NULL },
		{ __NR_clock_getres, setup_clock, NULL, NULL },
		{ __NR_gettimeofday, setup_timeofday, NULL, NULL },
		{ __NR_getrlimit, setup_getrlimit, NULL, NULL },
		{ __NR_prlimit64, setup_prlimit, NULL, NULL },
		{ __NR_getrusage, setup_getrusage, NULL, NULL },
		{ __NR_getresuid, setup_ids, NULL, NULL },
		{ __NR_getresgid, setup_ids, NULL, NULL },
		{ __NR_getcwd, setup_getcwd, NULL, NULL },
		{ __NR_getrandom, setup_getrandom, NULL, NULL },
		{ __NR_rt_sigaction, setup_sigaction, NULL, NULL },
		{ __NR_rt_sigprocmask, setup_sigprocmask, NULL, NULL },
		{ __NR_rt_sigpending, setup_sigpending, NULL, NULL },
		{ __NR_sigaltstack, setup_sigaltstack, NULL, NULL },
		{ __NR_getitimer, setup_getitimer, NULL, NULL },
		{ __NR_sched_getaffinity, setup_getaffinity, NULL, NULL },
		{ __NR_sched_getparam, setup_getparam, NULL, NULL },
		{ __NR_sched_rr_get_interval, setup_getparam, NULL, NULL },
		{ __NR_sched_getattr, setup_getattr, NULL, NULL },
		{ __NR_get_robust_list, setup_robust, NULL, NULL },
		{ __NR_pipe, setup_pipe, NULL, close_made },
		{ __NR_pipe2, setup_pipe, NULL, close_made },
		{ __NR_adjtimex, setup_adjtimex, NULL, NULL },
		{ __NR_getgroups, setup_getgroups_count, NULL, NULL },
		{ __NR_getgroups, setup_getgroups, NULL, NULL },
		{ __NR_stat, setup_stat, NULL, NULL },
		{ __NR_lstat, setup_stat, NULL, NULL },
		{ __NR_newfstatat, setup_fstatat, NULL, NULL },
		{ __NR_statx, setup_statx, NULL, NULL },
		{ __NR_statfs, setup_statfs, NULL, NULL },
		{ __NR_readlink, setup_readlink, NULL, NULL },
		{ __NR_getxattr, setup_getxattr, NULL, NULL },
		{ __NR_sysfs, setup_sysfs, NULL, NULL },
		{ __NR_getdents64, setup_dir, close_fds, NULL },
		{ __NR_getdents, setup_dir, close_fds, NULL },
		{ __NR_timerfd_gettime, setup_timerfd, close_fds, NULL },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
		check_direct(&calls[i]);
}

static void socketpair_writes_two_descriptors(void **state)
{
	(void)state;
	check_direct(&(struct real_call){ __NR_socketpair, setup_socketpair, NULL, close_made });
}

/* --- reading --- */

static void setup_read(struct arena *a, uint64_t arg[6])
{
	pipe_with("hello");
	ARGS(fds[0], at(a, 64), 100);
}

static int64_t check_read(const struct arena *a, const struct sys_call *c)
{
	assert_int_equal(c->ret, 5);
	assert_memory_equal(a->mem + 64, "hello", 5);
	return 0;
}

static void setup_readv(struct arena *a, uint64_t arg[6])
{
	uint64_t iov[3][2] = { { at(a, 512), 2 }, { at(a, 1024), 0 }, { at(a, 600), 10 } };

	pipe_with("hello");
	put(a, 0, iov, sizeof(iov));
	ARGS(fds[0], at(a, 0), 3);
}

static int64_t check_readv(const struct arena *a, const struct sys_call *c)
{
	assert_int_equal(c->ret, 5);
	assert_memory_equal(a->mem + 512, "he", 2);
	assert_memory_equal(a->mem + 600, "llo", 3);
	return 0;
}

static void setup_read_into_hole(struct arena *a, uint64_t arg[6])
{
	pipe_with("hello");
	ARGS(fds[0], at(a, ARENA_SIZE - 3), 100);
}

static void setup_timeofday_bad_zone(struct arena *a, uint64_t arg[6])
{
	ARGS(at(a, 64), 8);
}

static void reads_write_what_they_return(void **state)
{
	static const struct real_call read_call = { __NR_read, setup_read, close_fds, check_read };
	static const struct real_call readv_call = { __NR_readv, setup_readv, close_fds, check_readv };

	(void)state;
	check_direct(&read_call);
	check_planned(&read_call);
	check_direct(&readv_call);
	check_planned(&readv_call);
}

static void a_failing_call_may_have_written_a_part(void **state)
{
	(void)state;
	check_direct(&(struct real_call){ __NR_gettimeofday, setup_timeofday_bad_zone, NULL, NULL });
	check_direct(&(struct real_call){ __NR_read, setup_read_into_hole, close_fds, NULL });
}

/* --- waiting --- */

static void setup_poll(struct arena *a, uint64_t arg[6])
{
	struct pollfd p[2];

	pipe_with("x");
	p[0] = (struct pollfd){ .fd = fds[0], .events = POLLIN, .revents = 0x55 };
	p[1] = (struct pollfd){ .fd = -1, .events = POLLIN, .revents = 0x55 };
	put(a, 64, p, sizeof(p));
	ARGS(at(a, 64), 2, 1000);
}

static int64_t check_poll(const struct arena *a, const struct sys_call *c)
{
	struct pollfd p[2];

	memcpy(p, a->mem + 64, sizeof(p));
	assert_int_equal(c->ret, 1);
	assert_int_equal(p[0].revents, POLLIN);
	assert_int_equal(p[1].revents, 0);
	return 0;
}

static void setup_ppoll(struct arena *a, uint64_t arg[6])
{
	struct timespec t = { .tv_sec = 100 };

	setup_poll(a, arg);
	put(a, 256, &t, sizeof(t));
	ARGS(at(a, 64), 2, at(a, 256), 0, 8);
}

static int64_t check_ppoll(const struct arena *a, const struct sys_call *c)
{
	struct timespec t;

	check_poll(a, c);
	memcpy(&t, a->mem + 256, sizeof(t));
	assert_int_equal(t.tv_sec, 99);
	return 0;
}

static void setup_select(struct arena *a, uint64_t arg[6])
{
	fd_set set;
	struct timeval t = { .tv_sec = 100 };

	pipe_with("x");
	FD_ZERO(&set);
	FD_SET(fds[0], &set);
	put(a, 64, &set, sizeof(set));
	put(a, 256, &set, sizeof(set));
	FD_CLR(fds[0], &set);
	FD_SET(fds[1], &set);
	put(a, 512, &set, sizeof(set));
	put(a, 1024, &t, sizeof(t));
	ARGS((uint64_t)fds[1] + 1, at(a, 64), at(a, 512), at(a, 256), at(a, 1024));
}

static int64_t check_select(const struct arena *a, const struct sys_call *c)
{
	fd_set set;

	(void)a;
	assert_int_equal(c->ret, 2);
	memset(&set, 0, sizeof(set));
	memcpy(&set, a->mem + 256, 8);
	assert_false(FD_ISSET(fds[0], &set));
	return 0;
}

static void setup_epoll(struct arena *a, uint64_t arg[6])
{
	struct epoll_event e = { .events = EPOLLIN, .data.u64 = 0x1122334455667788 };

	pipe_with("x");
	fds[2] = epoll_create1(0);
	epoll_ctl(fds[2], EPOLL_CTL_ADD, fds[0], &e);
	ARGS(fds[2], at(a, 64), 10, 1000, 0, 8);
}

static int64_t check_epoll(const struct arena *a, const struct sys_call *c)
{
	uint64_t data;

	assert_int_equal(c->ret, 1);
	memcpy(&data, a->mem + 64 + 4, 8);
	assert_int_equal(data, 0x1122334455667788);
	return 0;
}

static void setup_epoll2(struct arena *a, uint64_t arg[6])
{
	struct timespec t = { .tv_sec = 100 };

	setup_epoll(a, arg);
	put(a, 4096, &t, sizeof(t));
	arg[3] = at(a, 4096);
}

static void setup_wait4(struct arena *a, uint64_t arg[6])
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(7);
	ARGS((uint64_t)pid, at(a, 64), 0, at(a, 128));
}

static int64_t check_wait4(const struct arena *a, const struct sys_call *c)
{
	int status;

	assert_true(c->ret > 0);
	memcpy(&status, a->mem + 64, 4);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 7);
	return 0;
}

static void setup_waitid(struct arena *a, uint64_t arg[6])
{
	setup_wait4(a, arg);
	ARGS(P_PID, arg[0], at(a, 64), WEXITED, at(a, 256));
}

static int64_t check_waitid(const struct arena *a, const struct sys_call *c)
{
	int signo;

	assert_int_equal(c->ret, 0);
	memcpy(&signo, a->mem + 64, 4);
	assert_int_equal(signo, SIGCHLD);
	return 0;
}

static void setup_waitid_none(struct arena *a, uint64_t arg[6])
{
	ARGS(P_PID, 0x7ffffff, at(a, 64), WEXITED, at(a, 256));
}

static void setup_wait4_none(struct arena *a, uint64_t arg[6])
{
	ARGS(0x7ffffff, at(a, 64), 0, at(a, 256));
}

static void waiting_calls_write_their_results_and_the_time_left(void **state)
{
	static const struct real_call calls[] = {
		{ __NR_poll, setup_poll, close_fds, check_poll },
		{ __NR_ppoll, setup_ppoll, close_fds, check_ppoll },
		{ __NR_select, setup_select, close_fds, check_select },
		{ __NR_epoll_wait, setup_epoll, close_fds, check_epoll },
		{ __NR_epoll_pwait, setup_epoll, close_fds, check_epoll },
		{ __NR_epoll_pwait2, setup_epoll2, close_fds, check_epoll },
		{ __NR_wait4, setup_wait4, NULL, check_wait4 },
		{ __NR_waitid, setup_waitid, NULL, check_waitid },
		{ __NR_waitid, setup_waitid_none, NULL, NULL },
		{ __NR_wait4, setup_wait4_none, NULL, NULL },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		check_direct(&calls[i]);
		check_planned(&calls[i]);
	}
}

static void on_alarm(int signo)
{
	(void)signo;
}

static void alarm_soon(void)
{
	struct itimerval t = { .it_value.tv_usec = 20000 };
	struct sigaction act = { .sa_handler = on_alarm };

	sigaction(SIGALRM, &act, NULL);
	setitimer(ITIMER_REAL, &t, NULL);
}

static void setup_nanosleep(struct arena *a, uint64_t arg[6])
{
	struct timespec t = { .tv_sec = 100 };

	put(a, 0, &t, sizeof(t));
	alarm_soon();
	ARGS(at(a, 0), at(a, 64));
}

static void setup_clock_nanosleep(struct arena *a, uint64_t arg[6])
{
	setup_nanosleep(a, arg);
	ARGS(CLOCK_MONOTONIC, 0, at(a, 0), at(a, 64));
}

static int64_t check_sleep(const struct arena *a, const struct sys_call *c)
{
	struct timespec t;

	assert_int_equal(c->ret, -EINTR);
	memcpy(&t, a->mem + 64, sizeof(t));
	assert_int_equal(t.tv_sec, 99);
	return 0;
}

static void setup_poll_interrupted(struct arena *a, uint64_t arg[6])
{
	setup_poll(a, arg);
	memset(a->mem + 64, 0xff, 4);            /* fd -1: nothing to wait for */
	alarm_soon();
	ARGS(at(a, 64), 2, (uint64_t)-1);
}

static int64_t check_poll_interrupted(const struct arena *a, const struct sys_call *c)
{
	assert_int_equal(c->ret, -EINTR);
	assert_int_equal(a->mem[64 + 6], 0);
	return 0;
}

static void interrupted_calls_write_too(void **state)
{
	static const struct real_call calls[] = {
		{ __NR_nanosleep, setup_nanosleep, NULL, check_sleep },
		{ __NR_clock_nanosleep, setup_clock_nanosleep, NULL, check_sleep },
		{ __NR_poll, setup_poll_interrupted, close_fds, check_poll_interrupted },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		check_direct(&calls[i]);
		check_planned(&calls[i]);
	}
}

static void setup_sigtimedwait(struct arena *a, uint64_t arg[6])
{
	uint64_t set = 1u << (SIGUSR2 - 1);
	struct timespec t = { .tv_sec = 5 };

	put(a, 0, &set, 8);
	put(a, 16, &t, sizeof(t));
	kill(getpid(), SIGUSR2);
	ARGS(at(a, 0), at(a, 64), at(a, 16), 8);
}

static int64_t check_sigtimedwait(const struct arena *a, const struct sys_call *c)
{
	int signo;

	assert_int_equal(c->ret, SIGUSR2);
	memcpy(&signo, a->mem + 64, 4);
	assert_int_equal(signo, SIGUSR2);
	return 0;
}

static void sigtimedwait_writes_the_whole_siginfo(void **state)
{
	static const struct real_call call = { __NR_rt_sigtimedwait, setup_sigtimedwait, NULL, check_sigtimedwait };
	sigset_t set;

	(void)state;
	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	sigprocmask(SIG_BLOCK, &set, NULL);
	check_direct(&call);
	check_planned(&call);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(declared_outputs_cover_what_the_kernel_writes),
		cmocka_unit_test(socketpair_writes_two_descriptors),
		cmocka_unit_test(reads_write_what_they_return),
		cmocka_unit_test(a_failing_call_may_have_written_a_part),
		cmocka_unit_test(waiting_calls_write_their_results_and_the_time_left),
		cmocka_unit_test(interrupted_calls_write_too),
		cmocka_unit_test(sigtimedwait_writes_the_whole_siginfo),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
