/* As signal_alarm, but it prints how far the loop had come at each alarm: differs from run to run, never from replay to replay. */
#include "guest.h"
#include <signal.h>
#include <sys/time.h>

static volatile uint64_t progress;
static volatile sig_atomic_t n_alarms;
static uint64_t at[8];

static void on_alarm(int sig)
{
	(void)sig;
	if (n_alarms < 8)
		at[n_alarms++] = progress;
}

int main(void)
{
	struct itimerval every = { { 0, 2000 }, { 0, 2000 } };
	uint64_t sum = 1;

	CHECK(signal(SIGALRM, on_alarm) != SIG_ERR && setitimer(ITIMER_REAL, &every, NULL) == 0);
	while (n_alarms < 8) {
		sum = guest_work(sum, 10);
		progress++;
	}
	for (int i = 0; i < 8; i++)
		printf("alarm %d at pass %lu\n", i, (unsigned long)at[i]);
	return guest_done();
}
