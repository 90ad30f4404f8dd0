/* A program's own seccomp filters: errno, a trap that its handler answers, inheritance over fork and exec, kill, strict mode. */
#include "guest_filter.h"
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <ucontext.h>

static volatile int trapped_nr, trapped_errno;

static void on_sys(int sig, siginfo_t *si, void *uc)
{
	(void)sig;
	trapped_nr = si->si_syscall;
	trapped_errno = si->si_errno;
	CHECK(si->si_code == 1 && ((ucontext_t *)uc)->uc_mcontext.gregs[REG_RAX] == si->si_syscall);
	((ucontext_t *)uc)->uc_mcontext.gregs[REG_RAX] = 4711;
}

static void *in_thread(void *arg)
{
	while (!*(volatile int *)arg)
		usleep(100);
	CHECK(syscall(SYS_getgid) == -1 && errno == EXDEV);
	return NULL;
}

static pid_t in_child(int what)
{
	pid_t pid = fork();

	if (pid)
		return pid;
	if (what == 0) {
		CHECK(syscall(SYS_getuid) == -1 && errno == EDOM);
		execl("/bin/sh", "sh", "-c", "exit 6", NULL);
	} else if (what == 1) {
		CHECK(filter(SYS_getsid, SECCOMP_RET_KILL_PROCESS, 0) == 0);
		syscall(SYS_getsid, 0);
	} else {
		CHECK(filter(SYS_getpgid, SECCOMP_RET_TRAP, 0) == 0);
		signal(SIGSYS, SIG_IGN);
		syscall(SYS_getpgid, 0);
	}
	_exit(9);
}

int main(void)
{
	struct sigaction sa = { .sa_sigaction = on_sys, .sa_flags = SA_SIGINFO };
	volatile int go = 0;
	pthread_t t;
	pid_t pid;

	CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_GET_SECCOMP) == 0);
	CHECK(sigaction(SIGSYS, &sa, NULL) == 0);
	CHECK(pthread_create(&t, NULL, in_thread, (void *)&go) == 0);
	CHECK(filter(SYS_getuid, SECCOMP_RET_ERRNO | EDOM, SECCOMP_FILTER_FLAG_TSYNC) == 0);
	CHECK(filter(SYS_getgid, SECCOMP_RET_ERRNO | EXDEV, SECCOMP_FILTER_FLAG_TSYNC) == 0);
	CHECK(filter(SYS_getegid, SECCOMP_RET_TRAP | 77, 0) == 0);
	CHECK(prctl(PR_GET_SECCOMP) == 2);
	go = 1;
	CHECK(pthread_join(t, NULL) == 0);
	CHECK(syscall(SYS_getuid) == -1 && errno == EDOM);
	CHECK(syscall(SYS_getegid) == 4711 && trapped_nr == SYS_getegid && trapped_errno == 77);
	CHECK(WEXITSTATUS(guest_wait(in_child(0))) == 6);
	CHECK(WTERMSIG(guest_wait(in_child(1))) == SIGSYS);
	CHECK(WTERMSIG(guest_wait(in_child(2))) == SIGSYS);
	pid = fork();
	if (pid == 0) {
		CHECK(filter(0xffffff, 0x12345678, 8192) == -1 && errno == EINVAL);
		_exit(0);
	}
	CHECK(guest_wait(pid) == 0);
	return guest_done();
}
