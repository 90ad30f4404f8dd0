/* Handlers whose frame cannot be built: the kernel makes the signal a SIGSEGV, caught on another stack, or fatal. */
#include "guest.h"
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>

static sigjmp_buf back;
static volatile int n_segv, segv_code, n_other;

static void on_segv(int sig, siginfo_t *si, void *uc)
{
	(void)sig;
	(void)uc;
	n_segv++;
	segv_code = si->si_code;
	siglongjmp(back, 1);
}

static void on_other(int sig)
{
	(void)sig;
	n_other++;
}

static void handle(int sig, int flags)
{
	struct sigaction sa = { .sa_handler = on_other, .sa_flags = flags };

	CHECK(sigaction(sig, &sa, NULL) == 0);
}

int main(void)
{
	struct sigaction sa = { .sa_sigaction = on_segv, .sa_flags = SA_SIGINFO };
	struct rlimit no_core = { 0, 0 };
	stack_t ss = { .ss_size = 65536 };
	volatile int zero = 0;
	int status;
	pid_t pid;

	setrlimit(RLIMIT_CORE, &no_core);
	ss.ss_sp = mmap(NULL, ss.ss_size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(ss.ss_sp != MAP_FAILED && sigaltstack(&ss, NULL) == 0);
	CHECK(sigaction(SIGSEGV, &sa, NULL) == 0);
	handle(SIGUSR1, SA_ONSTACK);
	handle(SIGFPE, SA_ONSTACK);
	if (sigsetjmp(back, 1) == 0)
		raise(SIGUSR1);
	CHECK(n_segv == 1 && n_other == 0 && segv_code == SI_KERNEL);
	if (sigsetjmp(back, 1) == 0)
		zero = 100 / zero;
	CHECK(n_segv == 2 && n_other == 0 && segv_code == SI_KERNEL);
	for (int on_bad_stack = 0; on_bad_stack < 2; on_bad_stack++) {
		pid = fork();
		CHECK(pid >= 0);
		if (pid == 0) {
			sa.sa_flags = SA_SIGINFO | (on_bad_stack ? SA_ONSTACK : 0);
			sigaction(SIGSEGV, &sa, NULL);
			if (sigsetjmp(back, 1) == 0)
				zero = 100 / zero;
			_exit(n_segv);
		}
		status = guest_wait(pid);
		if (on_bad_stack)
			CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
		else
			CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 3);
	}
	return guest_done();
}
