/* A signal during a blocked call: EINTR without SA_RESTART, restart with it, the rest of a nanosleep, poll never restarts. */
#include "guest.h"
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/time.h>

static int fds[2];
static volatile int n_alarms, write_at;

static void on_alarm(int sig)
{
	(void)sig;
	if (++n_alarms == write_at)
		CHECK(write(fds[1], "x", 1) == 1);
}

static void arm(int flags, long first_us, long every_us)
{
	struct sigaction sa = { .sa_handler = on_alarm, .sa_flags = flags };
	struct itimerval it = { { 0, every_us }, { 0, first_us } };

	n_alarms = 0;
	CHECK(sigaction(SIGALRM, &sa, NULL) == 0 && setitimer(ITIMER_REAL, &it, NULL) == 0);
}

int main(void)
{
	struct timespec want = { 0, 30000000 }, rest = { 9, 9 }, before, after;
	char c;

	/* Alarms repeat: on a busy machine the first one may come before the call that it is to interrupt. */
	CHECK(pipe(fds) == 0);
	arm(0, 5000, 20000);
	CHECK(read(fds[0], &c, 1) == -1 && errno == EINTR && n_alarms >= 1);

	write_at = 3;
	arm(SA_RESTART, 5000, 5000);
	CHECK(read(fds[0], &c, 1) == 1 && n_alarms >= 3);

	write_at = 0;
	arm(SA_RESTART, 5000, 20000);
	struct pollfd p = { .fd = fds[0], .events = POLLIN };
	CHECK(poll(&p, 1, 1000) == -1 && errno == EINTR);

	arm(0, 5000, 20000);
	/* The rest is that of the kernel's own timer, which it sets a bit later: a signal that comes at once leaves more than was asked for. */
	CHECK(nanosleep(&want, &rest) == -1 && errno == EINTR && rest.tv_sec == 0 && rest.tv_nsec < want.tv_nsec + 1000000);

	/* An ignored signal restarts the sleep within the kernel (restart_syscall). */
	arm(0, 5000, 0);
	signal(SIGALRM, SIG_IGN);
	clock_gettime(CLOCK_MONOTONIC, &before);
	CHECK(nanosleep(&want, &rest) == 0);
	clock_gettime(CLOCK_MONOTONIC, &after);
	CHECK((after.tv_sec - before.tv_sec) * 1000000000 + after.tv_nsec - before.tv_nsec >= want.tv_nsec);
	return guest_done();
}
