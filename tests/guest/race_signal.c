/* A signal handler and the main program update the same list without a mask: entries get lost when the signal falls in between. */
#include "guest.h"
#include <signal.h>
#include <sys/time.h>

enum { ROOM = 16384 };
static volatile int list[ROOM], n_list, n_by_handler, n_by_main;

static void append(int value)
{
	int at = n_list;

	guest_work(1, 4);
	if (at < ROOM) {
		list[at] = value;
		n_list = at + 1;
	}
}

static void on_alarm(int sig)
{
	append(sig);
	n_by_handler++;
}

int main(void)
{
	struct itimerval every = { { 0, 500 }, { 0, 400 } }, off = { { 0, 0 }, { 0, 0 } };

	CHECK(signal(SIGALRM, on_alarm) != SIG_ERR && setitimer(ITIMER_REAL, &every, NULL) == 0);
	while (n_by_handler < 8 && n_by_main < ROOM / 2) {
		append(0);
		n_by_main++;
		guest_work(1, 20);
	}
	CHECK(setitimer(ITIMER_REAL, &off, NULL) == 0);
	printf("entries lost %d (by main %d, by the handler %d)\n", n_by_main + n_by_handler - n_list, n_by_main, n_by_handler);
	return guest_done();
}
