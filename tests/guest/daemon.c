/* A daemon: forked twice, in a session of its own, with descriptors on /dev/null; its work is done after its parents ended. */
#include "guest.h"
#include <fcntl.h>
#include <sys/stat.h>

int main(void)
{
	int p[2], null;
	pid_t pid;
	char text[128];
	ssize_t n;

	CHECK(pipe(p) == 0);
	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0) {
		pid_t sid = setsid();

		if (sid != getpid() || fork() != 0)
			_exit(sid != getpid());
		while (getppid() == sid)
			usleep(200);
		umask(022);
		null = open("/dev/null", O_RDWR);
		for (int fd = 0; fd < 3; fd++)
			dup2(null, fd);
		n = snprintf(text, sizeof(text), "session %d group %d leader %d", getsid(0) == sid, getpgrp() == sid, getpid() == sid);
		_exit(chdir("/") == 0 && write(p[1], text, (size_t)n) == n ? 0 : 1);
	}
	CHECK(close(p[1]) == 0 && guest_wait(pid) == 0);
	n = read(p[0], text, sizeof(text) - 1);
	CHECK(n > 0);
	text[n] = '\0';
	puts(text);
	CHECK(read(p[0], text, 1) == 0);
	return guest_done();
}
