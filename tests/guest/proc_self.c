/* What /proc says about oneself: maps, status, stat, cmdline, environ, exe, fd, task, auxv, limits; readlink and readdir. */
#include "guest.h"
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>

static size_t slurp(const char *path, char *buf, size_t max)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t n = 0;
	ssize_t got;

	CHECK(fd >= 0);
	while (n < max - 1 && (got = read(fd, buf + n, max - 1 - n)) > 0)
		n += (size_t)got;
	buf[n] = 0;
	close(fd);
	return n;
}

int main(int argc, char **argv)
{
	static char buf[1 << 16];
	char exe[PATH_MAX + 1] = "";
	unsigned long lo, hi;
	int found = 0, n_tasks = 0;
	DIR *d;

	(void)argc;
	CHECK(slurp("/proc/self/maps", buf, sizeof(buf)) > 100);
	for (char *line = strtok(buf, "\n"); line; line = strtok(NULL, "\n"))
		if (sscanf(line, "%lx-%lx", &lo, &hi) == 2 && (unsigned long)main >= lo && (unsigned long)main < hi)
			found = strstr(line, "r-xp") != NULL;
	CHECK(found);
	CHECK(readlink("/proc/self/exe", exe, PATH_MAX) > 0 && strstr(exe, "proc_self"));
	slurp("/proc/self/cmdline", buf, sizeof(buf));
	CHECK(strcmp(buf, argv[0]) == 0);
	CHECK(slurp("/proc/self/status", buf, sizeof(buf)) && strstr(buf, "Threads:\t1\n"));
	CHECK(slurp("/proc/self/stat", buf, sizeof(buf)) && atoi(buf) == getpid());
	CHECK(slurp("/proc/self/environ", buf, sizeof(buf)) > 0);
	CHECK(slurp("/proc/self/auxv", buf, sizeof(buf)) > 64);
	CHECK(slurp("/proc/self/limits", buf, sizeof(buf)) > 0);
	CHECK(slurp("/proc/cpuinfo", buf, sizeof(buf)) > 0);
	CHECK(slurp("/proc/meminfo", buf, sizeof(buf)) > 0);
	d = opendir("/proc/self/task");
	CHECK(d);
	for (struct dirent *e; (e = readdir(d));)
		n_tasks += atoi(e->d_name) == getpid();
	CHECK(n_tasks == 1);
	closedir(d);
	return guest_done();
}
