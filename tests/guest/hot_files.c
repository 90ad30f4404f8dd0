/*
 * Calls about descriptors, files, children and timers, each from one place and often enough that a recorder may have made
 * it cheap: what they answer, and what becomes of descriptors that are closed, replaced and used again.
 */
#include <fcntl.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include "guest.h"

#define ROUNDS 40

static void *const bad = (void *)0x10;
static int n_alarms;

static long call(long nr, long a, long b, long c, long d, long e)
{
	long ret = syscall(nr, a, b, c, d, e, 0);

	return ret < 0 ? -errno : ret;
}
#define CALL(nr, a, b, c, d, e) call(SYS_##nr, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e))

/* One number is a pipe, a file, a directory, a device and nothing, in turn. */
static void one_number(void)
{
	int p[2], file = open("file", O_RDWR | O_CREAT, 0600), dir = open(".", O_RDONLY | O_DIRECTORY), null = open("/dev/null", O_RDWR);
	const int at = 50;
	char c;

	CHECK(file >= 0 && dir >= 0 && null >= 0);
	for (int i = 0; i < ROUNDS; i++) {
		CHECK(CALL(close, at, 0, 0, 0, 0) == -EBADF);
		CHECK(CALL(pipe2, p, O_CLOEXEC, 0, 0, 0) == 0);
		CHECK(CALL(dup2, p[1], at, 0, 0, 0) == at && CALL(write, at, "x", 1, 0, 0) == 1 && CALL(read, p[0], &c, 1, 0, 0) == 1 && c == 'x');
		CHECK(CALL(dup3, file, at, O_CLOEXEC, 0, 0) == at && CALL(fcntl, at, F_GETFD, 0, 0, 0) == FD_CLOEXEC);
		CHECK(CALL(pwrite64, at, "yz", 2, i, 0) == 2 && CALL(pread64, at, &c, 1, i + 1, 0) == 1 && c == 'z');
		CHECK(CALL(dup2, p[0], at, 0, 0, 0) == at && CALL(dup2, at, at, 0, 0, 0) == at && CALL(write, p[1], "w", 1, 0, 0) == 1);
		CHECK(CALL(read, at, &c, 1, 0, 0) == 1 && c == 'w');
		CHECK(CALL(dup2, dir, at, 0, 0, 0) == at && CALL(read, at, &c, 1, 0, 0) == -EISDIR);
		CHECK(CALL(dup2, null, at, 0, 0, 0) == at && CALL(read, at, &c, 1, 0, 0) == 0);
		CHECK(CALL(dup2, p[1], at, 0, 0, 0) == at && CALL(close, p[1], 0, 0, 0, 0) == 0 && CALL(close, at, 0, 0, 0, 0) == 0);
		CHECK(CALL(read, p[0], &c, 1, 0, 0) == 0);   /* nobody can write any more */
		CHECK(CALL(dup3, at, at, 0, 0, 0) == -EINVAL && CALL(dup2, at, 51, 0, 0, 0) == -EBADF);
		CHECK(CALL(close, p[0], 0, 0, 0, 0) == 0 && CALL(pipe2, bad, 0, 0, 0, 0) == -EFAULT);
	}
	close(file);
	close(dir);
	close(null);
}

/* Who waits at a pipe is woken by its being closed. */
static void end_of_pipe(void)
{
	for (int i = 0; i < ROUNDS; i++) {
		int p[2], child, status = -1, n = 0, got;
		struct rusage used;
		char c;

		CHECK(CALL(pipe2, p, 0, 0, 0, 0) == 0);
		child = fork();
		CHECK(child >= 0);
		if (!child) {
			CALL(close, p[1], 0, 0, 0, 0);
			_exit(read(p[0], &c, 1) == 0 ? i : 99);
		}
		CHECK(CALL(wait4, child, &status, WNOHANG, 0, 0) == 0 && status == -1);
		CALL(close, p[0], 0, 0, 0, 0);
		CALL(close, p[1], 0, 0, 0, 0);
		while (!(got = (int)CALL(wait4, i % 2 ? -1 : child, &status, WNOHANG, &used, 0)))
			n++;
		CHECK(got == child && WIFEXITED(status) && WEXITSTATUS(status) == i);
		CHECK(CALL(wait4, -1, &status, WNOHANG, 0, 0) == -ECHILD);
	}
}

static void names(void)
{
	struct stat st;
	int fd = open("old", O_RDWR | O_CREAT, 0600), cwd = open(".", O_PATH);

	CHECK(fd >= 0 && cwd >= 0);
	for (int i = 0; i < ROUNDS; i++) {
		CHECK(CALL(rename, "old", "new", 0, 0, 0) == 0 && CALL(rename, "old", "new", 0, 0, 0) == -ENOENT);
		CHECK(CALL(link, "new", "other", 0, 0, 0) == 0 && CALL(symlink, "other", "short", 0, 0, 0) == 0);
		CHECK(CALL(renameat2, AT_FDCWD, "new", AT_FDCWD, "old", 0) == 0 && !stat("short", &st) && st.st_nlink == 2);
		CHECK(CALL(chmod, "old", 0640 + i % 8, 0, 0, 0) == 0 && !stat("other", &st) && (st.st_mode & 0777) == 0640u + i % 8);
		CHECK(CALL(mkdir, "dir", 0700, 0, 0, 0) == 0 && CALL(chdir, "dir", 0, 0, 0, 0) == 0 && stat("old", &st) && !stat("../old", &st));
		CHECK(CALL(fchdir, cwd, 0, 0, 0, 0) == 0 && CALL(rmdir, "dir", 0, 0, 0, 0) == 0 && CALL(rmdir, "dir", 0, 0, 0, 0) == -ENOENT);
		CHECK(CALL(umask, 022 + i, 0, 0, 0, 0) == (i ? 022 + i - 1 : CALL(umask, 022 + i, 0, 0, 0, 0)) || !i);
		CHECK(CALL(ftruncate, fd, 1000 + i, 0, 0, 0) == 0 && CALL(fallocate, fd, 0, 0, 2000 + i, 0) >= -EOPNOTSUPP);
		CHECK(!fstat(fd, &st) && (st.st_size == 2000 + i || st.st_size == 1000 + i));
		CHECK(CALL(unlink, "other", 0, 0, 0, 0) == 0 && CALL(unlink, "short", 0, 0, 0, 0) == 0);
	}
	close(fd);
	close(cwd);
}

