/* Trampolines read back out of memory: our own, laid out as the recorder does. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tracee/agentcode.h"
#include "tracee/insn_site.h"

#define SITE_AT 0x100   /* in the area; the trampoline is at 0x1000 */
#define TRAMP_AT 0x1000

static uint8_t *area;
static int mem;

static const uint8_t original[] = { 0x0f, 0x05, 0x48, 0x3d, 0x00, 0xf0, 0xff, 0xff, 0x77, 0x10 };

static void put32(uint8_t *at, uint32_t v)
{
	memcpy(at, &v, 4);
}

static uint64_t addr_of(size_t off)
{
	return (uint64_t)(uintptr_t)area + off;
}

static int lay(void **state)
{
	struct agent_tramp_tail tail = { .len = 8, .n_moved = 1, .moved_from = { 2 }, .moved_to = { AGENT_TRAMP_MOVED } };
	uint8_t *t;
	uint64_t after;

	(void)state;
	area = mmap(NULL, 0x2000, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	mem = open("/proc/self/mem", O_RDWR | O_CLOEXEC);
	if (area == MAP_FAILED || mem < 0)
		return -1;
	t = area + TRAMP_AT;
	memcpy(t, "\x0f\x05\xeb", 3);
	t[3] = AGENT_TRAMP_DONE - 4;
	memcpy(t + 4, "\x48\x89\x24\x25", 4);
	put32(t + 8, AGENT_SAVED_RSP);
	t[12] = 0xbc;
	put32(t + 13, AGENT_STACK_TOP);
	after = addr_of(SITE_AT + 2);
	memcpy(t + AGENT_TRAMP_DONE, "\x48\xb9", 2);
	memcpy(t + AGENT_TRAMP_MOVED - 8, &after, 8);
	memcpy(tail.original, original, tail.len);
	memcpy(t + AGENT_TRAMP_TAIL, &tail, sizeof(tail));
	memcpy(area + SITE_AT, original, sizeof(original));
	area[SITE_AT] = 0xe9;
	put32(area + SITE_AT + 1, TRAMP_AT + AGENT_TRAMP_ENTER - (SITE_AT + 5));
	memset(area + SITE_AT + 5, 0xcc, 3);
	return 0;
}

static int clear(void **state)
{
	(void)state;
	close(mem);
	return munmap(area, 0x2000);
}

static void places_in_a_trampoline_are_seen_at_the_site(void **state)
{
	(void)state;
	assert_int_equal(agent_view(mem, addr_of(TRAMP_AT)), addr_of(SITE_AT));
	assert_int_equal(agent_view(mem, addr_of(TRAMP_AT + AGENT_TRAMP_ENTER)), addr_of(SITE_AT));
	assert_int_equal(agent_view(mem, addr_of(TRAMP_AT + 2)), addr_of(SITE_AT + 2));
	assert_int_equal(agent_view(mem, addr_of(TRAMP_AT + AGENT_TRAMP_MOVED)), addr_of(SITE_AT + 2));
	assert_int_equal(agent_view(mem, addr_of(SITE_AT)), addr_of(SITE_AT));
	assert_int_equal(agent_view(mem, 8), 8);
}

static void breakpoints_go_where_instructions_went(void **state)
{
	(void)state;
	assert_int_equal(agent_place(mem, addr_of(SITE_AT)), addr_of(SITE_AT));
	assert_int_equal(agent_place(mem, addr_of(SITE_AT + 2)), addr_of(TRAMP_AT + AGENT_TRAMP_MOVED));
	assert_int_equal(agent_place(mem, addr_of(SITE_AT + 4)), 0);
	assert_int_equal(agent_place(mem, addr_of(SITE_AT + 8)), addr_of(SITE_AT + 8));
}

static void memory_shows_what_the_program_had_there(void **state)
{
	uint8_t got[sizeof(original)];

	(void)state;
	for (size_t skip = 0; skip < sizeof(got); skip++) {
		for (size_t n = 1; n <= sizeof(got) - skip; n++) {
			memcpy(got, area + SITE_AT + skip, n);
			agent_unpatch(mem, addr_of(SITE_AT + skip), got, n);
			assert_memory_equal(got, original + skip, n);
		}
	}
}

/* The forms without addresses, in the place of the first one. */
static void forms_that_fit_anywhere_are_read_too(void **state)
{
	static const uint8_t lea[] = { 0x48, 0x8d, 0x0d };
	uint8_t *t = area + TRAMP_AT, saved[AGENT_TRAMP_MOVED];
	int64_t distance = SITE_AT + 2 - TRAMP_AT;
	struct agent_tramp got;

	(void)state;
	memcpy(saved, t, sizeof(saved));
	memcpy(t + AGENT_TRAMP_DONE, lea, sizeof(lea));
	put32(t + AGENT_TRAMP_DONE + 3, (uint32_t)(SITE_AT + 2 - (TRAMP_AT + AGENT_TRAMP_DONE + 7)));
	assert_true(agent_tramp_at(mem, addr_of(TRAMP_AT + 50), &got));
	assert_int_equal(got.site, addr_of(SITE_AT));
	assert_false(got.traps);
	t[0] = INSN_SITE_TRAP;
	t[1] = 0xa2;
	t[AGENT_TRAMP_DONE] = 0xeb;
	t[AGENT_TRAMP_DONE + 1] = 8;
	memcpy(t + AGENT_TRAMP_DONE + 2, &distance, 8);
	assert_true(agent_tramp_at(mem, addr_of(TRAMP_AT), &got));
	assert_int_equal(got.site, addr_of(SITE_AT));
	assert_true(got.traps);
	assert_int_equal(agent_view(mem, addr_of(TRAMP_AT)), addr_of(SITE_AT));
	assert_int_equal(agent_view(mem, addr_of(TRAMP_AT + AGENT_TRAMP_DONE)), addr_of(SITE_AT + 2));
	t[AGENT_TRAMP_DONE] = 0x90;
	assert_false(agent_tramp_at(mem, addr_of(TRAMP_AT), &got));
	memcpy(t, saved, sizeof(saved));
}

/* mov $7, %eax; cpuid: the mov was displaced, and the cpuid made to trap. */
static void what_comes_before_a_cpuid_may_have_gone(void **state)
{
	static const uint8_t code[] = { 0xb8, 7, 0, 0, 0, 0x0f, 0xa2, 0x90 };
	struct agent_tramp_tail tail = { .len = 5, .before = 5, .n_moved = 2, .moved_from = { 0, 5 }, .moved_to = { AGENT_TRAMP_MOVED, 47 } };
	uint8_t *t = area + TRAMP_AT, saved[AGENT_TRAMP_BYTES], site[sizeof(original)], got[sizeof(code)];
	int64_t distance = SITE_AT + 7 - TRAMP_AT;

	(void)state;
	memcpy(saved, t, sizeof(saved));
	memcpy(site, area + SITE_AT, sizeof(site));
	t[0] = INSN_SITE_TRAP;
	t[1] = 0xa2;
	t[AGENT_TRAMP_DONE] = 0xeb;
	memcpy(t + AGENT_TRAMP_DONE + 2, &distance, 8);
	memcpy(tail.original, code, tail.len);
	memcpy(t + AGENT_TRAMP_TAIL, &tail, sizeof(tail));
	memcpy(area + SITE_AT, code, sizeof(code));
	area[SITE_AT] = 0xe9;
	put32(area + SITE_AT + 1, TRAMP_AT + AGENT_TRAMP_MOVED - (SITE_AT + 5));

	assert_int_equal(agent_view(mem, addr_of(TRAMP_AT + AGENT_TRAMP_MOVED)), addr_of(SITE_AT));
	assert_int_equal(agent_view(mem, addr_of(TRAMP_AT + 47)), addr_of(SITE_AT + 5));
	assert_int_equal(agent_view(mem, addr_of(TRAMP_AT + AGENT_TRAMP_ENTER)), addr_of(SITE_AT + 5));
	assert_int_equal(agent_view(mem, addr_of(TRAMP_AT)), addr_of(SITE_AT + 5));
	assert_int_equal(agent_view(mem, addr_of(TRAMP_AT + AGENT_TRAMP_BACK)), addr_of(SITE_AT + 7));
	assert_int_equal(agent_place(mem, addr_of(SITE_AT)), addr_of(SITE_AT));
	assert_int_equal(agent_place(mem, addr_of(SITE_AT + 5)), addr_of(TRAMP_AT + 47));
	assert_int_equal(agent_place(mem, addr_of(SITE_AT + 7)), addr_of(SITE_AT + 7));
	for (size_t skip = 0; skip < sizeof(got); skip++) {
		memcpy(got, area + SITE_AT + skip, sizeof(got) - skip);
		agent_unpatch(mem, addr_of(SITE_AT + skip), got, sizeof(got) - skip);
		assert_memory_equal(got, code + skip, sizeof(got) - skip);
	}
	memcpy(t, saved, sizeof(saved));
	memcpy(area + SITE_AT, site, sizeof(site));
}

/* xsavec 64(%rsp), five bytes long, stands in the trampoline. */
static void an_xsavec_is_seen_at_its_site(void **state)
{
	static const uint8_t code[] = { 0x0f, 0xc7, 0x64, 0x24, 0x40 };
	struct agent_tramp_tail tail = { .len = 5, .more = 3, .n_moved = 1, .moved_to = { AGENT_TRAMP_MOVED } };
	uint8_t *t = area + TRAMP_AT, saved[AGENT_TRAMP_BYTES], site[sizeof(original)];
	int64_t distance = SITE_AT + 5 - TRAMP_AT;
	struct agent_tramp got;

	(void)state;
	memcpy(saved, t, sizeof(saved));
	memcpy(site, area + SITE_AT, sizeof(site));
	t[0] = 0xeb;
	t[1] = AGENT_TRAMP_MOVED - 2;
	t[AGENT_TRAMP_DONE] = 0xeb;
	memcpy(t + AGENT_TRAMP_DONE + 2, &distance, 8);
	memcpy(t + AGENT_TRAMP_MOVED, code, sizeof(code));
	t[AGENT_TRAMP_MOVED] = INSN_SITE_TRAP;
	memcpy(tail.original, code, tail.len);
	memcpy(t + AGENT_TRAMP_TAIL, &tail, sizeof(tail));

	assert_true(agent_tramp_at(mem, addr_of(TRAMP_AT), &got));
	assert_false(got.traps);
	assert_int_equal(got.site, addr_of(SITE_AT));
	assert_int_equal(agent_view(mem, addr_of(TRAMP_AT)), addr_of(SITE_AT));
	assert_int_equal(agent_view(mem, addr_of(TRAMP_AT + AGENT_TRAMP_MOVED)), addr_of(SITE_AT));
	assert_int_equal(agent_view(mem, addr_of(TRAMP_AT + AGENT_TRAMP_DONE)), addr_of(SITE_AT + 5));
	memcpy(t, saved, sizeof(saved));
	memcpy(area + SITE_AT, site, sizeof(site));
}

static void a_jump_to_anything_else_is_left_alone(void **state)
{
	uint8_t got[5], was[5];

	(void)state;
	area[TRAMP_AT]++;
	memcpy(was, area + SITE_AT, 5);
	memcpy(got, was, 5);
	agent_unpatch(mem, addr_of(SITE_AT), got, 5);
	assert_memory_equal(got, was, 5);
	area[TRAMP_AT]--;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(places_in_a_trampoline_are_seen_at_the_site),
		cmocka_unit_test(breakpoints_go_where_instructions_went),
		cmocka_unit_test(memory_shows_what_the_program_had_there),
		cmocka_unit_test(forms_that_fit_anywhere_are_read_too),
		cmocka_unit_test(what_comes_before_a_cpuid_may_have_gone),
		cmocka_unit_test(an_xsavec_is_seen_at_its_site),
		cmocka_unit_test(a_jump_to_anything_else_is_left_alone),
	};

	return cmocka_run_group_tests(tests, lay, clear);
}
