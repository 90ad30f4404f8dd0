/* What the agent may do to mappings: the memory that it knows to be its program's own, the entries that tell of it, the filter. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/abi.h"
#include "tracee/agentcode.h"
#include "tracee/confine.h"
#include "tracee/layout.h"

/* ---- ranges ---- */

enum { PAGES = 400, BASE = 0x100000 };

static uint64_t seed = 1;

static unsigned below(unsigned n)
{
	seed = seed * 6364136223846793005u + 1442695040888963407u;
	return (unsigned)(seed >> 33) % n;
}

static bool all_set(const bool *owned, unsigned from, unsigned to)
{
	for (; from < to; from++)
		if (!owned[from])
			return false;
	return true;
}

static void check_ranges(const struct agent_range *v, uint32_t n, const bool *owned, bool complete)
{
	assert_true(n <= AGENT_OWN_MAX);
	for (int i = 0; i < 40; i++) {
		unsigned from = below(PAGES), to = from + 1 + below(PAGES - from);
		bool have = agent_owns(v, n, BASE + from * AGENT_PAGE, BASE + to * AGENT_PAGE);

		if (have)
			assert_true(all_set(owned, from, to));
		else if (complete)
			assert_false(all_set(owned, from, to));
	}
}

/* Against a list of pages: what is said to be owned is; and all that is, is said to be, as long as there is room. */
static void ranges_are_what_was_put_in(void **state)
{
	(void)state;
	for (unsigned most = 3; most <= 60; most += 57) {
		struct agent_range v[AGENT_OWN_MAX];
		bool owned[PAGES] = { false }, complete = true;
		uint32_t n = 0;

		for (int i = 0; i < 3000; i++) {
			unsigned from = below(PAGES - most), to = from + 1 + below(most);
			bool add = below(2);

			complete = complete && n + 1 < AGENT_OWN_MAX;
			n = add ? agent_own(v, n, BASE + from * AGENT_PAGE, BASE + to * AGENT_PAGE) :
				  agent_disown(v, n, BASE + from * AGENT_PAGE, BASE + to * AGENT_PAGE);
			for (unsigned k = from; k < to; k++)
				owned[k] = add;
			check_ranges(v, n, owned, complete);
		}
		if (most == 60)
			assert_true(complete);
	}
}

static void a_full_table_forgets_what_is_small(void **state)
{
	struct agent_range v[AGENT_OWN_MAX];
	uint32_t n = 0;

	(void)state;
	for (uint64_t i = 0; i < AGENT_OWN_MAX; i++)
		n = agent_own(v, n, (i * 10 + 10) * AGENT_PAGE, (i * 10 + 12 + (i != 7)) * AGENT_PAGE);
	assert_int_equal(n, AGENT_OWN_MAX);
	n = agent_own(v, n, 9000 * AGENT_PAGE, 9001 * AGENT_PAGE);
	assert_false(agent_owns(v, n, 9000 * AGENT_PAGE, 9001 * AGENT_PAGE));
	n = agent_own(v, n, 9000 * AGENT_PAGE, 9005 * AGENT_PAGE);
	assert_int_equal(n, AGENT_OWN_MAX);
	assert_true(agent_owns(v, n, 9000 * AGENT_PAGE, 9005 * AGENT_PAGE));
	assert_false(agent_owns(v, n, 80 * AGENT_PAGE, 81 * AGENT_PAGE));
	/* A hole would need one more: the larger part stays. */
	n = agent_disown(v, n, 9001 * AGENT_PAGE, 9002 * AGENT_PAGE);
	assert_int_equal(n, AGENT_OWN_MAX);
	assert_false(agent_owns(v, n, 9000 * AGENT_PAGE, 9001 * AGENT_PAGE));
	assert_true(agent_owns(v, n, 9002 * AGENT_PAGE, 9005 * AGENT_PAGE));
	assert_false(agent_owns(v, n, 9002 * AGENT_PAGE, 9002 * AGENT_PAGE));
}

