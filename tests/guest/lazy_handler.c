/* Handlers on an alternate stack whose calls are bound lazily: ld.so saves vector state there, in use or not. */
#include "guest.h"
#include <pthread.h>
#include <signal.h>

static volatile int n;

static void on_signal(int sig)
{
	char c = (char)sig;

	n++;
	(void)!write(-1, &c, 1);        /* bound by the first handler */
	if (n == 2)
		(void)getppid();            /* by the second */
	if (n == 3)
		(void)getpgrp();
}

static void *raises(void *arg)
{
	stack_t ss = { .ss_sp = malloc(16384), .ss_size = 16384 };

	CHECK(ss.ss_sp && sigaltstack(&ss, NULL) == 0);
	for (int i = 0; i < 20; i++) {
		raise(i % 2 ? SIGUSR1 : SIGUSR2);
		if (i == 10)
			CHECK(guest_work(7, 1000) != 0);
	}
	ss.ss_flags = SS_DISABLE;
	sigaltstack(&ss, NULL);
	free(ss.ss_sp);
	return arg;
}

int main(void)
{
	struct sigaction sa = { .sa_handler = on_signal, .sa_flags = SA_ONSTACK };
	pthread_t t;

	CHECK(sigaction(SIGUSR1, &sa, NULL) == 0 && sigaction(SIGUSR2, &sa, NULL) == 0);
	raises(NULL);
	CHECK(pthread_create(&t, NULL, raises, NULL) == 0 && pthread_join(t, NULL) == 0);
	CHECK(n == 40);
	return guest_done();
}
