/* Ends that would dump core: by each such signal, with the limit at 0 and a process that may not be dumped. */
#include "guest.h"
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>

int main(void)
{
	static const int sigs[] = { SIGQUIT, SIGILL, SIGTRAP, SIGABRT, SIGBUS, SIGFPE, SIGSEGV, SIGXCPU, SIGXFSZ, SIGSYS };
	struct rlimit none = { 0, 0 };

	CHECK(setrlimit(RLIMIT_CORE, &none) == 0);
	for (unsigned i = 0; i < 2 * sizeof(sigs) / sizeof(sigs[0]); i++) {
		int sig = sigs[i / 2], status;
		pid_t pid = fork();

		CHECK(pid >= 0);
		if (pid == 0) {
			if (i % 2)
				prctl(PR_SET_DUMPABLE, 0);
			raise(sig);
			_exit(1);
		}
		status = guest_wait(pid);
		CHECK(WIFSIGNALED(status) && WTERMSIG(status) == sig);
		printf("%s%s\n", strsignal(sig), WCOREDUMP(status) ? ", core dumped" : "");
	}
	return guest_done();
}
