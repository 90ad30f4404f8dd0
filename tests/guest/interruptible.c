/* Says "ready", then waits for signals from outside. Handles SIGINT and SIGTERM (exit 3), or with the argument "default" does not. */
#include "guest.h"
#include <signal.h>

static volatile sig_atomic_t got;

static void on_signal(int sig)
{
	got = sig;
}

int main(int argc, char **argv)
{
	if (argc < 2 || strcmp(argv[1], "default") != 0) {
		signal(SIGINT, on_signal);
		signal(SIGTERM, on_signal);
	}
	printf("ready, stdin is %s terminal\n", isatty(0) ? "a" : "no");
	fflush(stdout);
	alarm(60);
	while (!got)
		guest_work(1, 100);
	printf("got signal %d\n", (int)got);
	guest_done();
	return 3;
}
