/*
 * A statically linked program that maps a program file's code executable in order to read it, as one that translates code does:
 * it finds what the file holds. What it executes of it then runs as it should, faults of its own stay its own, and lists of mappings
 * show what it asked for.
 */
#include "guest.h"
#include <fcntl.h>
#include <link.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>

/* Instructions that relive changes, in code that can be executed anywhere. */
__attribute__((naked, noinline, used)) static uint64_t ticks(void)
{
	__asm__("rdtsc; shl $32, %rdx; or %rdx, %rax; ret");
}

__attribute__((naked, noinline, used)) static uint32_t highest_leaf(void)
{
	__asm__("push %rbx; xor %eax, %eax; cpuid; pop %rbx; ret");
}

static size_t bytes;
static sigjmp_buf back;
static volatile int code_of_fault;

static uint8_t *map_file(int fd, int prot)
{
	uint8_t *at = mmap(NULL, bytes, prot, MAP_PRIVATE, fd, 0);

	CHECK(at != MAP_FAILED);
	return at;
}

/* Where a function is in the program's file. */
static int add_offset(struct dl_phdr_info *info, size_t n, void *addr_to_offset)
{
	uint64_t *at = addr_to_offset;

	(void)n;
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *p = &info->dlpi_phdr[i];
		uint64_t start = info->dlpi_addr + p->p_vaddr;

		if (p->p_type == PT_LOAD && *at >= start && *at < start + p->p_filesz) {
			*at += p->p_offset - start;
			return 1;
		}
	}
	return 0;
}

static size_t offset_of(const void *function)
{
	uint64_t at = (uint64_t)(uintptr_t)function;

	CHECK(dl_iterate_phdr(add_offset, &at) == 1);
	return (size_t)at;
}

static void on_fault(int sig, siginfo_t *info, void *uc)
{
	(void)sig;
	(void)uc;
	code_of_fault = info->si_code;
	siglongjmp(back, 1);
}

static int faults_when_called(const uint8_t *at)
{
	code_of_fault = 0;
	if (sigsetjmp(back, 1) == 0)
		((uint64_t (*)(void))(uintptr_t)at)();
	return code_of_fault;
}

static int faults_when_written(uint8_t *at)
{
	code_of_fault = 0;
	if (sigsetjmp(back, 1) == 0)
		*(volatile uint8_t *)at = 0xc3;
	return code_of_fault;
}

static void shown_as(const void *at, const char *prot)
{
	char line[512], want[64], got[8] = "";
	FILE *f = fopen("/proc/self/maps", "r");

	snprintf(want, sizeof(want), "%lx-", (unsigned long)(uintptr_t)at);
	while (f && fgets(line, sizeof(line), f)) {
		if (strncmp(line, want, strlen(want)) == 0)
			CHECK(sscanf(line, "%*s %7s", got) == 1);
	}
	CHECK(f && fclose(f) == 0);
	if (strcmp(got, prot) != 0)
		fprintf(stderr, "%s is shown as \"%s\"\n", want, got);
	CHECK(strcmp(got, prot) == 0);
}

static void run_copy(const uint8_t *code, size_t off_ticks, size_t off_leaf)
{
	uint64_t (*copied_ticks)(void) = (uint64_t (*)(void))(uintptr_t)(code + off_ticks);
	uint32_t (*copied_leaf)(void) = (uint32_t (*)(void))(uintptr_t)(code + off_leaf);
	uint64_t first = copied_ticks(), second = copied_ticks();

	CHECK(first && second >= first);
	CHECK(copied_leaf() == highest_leaf());
	printf("%d ticks and more\n", (int)(second - first) >= 0);
}

int main(void)
{
	struct sigaction act = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO };
	int fd = open("/proc/self/exe", O_RDONLY);
	struct stat st;
	uint8_t *file, *code, *moved;
	size_t off_ticks, off_leaf;
	pid_t child;

	CHECK(fd >= 0 && fstat(fd, &st) == 0 && sigaction(SIGSEGV, &act, NULL) == 0);
	bytes = (size_t)st.st_size;
	file = malloc(bytes);
	CHECK(file);
	for (size_t done = 0; done < bytes; ) {
		ssize_t n = pread(fd, file + done, bytes - done, (off_t)done);

		CHECK(n > 0);
		done += (size_t)n;
	}
	off_ticks = offset_of((const void *)(uintptr_t)ticks);
	off_leaf = offset_of((const void *)(uintptr_t)highest_leaf);

	code = map_file(fd, PROT_READ | PROT_EXEC);
	CHECK(memcmp(code, file, bytes) == 0);
	shown_as(code, "r-xp");
	CHECK(faults_when_written(code + off_ticks) == SEGV_ACCERR);
	CHECK(memcmp(code, file, bytes) == 0);
	fflush(stdout);
	child = fork();
	if (child == 0) {
		run_copy(code, off_ticks, off_leaf);
		_exit(fflush(stdout) ? 1 : 0);
	}
	CHECK(child > 0 && guest_wait(child) == 0);
	CHECK(memcmp(code, file, bytes) == 0);          /* executed by somebody else */

	/* Moved, made unusable for a while, and executed. */
	moved = mremap(code, bytes, bytes, MREMAP_MAYMOVE | MREMAP_FIXED, map_file(fd, PROT_READ));
	CHECK(moved != MAP_FAILED && memcmp(moved, file, bytes) == 0);
	shown_as(moved, "r-xp");
	CHECK(mprotect(moved, bytes, PROT_READ) == 0);
	CHECK(faults_when_called(moved + off_ticks) == SEGV_ACCERR);
	CHECK(mprotect(moved, bytes, PROT_READ | PROT_EXEC) == 0 && memcmp(moved, file, bytes) == 0);
	run_copy(moved, off_ticks, off_leaf);

	/* Something else in its place is not code. */
	code = map_file(fd, PROT_READ | PROT_EXEC);
	CHECK(mmap(code, bytes, PROT_READ, MAP_PRIVATE | MAP_FIXED, fd, 0) == code);
	CHECK(faults_when_called(code + off_ticks) == SEGV_ACCERR);
	return guest_done();
}
