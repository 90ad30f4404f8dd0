/* Timers of every kind: by signal, to a thread, none; overruns; the three interval timers; alarm again and again. */
#include "guest.h"
#include <signal.h>
#include <sys/syscall.h>
#include <sys/time.h>

static volatile int n_signals, n_alarms;

static void on_timer(int sig, siginfo_t *si, void *uc)
{
	(void)sig;
	(void)uc;
	n_signals += si->si_code == SI_TIMER && si->si_value.sival_int == 42;
}

static void on_alarm(int sig)
{
	(void)sig;
	n_alarms++;
}

static void one(int notify, int clock)
{
	struct sigevent ev = { .sigev_notify = notify, .sigev_signo = SIGRTMIN, .sigev_value = { .sival_int = 42 } };
	struct itimerspec its = { { 0, 1000000 }, { 0, 1000000 } }, left;
	timer_t id;

	if (notify == SIGEV_THREAD_ID)
		ev._sigev_un._tid = (pid_t)syscall(SYS_gettid);
	n_signals = 0;
	CHECK(timer_create(clock, &ev, &id) == 0 && timer_settime(id, 0, &its, NULL) == 0);
	if (notify == SIGEV_NONE) {
		do
			CHECK(timer_gettime(id, &left) == 0);
		while (left.it_value.tv_nsec > 900000);
	} else {
		while (n_signals < 5)
			(void)guest_work(1, 100);
		CHECK(timer_getoverrun(id) >= 0);
	}
	CHECK(timer_gettime(id, &left) == 0 && left.it_interval.tv_nsec == 1000000);
	CHECK(timer_delete(id) == 0);
}

static void interval(int which, int sig)
{
	struct itimerval every = { { 0, 2000 }, { 0, 2000 } }, never = { 0 }, left;

	n_alarms = 0;
	signal(sig, on_alarm);
	CHECK(setitimer(which, &every, NULL) == 0);
	while (n_alarms < 3)
		(void)guest_work(2, 1000);
	CHECK(getitimer(which, &left) == 0 && left.it_interval.tv_usec > 0);
	CHECK(setitimer(which, &never, NULL) == 0);
}

int main(void)
{
	struct sigaction sa = { .sa_sigaction = on_timer, .sa_flags = SA_SIGINFO | SA_RESTART };
	sigset_t alarm, before;
	struct timespec at;

	CHECK(sigaction(SIGRTMIN, &sa, NULL) == 0);
	one(SIGEV_SIGNAL, CLOCK_MONOTONIC);
	one(SIGEV_SIGNAL, CLOCK_PROCESS_CPUTIME_ID);
	one(SIGEV_THREAD_ID, CLOCK_REALTIME);
	one(SIGEV_NONE, CLOCK_MONOTONIC);
	interval(ITIMER_REAL, SIGALRM);
	interval(ITIMER_VIRTUAL, SIGVTALRM);
	interval(ITIMER_PROF, SIGPROF);
	signal(SIGALRM, on_alarm);
	n_alarms = 0;
	/* Blocked until it is waited for: an alarm that comes earlier than the pause would leave it waiting for ever. */
	sigemptyset(&alarm);
	sigaddset(&alarm, SIGALRM);
	CHECK(sigprocmask(SIG_BLOCK, &alarm, &before) == 0);
	for (int i = 0; i < 50; i++) {
		ualarm(300, 0);
		sigsuspend(&before);
		CHECK(n_alarms == i + 1);
	}
	CHECK(sigprocmask(SIG_SETMASK, &before, NULL) == 0);
	CHECK(clock_gettime(CLOCK_MONOTONIC, &at) == 0);
	at.tv_nsec += 1000000;
	if (at.tv_nsec >= 1000000000)
		at = (struct timespec){ at.tv_sec + 1, at.tv_nsec - 1000000000 };
	CHECK(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL) == 0);
	return guest_done();
}