/* ---- entries ---- */

static uint32_t put_entry(uint8_t *at, uint32_t nr, bool wide, const void *data, uint32_t n)
{
	uint32_t len = (uint32_t)sizeof(struct agent_entry) + (wide ? 8u : 0u) + n;
	struct agent_entry e = { nr | len / 8 << 10, wide ? AGENT_WIDE : 0 };

	memset(at, 0, len);
	memcpy(at, &e, sizeof(e));
	memcpy(at + len - n, data, n);
	return len;
}

static void entries_that_map_are_found_among_others(void **state)
{
	static const struct agent_op ops[] = { { 0x10000, 0x1000, AGENT_OP_MAP, 3 }, { 0x20000, 0x3000, AGENT_OP_UNMAP, 0 } };
	uint8_t bytes[512];
	struct agent_op got;
	uint32_t n = 0, at = 0, whole;

	(void)state;
	n += put_entry(bytes + n, SYS_read, false, ops, 24);
	n += put_entry(bytes + n, SYS_madvise, false, NULL, 0);
	n += put_entry(bytes + n, SYS_mmap, true, &ops[0], 24);
	n += put_entry(bytes + n, SYS_mmap, false, NULL, 0);
	whole = n += put_entry(bytes + n, SYS_munmap, false, &ops[1], 24);
	n += put_entry(bytes + n, SYS_getppid, false, NULL, 0);
	for (int i = 0; i < 2; i++) {
		assert_true(agent_next_op(bytes, n, &at, &got));
		assert_memory_equal(&got, &ops[i], sizeof(got));
	}
	assert_false(agent_next_op(bytes, n, &at, &got));
	/* Cut off, or with lengths that lead anywhere. */
	for (uint32_t cut = 0; cut <= n; cut++) {
		unsigned found = 0;

		for (at = 0; agent_next_op(bytes, cut, &at, &got); )
			found++;
		assert_int_equal(at, cut);
		assert_int_equal(found, cut >= whole ? 2 : cut >= 80 ? 1 : 0);
	}
	memset(bytes, 0, sizeof(bytes));
	at = 0;
	assert_false(agent_next_op(bytes, sizeof(bytes), &at, &got));
	memset(bytes, 0xff, sizeof(bytes));
	at = 0;
	assert_false(agent_next_op(bytes, sizeof(bytes), &at, &got));
}

/* ---- the filter ---- */

static long call_at(uint64_t site, long nr, const uint64_t arg[6])
{
	register uint64_t r10 __asm__("r10") = arg[3];
	register uint64_t r8 __asm__("r8") = arg[4];
	register uint64_t r9 __asm__("r9") = arg[5];
	long ret;

	__asm__ volatile("call *%[site]" : "=a"(ret)
			 : "a"(nr), "D"(arg[0]), "S"(arg[1]), "d"(arg[2]), "r"(r10), "r"(r8), "r"(r9), [site] "b"(site)
			 : "rcx", "r11", "memory");
	return ret;
}

#define ARGS(...) ((const uint64_t[6]){ __VA_ARGS__ })

