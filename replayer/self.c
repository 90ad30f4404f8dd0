#include "replayer/self.h"

#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <sys/time.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "common/nofile.h"
#include "tracee/pin.h"

#define TICK_US 50000
#define HURRIED_TICK_US 2000
#define SLICE_NS 100000               /* the least that there is */
#define SCHED_RESET_ON_FORK_FLAG 1    /* SCHED_FLAG_RESET_ON_FORK of linux/sched.h */

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

/*
 * Short time slices for ourselves (Linux 6.12): who gets short ones is let in soon when a sleep is over, while the host of a
 * leap (leap.h) runs on the same processor. 0: the usual ones again. What the host runs has the usual ones.
 */
static void ask_for_slices(uint64_t ns)
{
	/* The kernel's struct sched_attr, first version. */
	struct {
		uint32_t size, policy;
		uint64_t flags;
		int32_t nice;
		uint32_t priority;
		uint64_t runtime, deadline, period;
	} attr = { .size = 48 };

	if (syscall(SYS_sched_getattr, 0, &attr, sizeof(attr), 0) < 0 || attr.policy != SCHED_OTHER)
		return;
	attr.flags = ns ? SCHED_RESET_ON_FORK_FLAG : 0;
	attr.runtime = ns;
	(void)syscall(SYS_sched_setattr, 0, &attr, 0);
}

void self_enter(int cpu)
{
	/* Not SA_RESTART: it is there to interrupt. */
	struct sigaction sa = { .sa_handler = on_tick };
	sigset_t alarm;

	if (self.users++)
		return;
	self.pinned = pin_self(cpu, &self.cpus) >= 0;
	ask_for_slices(SLICE_NS);
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
	ask_for_slices(0);
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
