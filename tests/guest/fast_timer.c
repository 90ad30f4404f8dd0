/*
 * Timers that strike more often than a signal can be recorded: the program must get on all the same, and lose strikes as on a busy
 * machine. Usage: fast_timer [THREADS].
 */
#include "guest.h"
#include <pthread.h>
#include <signal.h>
#include <sys/time.h>

#define PERIOD_US 20
#define PARTS 150       /* of some 100 us each */
#define TIMES 100

static volatile sig_atomic_t n_strikes;
static volatile uint64_t sum;

static void on_strike(int sig)
{
	(void)sig;
	n_strikes++;
}

static void *compute(void *v)
{
	for (int i = 0; i < PARTS; i++) {
		sigset_t none, now;

		sum = guest_work(sum, 1000);
		/* The mask is the program's own whenever it looks. */
		sigemptyset(&none);
		CHECK(pthread_sigmask(SIG_BLOCK, &none, &now) == 0 && !sigismember(&now, SIGALRM) && !sigismember(&now, SIGRTMIN));
	}
	return v;
}

static void computations(int n)
{
	pthread_t id[16];

	for (int i = 1; i < n; i++)
		CHECK(pthread_create(&id[i], NULL, compute, NULL) == 0);
	compute(NULL);
	for (int i = 1; i < n; i++)
		CHECK(pthread_join(id[i], NULL) == 0);
}

static void interval(int n)
{
	struct itimerval every = { { 0, PERIOD_US }, { 0, PERIOD_US } }, never = { 0 };

	signal(SIGALRM, on_strike);
	CHECK(setitimer(ITIMER_REAL, &every, NULL) == 0);
	computations(n);
	CHECK(setitimer(ITIMER_REAL, &never, NULL) == 0);
	CHECK(n_strikes > 0);
}

static void posix(int n)
{
	struct sigevent ev = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN };
	struct itimerspec its = { { 0, PERIOD_US * 1000 }, { 0, PERIOD_US * 1000 } };
	timer_t id;

	n_strikes = 0;
	signal(SIGRTMIN, on_strike);
	CHECK(timer_create(CLOCK_MONOTONIC, &ev, &id) == 0 && timer_settime(id, 0, &its, NULL) == 0);
	computations(n);
	CHECK(timer_delete(id) == 0);
	CHECK(n_strikes > 0);
}

/* What was sent while the timer ran has come before the call returns that stops it: later, it would be deadly. */
static void now_and_then(void)
{
	struct itimerval every = { { 0, PERIOD_US }, { 0, PERIOD_US } }, never = { 0 };

	for (int i = 0; i < TIMES; i++) {
		signal(SIGALRM, on_strike);
		CHECK(setitimer(ITIMER_REAL, &every, NULL) == 0);
		sum = guest_work(sum, 300);
		CHECK(setitimer(ITIMER_REAL, &never, NULL) == 0);
		signal(SIGALRM, SIG_DFL);
	}
}

int main(int argc, char **argv)
{
	int n = argc > 1 ? atoi(argv[1]) : 1;

	now_and_then();
	interval(n);
	posix(n);
	return guest_done();
}
