/*
 * Files of /proc that tell of processes, read in pieces, again and again from one descriptor, and by all calls that read: no
 * tracer and no state but one's own; mappings as they are now; the auxiliary vector as on the stack; calls as they were made.
 */
#include "guest.h"
#include <elf.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#define ROUNDS 25
#define PIECE 7

static char text[1 << 16];

static size_t by_reads(int fd, size_t piece)
{
	ssize_t n;
	size_t got = 0;

	CHECK(lseek(fd, 0, SEEK_SET) == 0);
	while ((n = read(fd, text + got, piece)) > 0)
		got += (size_t)n;
	CHECK(n == 0);
	text[got] = 0;
	return got;
}

static size_t by_vectors(int fd, int form)
{
	ssize_t n;
	size_t got = 0;

	CHECK(lseek(fd, 0, SEEK_SET) == 0);
	do {
		struct iovec v[2] = { { text + got, 3 }, { text + got + 3, 90 } };

		n = form == 0 ? readv(fd, v, 2) : form == 1 ? preadv(fd, v, 2, (off_t)got) : pread(fd, text + got, PIECE, (off_t)got);
		CHECK(n >= 0);
		got += (size_t)n;
	} while (n);
	text[got] = 0;
	return got;
}

static int open_of(pid_t pid, const char *name)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	CHECK(fd >= 0 && write(fd, "x", 1) == -1 && errno == EBADF);
	return fd;
}

static void check_status(void)
{
	CHECK(strstr(text, "\nTracerPid:\t0\n") && strstr(text, "\nThreads:\t1\n") && strstr(text, "\nState:\tR (running)\n"));
}

static void own_status(void)
{
	int fd = open_of(getpid(), "status"), task = open("/proc/thread-self/status", O_RDONLY);

	for (int i = 0; i < ROUNDS; i++) {
		CHECK(by_reads(fd, PIECE) > 100);
		check_status();
		CHECK(by_reads(task, sizeof(text) - 1) > 100);
		check_status();
		for (int form = 0; form < 3; form++) {
			CHECK(by_vectors(fd, form) > 100);
			check_status();
		}
	}
	close(fd);
	close(task);
}

static char state_of(const char *stat_text)
{
	return strrchr(stat_text, ')')[2];
}

static void state_becomes(int fd, char want)
{
	do {
		CHECK(by_reads(fd, PIECE) > 30);
	} while (state_of(text) != want && usleep(1000) == 0);
}

/* One that computes, one that waits, one that is stopped; and then there is none. */
static void others(void)
{
	volatile char *go = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int p[2], stat, status;
	pid_t child;

	CHECK(go != MAP_FAILED && pipe(p) == 0 && (child = fork()) >= 0);
	if (child == 0) {
		char c;

		while (!*go)
			;
		CHECK(read(p[0], &c, 1) == 1 && c == 'x');
		_exit(5);
	}
	stat = open_of(child, "stat");
	status = open_of(child, "status");
	for (int i = 0; i < ROUNDS; i++) {
		CHECK(by_reads(stat, PIECE) > 30 && state_of(text) == 'R' && atoi(text) == child);
		CHECK(by_vectors(status, i % 3) > 100);
		check_status();
	}
	*go = 1;
	state_becomes(stat, 'S');
	CHECK(by_reads(status, 100) > 100 && strstr(text, "\nState:\tS (sleeping)\n") && strstr(text, "\nTracerPid:\t0\n"));
	CHECK(kill(child, SIGSTOP) == 0 && waitpid(child, NULL, WUNTRACED) == child);
	CHECK(by_reads(stat, PIECE) > 30 && state_of(text) == 'T');
	CHECK(by_reads(status, PIECE) > 100 && strstr(text, "\nState:\tT (stopped)\n"));
	CHECK(kill(child, SIGCONT) == 0 && write(p[1], "x", 1) == 1 && WEXITSTATUS(guest_wait(child)) == 5);
	CHECK(pread(stat, text, 100, 0) == -1 && errno == ESRCH);
	close(stat);
	close(status);
	close(p[0]);
	close(p[1]);
}

static int is_listed(int fd, const void *at)
{
	CHECK(by_reads(fd, 1000) > 300);
	for (char *line = text; line; line = strchr(line + 1, '\n')) {
		unsigned long from, to;

		if (sscanf(line, "%lx-%lx", &from, &to) == 2 && (unsigned long)at >= from && (unsigned long)at < to)
			return 1;
	}
	return 0;
}

static void mappings(void)
{
	int fd = open_of(getpid(), "maps");

	CHECK(is_listed(fd, text));
	for (int i = 0; i < ROUNDS; i++) {
		char *at = mmap(NULL, 12288, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		CHECK(munmap(at + 4096, 4096) == 0 && is_listed(fd, at) && !is_listed(fd, at + 4096) && is_listed(fd, at + 8192));
		CHECK(munmap(at, 12288) == 0 && !is_listed(fd, at));
	}
	close(fd);
}

/* What it says here is what it said at the start. */
static void auxiliary(char **env)
{
	int fd = open_of(getpid(), "auxv");
	Elf64_auxv_t *at;
	size_t n = 0;
	long got;

	while (*env)
		env++;
	at = (Elf64_auxv_t *)(env + 1);
	while (at[n++].a_type != AT_NULL)
		;
	for (int i = 0; i < 2; i++)
		CHECK(by_reads(fd, 24) >= n * sizeof(*at) && memcmp(text, at, n * sizeof(*at)) == 0);
	close(fd);
	memset(text, 0, sizeof(text));
	got = prctl(0x41555856 /* PR_GET_AUXV */, text, 4096, 0, 0);
	CHECK(got < 0 || ((size_t)got >= n * sizeof(*at) && memcmp(text, at, n * sizeof(*at)) == 0));
}

/* The call that asks is the one that is told; of another one, that which it waits in. */
static void calls(void)
{
	long nr;
	unsigned long a[6];
	int fd = open("/proc/self/syscall", O_RDONLY), p[2];
	char byte;
	pid_t child;

	if (fd < 0)   /* a kernel without it, or it is not allowed */
		return;
	CHECK(pread(fd, text, 500, 0) > 20 && sscanf(text, "%ld %lx %lx %lx", &nr, &a[0], &a[1], &a[2]) == 4);
	CHECK(nr == SYS_pread64 && a[0] == (unsigned long)fd && a[1] == (unsigned long)text && a[2] == 500);
	close(fd);
	CHECK(pipe(p) == 0 && (child = fork()) >= 0);
	if (child == 0)
		_exit(read(p[0], &byte, 1) == 1 && byte == 'y' ? 6 : 1);
	fd = open_of(child, "stat");
	state_becomes(fd, 'S');
	close(fd);
	fd = open_of(child, "syscall");
	CHECK(pread(fd, text, 500, 0) > 20 && sscanf(text, "%ld %lx %lx %lx", &nr, &a[0], &a[1], &a[2]) == 4);
	CHECK(nr == SYS_read && a[0] == (unsigned long)p[0] && a[1] == (unsigned long)&byte && a[2] == 1);
	close(fd);
	CHECK(write(p[1], "y", 1) == 1 && WEXITSTATUS(guest_wait(child)) == 6);
	close(p[0]);
	close(p[1]);
}

int main(int argc, char **argv)
{
	own_status();
	others();
	mappings();
	auxiliary(argv + argc + 1);
	calls();
	return guest_done();
}
