/* Killed by its own SIGKILL while other threads compute and sleep. */
#include "guest.h"
#include <pthread.h>
#include <signal.h>

static __attribute__((noreturn)) void *compute(void *arg)
{
	(void)arg;
	for (;;)
		guest_work(1, 100);
}

static __attribute__((noreturn)) void *sleeper(void *arg)
{
	(void)arg;
	for (;;)
		pause();
}

int main(void)
{
	pthread_t t;

	pthread_create(&t, NULL, compute, NULL);
	pthread_create(&t, NULL, sleeper, NULL);
	usleep(5000);
	guest_done();
	kill(getpid(), SIGKILL);
	for (;;)
		pause();
}
