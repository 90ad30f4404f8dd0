/* What is in pages, and their hashes: our own pages, which are read as another process's are. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tracee/pagetrack.h"
#include "tracee/pin.h"

#define PAGE 4096ul

static char *map(size_t pages)
{
	char *at = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	assert_ptr_not_equal(at, MAP_FAILED);
	return at;
}

static void pages_read_stops_at_what_cannot_be_read(void **state)
{
	char *at = map(4);
	uint8_t out[3 * PAGE];
	struct page_hash v[3] = { { (uintptr_t)at, 0 }, { (uintptr_t)at + PAGE, 0 }, { (uintptr_t)at + 2 * PAGE, 0 } };
	struct page_list l = { .v = malloc(sizeof v), .n = 3, .cap = 3 };

	(void)state;
	at[0] = 5;
	at[2 * PAGE] = 6;
	munmap(at + PAGE, PAGE);
	assert_int_equal(pages_read(getpid(), v, 3, out), 1);
	assert_int_equal(out[0], 5);
	memcpy(l.v, v, sizeof v);
	assert_int_equal(pages_hash(getpid(), &l), 0);
	assert_int_equal(l.n, 2);
	assert_true(l.v[1].addr == v[2].addr);
	page_list_free(&l);
	munmap(at, 4 * PAGE);
}

/* So many that other processors help, if there are any; three pages that are beyond a file's end are dropped, whoever meets them. */
static void many_pages_are_hashed_as_each_alone(void **state)
{
	enum { MANY = 5003 };
	const size_t gone[] = { 0, 2570, MANY - 1 };
	char *at = map(MANY);
	struct page_list l = { .v = calloc(MANY, sizeof(struct page_hash)), .n = MANY, .cap = MANY };
	int empty = memfd_create("empty", MFD_CLOEXEC);
	cpu_set_t before;
	size_t k = 0;

	(void)state;
	assert_non_null(l.v);
	assert_true(empty >= 0);
	for (size_t i = 0; i < MANY; i++) {
		memset(at + i * PAGE, (int)i, PAGE);
		memcpy(at + i * PAGE + 100, &i, sizeof i);
		l.v[i].addr = (uintptr_t)at + i * PAGE;
	}
	for (size_t i = 0; i < 3; i++)
		assert_ptr_not_equal(mmap(at + gone[i] * PAGE, PAGE, PROT_READ, MAP_PRIVATE | MAP_FIXED, empty, 0), MAP_FAILED);
	close(empty);
	assert_true(pin_self(PIN_HERE, &before) >= 0);
	assert_int_equal(pages_hash(getpid(), &l), 0);
	sched_setaffinity(0, sizeof before, &before);
	assert_true(l.hashed);
	assert_int_equal(l.n, MANY - 3);
	for (size_t i = 0; i < MANY; i++) {
		if (i == gone[0] || i == gone[1] || i == gone[2])
			continue;
		assert_true(l.v[k].addr == (uintptr_t)at + i * PAGE);
		assert_true(l.v[k++].hash == page_hash_of((uint8_t *)at + i * PAGE));
	}
	page_list_free(&l);
	munmap(at, MANY * PAGE);
}

static void others_are_the_processors_that_were_left_free(void **state)
{
	cpu_set_t before, others;
	int cpu = pin_self(PIN_HERE, &before);

	(void)state;
	assert_true(cpu >= 0);
	assert_int_equal(pin_others(&others), CPU_COUNT(&before) - 1);
	assert_false(CPU_ISSET(cpu, &others));
	CPU_SET(cpu, &others);
	assert_true(CPU_EQUAL(&others, &before));
	sched_setaffinity(0, sizeof before, &before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pages_read_stops_at_what_cannot_be_read),
		cmocka_unit_test(many_pages_are_hashed_as_each_alone),
		cmocka_unit_test(others_are_the_processors_that_were_left_free),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
