#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "tracee/procfile.h"

static void a_command_may_hold_parentheses_and_blanks(void **state)
{
	char text[512], want[64];

	(void)state;
	assert_int_equal(prctl(PR_SET_NAME, "a) Z 7 (b"), 0);
	assert_true(procfile_read(getpid(), "stat", text, sizeof(text)) > 0);
	snprintf(want, sizeof(want), "R %d ", getppid());
	assert_int_equal(strncmp(procfile_stat_fields(text), want, strlen(want)), 0);
	assert_string_equal(procfile_stat_fields("1 (cut"), "");
	assert_string_equal(procfile_stat_fields(""), "");
}

static void numbers_are_found_by_their_key(void **state)
{
	const char *text = "pos:\t12\nflags:\t0100002\nSigCgt:\t00000000000000ff\n";

	(void)state;
	assert_int_equal(procfile_number(text, "pos:", 10), 12);
	assert_int_equal(procfile_number(text, "flags:", 8), 0100002);
	assert_int_equal(procfile_number(text, "\nSigCgt:", 16), 0xff);
	assert_int_equal(procfile_number(text, "\nSigIgn:", 16), 0);
}

static void a_text_is_cut_and_ended(void **state)
{
	char text[8] = "xxxxxxx";

	(void)state;
	assert_int_equal(procfile_read(getpid(), "status", text, sizeof(text)), sizeof(text) - 1);
	assert_string_equal(text, "Name:\ta");
	assert_int_equal(procfile_read(0, "status", text, sizeof(text)), 0);
	assert_string_equal(text, "");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_command_may_hold_parentheses_and_blanks),
		cmocka_unit_test(numbers_are_found_by_their_key),
		cmocka_unit_test(a_text_is_cut_and_ended),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
