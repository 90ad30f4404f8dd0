/*
 * Namespaces of the program's own: a user namespace, a host name, a process that is number 1 and others
 * that are known by the numbers they have there, also in a /proc of their own, a root directory of its own.
 * Where the system forbids user namespaces it says so, recorded or not.
 */
#include "guest.h"
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>

static void put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);

	CHECK(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text) && close(fd) == 0);
}

/* The lines that begin with these names. */
static void show_lines(const char *path, const char *const *names)
{
	FILE *f = fopen(path, "r");
	char line[256];

	CHECK(f);
	while (fgets(line, sizeof(line), f)) {
		for (const char *const *n = names; *n; n++) {
			if (strncmp(line, *n, strlen(*n)) == 0)
				fputs(line, stdout);
		}
	}
	fclose(f);
}

/* Addresses that no program has by itself. */
static void nothing_of_others(const char *path)
{
	FILE *f = fopen(path, "r");
	char line[512];

	CHECK(f);
	while (fgets(line, sizeof(line), f)) {
		unsigned long at = strtoul(line, NULL, 16);

		CHECK(at < 0x70000000 || at >= 0x100000000);
	}
	fclose(f);
}

static volatile char area[2][4096];

/* Another process, by the number that it has here: in calls, and in a /proc of this namespace. */
static void by_its_number(const char *proc)
{
	static const char *const names[] = { "NSpid:", "TracerPid:", "Seccomp:", NULL };
	struct iovec mine = { (void *)"call", 4 }, its = { (void *)area[0], 4 };
	int down[2], up[2], fd, called;
	char path[128], byte;
	cpu_set_t cpus, same;
	pid_t pid;

	CHECK(pipe(down) == 0 && pipe(up) == 0);
	area[0][0] = area[1][0] = '-';
	pid = fork();
	if (pid == 0) {
		CHECK(read(down[0], &byte, 1) == 1);
		printf("written by a call: %s, through /proc: %s\n", (const char *)area[0], (const char *)area[1]);
		nothing_of_others("/proc/self/maps");
		fflush(stdout);
		_exit(0);
	}
	CHECK(pid == 3);
	called = (int)process_vm_writev(pid, &mine, 1, &its, 1, 0);
	CHECK(called == 4 || errno == EPERM || errno == ENOSYS);
	CHECK(sched_getaffinity(0, sizeof(cpus), &cpus) == 0 && sched_getaffinity(pid, sizeof(same), &same) == 0);
	CHECK(CPU_EQUAL(&cpus, &same) && sched_setaffinity(pid, sizeof(cpus), &cpus) == 0);
	snprintf(path, sizeof(path), "%s/%d/mem", proc, pid);
	fd = open(path, O_RDWR);
	if (fd >= 0) {
		CHECK(pwrite(fd, "file", 4, (off_t)(uintptr_t)area[1]) == 4 && close(fd) == 0);
		snprintf(path, sizeof(path), "%s/%d/status", proc, pid);
		show_lines(path, names);
		snprintf(path, sizeof(path), "%s/%d/maps", proc, pid);
		nothing_of_others(path);
	}
	fflush(stdout);
	CHECK(write(down[1], "g", 1) == 1 && guest_wait(pid) == 0);
}

static void with_its_own_proc(void)
{
	char dir[] = "/tmp/guest-proc-XXXXXX";

	CHECK(mkdtemp(dir));
	if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 && mount("proc", dir, "proc", 0, NULL) == 0) {
		by_its_number(dir);
		CHECK(umount2(dir, MNT_DETACH) == 0);
	} else {
		printf("no /proc of its own here: %s\n", strerror(errno));
		by_its_number("/nowhere");
	}
	CHECK(rmdir(dir) == 0);
}

static void first_process(void)
{
	pid_t pid = fork(), grandchild;

	CHECK(pid >= 0);
	if (pid == 0) {
		CHECK(getpid() == 1 && getppid() == 0);
		grandchild = fork();
		if (grandchild == 0)
			_exit(getpid() == 2 && getppid() == 1 ? 5 : 6);
		CHECK(grandchild == 2);
		CHECK(guest_wait(2) == 5 << 8);
		CHECK(kill(1, SIGTERM) == 0);   /* ignored: it is the first process */
		with_its_own_proc();
		fflush(stdout);
		_exit(7);
	}
	CHECK(guest_wait(pid) == 7 << 8);
	puts("process 1 had a child, 2");
}

int main(void)
{
	char map[64], dir[] = "/tmp/guest-root-XXXXXX", name[64], path[96];
	unsigned uid = getuid(), gid = getgid();
	struct stat st;

	if (unshare(CLONE_NEWUSER | CLONE_NEWUTS | CLONE_NEWPID | CLONE_NEWNS) != 0) {
		printf("no user namespaces here: %s\n", strerror(errno));
		return guest_done();
	}
	put("/proc/self/setgroups", "deny");
	snprintf(map, sizeof(map), "0 %u 1", uid);
	put("/proc/self/uid_map", map);
	snprintf(map, sizeof(map), "0 %u 1", gid);
	put("/proc/self/gid_map", map);
	CHECK(getuid() == 0 && getgid() == 0);
	CHECK(sethostname("guest-host", 10) == 0 && gethostname(name, sizeof(name)) == 0);
	puts(name);
	fflush(stdout);
	first_process();
	CHECK(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/inside", dir);
	CHECK(mkdir(path, 0700) == 0);
	fflush(stdout);
	{
		int root = open("/", O_RDONLY | O_DIRECTORY);

		CHECK(root >= 0 && chroot(dir) == 0 && chdir("/") == 0);
		CHECK(stat("/inside", &st) == 0 && S_ISDIR(st.st_mode) && stat("/proc/self", &st) == -1 && errno == ENOENT);
		CHECK(getcwd(name, sizeof(name)) && strcmp(name, "/") == 0);
		CHECK(rmdir("/inside") == 0 && fchdir(root) == 0 && chroot(".") == 0 && close(root) == 0);
	}
	CHECK(rmdir(dir) == 0);
	puts("a root directory of its own");
	return guest_done();
}
