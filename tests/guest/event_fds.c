/* eventfd, timerfd, signalfd, inotify, pidfd: descriptors that tell of events. */
#include "guest.h"
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>

static void *post(void *arg)
{
	uint64_t one = 1;

	for (int i = 0; i < 10; i++) {
		usleep(200);
		CHECK(write(*(int *)arg, &one, sizeof(one)) == sizeof(one));
	}
	return NULL;
}

int main(void)
{
	struct itimerspec every = { { 0, 1000000 }, { 0, 1000000 } };
	struct signalfd_siginfo si;
	char dir[] = "/tmp/relive-guest-dir-XXXXXX", path[64], buf[4096];
	uint64_t n, sum = 0;
	sigset_t set;
	pthread_t t;
	int e = eventfd(0, EFD_SEMAPHORE), tfd = timerfd_create(CLOCK_MONOTONIC, 0), sfd, ifd, pfd;
	pid_t pid;

	CHECK(e >= 0 && pthread_create(&t, NULL, post, &e) == 0);
	for (int i = 0; i < 10; i++) {
		CHECK(read(e, &n, sizeof(n)) == sizeof(n));
		sum += n;
	}
	pthread_join(t, NULL);
	CHECK(sum == 10);

	CHECK(tfd >= 0 && timerfd_settime(tfd, 0, &every, NULL) == 0);
	for (sum = 0; sum < 5; sum += n)
		CHECK(read(tfd, &n, sizeof(n)) == sizeof(n) && n >= 1);

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	CHECK(sigprocmask(SIG_BLOCK, &set, NULL) == 0);
	sfd = signalfd(-1, &set, 0);
	CHECK(sfd >= 0 && raise(SIGUSR1) == 0 && read(sfd, &si, sizeof(si)) == sizeof(si));
	CHECK(si.ssi_signo == SIGUSR1 && si.ssi_pid == (uint32_t)getpid());

	ifd = inotify_init1(0);
	CHECK(ifd >= 0 && mkdtemp(dir) && inotify_add_watch(ifd, dir, IN_CREATE) > 0);
	snprintf(path, sizeof(path), "%s/new", dir);
	fclose(fopen(path, "w"));
	CHECK(read(ifd, buf, sizeof(buf)) > 0 && strcmp(((struct inotify_event *)buf)->name, "new") == 0);
	CHECK(unlink(path) == 0 && rmdir(dir) == 0);

	pid = fork();
	if (pid == 0)
		_exit(0);
	pfd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (pfd >= 0) {
		struct pollfd p = { .fd = pfd, .events = POLLIN };

		CHECK(poll(&p, 1, 5000) == 1);
	}
	CHECK(guest_wait(pid) == 0);
	return guest_done();
}
