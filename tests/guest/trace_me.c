/*
 * A child asks to be traced and stands still at each of its signals: its parent is told by every way of waiting, looks at it, and lets
 * it go on with that signal, with another or with none; exec; a parent that ends; one that lets go.
 */
#include "guest.h"
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>

#define IN_R15 0x1122334455667788ull

static volatile int n_usr1, n_usr2, from, n_chld, chld_code, chld_status;
static volatile long word = 4711;
static sigjmp_buf back;

static void on_signal(int sig, siginfo_t *info, void *context)
{
	(void)context;
	if (sig == SIGUSR1)
		n_usr1++;
	if (sig == SIGUSR2)
		n_usr2++;
	if (sig == SIGSEGV)
		siglongjmp(back, 1);
	from = info->si_pid;
}

static void on_child(int sig, siginfo_t *info, void *context)
{
	(void)sig;
	(void)context;
	n_chld++;
	chld_code = info->si_code;
	chld_status = info->si_status;
}

static void stand_still(void)
{
	__asm__ volatile("mov %0, %%r15\n\tmov %1, %%edi\n\tmov $62, %%eax\n\tmov %2, %%esi\n\tsyscall"
			 : : "r"(IN_R15), "r"(getpid()), "i"(SIGSTOP) : "rax", "rcx", "rdi", "rsi", "r11", "r15", "memory");
}

static void traced(char *self, bool alone)
{
	struct sigaction sa = { .sa_sigaction = on_signal, .sa_flags = SA_SIGINFO };
	volatile int *nowhere = NULL;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	CHECK(sigaction(SIGUSR1, &sa, NULL) == 0 && sigaction(SIGUSR2, &sa, NULL) == 0 && sigaction(SIGSEGV, &sa, NULL) == 0);
	CHECK(ptrace(PTRACE_TRACEME, 0, 0, 0) == 0 && ptrace(PTRACE_TRACEME, 0, 0, 0) < 0 && errno == EPERM);
	word = 815;
	stand_still();
	CHECK(raise(SIGUSR1) == 0 && n_usr1 == 1 && from == getpid());
	if (alone)
		_exit(7);
	CHECK(raise(SIGUSR1) == 0 && n_usr1 == 1 && n_usr2 == 0);             /* dropped */
	CHECK(raise(SIGUSR1) == 0 && n_usr1 == 1 && n_usr2 == 1 && from == getppid());   /* another one instead */
	CHECK(signal(SIGURG, SIG_IGN) != SIG_ERR && raise(SIGURG) == 0);      /* told though ignored */
	if (sigsetjmp(back, 1) == 0) {
		*nowhere = 1;
		_exit(1);
	}
	CHECK(execl("/proc/self/exe", self, "executed", NULL) == 0);
}

static int stopped(pid_t pid, int options)
{
	int status;

	return waitpid(pid, &status, options) > 0 && WIFSTOPPED(status) ? WSTOPSIG(status) : -1;
}

static void go_on(pid_t pid, int sig)
{
	CHECK(ptrace(PTRACE_CONT, pid, 0, sig) == 0);
}

static pid_t begin(char *self, bool alone)
{
	pid_t pid = fork();

	CHECK(pid >= 0);
	if (!pid) {
		traced(self, alone);
		_exit(1);
	}
	return pid;
}

static void look(pid_t pid)
{
	struct user_regs_struct regs;
	siginfo_t info;

	CHECK(ptrace(PTRACE_GETREGS, pid, 0, &regs) == 0 && regs.r15 == IN_R15 && regs.rax == 0);
	errno = 0;
	CHECK(ptrace(PTRACE_PEEKDATA, pid, &word, 0) == 815 && errno == 0);
	CHECK(ptrace(PTRACE_GETSIGINFO, pid, 0, &info) == 0 && info.si_signo == SIGSTOP && info.si_code == SI_USER && info.si_pid == pid);
	CHECK(ptrace(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACESYSGOOD) == 0);
	CHECK(ptrace(PTRACE_CONT, pid, 0, 1000) < 0 && errno == EIO);
}

static void all_ways(char *self)
{
	pid_t pid = begin(self, false);
	siginfo_t info = { 0 };
	int status;

	CHECK(stopped(pid, 0) == SIGSTOP);
	CHECK(waitpid(pid, &status, WNOHANG) == 0);
	look(pid);
	go_on(pid, 0);
	CHECK(waitid(P_PID, (id_t)pid, &info, WSTOPPED | WNOWAIT) == 0 && info.si_code == CLD_TRAPPED && info.si_status == SIGUSR1);
	CHECK(info.si_pid == pid && info.si_uid == getuid() && info.si_signo == SIGCHLD);
	CHECK(waitid(P_ALL, 0, &info, WEXITED) == 0 && info.si_pid == pid && info.si_status == SIGUSR1);
	CHECK(waitid(P_ALL, 0, &info, WEXITED | WSTOPPED | WNOHANG) == 0);
	go_on(pid, SIGUSR1);
	while (waitpid(-1, &status, WNOHANG | __WALL) == 0)
		(void)guest_work(1, 10);
	CHECK(WIFSTOPPED(status) && WSTOPSIG(status) == SIGUSR1);
	go_on(pid, 0);
	CHECK(stopped(-1, 0) == SIGUSR1);
	go_on(pid, SIGUSR2);
	CHECK(stopped(0, WUNTRACED) == SIGURG);
	go_on(pid, SIGURG);
	CHECK(stopped(pid, 0) == SIGSEGV);
	CHECK(ptrace(PTRACE_GETSIGINFO, pid, 0, &info) == 0 && info.si_code == SEGV_MAPERR && !info.si_addr);
	go_on(pid, SIGSEGV);
	CHECK(stopped(pid, 0) == SIGTRAP);
	go_on(pid, 0);
	CHECK(guest_wait(pid) == 0);
}

