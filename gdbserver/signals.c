#include "gdbserver/signals.h"

#include <signal.h>
#include <stddef.h>

#define GDB_SIGNAL_UNKNOWN 143
#define LINUX_SIGNALS 64

/* Real-time signals: 33 to 63 are 45 to 75, the others were added later. */
#define GDB_SIGNAL_RT33 45
#define GDB_SIGNAL_RT32 77
#define GDB_SIGNAL_RT64 78

static const unsigned char gdb_number[] = {
	[SIGHUP] = 1, [SIGINT] = 2, [SIGQUIT] = 3, [SIGILL] = 4, [SIGTRAP] = 5, [SIGABRT] = 6, [SIGFPE] = 8,
	[SIGKILL] = 9, [SIGBUS] = 10, [SIGSEGV] = 11, [SIGSYS] = 12, [SIGPIPE] = 13, [SIGALRM] = 14, [SIGTERM] = 15,
	[SIGURG] = 16, [SIGSTOP] = 17, [SIGTSTP] = 18, [SIGCONT] = 19, [SIGCHLD] = 20, [SIGTTIN] = 21, [SIGTTOU] = 22,
	[SIGIO] = 23, [SIGXCPU] = 24, [SIGXFSZ] = 25, [SIGVTALRM] = 26, [SIGPROF] = 27, [SIGWINCH] = 28, [SIGUSR1] = 30,
	[SIGUSR2] = 31, [SIGPWR] = 32,
};

int signal_to_gdb(int signo)
{
	if (signo == 32)
		return GDB_SIGNAL_RT32;
	if (signo == 64)
		return GDB_SIGNAL_RT64;
	if (signo > 32 && signo < 64)
		return GDB_SIGNAL_RT33 + signo - 33;
	if (signo < 0 || (size_t)signo >= sizeof(gdb_number) || (signo && !gdb_number[signo]))
		return GDB_SIGNAL_UNKNOWN;
	return gdb_number[signo];
}

int signal_from_gdb(int number)
{
	for (int signo = 1; signo <= LINUX_SIGNALS; signo++)
		if (signal_to_gdb(signo) == number && number != GDB_SIGNAL_UNKNOWN)
			return signo;
	return 0;
}