/* What becomes of a process under the filter that makes this call: 0, it was let through; else the signal that killed it. */
static int fate(uint64_t site, long nr, const uint64_t arg[6])
{
	static const uint8_t code[] = { 0x0f, 0x05, 0xc3 };
	pid_t pid = fork();
	int status;

	if (!pid) {
		if (mmap((void *)RL_BASE, RL_END - RL_BASE, PROT_READ | PROT_WRITE | PROT_EXEC,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE | MAP_NORESERVE, -1, 0) != (void *)RL_BASE)
			_exit(1);
		memcpy((void *)RL_STUB_CALL, code, sizeof(code));
		memcpy((void *)AGENT_SYSCALL, code, sizeof(code));
		memcpy((void *)(AGENT_SYSCALL + 16), code, sizeof(code));
		if (confine_replayed(RL_STUB_CALL + 2, AGENT_SYSCALL + 2))
			_exit(2);
		(void)call_at(site, nr, arg);
		(void)call_at(RL_STUB_CALL, SYS_exit_group, ARGS(0));
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status) || WEXITSTATUS(status) == 0);
	return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static void the_agent_may_change_mappings_and_nothing_else(void **state)
{
	static const uint64_t places[][2] = { { 0x10000, 0x1000 }, { RL_BASE - 0x1000, 0x1000 }, { RL_END, 0x1000 }, { 0x7f0000000000, 0x10000 } };
	static const uint64_t ours[][2] = { { RL_BASE - 0x1000, 0x1001 }, { RL_BASE, 1 }, { RL_END - 0x1000, 0x1000 }, { 0x10000, RL_BASE },
					    { 0x10000, 0x100000000 }, { 0, RL_BASE + 1 } };

	(void)state;
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		uint64_t at = places[i][0], len = places[i][1];

		assert_int_equal(fate(AGENT_SYSCALL, SYS_mmap, ARGS(at, len, 3, AGENT_MAP_FLAGS, -1ull, 0)), 0);
		assert_int_equal(fate(AGENT_SYSCALL, SYS_mprotect, ARGS(at, len, 1)), 0);
		assert_int_equal(fate(AGENT_SYSCALL, SYS_madvise, ARGS(at, len, MADV_DONTNEED)), 0);
		assert_int_equal(fate(AGENT_SYSCALL, SYS_munmap, ARGS(at, len)), 0);
		assert_int_equal(fate(AGENT_SYSCALL, SYS_mmap, ARGS(at, len, 7, AGENT_MAP_FLAGS, -1ull, 0)), SIGSYS);
		assert_int_equal(fate(AGENT_SYSCALL, SYS_mmap, ARGS(at, len, 3, AGENT_MAP_FLAGS & ~MAP_FIXED, -1ull, 0)), SIGSYS);
		assert_int_equal(fate(AGENT_SYSCALL, SYS_mmap, ARGS(at, len, 3, AGENT_MAP_FLAGS & ~MAP_ANONYMOUS, 0, 0)), SIGSYS);
		assert_int_equal(fate(AGENT_SYSCALL, SYS_mprotect, ARGS(at, len, 5)), SIGSYS);
		assert_int_equal(fate(AGENT_SYSCALL, SYS_mprotect, ARGS(at, len, 1ull << 32)), SIGSYS);
		assert_int_equal(fate(AGENT_SYSCALL, SYS_madvise, ARGS(at, len, MADV_REMOVE)), SIGSYS);
		assert_int_equal(fate(AGENT_SYSCALL + 16, SYS_munmap, ARGS(at, len)), SIGSYS);
		assert_true(agent_may_redo(SYS_munmap, ARGS(at, len)));
	}
	for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++) {
		assert_int_equal(fate(AGENT_SYSCALL, SYS_munmap, ARGS(ours[i][0], ours[i][1])), SIGSYS);
		assert_false(agent_may_redo(SYS_munmap, ARGS(ours[i][0], ours[i][1])));
	}
	assert_int_equal(fate(AGENT_SYSCALL, SYS_getpid, ARGS(0)), SIGSYS);
	assert_int_equal(fate(AGENT_SYSCALL, SYS_open, ARGS(0)), SIGSYS);
	assert_int_equal(fate(RL_STUB_CALL, SYS_getpid, ARGS(0)), 0);
	assert_false(agent_may_redo(SYS_getpid, ARGS(RL_END, 1)));
	assert_false(agent_may_redo(SYS_mmap, ARGS(RL_END, 1, 7, AGENT_MAP_FLAGS)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ranges_are_what_was_put_in),
		cmocka_unit_test(a_full_table_forgets_what_is_small),
		cmocka_unit_test(entries_that_map_are_found_among_others),
		cmocka_unit_test(the_agent_may_change_mappings_and_nothing_else),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
