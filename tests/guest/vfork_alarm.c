/*
 * A vfork child, which has its parent's memory, is interrupted by a signal amid a computation, and ends; then its parent is, time
 * and again: what watches the memory may not depend on who asked for it first.
 */
#include "guest.h"
#include <signal.h>
#include <sys/time.h>

#define ALARMS 20

static volatile sig_atomic_t alarms;

static void on_alarm(int sig)
{
	(void)sig;
	alarms++;
}

static void every(long us)
{
	struct itimerval v = { .it_value.tv_usec = us, .it_interval.tv_usec = us };

	CHECK(setitimer(ITIMER_REAL, &v, NULL) == 0);
}

static uint32_t compute_until(int n)
{
	uint32_t x = 1;

	while (alarms < n)
		x = x * 1664525 + 1013904223;
	return x;
}

int main(void)
{
	struct sigaction act = { .sa_handler = on_alarm };
	pid_t pid;

	CHECK(sigaction(SIGALRM, &act, NULL) == 0);
	pid = vfork();
	if (pid == 0) {
		every(2000);
		(void)compute_until(2);
		_exit(0);
	}
	CHECK(pid > 0 && guest_wait(pid) == 0 && alarms >= 2);
	alarms = 0;
	every(2000);
	for (int i = 1; i <= ALARMS; i++)
		printf("%d: %08x\n", i, compute_until(i));
	every(0);
	return guest_done();
}