/* A file that is mapped changes memory when it is cut, whoever cuts it. */
static void cut_while_mapped(void)
{
	int fd = open("mapped", O_RDWR | O_CREAT, 0600);
	volatile char *m;

	for (int i = 0; i < ROUNDS; i++)
		CHECK(CALL(ftruncate, fd, 8192, 0, 0, 0) == 0);
	m = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	CHECK(m != MAP_FAILED);
	for (int i = 0; i < ROUNDS; i++) {
		m[100] = 'a';
		m[5000] = 'b';
		CHECK(CALL(ftruncate, fd, 100, 0, 0, 0) == 0 && CALL(ftruncate, fd, 8192, 0, 0, 0) == 0);
		CHECK(m[100] == 0 && m[5000] == 0);
		CHECK(CALL(madvise, m, 8192, i % 2 ? MADV_SEQUENTIAL : MADV_NORMAL, 0, 0) == 0);
		CHECK(CALL(madvise, 1, 8192, MADV_NORMAL, 0, 0) == -EINVAL);
	}
	close(fd);
}

static void on_alarm(int sig)
{
	(void)sig;
	n_alarms++;
}

static void timers(void)
{
	struct itimerval far = { { 0, 0 }, { 1000, 0 } }, left, was, soon = { { 0, 0 }, { 0, 1 } };
	struct itimerspec spec = { { 0, 0 }, { 1000, 0 } }, old, now;
	int t = (int)CALL(timerfd_create, CLOCK_MONOTONIC, TFD_NONBLOCK, 0, 0, 0), fd;
	unsigned long long n;

	signal(SIGALRM, on_alarm);
	for (int i = 0; i < ROUNDS; i++) {
		CHECK(CALL(setitimer, ITIMER_REAL, &far, &was, 0, 0) == 0 && was.it_value.tv_sec == 0);
		CHECK(CALL(getitimer, ITIMER_REAL, &left, 0, 0, 0) == 0 && left.it_value.tv_sec >= 900);
		CHECK(CALL(setitimer, ITIMER_REAL, &soon, &was, 0, 0) == 0 && was.it_value.tv_sec >= 900);
		while (n_alarms == i)
			continue;
		CHECK(CALL(timerfd_settime, t, 0, &spec, &old, 0) == 0 && (i ? old.it_value.tv_sec >= 900 : !old.it_value.tv_sec));
		CHECK(CALL(timerfd_gettime, t, &now, 0, 0, 0) == 0 && now.it_value.tv_sec >= 900 && now.it_interval.tv_sec == 0);
		CHECK(CALL(timerfd_gettime, t, bad, 0, 0, 0) == -EFAULT && CALL(setitimer, ITIMER_REAL, bad, 0, 0, 0) == -EFAULT);
		fd = (int)CALL(eventfd2, 5, 0, 0, 0, 0);
		CHECK(fd >= 0 && read(fd, &n, 8) == 8 && n == 5);
		close(fd);
	}
	close(t);
}

static void others(void)
{
	for (int i = 0; i < ROUNDS; i++) {
		unsigned r = 1, e = 2, s = 3;
		int size = 20000 + i, sock = (int)CALL(socket, AF_UNIX, SOCK_STREAM, 0, 0, 0), again;

		CHECK(sock >= 0 && CALL(setsockopt, sock, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)) == 0);
		CHECK(CALL(shutdown, sock, SHUT_RDWR, 0, 0, 0) <= 0 && CALL(setsockopt, sock, SOL_SOCKET, SO_SNDBUF, bad, 4) == -EFAULT);
		again = (int)CALL(dup, sock, 0, 0, 0, 0);
		CHECK(again > sock && !close(sock) && !close(again));
		CHECK(CALL(getresuid, &r, &e, &s, 0, 0) == 0 && r == getuid() && e == geteuid() && s == e);
		CHECK(CALL(getresgid, &r, bad, &s, 0, 0) == -EFAULT && CALL(getpriority, PRIO_PROCESS, 0, 0, 0, 0) == 20 - getpriority(PRIO_PROCESS, 0));
	}
}

int main(void)
{
	char dir[] = "hot_files_XXXXXX";

	CHECK(mkdtemp(dir) && !chdir(dir));
	one_number();
	end_of_pipe();
	names();
	cut_while_mapped();
	timers();
	others();
	CHECK(!unlink("file") && !unlink("old") && !unlink("mapped") && !chdir("..") && !rmdir(dir));
	return guest_done();
}
