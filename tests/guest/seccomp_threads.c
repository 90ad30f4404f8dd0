/* Filters that end one thread, or all of them; that log, or ask somebody who is not there; a leader that is killed alone. */
#include "guest_filter.h"
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#ifndef SECCOMP_RET_USER_NOTIF
#define SECCOMP_RET_USER_NOTIF 0x7fc00000U
#endif

static volatile int steps, word = 1;

static void *is_killed(void *arg)
{
	CHECK(filter(SYS_getsid, SECCOMP_RET_KILL_THREAD, 0) == 0);
	CHECK(syscall(SYS_set_tid_address, &word) > 0);
	steps++;
	syscall(SYS_getsid, 0);
	steps += 100;
	return arg;
}

static void *waits_for_the_leader(void *arg)
{
	(void)arg;
	while (!steps)
		usleep(100);
	while (kill(getpid(), 0) == 0 && steps < 3) {   /* the leader can no more be joined */
		usleep(1000);
		steps++;
	}
	_exit(7);
}

/* A thread dies, the others stay; the kernel clears its word. */
static void one_of_two(void)
{
	pthread_t t;

	CHECK(pthread_create(&t, NULL, is_killed, NULL) == 0);
	while (word)
		usleep(100);
	CHECK(steps == 1);
	_exit(5);
}

static void the_leader(void)
{
	pthread_t t;

	CHECK(pthread_create(&t, NULL, waits_for_the_leader, NULL) == 0);
	CHECK(filter(SYS_getsid, SECCOMP_RET_KILL_THREAD, 0) == 0);
	steps = 1;
	syscall(SYS_getsid, 0);
	_exit(9);
}

static void *waits(void *arg)
{
	for (;;)
		pause();
	return arg;
}

static void all(void)
{
	pthread_t t;

	CHECK(pthread_create(&t, NULL, waits, NULL) == 0);
	CHECK(filter(SYS_getsid, SECCOMP_RET_KILL_PROCESS, 0) == 0);
	syscall(SYS_getsid, 0);
	_exit(9);
}

static void the_only_one(void)
{
	CHECK(filter(SYS_getsid, SECCOMP_RET_KILL_THREAD, 0) == 0);
	syscall(SYS_getsid, 0);
	_exit(9);
}

static void milder_ones(void)
{
	CHECK(filter(SYS_getuid, SECCOMP_RET_LOG, 0) == 0 && (uid_t)syscall(SYS_getuid) == getuid());
	CHECK(filter(SYS_getgid, SECCOMP_RET_TRACE | 5, 0) == 0);
	CHECK(syscall(SYS_getgid) == -1 && errno == ENOSYS);
	CHECK(filter(SYS_getegid, SECCOMP_RET_USER_NOTIF, 0) == 0);
	CHECK(syscall(SYS_getegid) == -1 && errno == ENOSYS);
	CHECK(filter(SYS_geteuid, SECCOMP_RET_ERRNO, 0) == 0 && syscall(SYS_geteuid) == 0);
	CHECK(filter(SYS_getppid, SECCOMP_RET_ERRNO | 0xffff, 0) == 0 && syscall(SYS_getppid) == -1 && errno == 4095);
	_exit(3);
}

static void in_child(const char *what, void (*f)(void))
{
	pid_t pid = fork();
	int status;

	CHECK(pid >= 0);
	if (pid == 0)
		f();
	status = guest_wait(pid);
	printf("%s: %s %d\n", what, WIFSIGNALED(status) ? "signal" : "status", WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
	fflush(stdout);
}

int main(void)
{
	CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	in_child("one of two threads", one_of_two);
	in_child("the leader", the_leader);
	in_child("all", all);
	in_child("the only one", the_only_one);
	in_child("milder ones", milder_ones);
	return guest_done();
}
