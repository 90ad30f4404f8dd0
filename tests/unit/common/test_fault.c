#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include "common/fault.h"

static void a_point_fires_once_at_the_pass_asked_for(void **state)
{
	(void)state;
	fault_arm("here", 2, ENOSPC);
	assert_false(FAULT("here"));
	assert_false(FAULT("elsewhere"));
	assert_false(FAULT("here"));
	errno = 0;
	assert_true(FAULT("here"));
	assert_int_equal(errno, ENOSPC);
	assert_false(FAULT("here"));
	assert_true(fault_disarm());
}

static void a_disarmed_point_is_quiet(void **state)
{
	(void)state;
	fault_arm("here", 0, EIO);
	assert_false(fault_disarm());
	assert_false(FAULT("here"));
}

/* The environment is read once a process: so in a child, which says by its status what it saw. */
static int in_child_with(const char *env)
{
	char *argv[] = { "test", "child", NULL };
	int status;
	pid_t pid = fork();

	if (!pid) {
		setenv("RELIVE_FAULT", env, 1);
		execv("/proc/self/exe", argv);
		_exit(99);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static int child(void)
{
	for (int pass = 0; pass < 5; pass++) {
		if (FAULT("here"))
			return pass * 50 + errno;
	}
	return 0;
}

static void the_environment_arms_a_point(void **state)
{
	(void)state;
	assert_int_equal(in_child_with("here"), EIO);
	assert_int_equal(in_child_with("here:1"), 50 + EIO);
	assert_int_equal(in_child_with("here:2:28"), 100 + 28);
	assert_int_equal(in_child_with("elsewhere"), 0);
	assert_int_equal(in_child_with(""), 0);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_point_fires_once_at_the_pass_asked_for),
		cmocka_unit_test(a_disarmed_point_is_quiet),
		cmocka_unit_test(the_environment_arms_a_point),
	};

	(void)argv;
	return argc > 1 ? child() : cmocka_run_group_tests(tests, NULL, NULL);
}
