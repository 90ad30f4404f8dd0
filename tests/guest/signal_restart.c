/*
 * Calls that are begun again: by SA_RESTART, by restart_syscall(2) after a stop, and those that never are. A child sends
 * the signals when /proc says that the parent sleeps.
 */
#include "guest.h"
#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <signal.h>
#include <sys/select.h>
#include <sys/syscall.h>

static volatile int n;

static void on_signal(int sig)
{
	(void)sig;
	n++;
}

static void until_asleep(pid_t pid, char state)
{
	char path[64], text[512];
	ssize_t got;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	do {
		usleep(500);
		fd = open(path, O_RDONLY);
		got = read(fd, text, sizeof(text) - 1);
		close(fd);
		text[got > 0 ? got : 0] = '\0';
		/* A stopped process that is traced, as a recorded one is, shows a small t. */
	} while (!strrchr(text, ')') || (strrchr(text, ')')[2] & ~0x20) != state);
}

/* A child that disturbs its parent's sleep twice, then writes a byte to fd and ends. */
static pid_t disturber(int fd, int sig)
{
	pid_t parent = getpid(), pid = fork();

	CHECK(pid >= 0);
	if (pid)
		return pid;
	for (int i = 0; i < 2; i++) {
		until_asleep(parent, 'S');
		kill(parent, sig);
		if (sig == SIGSTOP) {
			until_asleep(parent, 'T');
			kill(parent, SIGCONT);
		}
	}
	until_asleep(parent, 'S');
	if (write(fd, "b", 1) != 1)
		_exit(1);
	_exit(0);
}

int main(void)
{
	struct sigaction again = { .sa_handler = on_signal, .sa_flags = SA_RESTART };
	struct timespec ts = { 0, 30000000 }, left;
	struct pollfd pfd;
	struct timeval tv;
	int p[2], word = 0;
	fd_set set;
	pid_t pid;
	char c;

	CHECK(pipe(p) == 0 && sigaction(SIGUSR1, &again, NULL) == 0);
	pfd = (struct pollfd){ .fd = p[0], .events = POLLIN };
	signal(SIGUSR2, on_signal);

	pid = disturber(p[1], SIGUSR1);
	CHECK(read(p[0], &c, 1) == 1 && n == 2);
	CHECK(guest_wait(pid) == 0);
	puts("read went on after two handlers");

	pid = disturber(p[1], SIGSTOP);
	CHECK(poll(&pfd, 1, 60000) == 1 && read(p[0], &c, 1) == 1);
	CHECK(guest_wait(pid) == 0);
	puts("poll went on after two stops");

	pid = disturber(p[1], SIGSTOP);
	FD_ZERO(&set);
	FD_SET(p[0], &set);
	tv = (struct timeval){ 60, 0 };
	CHECK(select(p[0] + 1, &set, NULL, NULL, &tv) == 1 && read(p[0], &c, 1) == 1);
	CHECK(guest_wait(pid) == 0);
	puts("select went on after two stops");

	n = 0;
	pid = disturber(p[1], SIGUSR1);
	do
		CHECK(poll(&pfd, 1, 60000) == 1 || errno == EINTR);
	while (!(pfd.revents & POLLIN));
	CHECK(read(p[0], &c, 1) == 1 && n == 2 && guest_wait(pid) == 0);
	puts("poll was interrupted, SA_RESTART or not");

	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0) {
		until_asleep(getppid(), 'S');
		kill(getppid(), SIGSTOP);
		until_asleep(getppid(), 'T');
		kill(getppid(), SIGCONT);
		_exit(0);
	}
	CHECK(nanosleep(&ts, &left) == 0);
	CHECK(syscall(SYS_futex, &word, FUTEX_WAIT, 0, &ts, NULL, 0) == -1 && errno == ETIMEDOUT);
	CHECK(guest_wait(pid) == 0);
	puts("nanosleep and futex went on after a stop");
	return guest_done();
}
