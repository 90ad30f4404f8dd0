#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tracee/remote.h"

#define TABLE_CALLS 8

/* Both are where they are in the child, too. */
static uint8_t *stub;
static struct remote_op *table;

struct victim {
	pid_t pid;
	int mem_fd;
	struct remote r;
};

static int setup(void **state)
{
	static struct victim v;
	struct stop s;

	stub = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	table = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_true(stub != MAP_FAILED && table != MAP_FAILED);
	memcpy(stub, remote_stub, sizeof(remote_stub));
	v.pid = fork();
	if (v.pid == 0) {
		ptrace(PTRACE_TRACEME, 0, 0, 0);
		raise(SIGSTOP);
		for (;;)
			pause();
	}
	assert_int_equal(remote_wait(v.pid, &s), 0);
	ptrace(PTRACE_SETOPTIONS, v.pid, 0, PTRACE_O_EXITKILL);
	v.mem_fd = remote_open_mem(v.pid);
	v.r = (struct remote){ .tid = v.pid, .site = (uintptr_t)stub };
	*state = &v;
	return v.mem_fd < 0;
}

static int teardown(void **state)
{
	struct victim *v = *state;

	kill(v->pid, SIGKILL);
	waitpid(v->pid, NULL, __WALL);
	close(v->mem_fd);
	munmap(stub, 4096);
	munmap(table, 4096);
	return 0;
}

static void one_call_gives_its_own_result_and_leaves_the_registers(void **state)
{
	struct victim *v = *state;
	struct user_regs_struct before, after;
	int64_t got = 0;

	assert_int_equal(remote_getregs(v->pid, &before), 0);
	assert_int_equal(remote_call(&v->r, SYS_getpid, REMOTE_ARGS(0), &got), 0);
	assert_int_equal(got, v->pid);
	assert_int_equal(remote_call(&v->r, SYS_close, REMOTE_ARGS(12345), &got), 0);
	assert_int_equal(got, -EBADF);
	assert_int_equal(remote_getregs(v->pid, &after), 0);
	assert_memory_equal(&before, &after, sizeof(before));
}

static void several_calls_are_made_in_their_order_whatever_they_return(void **state)
{
	struct victim *v = *state;
	struct user_regs_struct before, after;
	struct remote_op ops[TABLE_CALLS] = {
		{ .nr = SYS_getpid },
		{ .nr = SYS_close, .arg = { 12345 } },
		{ .nr = SYS_mmap, .arg = { 0x10000000, 4096, PROT_READ | PROT_WRITE,
					   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1ull, 0 } },
		{ .nr = SYS_mmap, .arg = { 0x10000000, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1ull, 0 } },
		{ .nr = SYS_munmap, .arg = { 0x10000000, 4096 } },
		{ .nr = SYS_getppid },
	};

	assert_int_equal(remote_getregs(v->pid, &before), 0);
	assert_int_equal(remote_calls(&v->r, v->mem_fd, (uintptr_t)table, ops, 6), 0);
	assert_int_equal(ops[0].ret, v->pid);
	assert_int_equal(ops[1].ret, -EBADF);
	assert_int_equal(ops[2].ret, 0x10000000);
	assert_int_equal(ops[3].ret, -EEXIST);
	assert_int_equal(ops[4].ret, 0);
	assert_int_equal(ops[5].ret, getpid());
	assert_int_equal(remote_getregs(v->pid, &after), 0);
	assert_memory_equal(&before, &after, sizeof(before));
}

static void no_calls_are_no_error(void **state)
{
	struct victim *v = *state;
	struct remote_op none = { 0 };

	assert_int_equal(remote_calls(&v->r, v->mem_fd, (uintptr_t)table, &none, 0), 0);
}

static void a_table_that_is_not_there_is_refused_before_anything_runs(void **state)
{
	struct victim *v = *state;
	struct remote_op op = { .nr = SYS_exit_group };

	assert_int_equal(remote_calls(&v->r, v->mem_fd, 0x1000, &op, 1), -EFAULT);
	assert_int_equal(kill(v->pid, 0), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(one_call_gives_its_own_result_and_leaves_the_registers, setup, teardown),
		cmocka_unit_test_setup_teardown(several_calls_are_made_in_their_order_whatever_they_return, setup, teardown),
		cmocka_unit_test_setup_teardown(no_calls_are_no_error, setup, teardown),
		cmocka_unit_test_setup_teardown(a_table_that_is_not_there_is_refused_before_anything_runs, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
