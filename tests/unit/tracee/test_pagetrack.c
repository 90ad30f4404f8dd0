/* Live children, stopped with ptrace at int3 between the phases of their little lives. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/err.h"
#include "tracee/maps.h"
#include "tracee/pagetrack.h"

#define PAGE 4096ul
#define STOP() __asm__ volatile("int3" ::: "memory")

/* Set by main: the tests run once for each tier that works here. */
static enum page_tier tier;

static char *map(size_t pages, int flags)
{
	char *at = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, MAP_ANONYMOUS | flags, -1, 0);

	assert_ptr_not_equal(at, MAP_FAILED);
	if (flags & MAP_PRIVATE)
		madvise(at, pages * PAGE, MADV_NOHUGEPAGE);
	return at;
}

/* A syscall instruction that every forked child has at the same place. */
__asm__(".text\nsyscall_then_trap: syscall\nint3\n");
extern const char syscall_then_trap[];

static int wait_stop(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, __WALL), pid);
	assert_true(WIFSTOPPED(status));
	return status;
}

static int64_t run_syscall(void *ctx, long nr, const uint64_t arg[6])
{
	pid_t pid = *(pid_t *)ctx;
	struct user_regs_struct saved, r;

	assert_int_equal(ptrace(PTRACE_GETREGS, pid, 0, &saved), 0);
	r = saved;
	r.rax = (unsigned long)nr;
	r.orig_rax = -1ul;
	r.rdi = arg[0];
	r.rsi = arg[1];
	r.rdx = arg[2];
	r.r10 = arg[3];
	r.r8 = arg[4];
	r.r9 = arg[5];
	r.rip = (uintptr_t)syscall_then_trap;
	assert_int_equal(ptrace(PTRACE_SETREGS, pid, 0, &r), 0);
	assert_int_equal(ptrace(PTRACE_CONT, pid, 0, 0), 0);
	wait_stop(pid);
	assert_int_equal(ptrace(PTRACE_GETREGS, pid, 0, &r), 0);
	assert_int_equal(ptrace(PTRACE_SETREGS, pid, 0, &saved), 0);
	return (int64_t)r.rax;
}

struct child {
	pid_t pid;
	struct pagetrack *track;
	struct page_list list;
};

static void track(struct child *c)
{
	struct pagetrack_host host = { .syscall = run_syscall, .ctx = &c->pid };

	assert_int_equal(pagetrack_open(c->pid, tier, &host, &c->track), 0);
	assert_int_equal(pagetrack_tier(c->track), tier);
}

/* Fork a child that runs life and is stopped at its first STOP; then track it. */
static struct child start(void (*life)(void))
{
	struct child c = { .pid = fork() };

	if (!c.pid) {
		ptrace(PTRACE_TRACEME, 0, 0, 0);
		life();
		_exit(0);
	}
	wait_stop(c.pid);
	track(&c);
	return c;
}

static void run_to_stop(struct child *c)
{
	assert_int_equal(ptrace(PTRACE_CONT, c->pid, 0, 0), 0);
	assert_int_equal(WSTOPSIG(wait_stop(c->pid)), SIGTRAP);
}

static void collect(struct child *c)
{
	assert_int_equal(pagetrack_collect(c->track, NULL, 0, &c->list), 0);
	for (size_t i = 1; i < c->list.n; i++)
		assert_true(c->list.v[i - 1].addr < c->list.v[i].addr);
	if (tier != PAGE_TIER_HASH)
		assert_int_equal(pages_hash(c->pid, &c->list), 0);
	assert_true(c->list.hashed);
}

static void next(struct child *c)
{
	run_to_stop(c);
	collect(c);
}

static void finish(struct child *c)
{
	kill(c->pid, SIGKILL);
	waitpid(c->pid, NULL, __WALL);
	pagetrack_close(c->track);
	page_list_free(&c->list);
}

static bool listed(const struct child *c, const void *addr)
{
	for (size_t i = 0; i < c->list.n; i++)
		if (c->list.v[i].addr == ((uintptr_t)addr & -PAGE))
			return true;
	return false;
}

static size_t count(const struct child *c, const char *at, size_t pages)
{
	size_t n = 0;

	for (size_t i = 0; i < pages; i++)
		n += listed(c, at + i * PAGE);
	return n;
}

