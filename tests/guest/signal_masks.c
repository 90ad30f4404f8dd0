/*
 * Signal masks and actions, set from one place so often that a recorder may have made it cheap: old ones, errors, signals
 * that were waiting, signals that come from a timer all the while, SIGSEGV among the blocked ones, threads.
 */
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include "guest.h"

#define ROUNDS 100
#define BIT(sig) (1ul << ((sig) - 1))

struct action {   /* as the kernel has it */
	void (*handler)(int);
	unsigned long flags;
	void (*restorer)(void);
	unsigned long mask;
};

static long call(long nr, long a, long b, long c, long d)
{
	long ret = syscall(nr, a, b, c, d, 0, 0);

	return ret < 0 ? -errno : ret;
}
#define MASK(how, set, old) call(SYS_rt_sigprocmask, how, (long)(set), (long)(old), 8)
#define ACTION(sig, act, old) call(SYS_rt_sigaction, sig, (long)(act), (long)(old), 8)

static int n_usr1, n_usr2;
static int *volatile usr1_seen = &n_usr1, *volatile usr2_seen = &n_usr2;
static void *const bad = (void *)0x10;

static unsigned long mask_now(void)
{
	unsigned long now;

	CHECK(MASK(SIG_BLOCK, NULL, &now) == 0);
	return now;
}

static void on_usr1(int sig)
{
	(void)sig;
	n_usr1++;
}

static void on_usr2(int sig)
{
	(void)sig;
	n_usr2++;
}

/* What waits is handled before the call that lets it come returns, and never before. */
static void waiting(void)
{
	const unsigned long usr1 = BIT(SIGUSR1);

	for (int i = 0; i < ROUNDS; i++) {
		int *seen = usr1_seen;
		unsigned long old = ~0ul, start = mask_now();
		long got;

		CHECK(MASK(SIG_BLOCK, &usr1, &old) == 0 && old == start && mask_now() == (start | usr1));
		kill(getpid(), SIGUSR1);
		CHECK(*seen == i);
		if (i % 2) {
			got = MASK(SIG_UNBLOCK, &usr1, &old);
			CHECK(*(volatile int *)seen == i + 1 && got == 0);
		} else {
			got = MASK(SIG_SETMASK, &start, &old);
			CHECK(*(volatile int *)seen == i + 1 && got == 0);
		}
		CHECK(old == (start | usr1) && mask_now() == start);
	}
}

static void errors(void)
{
	const unsigned long usr1 = BIT(SIGUSR1), all = ~0ul;
	unsigned long start = mask_now(), old = 5;

	for (int i = 0; i < 3; i++) {
		CHECK(MASK(SIG_BLOCK, bad, &old) == -EFAULT && old == 5 && mask_now() == start);
		CHECK(MASK(99, &usr1, &old) == -EINVAL && old == 5 && mask_now() == start);
		CHECK(call(SYS_rt_sigprocmask, SIG_BLOCK, (long)&usr1, 0, 4) == -EINVAL && mask_now() == start);
		/* The kernel sets the mask first. */
		CHECK(MASK(SIG_BLOCK, &usr1, bad) == -EFAULT && mask_now() == (start | usr1));
		CHECK(MASK(SIG_SETMASK, &start, NULL) == 0);
		CHECK(MASK(SIG_SETMASK, &all, &old) == 0 && old == start);
		CHECK(mask_now() == (all & ~BIT(SIGKILL) & ~BIT(SIGSTOP)));
		old = start;
		CHECK(MASK(SIG_SETMASK, &old, &old) == 0 && old == (all & ~BIT(SIGKILL) & ~BIT(SIGSTOP)));
		CHECK(mask_now() == start);
		old = 5;
	}
}

static sigjmp_buf out;
static int depth;

static void jump_out(int sig)
{
	const unsigned long usr2 = BIT(SIGUSR2);
	int seen = *usr2_seen;

	(void)sig;
	CHECK(MASK(SIG_BLOCK, &usr2, NULL) == 0);
	kill(getpid(), SIGUSR2);
	CHECK(n_usr2 == seen);
	CHECK(MASK(SIG_UNBLOCK, &usr2, NULL) == 0 && *(volatile int *)usr2_seen == seen + 1);
	depth++;
	siglongjmp(out, 1);
}

/* A handler that comes at the mask's opening, makes such calls itself, and does not return. */
static void left_by_jump(void)
{
	const unsigned long hup = BIT(SIGHUP);
	unsigned long start = mask_now();

	signal(SIGHUP, jump_out);
	signal(SIGUSR2, on_usr2);
	for (volatile int i = 0; i < ROUNDS; i++) {
		if (sigsetjmp(out, 1) == 0) {
			CHECK(MASK(SIG_BLOCK, &hup, NULL) == 0);
			kill(getpid(), SIGHUP);
			MASK(SIG_UNBLOCK, &hup, NULL);
			CHECK(!"come back");
		}
		CHECK(depth == i + 1 && n_usr2 == i + 1 && mask_now() == start);
	}
}

static volatile int blocked, n_alarms;

static void on_alarm(int sig)
{
	const unsigned long usr1 = BIT(SIGUSR1);

	(void)sig;
	CHECK(!blocked);
	CHECK(MASK(SIG_BLOCK, &usr1, NULL) == 0);   /* gone when we return */
	n_alarms++;
}

static void every(long us)
{
	struct itimerval often = { { 0, us }, { 0, us } };

	CHECK(!setitimer(ITIMER_REAL, &often, NULL));
}