static void handled(char *self)
{
	struct sigaction sa = { .sa_sigaction = on_child, .sa_flags = SA_SIGINFO };
	sigset_t chld, before;
	pid_t pid;

	sigemptyset(&chld);
	sigaddset(&chld, SIGCHLD);
	CHECK(sigaction(SIGCHLD, &sa, NULL) == 0 && sigprocmask(SIG_BLOCK, &chld, &before) == 0);
	pid = begin(self, false);
	while (!n_chld)
		sigsuspend(&before);
	CHECK(chld_code == CLD_TRAPPED && chld_status == SIGSTOP && stopped(pid, 0) == SIGSTOP);
	CHECK(ptrace(PTRACE_DETACH, pid, 0, SIGKILL) == 0);
	CHECK(WTERMSIG(guest_wait(pid)) == SIGKILL);
	CHECK(signal(SIGCHLD, SIG_DFL) != SIG_ERR && sigprocmask(SIG_SETMASK, &before, NULL) == 0);
}

/* What is let go is not stopped any more. */
static void let_go(char *self)
{
	pid_t pid = begin(self, true);

	CHECK(stopped(pid, 0) == SIGSTOP && ptrace(PTRACE_DETACH, pid, 0, 0) == 0);
	CHECK(WEXITSTATUS(guest_wait(pid)) == 7);
	pid = begin(self, false);
	CHECK(stopped(pid, 0) == SIGSTOP && ptrace(PTRACE_KILL, pid, 0, 0) == 0 && WTERMSIG(guest_wait(pid)) == SIGKILL);
}

/* The end of its tracer ends it, if that was asked for. */
static void orphan(char *self)
{
	int ends[2];
	pid_t between;
	char c;

	CHECK(pipe(ends) == 0);
	between = fork();
	CHECK(between >= 0);
	if (!between) {
		pid_t pid = begin(self, false);

		CHECK(stopped(pid, 0) == SIGSTOP && ptrace(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_EXITKILL) == 0);
		_exit(0);
	}
	close(ends[1]);
	CHECK(read(ends[0], &c, 1) == 0);   /* both are gone */
	CHECK(guest_wait(between) == 0);
}

#define CALLS 20

/* Calls of all kinds: quick ones, one that waits, one that maps, one that makes a process, a signal amid them, exec. */
static void makes_calls(char *self)
{
	int ends[2], status;
	pid_t pid;
	char c;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	CHECK(pipe(ends) == 0);
	CHECK(ptrace(PTRACE_TRACEME, 0, 0, 0) == 0 && raise(SIGSTOP) == 0);
	for (int i = 0; i < CALLS; i++)
		CHECK(syscall(SYS_getppid) > 0);
	pid = fork();
	CHECK(pid >= 0);
	if (!pid)
		_exit(write(ends[1], "x", 1) == 1 ? 0 : 1);
	CHECK(read(ends[0], &c, 1) == 1 && c == 'x');
	CHECK(waitpid(pid, &status, 0) == pid && status == 0);
	CHECK(mmap(NULL, 65536, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED);
	CHECK(execl("/proc/self/exe", self, "executed", NULL) == 0);
}

/* At a call's beginning and end; what it is, and what has become of it. */
static void calls(char *self)
{
	int status, n_getppid = 0, n_exec = 0, n_read = 0, n_signals = 0;
	bool inside = false;
	pid_t pid = fork();

	CHECK(pid >= 0);
	if (!pid) {
		makes_calls(self);
		_exit(1);
	}
	CHECK(stopped(pid, 0) == SIGSTOP && ptrace(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACESYSGOOD) == 0);
	for (;;) {
		struct user_regs_struct regs;

		CHECK(ptrace(PTRACE_SYSCALL, pid, 0, 0) == 0 && waitpid(pid, &status, 0) == pid);
		if (!WIFSTOPPED(status))
			break;
		if (WSTOPSIG(status) != (SIGTRAP | 0x80)) {
			n_signals += 1;
			continue;
		}
		inside = !inside;
		CHECK(ptrace(PTRACE_GETREGS, pid, 0, &regs) == 0);
		if (inside)
			CHECK(regs.rax == (uint64_t)-ENOSYS);
		n_getppid += inside && regs.orig_rax == SYS_getppid;
		if (!inside && regs.orig_rax == SYS_getppid)
			CHECK(regs.rax == (uint64_t)getpid());
		n_read += !inside && regs.orig_rax == SYS_read && regs.rax == 1;
		n_exec += !inside && regs.orig_rax == SYS_execve && regs.rax == 0;
	}
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0 && inside);
	CHECK(n_getppid == CALLS && n_exec == 1 && n_read == 1 && n_signals == 2);   /* SIGCHLD, and SIGTRAP after the exec */
}

int main(int argc, char **argv)
{
	if (argc > 1) {
		puts("executed");
		return guest_done();
	}
	all_ways(argv[0]);
	calls(argv[0]);
	handled(argv[0]);
	let_go(argv[0]);
	orphan(argv[0]);
	return guest_done();
}
