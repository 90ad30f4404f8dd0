/* rdtsc and cpuid while SIGSEGV is ignored, blocked, handled: to the program they are instructions, not signals. */
#include "guest.h"
#include <cpuid.h>
#include <pthread.h>
#include <signal.h>
#include <x86intrin.h>

static volatile int n_handled;

static void on_segv(int sig)
{
	(void)sig;
	n_handled++;
}

static void trap(void)
{
	unsigned a, b, c, d;

	CHECK(__rdtsc() != 0);
	__cpuid(0, a, b, c, d);
	CHECK(a != 0);
}

static void expect(void (*handler)(int), int flags, int blocked)
{
	struct sigaction now;
	sigset_t mask;

	trap();
	CHECK(sigaction(SIGSEGV, NULL, &now) == 0 && now.sa_handler == handler && (now.sa_flags & flags) == flags);
	CHECK(pthread_sigmask(SIG_BLOCK, NULL, &mask) == 0 && sigismember(&mask, SIGSEGV) == blocked);
}

static void *thread(void *arg)
{
	expect(SIG_DFL, 0, 1);
	return arg;
}

int main(void)
{
	struct sigaction sa = { .sa_handler = on_segv, .sa_flags = SA_RESTART | SA_ONSTACK };
	sigset_t segv;
	pthread_t t;
	pid_t pid;

	sigemptyset(&segv);
	sigaddset(&segv, SIGSEGV);
	signal(SIGSEGV, SIG_IGN);
	expect(SIG_IGN, 0, 0);
	sigprocmask(SIG_BLOCK, &segv, NULL);
	expect(SIG_IGN, 0, 1);
	sigaction(SIGSEGV, &sa, NULL);
	expect(on_segv, SA_RESTART | SA_ONSTACK, 1);
	raise(SIGSEGV);
	CHECK(n_handled == 0);
	sigprocmask(SIG_UNBLOCK, &segv, NULL);
	CHECK(n_handled == 1);
	expect(on_segv, SA_RESTART, 0);
	signal(SIGSEGV, SIG_DFL);
	sigprocmask(SIG_BLOCK, &segv, NULL);
	expect(SIG_DFL, 0, 1);
	pid = fork();
	if (pid == 0) {
		expect(SIG_DFL, 0, 1);
		_exit(0);
	}
	CHECK(guest_wait(pid) == 0);
	CHECK(pthread_create(&t, NULL, thread, NULL) == 0 && pthread_join(t, NULL) == 0);
	return guest_done();
}
