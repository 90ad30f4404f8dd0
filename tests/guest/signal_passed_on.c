/* A crash handler that sends itself the fault's own siginfo again, so that the next in line sees the same fault. */
#include "guest.h"
#include <setjmp.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>

static sigjmp_buf back;
static volatile int n_first, n_second, second_code;
static void *volatile second_addr;

static void second(int sig, siginfo_t *si, void *uc)
{
	(void)sig;
	(void)uc;
	n_second++;
	second_code = si->si_code;
	second_addr = si->si_addr;
	siglongjmp(back, 1);
}

static void first(int sig, siginfo_t *si, void *uc)
{
	struct sigaction sa = { .sa_sigaction = second, .sa_flags = SA_SIGINFO };

	(void)uc;
	n_first++;
	sigaction(sig, &sa, NULL);
	CHECK(syscall(SYS_rt_tgsigqueueinfo, getpid(), (pid_t)syscall(SYS_gettid), sig, si) == 0);
}

int main(void)
{
	struct sigaction sa = { .sa_sigaction = first, .sa_flags = SA_SIGINFO };
	struct rlimit no_core = { 0, 0 };
	volatile int zero = 0;
	siginfo_t si = { .si_signo = SIGBUS, .si_code = BUS_ADRALN };
	int status;
	pid_t pid;

	setrlimit(RLIMIT_CORE, &no_core);
	CHECK(sigaction(SIGSEGV, &sa, NULL) == 0 && sigaction(SIGFPE, &sa, NULL) == 0);
	if (sigsetjmp(back, 1) == 0)
		*(volatile int *)(uintptr_t)(zero + 64) = 1;
	CHECK(n_first == 1 && n_second == 1 && second_code == SEGV_MAPERR && second_addr == (void *)64);
	if (sigsetjmp(back, 1) == 0)
		zero = 100 / zero;
	CHECK(n_first == 2 && n_second == 2 && second_code == FPE_INTDIV);
	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0) {
		signal(SIGBUS, SIG_DFL);
		syscall(SYS_rt_sigqueueinfo, getpid(), SIGBUS, &si);
		_exit(1);
	}
	status = guest_wait(pid);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS);
	return guest_done();
}
