/* /proc must not tell that somebody records: no mappings but the program's own, in one's own lists and a child's; no tracer. */
#include "guest.h"
#include <fcntl.h>
#include <signal.h>
#include <sys/syscall.h>

#define OURS_FROM 0x70000000ul   /* where a recorder that we know of would be; nobody else maps memory there by chance */
#define OURS_END 0x72070000ul

/* An entry's line: start[-end perms offset dev inode path]. Executable memory without a file or a name is somebody's code. */
static void check_entry(const char *line)
{
	unsigned long from, to, inode;
	char perms[5], path[2] = "";

	if (sscanf(line, "%lx-%lx", &from, &to) == 2) {
		CHECK(sscanf(line, "%*x-%*x %4s %*x %*s %lu %1s", perms, &inode, path) >= 2);
		CHECK(from < to && (perms[2] != 'x' || inode || path[0]));
	} else {
		CHECK(sscanf(line, "%lx ", &from) == 1);
	}
	CHECK(from < OURS_FROM || from >= OURS_END);
}

static int is_entry(const char *line)
{
	unsigned long from;
	char next;

	return sscanf(line, "%lx%c", &from, &next) == 2 && (next == '-' || next == ' ') && line[0] > '/' && line[0] != 'A';
}

static void check_list(const char *path)
{
	char line[4200];
	FILE *f = fopen(path, "re");
	int n = 0;

	if (!f && errno == ENOENT)   /* a kernel without it */
		return;
	CHECK(f && fcntl(fileno(f), F_GETFD) == FD_CLOEXEC);
	while (fgets(line, sizeof(line), f)) {
		CHECK(strchr(line, '\n'));
		if (is_entry(line)) {
			check_entry(line);
			n++;
		}
	}
	CHECK(n > 5);
	fclose(f);
}

static void check_status(const char *path)
{
	char text[4096];
	int fd = open(path, O_RDONLY);
	ssize_t n = read(fd, text, sizeof(text) - 1);

	CHECK(fd >= 0 && fcntl(fd, F_GETFD) == 0 && n > 0);
	text[n] = 0;
	CHECK(strstr(text, "\nTracerPid:\t0\n") && strstr(text, "\nThreads:\t1\n"));
	CHECK(read(fd, text, sizeof(text)) == 0);
	close(fd);
}

static void check_process(const char *who)
{
	static const char *const lists[] = { "maps", "smaps", "numa_maps" };
	char path[64];

	for (size_t i = 0; i < sizeof(lists) / sizeof(*lists); i++) {
		snprintf(path, sizeof(path), "/proc/%s/%s", who, lists[i]);
		check_list(path);
	}
	snprintf(path, sizeof(path), "/proc/%s/status", who);
	check_status(path);
}

int main(void)
{
	int next = dup(0), p[2];
	char number[16];
	pid_t child;

	close(next);
	for (int i = 0; i < 40; i++)   /* a place that a recorder may have changed, with code of its own */
		CHECK(syscall(SYS_getppid) > 0);
	check_process("self");
	check_process("thread-self");
	CHECK(pipe(p) == 0 && (child = fork()) >= 0);
	if (child == 0) {
		close(p[1]);
		CHECK(read(p[0], number, 1) == 0);
		_exit(7);
	}
	snprintf(number, sizeof(number), "%d", (int)child);
	check_process(number);
	close(p[0]);
	close(p[1]);
	CHECK(WEXITSTATUS(guest_wait(child)) == 7);
	CHECK(open("/proc/self/maps", O_RDONLY) == next && dup(0) == next + 1);
	return guest_done();
}
