/* Signals to single threads: pthread_kill, masks of their own, sigwait in one thread for all, tgkill of the main thread. */
#include "guest.h"
#include <pthread.h>
#include <signal.h>

static pthread_t worker_thread;
static volatile int in_worker, in_main, n_waited;

static void on_usr1(int sig)
{
	(void)sig;
	if (pthread_equal(pthread_self(), worker_thread))
		in_worker++;
	else
		in_main++;
}

static void *worker(void *arg)
{
	(void)arg;
	while (in_worker < 3)
		guest_work(1, 20);
	return NULL;
}

static void *waiter(void *arg)
{
	sigset_t *set = arg;
	int sig;

	for (int i = 0; i < 3; i++) {
		CHECK(sigwait(set, &sig) == 0 && sig == SIGUSR2);
		__atomic_add_fetch(&n_waited, 1, __ATOMIC_SEQ_CST);
	}
	return NULL;
}

int main(void)
{
	struct sigaction sa = { .sa_handler = on_usr1 };
	pthread_t waiter_thread;
	sigset_t set;

	CHECK(sigaction(SIGUSR1, &sa, NULL) == 0);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	CHECK(pthread_sigmask(SIG_BLOCK, &set, NULL) == 0);
	CHECK(pthread_create(&worker_thread, NULL, worker, NULL) == 0);
	CHECK(pthread_create(&waiter_thread, NULL, waiter, &set) == 0);
	for (int i = 0; i < 3; i++) {
		int before = in_worker;

		CHECK(pthread_kill(worker_thread, SIGUSR1) == 0);
		while (in_worker == before)
			sched_yield();
		before = n_waited;
		CHECK(kill(getpid(), SIGUSR2) == 0);
		while (n_waited == before)
			usleep(100);
	}
	pthread_join(worker_thread, NULL);
	pthread_join(waiter_thread, NULL);
	CHECK(pthread_kill(pthread_self(), SIGUSR1) == 0 && in_main == 1 && in_worker == 3);
	printf("worker %d, main %d, waited %d\n", in_worker, in_main, n_waited);
	return guest_done();
}
