/*
 * Namespaces of the program's own: a user namespace, a host name, a process that is number 1, a root directory of its own.
 * Where the system forbids user namespaces it says so, recorded or not.
 */
#include "guest.h"
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>

static void put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);

	CHECK(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text) && close(fd) == 0);
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