static char *area;

static void life_of_writes(void)
{
	area[0] = 1;
	STOP();
	area[3 * PAGE] = 2;
	STOP();
	STOP();
	area[0] = 3;
	area[3 * PAGE + 9] = 4;
	area[15 * PAGE] = 5;
	STOP();
}

static void exactly_the_written_pages_are_listed(void **state)
{
	(void)state;
	area = map(16, MAP_PRIVATE);
	struct child c = start(life_of_writes);

	next(&c);
	assert_int_equal(count(&c, area, 16), 1);
	assert_true(listed(&c, area + 3 * PAGE));
	next(&c);
	assert_int_equal(count(&c, area, 16), 0);
	next(&c);
	assert_int_equal(count(&c, area, 16), 3);
	assert_true(listed(&c, area) && listed(&c, area + 3 * PAGE) && listed(&c, area + 15 * PAGE));
	finish(&c);
	munmap(area, 16 * PAGE);
}

static void hashes_are_those_of_the_bytes(void **state)
{
	uint8_t page[PAGE];

	(void)state;
	area = map(16, MAP_PRIVATE);
	struct child c = start(life_of_writes);

	next(&c);
	memset(page, 0, sizeof page);
	page[0] = 2;
	for (size_t i = 0; i < c.list.n; i++)
		if (c.list.v[i].addr == (uintptr_t)area + 3 * PAGE)
			assert_true(c.list.v[i].hash == page_hash_of(page));
	finish(&c);
	munmap(area, 16 * PAGE);
}

static int pipe_fds[2];

static void life_of_kernel_writes(void)
{
	memset(area, 1, 4 * PAGE);
	STOP();
	if (read(pipe_fds[0], area + 2 * PAGE + 100, 4) != 4)
		_exit(1);
	STOP();
}

static void a_write_by_the_kernel_is_seen(void **state)
{
	(void)state;
	assert_int_equal(pipe(pipe_fds), 0);
	assert_int_equal(write(pipe_fds[1], "abcd", 4), 4);
	area = map(4, MAP_PRIVATE);
	struct child c = start(life_of_kernel_writes);

	next(&c);
	assert_int_equal(count(&c, area, 4), 1);
	assert_true(listed(&c, area + 2 * PAGE));
	finish(&c);
	munmap(area, 4 * PAGE);
	close(pipe_fds[0]);
	close(pipe_fds[1]);
}

static void a_write_by_a_debugger_is_seen(void **state)
{
	(void)state;
	area = map(4, MAP_PRIVATE);
	memset(area, 1, 4 * PAGE);
	struct child c = start(life_of_writes);

	assert_int_equal(ptrace(PTRACE_POKEDATA, c.pid, area + PAGE, 77ul), 0);
	assert_int_equal(ptrace(PTRACE_POKETEXT, c.pid, (uintptr_t)syscall_then_trap & -8ul, 0xccul), 0);
	collect(&c);
	assert_int_equal(count(&c, area, 4), 1);
	assert_true(listed(&c, area + PAGE));
	assert_true(listed(&c, syscall_then_trap));   /* in read-only text, it has become the process's own */
	collect(&c);
	assert_int_equal(count(&c, area, 4), 0);
	assert_false(listed(&c, syscall_then_trap));
	finish(&c);
	munmap(area, 4 * PAGE);
}