/* Signals from outside, wherever they meet us. */
static void with_a_timer(void)
{
	const unsigned long alarm = BIT(SIGALRM);
	unsigned long start = mask_now(), old;

	signal(SIGALRM, on_alarm);
	every(1000);
	while (n_alarms < ROUNDS) {
		CHECK(MASK(SIG_BLOCK, &alarm, &old) == 0 && old == start);
		blocked = 1;
		CHECK(mask_now() == (start | alarm));
		blocked = 0;
		CHECK(MASK(SIG_SETMASK, &start, &old) == 0 && old == (start | alarm));
	}
	every(0);
}

/* The recorder's own faults must not take a handler or a mask away. */
static void own_faults(void)
{
	unsigned long start = mask_now();
	struct sigaction sa;
	struct action now;

	memset(&sa, 0, sizeof(sa));
	sa.sa_handler = on_usr1;
	CHECK(!sigaction(SIGSEGV, &sa, NULL));
	n_alarms = 0;
	every(500);
	while (n_alarms < ROUNDS) {
		CHECK(call(SYS_clock_gettime, 1, (long)bad, 0, 0) == -EFAULT);
		CHECK(MASK(SIG_BLOCK, bad, NULL) == -EFAULT);
	}
	every(0);
	CHECK(ACTION(SIGSEGV, NULL, &now) == 0 && now.handler == on_usr1);
	CHECK(mask_now() == start);
}

static void ask_cpuid(unsigned leaf)
{
	unsigned b, c = leaf, d;

	__asm__ volatile("cpuid" : "+a"(leaf), "=b"(b), "+c"(c), "=d"(d));
}

/* Instructions that trap to the recorder do so by SIGSEGV. */
static void segv_blocked(void)
{
	const unsigned long segv = BIT(SIGSEGV);
	unsigned long start = mask_now();
	struct action now;

	for (unsigned i = 0; i < ROUNDS; i++) {
		CHECK(MASK(SIG_BLOCK, &segv, NULL) == 0);
		ask_cpuid(0x40000100 + i);
		CHECK(call(SYS_clock_gettime, 1, (long)bad, 0, 0) == -EFAULT);
		CHECK(mask_now() == (start | segv));
		if (i % 3 == 0)
			kill(getpid(), SIGSEGV);
		CHECK(n_usr1 == ROUNDS + (int)(i + 2) / 3);
		CHECK(MASK(SIG_UNBLOCK, &segv, NULL) == 0);
		ask_cpuid(0x40000200 + i);
		CHECK(n_usr1 == ROUNDS + (int)(i + 3) / 3 && mask_now() == start);
	}
	CHECK(ACTION(SIGSEGV, NULL, &now) == 0 && now.handler == on_usr1);
	signal(SIGSEGV, SIG_DFL);
}

static void actions(void)
{
	const unsigned long winch = BIT(SIGWINCH);
	struct action a, old, was;

	signal(SIGWINCH, on_usr1);
	CHECK(ACTION(SIGWINCH, NULL, &was) == 0 && was.handler == on_usr1);
	for (int i = 0; i < ROUNDS; i++) {
		int seen = n_usr1;

		a = was;
		a.mask = (unsigned long)i << 20;
		a.handler = i % 2 ? on_usr1 : SIG_IGN;
		CHECK(MASK(SIG_BLOCK, &winch, NULL) == 0);
		kill(getpid(), SIGWINCH);
		CHECK(ACTION(SIGWINCH, &a, &old) == 0);   /* to ignore it is to drop it */
		CHECK(i == 0 || (old.mask == (unsigned long)(i - 1) << 20 && old.handler == (i % 2 ? SIG_IGN : on_usr1)));
		CHECK(MASK(SIG_UNBLOCK, &winch, NULL) == 0);
		CHECK(n_usr1 == seen + i % 2);
		CHECK(ACTION(SIGKILL, &a, NULL) == -EINVAL && ACTION(SIGWINCH, bad, NULL) == -EFAULT);
		CHECK(ACTION(SIGWINCH, NULL, bad) == -EFAULT);
	}
}

#define SENT 300

static __thread int n_got;

static void on_rt(int sig)
{
	(void)sig;
	n_got++;
}

static pthread_t threads[2];
static pthread_barrier_t both;

/* Each signal that was sent to a thread comes to it, once, and never while it is blocked. */
static void *receiver(void *arg)
{
	const unsigned long rt = BIT(SIGRTMIN), mine = arg ? BIT(SIGUSR1) : BIT(SIGUSR2);
	int me = arg != NULL;
	unsigned long old;

	CHECK(MASK(SIG_SETMASK, &mine, NULL) == 0);
	pthread_barrier_wait(&both);
	for (int i = 0; i < SENT; i++) {
		int seen;

		CHECK(MASK(SIG_BLOCK, &rt, &old) == 0 && old == mine);
		seen = n_got;
		CHECK(pthread_sigqueue(threads[!me], SIGRTMIN, (union sigval){ 0 }) == 0);
		CHECK(n_got == seen);
		CHECK(MASK(SIG_UNBLOCK, &rt, &old) == 0 && old == (mine | rt));
	}
	pthread_barrier_wait(&both);
	CHECK(n_got == SENT);
	return NULL;
}

static void in_threads(void)
{
	pthread_barrier_init(&both, NULL, 2);
	signal(SIGRTMIN, on_rt);
	for (long i = 0; i < 2; i++)
		CHECK(!pthread_create(&threads[i], NULL, receiver, (void *)i));
	for (int i = 0; i < 2; i++)
		CHECK(!pthread_join(threads[i], NULL));
}

int main(void)
{
	signal(SIGUSR1, on_usr1);
	waiting();
	errors();
	left_by_jump();
	with_a_timer();
	own_faults();
	segv_blocked();
	actions();
	in_threads();
	return guest_done();
}
