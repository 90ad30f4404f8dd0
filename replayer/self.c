#include "replayer/self.h"

#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <sys/time.h>
#include "common/nofile.h"
#include "tracee/pin.h"

#define TICK_US 50000
#define HURRIED_TICK_US 2000

static volatile sig_atomic_t ticks;

static struct {
	unsigned users;
	bool pinned;
	cpu_set_t cpus;
	struct sigaction old_alarm;
	sigset_t old_mask;
	struct rlimit old_nofile;
} self;

static void on_tick(int sig)
{
	(void)sig;
	ticks = ticks + 1;
}

static void tick_every(long us)
{
	struct itimerval every = { { 0, us }, { 0, us } };

	setitimer(ITIMER_REAL, &every, NULL);
}

void self_enter(int cpu)
{
	/* Not SA_RESTART: it is there to interrupt. */
	struct sigaction sa = { .sa_handler = on_tick };
	sigset_t alarm;

	if (self.users++)
		return;
	self.pinned = pin_self(cpu, &self.cpus) >= 0;
	nofile_raise(&self.old_nofile);
	sigemptyset(&alarm);
	sigaddset(&alarm, SIGALRM);
	sigaction(SIGALRM, &sa, &self.old_alarm);
	pthread_sigmask(SIG_UNBLOCK, &alarm, &self.old_mask);
	tick_every(TICK_US);
}

void self_leave(void)
{
	if (--self.users)
		return;
	tick_every(0);
	pthread_sigmask(SIG_SETMASK, &self.old_mask, NULL);
	sigaction(SIGALRM, &self.old_alarm, NULL);
	nofile_restore(&self.old_nofile);
	if (self.pinned)
		sched_setaffinity(0, sizeof(self.cpus), &self.cpus);
}

void self_hurry(bool on)
{
	tick_every(on ? HURRIED_TICK_US : TICK_US);
}

unsigned self_ticks(void)
{
	return (unsigned)ticks;
}