static void life_of_mappings(void)
{
	STOP();
	char *a = mmap(area, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);

	a[PAGE] = 1;
	STOP();
	a[2 * PAGE] = 1;
	STOP();
	/* Another mapping at the same place: /proc/PID/maps reads as before. */
	munmap(a, 8 * PAGE);
	a = mmap(area, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	a[5 * PAGE] = 1;
	STOP();
	a[5 * PAGE] = 2;
	STOP();
}

static void new_mappings_are_tracked_from_their_first_write(void **state)
{
	(void)state;
	area = map(8, MAP_PRIVATE);
	struct child c = start(life_of_mappings);

	next(&c);
	assert_int_equal(count(&c, area, 8), 1);
	assert_true(listed(&c, area + PAGE));
	next(&c);
	assert_int_equal(count(&c, area, 8), 1);
	assert_true(listed(&c, area + 2 * PAGE));
	next(&c);
	assert_int_equal(count(&c, area, 8), 1);
	assert_true(listed(&c, area + 5 * PAGE));
	next(&c);
	assert_true(listed(&c, area + 5 * PAGE));
	finish(&c);
	munmap(area, 8 * PAGE);
}

static void life_of_mremap(void)
{
	memset(area, 1, 4 * PAGE);
	STOP();
	mremap(area, 4 * PAGE, 4 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, area + 8 * PAGE);
	area[9 * PAGE] = 2;
	STOP();
	area[10 * PAGE] = 3;
	STOP();
}

static void moved_pages_are_still_tracked(void **state)
{
	(void)state;
	area = map(16, MAP_PRIVATE);
	struct child c = start(life_of_mremap);

	next(&c);
	assert_true(listed(&c, area + 9 * PAGE));
	assert_int_equal(count(&c, area, 8), 0);
	next(&c);
	assert_int_equal(count(&c, area, 16), 1);
	assert_true(listed(&c, area + 10 * PAGE));
	finish(&c);
	munmap(area, 16 * PAGE);
}

static void life_of_neighbours(void)
{
	const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;

	STOP();
	mmap(area, 4 * PAGE, PROT_READ | PROT_WRITE, flags, -1, 0);
	area[0] = 1;
	STOP();
	mmap(area + 4 * PAGE, 4 * PAGE, PROT_READ | PROT_WRITE, flags, -1, 0);
	STOP();
	area[5 * PAGE] = 1;
	STOP();
	if (mremap(area, 8 * PAGE, 12 * PAGE, MREMAP_MAYMOVE) == MAP_FAILED)
		_exit(1);
	STOP();
}

static void an_adopted_mapping_merges_with_its_neighbour(void **state)
{
	(void)state;
	area = map(12, MAP_PRIVATE);
	struct child c = start(life_of_neighbours);

	next(&c);
	run_to_stop(&c);
	assert_int_equal(pagetrack_adopt(c.track, (uintptr_t)area + 4 * PAGE, (uintptr_t)area + 8 * PAGE), 0);
	next(&c);
	assert_int_equal(count(&c, area, 8), 1);
	assert_true(listed(&c, area + 5 * PAGE));
	next(&c);   /* the child's mremap across both went well */
	finish(&c);
	munmap(area, 12 * PAGE);
}

static void life_of_dontneed(void)
{
	memset(area, 1, 8 * PAGE);
	STOP();
	madvise(area, 8 * PAGE, MADV_DONTNEED);
	STOP();
	area[PAGE] = 1;
	STOP();
	area[PAGE] = 2;
	STOP();
}

static void dropped_pages_are_listed_when_they_come_back(void **state)
{
	(void)state;
	area = map(8, MAP_PRIVATE);
	struct child c = start(life_of_dontneed);

	next(&c);
	assert_int_equal(count(&c, area, 8), 0);
	next(&c);
	assert_int_equal(count(&c, area, 8), 1);
	assert_true(listed(&c, area + PAGE));
	next(&c);
	assert_int_equal(count(&c, area, 8), 1);
	finish(&c);
	munmap(area, 8 * PAGE);
}

static void life_of_shared(void)
{
	memset(area, 1, 8 * PAGE);
	STOP();
	area[4 * PAGE] = 9;
	STOP();
	STOP();
}

static void shared_memory_is_tracked(void **state)
{
	(void)state;
	area = map(8, MAP_SHARED);
	struct child c = start(life_of_shared);

	next(&c);
	assert_int_equal(count(&c, area, 8), 1);
	assert_true(listed(&c, area + 4 * PAGE));
	next(&c);
	assert_int_equal(count(&c, area, 8), 0);
	finish(&c);
	munmap(area, 8 * PAGE);
}

static void a_shared_file_is_tracked(void **state)
{
	char path[] = "/tmp/pagetrack-XXXXXX";
	int fd = mkstemp(path);

	(void)state;
	unlink(path);
	assert_int_equal(ftruncate(fd, 8 * PAGE), 0);
	area = mmap(NULL, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	struct child c = start(life_of_shared);

	next(&c);
	assert_int_equal(count(&c, area, 8), 1);
	assert_true(listed(&c, area + 4 * PAGE));
	finish(&c);
	munmap(area, 8 * PAGE);
	close(fd);
}

static void life_of_private_file(void)
{
	static volatile char sink;

	sink = area[0];
	STOP();
	for (size_t i = 0; i < 8; i++)
		sink = area[i * PAGE];
	area[4 * PAGE] = 9;
	STOP();
	area[4 * PAGE] = 10;
	STOP();
	(void)sink;
}

static void of_a_private_file_mapping_only_written_pages_are_listed(void **state)
{
	char path[] = "/tmp/pagetrack-XXXXXX";
	int fd = mkstemp(path);

	(void)state;
	unlink(path);
	assert_int_equal(ftruncate(fd, 8 * PAGE), 0);
	area = mmap(NULL, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	struct child c = start(life_of_private_file);

	next(&c);
	assert_int_equal(count(&c, area, 8), 1);
	next(&c);
	assert_int_equal(count(&c, area, 8), 1);
	assert_true(listed(&c, area + 4 * PAGE));
	finish(&c);
	munmap(area, 8 * PAGE);
	close(fd);
}

static char *huge;

static void life_of_huge(void)
{
	memset(huge, 1, 2ul << 20);
	STOP();
	huge[77 * PAGE] = 2;
	STOP();
	huge[78 * PAGE] = 2;
	STOP();
}

static void a_write_to_a_huge_page_is_seen(void **state)
{
	char *at = mmap(NULL, 4ul << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	(void)state;
	huge = (char *)(((uintptr_t)at + (2ul << 20) - 1) & -(2ul << 20));
	madvise(huge, 2ul << 20, MADV_HUGEPAGE);
	struct child c = start(life_of_huge);

	next(&c);
	assert_true(listed(&c, huge + 77 * PAGE));
	next(&c);
	assert_true(listed(&c, huge + 78 * PAGE));
	assert_int_equal(count(&c, huge, 512), 1);
	finish(&c);
	munmap(at, 4ul << 20);
}

static void life_of_protection(void)
{
	STOP();
	char *a = mmap(area, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);

	a[0] = a[PAGE] = 1;
	mprotect(a, PAGE, PROT_READ);
	mprotect(a + PAGE, PAGE, PROT_NONE);
	STOP();
	mprotect(a + PAGE, PAGE, PROT_READ | PROT_WRITE);
	a[PAGE] = 7;
	mprotect(a + PAGE, PAGE, PROT_NONE);
	STOP();
	STOP();
}

static void pages_written_before_they_were_protected_are_listed(void **state)
{
	uint8_t page[PAGE];

	(void)state;
	area = map(8, MAP_PRIVATE);
	struct child c = start(life_of_protection);

	next(&c);
	assert_true(listed(&c, area) && listed(&c, area + PAGE));
	next(&c);
	assert_int_equal(count(&c, area, 8), 1);
	assert_true(listed(&c, area + PAGE));
	assert_int_equal(pages_read(c.pid, &(struct page_hash){ (uintptr_t)area + PAGE, 0 }, 1, page), 1);
	assert_int_equal(page[0], 7);
	next(&c);
	assert_int_equal(count(&c, area, 8), 0);
	finish(&c);
	munmap(area, 8 * PAGE);
}

static void excluded_ranges_are_left_out(void **state)
{
	struct page_range out[2] = { { 0, 0 }, { 0, 0 } };

	(void)state;
	area = map(16, MAP_PRIVATE);
	out[0] = (struct page_range){ (uintptr_t)area + 15 * PAGE, (uintptr_t)area + 20 * PAGE };
	out[1] = (struct page_range){ (uintptr_t)area, (uintptr_t)area + 2 * PAGE };
	struct child c = start(life_of_writes);

	for (int i = 0; i < 3; i++) {
		run_to_stop(&c);
		if (i < 2)
			collect(&c);
	}
	assert_int_equal(pagetrack_collect(c.track, out, 2, &c.list), 0);
	assert_int_equal(count(&c, area, 16), 1);
	assert_true(listed(&c, area + 3 * PAGE));
	finish(&c);
	munmap(area, 16 * PAGE);
}

static __attribute__((noinline)) void use_stack(unsigned pages)
{
	uint8_t bytes[PAGE];

	memset(bytes, (int)pages, sizeof bytes);
	__asm__ volatile("" : : "r"(bytes) : "memory");
	if (pages)
		use_stack(pages - 1);
	__asm__ volatile("" : : "r"(bytes) : "memory");
}

static void life_on_the_stack(void)
{
	area[0] = 1;
	STOP();
	STOP();
	use_stack(100);
	area[20 * PAGE] = 1;
	STOP();
	area[2 * PAGE] = 1;
	area[6 * PAGE] = 1;
	STOP();
}

/* How many pages of the main stack are listed. */
static size_t count_stack(const struct child *c)
{
	struct maps maps;
	size_t n = 0;

	assert_int_equal(maps_read(c->pid, &maps), 0);
	for (size_t i = 0; i < maps.n; i++) {
		if (strcmp(maps.v[i].name, "[stack]") != 0)
			continue;
		for (size_t k = 0; k < c->list.n; k++)
			n += c->list.v[k].addr - maps.v[i].start < maps.v[i].end - maps.v[i].start;
	}
	maps_free(&maps);
	return n;
}

static void collecting_again_from_the_same_mappings_misses_nothing(void **state)
{
	struct page_range out[1];

	(void)state;
	area = map(24, MAP_PRIVATE);
	out[0] = (struct page_range){ (uintptr_t)area + 4 * PAGE, (uintptr_t)area + 8 * PAGE };
	mprotect(area + 12 * PAGE, 4 * PAGE, PROT_READ);   /* not tracked, in between */
	struct child c = start(life_on_the_stack);

	run_to_stop(&c);
	assert_int_equal(pagetrack_collect(c.track, out, 1, &c.list), 0);
	run_to_stop(&c);
	assert_int_equal(pagetrack_collect_again(c.track, out, 1, &c.list), 0);
	assert_true(count_stack(&c) >= 100);
	assert_int_equal(count(&c, area, 24), 1);
	assert_true(listed(&c, area + 20 * PAGE));
	run_to_stop(&c);
	assert_int_equal(pagetrack_collect_again(c.track, out, 1, &c.list), 0);
	assert_true(count_stack(&c) < 100);
	assert_int_equal(count(&c, area, 24), 1);
	assert_true(listed(&c, area + 2 * PAGE));
	finish(&c);
	munmap(area, 24 * PAGE);
}

enum { LARGE = 6000 };

static void life_of_large_writes(void)
{
	for (int i = 0; i < 3; i++) {
		STOP();
		memset(area, i, LARGE * PAGE);
	}
	for (int i = 0; i < 20; i++) {
		STOP();
		area[(LARGE + 2) * PAGE] = (uint8_t)i;
	}
	STOP();
	area[100 * PAGE] = 7;
	STOP();
}

static void again(struct child *c)
{
	run_to_stop(c);
	assert_int_equal(pagetrack_collect_again(c->track, NULL, 0, &c->list), 0);
	for (size_t i = 1; i < c->list.n; i++)
		assert_true(c->list.v[i - 1].addr < c->list.v[i].addr);
}

static void a_large_area_written_as_a_whole_is_listed_without_faults_until_it_is_not(void **state)
{
	unsigned times = 0;

	(void)state;
	area = map(LARGE + 4, MAP_PRIVATE);
	struct child c = start(life_of_large_writes);

	next(&c);
	for (int i = 1; i < 3; i++) {
		again(&c);
		assert_int_equal(count(&c, area, LARGE), LARGE);
	}
	if (tier == PAGE_TIER_SCAN)
		assert_true(pagetrack_faults(c.track) < 100);
	for (int i = 0; i < 20; i++) {
		again(&c);
		times += count(&c, area, LARGE) == LARGE;
		assert_true(listed(&c, area + (LARGE + 2) * PAGE));
	}
	assert_true(times < 10);
	assert_int_equal(count(&c, area, LARGE), 0);
	again(&c);
	assert_int_equal(count(&c, area, LARGE), 1);
	assert_true(listed(&c, area + 100 * PAGE));
	finish(&c);
	munmap(area, (LARGE + 4) * PAGE);
}

static void life_of_fork(void)
{
	memset(area, 1, 4 * PAGE);
	STOP();
	if (fork() == 0) {
		STOP();
		area[2 * PAGE] = 2;
		STOP();
		_exit(0);
	}
	area[3 * PAGE] = 2;
	STOP();
}

static void a_fork_child_is_tracked_by_itself(void **state)
{
	unsigned long message;
	struct child child = { 0 };

	(void)state;
	area = map(4, MAP_PRIVATE);
	struct child c = start(life_of_fork);

	assert_int_equal(ptrace(PTRACE_SETOPTIONS, c.pid, 0, PTRACE_O_TRACEFORK), 0);
	assert_int_equal(ptrace(PTRACE_CONT, c.pid, 0, 0), 0);
	assert_int_equal(wait_stop(c.pid) >> 16, PTRACE_EVENT_FORK);
	assert_int_equal(ptrace(PTRACE_GETEVENTMSG, c.pid, 0, &message), 0);
	child.pid = (pid_t)message;
	wait_stop(child.pid);
	struct pagetrack_host host = { .syscall = run_syscall, .ctx = &child.pid };

	assert_int_equal(pagetrack_fork(c.track, child.pid, &host, &child.track), 0);
	run_to_stop(&child);   /* its first STOP */
	collect(&child);
	next(&child);
	assert_int_equal(count(&child, area, 4), 1);
	assert_true(listed(&child, area + 2 * PAGE));
	next(&c);
	assert_int_equal(count(&c, area, 4), 1);
	assert_true(listed(&c, area + 3 * PAGE));
	finish(&child);
	finish(&c);
	munmap(area, 4 * PAGE);
}

static void life_of_reservation(void)
{
	char *a = mmap(area, 1ul << 40, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);

	a[0] = 1;
	STOP();
	a[1ul << 39] = 1;
	STOP();
}

static long collect_us(struct child *c)
{
	struct timespec a, b;

	clock_gettime(CLOCK_MONOTONIC, &a);
	assert_int_equal(pagetrack_collect(c->track, NULL, 0, &c->list), 0);
	clock_gettime(CLOCK_MONOTONIC, &b);
	return (b.tv_sec - a.tv_sec) * 1000000 + (b.tv_nsec - a.tv_nsec) / 1000;
}

static void a_terabyte_of_reserved_memory_costs_nothing(void **state)
{
	(void)state;
	area = mmap(NULL, 1ul << 40, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	assert_ptr_not_equal(area, MAP_FAILED);
	struct child c = start(life_of_reservation);

	run_to_stop(&c);
	assert_true(collect_us(&c) < 200000);
	assert_true(listed(&c, area + (1ul << 39)));
	assert_false(listed(&c, area));
	finish(&c);
	munmap(area, 1ul << 40);
}

static void life_of_thousand(void)
{
	memset(area, 1, 1000 * PAGE);
	STOP();
	for (int round = 2;; round++) {
		for (size_t i = 0; i < 1000; i++)
			area[i * PAGE] = (char)round;
		STOP();
	}
}

static void a_thousand_dirty_pages_are_collected_quickly(void **state)
{
	long best = 1000000, idle;

	(void)state;
	area = map(1000, MAP_PRIVATE);
	struct child c = start(life_of_thousand);

	for (int i = 0; i < 10; i++) {
		run_to_stop(&c);
		long us = collect_us(&c);

		assert_int_equal(count(&c, area, 1000), 1000);
		best = us < best ? us : best;
	}
	idle = collect_us(&c);
	print_message("tier %s: 1000 dirty pages in %ld us, none in %ld us\n", page_tier_name(tier), best, idle);
	assert_true(best < 50000);
	finish(&c);
	munmap(area, 1000 * PAGE);
}

static void life_of_plenty(void)
{
	memset(area, 1, 65536 * PAGE);
	STOP();
	area[PAGE] = 2;
	STOP();
}

static void resident_memory_that_is_not_written_costs_little(void **state)
{
	(void)state;
	if (tier == PAGE_TIER_HASH)
		skip();
	area = map(65536, MAP_PRIVATE);
	struct child c = start(life_of_plenty);

	run_to_stop(&c);
	long us = collect_us(&c);

	print_message("tier %s: one dirty page among 256 MB in %ld us\n", page_tier_name(tier), us);
	assert_true(listed(&c, area + PAGE));
	assert_true(us < 100000);
	finish(&c);
	munmap(area, 65536 * PAGE);
}

static void the_process_notices_no_descriptor(void **state)
{
	(void)state;
	area = map(16, MAP_PRIVATE);
	struct child c = start(life_of_writes);
	int64_t fd = run_syscall(&c.pid, SYS_dup, (const uint64_t[6]){ 0 });

	run_syscall(&c.pid, SYS_close, (const uint64_t[6]){ (uint64_t)fd });
	pagetrack_close(c.track);
	track(&c);
	assert_int_equal(run_syscall(&c.pid, SYS_dup, (const uint64_t[6]){ 0 }), fd);
	finish(&c);
	munmap(area, 16 * PAGE);
}

static void a_dead_process_gives_egone(void **state)
{
	(void)state;
	area = map(16, MAP_PRIVATE);
	struct child c = start(life_of_writes);

	kill(c.pid, SIGKILL);
	waitpid(c.pid, NULL, 0);
	assert_int_equal(pagetrack_collect(c.track, NULL, 0, &c.list), -RL_EGONE);
	pagetrack_close(c.track);
	page_list_free(&c.list);
	munmap(area, 16 * PAGE);
}

static int run_tier(enum page_tier t)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(exactly_the_written_pages_are_listed),
		cmocka_unit_test(hashes_are_those_of_the_bytes),
		cmocka_unit_test(a_write_by_the_kernel_is_seen),
		cmocka_unit_test(a_write_by_a_debugger_is_seen),
		cmocka_unit_test(new_mappings_are_tracked_from_their_first_write),
		cmocka_unit_test(moved_pages_are_still_tracked),
		cmocka_unit_test(an_adopted_mapping_merges_with_its_neighbour),
		cmocka_unit_test(dropped_pages_are_listed_when_they_come_back),
		cmocka_unit_test(shared_memory_is_tracked),
		cmocka_unit_test(a_shared_file_is_tracked),
		cmocka_unit_test(of_a_private_file_mapping_only_written_pages_are_listed),
		cmocka_unit_test(a_write_to_a_huge_page_is_seen),
		cmocka_unit_test(pages_written_before_they_were_protected_are_listed),
		cmocka_unit_test(excluded_ranges_are_left_out),
		cmocka_unit_test(collecting_again_from_the_same_mappings_misses_nothing),
		cmocka_unit_test(a_large_area_written_as_a_whole_is_listed_without_faults_until_it_is_not),
		cmocka_unit_test(a_fork_child_is_tracked_by_itself),
		cmocka_unit_test(a_terabyte_of_reserved_memory_costs_nothing),
		cmocka_unit_test(a_thousand_dirty_pages_are_collected_quickly),
		cmocka_unit_test(resident_memory_that_is_not_written_costs_little),
		cmocka_unit_test(the_process_notices_no_descriptor),
		cmocka_unit_test(a_dead_process_gives_egone),
	};

	tier = t;
	print_message("tier %s as user %d\n", page_tier_name(t), (int)getuid());
	return cmocka_run_group_tests(tests, NULL, NULL);
}

static void life_of_nothing(void)
{
	STOP();
}

static bool tier_works(enum page_tier t)
{
	pid_t pid = fork();

	if (!pid) {
		ptrace(PTRACE_TRACEME, 0, 0, 0);
		life_of_nothing();
		_exit(0);
	}
	int status;

	waitpid(pid, &status, 0);
	struct pagetrack_host host = { .syscall = run_syscall, .ctx = &pid };
	struct pagetrack *p;
	int err = pagetrack_open(pid, t, &host, &p);

	if (!err)
		pagetrack_close(p);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	return !err;
}

static int run_all_tiers(void)
{
	int failed = 0;

	for (enum page_tier t = PAGE_TIER_SCAN; t <= PAGE_TIER_HASH; t++) {
		if (tier_works(t))
			failed += run_tier(t);
		else
			print_message("tier %s does not work here: skipped\n", page_tier_name(t));
	}
	return failed;
}

/* Again without privileges. */
static int run_as_nobody(void)
{
	pid_t pid = fork();
	int status;

	if (!pid) {
		if (setresgid(65534, 65534, 65534) || setresuid(65534, 65534, 65534) || prctl(PR_SET_DUMPABLE, 1))
			_exit(99);
		int failed = run_all_tiers();

		fflush(NULL);
		_exit(failed);
	}
	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

int main(void)
{
	int failed = run_all_tiers();

	fflush(NULL);
	if (!getuid())
		failed += run_as_nobody();
	return failed;
}
