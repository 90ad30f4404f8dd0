/* Calls that there are not, newer ones, and keys: each ends with an answer, whatever the kernel knows of it. */
#include "guest.h"
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>

static void show(const char *name, long r)
{
	printf("%s: %s\n", name, r == -1 ? strerror(errno) : "ok");
}

static void numbers(void)
{
	static const long none[] = { 340, 400, 423, 600, 5000, 0x3fffffff, -2 };

	for (unsigned i = 0; i < sizeof(none) / sizeof(none[0]); i++)
		CHECK(syscall(none[i], 1, 2, 3, 4, 5, 6) == -1 && errno == ENOSYS);
}

static void newer(void)
{
	struct { uint64_t off, len; } range = { 0, 0 };
	uint64_t pages[5] = { 7, 7, 7, 7, 7 };
	uint32_t word = 1;
	int fd = open("/proc/self/exe", O_RDONLY);
	char *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CHECK(fd >= 0 && p != MAP_FAILED);
	show("cachestat", syscall(451, fd, &range, pages, 0));
	printf("its pages: %d\n", pages[0] != 7);
	show("fchmodat2", syscall(452, -1, "", 0, 0));
	show("futex_wake", syscall(454, &word, -1ul, 1, 2));
	show("futex_wait", syscall(455, &word, 0ul, -1ul, 2, NULL, 0));
	show("listmount", syscall(458, NULL, NULL, 0, 0));
	show("mseal", syscall(462, p, 4096, 0));
	p[0] = 1;
	show("munmap", munmap(p, 4096));
	CHECK(close(fd) == 0);
}

static void keys(void)
{
	char back[32] = "";
	long key = syscall(SYS_add_key, "user", "relive-guest", "secret", 6, -2 /* the process's keyring */);

	if (key == -1) {
		show("add_key", key);
		return;
	}
	CHECK(syscall(SYS_keyctl, 11 /* KEYCTL_READ */, key, back, sizeof(back)) == 6 && strcmp(back, "secret") == 0);
	CHECK(syscall(SYS_keyctl, 3 /* KEYCTL_REVOKE */, key) == 0);
	puts("a key");
}

int main(void)
{
	numbers();
	newer();
	keys();
	show("bpf", syscall(SYS_bpf, 0, NULL, 0));
	show("perf_event_open", syscall(SYS_perf_event_open, NULL, 0, -1, -1, 0));
	return guest_done();
}
