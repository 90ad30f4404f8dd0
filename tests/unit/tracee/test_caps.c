#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tracee/caps.h"

static void every_capability_has_a_name_a_value_and_a_sentence(void **state)
{
	const struct caps *c = caps_get();

	(void)state;
	for (int i = 0; i < N_CAPS; i++) {
		const struct cap *cap = &c->cap[i];

		assert_true(cap->name[0]);
		assert_true(cap->note[0] && cap->note[strlen(cap->note) - 1] == '.');
		assert_int_equal(cap->works, strcmp(cap->value, "yes") == 0);
		if (!cap->works)
			assert_memory_equal(cap->value, "no (", 4);
		print_message("%-28s %-36s %s\n", cap->name, cap->value, cap->note);
	}
}

static void facts_about_the_machine_are_those_of_the_kernel(void **state)
{
	const struct caps *c = caps_get();
	struct utsname name;

	(void)state;
	uname(&name);
	assert_string_equal(c->release, name.release);
	assert_true(c->n_cpus >= 1);
	assert_in_range(c->yama_scope, 0, 3);
	assert_true(c->yama_note[0]);
}

static void the_page_tier_follows_from_the_capabilities(void **state)
{
	const struct caps *c = caps_get();

	(void)state;
	assert_int_equal(c->page_tier == PAGE_TIER_SCAN, c->cap[CAP_PAGE_SCAN].works);
	assert_true(c->page_tier != PAGE_TIER_AUTO);
	assert_int_equal(c->page_tier == PAGE_TIER_HASH, !c->cap[CAP_PAGE_SCAN].works && !c->cap[CAP_SOFT_DIRTY].works);
	assert_int_equal(c->page_tier, caps_page_tier());
}

static void probing_happens_once_and_leaves_no_children(void **state)
{
	const struct caps *c = caps_get();

	(void)state;
	assert_ptr_equal(caps_get(), c);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_capability_has_a_name_a_value_and_a_sentence),
		cmocka_unit_test(facts_about_the_machine_are_those_of_the_kernel),
		cmocka_unit_test(the_page_tier_follows_from_the_capabilities),
		cmocka_unit_test(probing_happens_once_and_leaves_no_children),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
