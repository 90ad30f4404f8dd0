/* SIGALRM of an interval timer in a computing loop; the sum does not notice. */
#include "guest.h"
#include <signal.h>
#include <sys/time.h>

static volatile sig_atomic_t n_alarms;

static void on_alarm(int sig)
{
	(void)sig;
	n_alarms++;
}

int main(void)
{
	struct itimerval every = { { 0, 3000 }, { 0, 3000 } }, off = { { 0, 0 }, { 0, 0 } };
	uint64_t a = 1, b = 1, n = 0;

	CHECK(signal(SIGALRM, on_alarm) != SIG_ERR && setitimer(ITIMER_REAL, &every, NULL) == 0);
	while (n_alarms < 5) {
		a = guest_work(a, 10);
		n++;
	}
	CHECK(setitimer(ITIMER_REAL, &off, NULL) == 0);
	for (uint64_t i = 0; i < n; i++)
		b = guest_work(b, 10);
	CHECK(a == b && n_alarms >= 5);
	return guest_done();
}
