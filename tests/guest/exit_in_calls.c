/* exit_group while other threads make calls as fast as they can, and an end by a signal in the same state. */
#include "guest.h"
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>

static volatile unsigned n[3];

static void *calls(void *arg)
{
	struct timespec ts;

	for (;;) {
		clock_gettime(CLOCK_MONOTONIC, &ts);
		syscall(SYS_getppid);
		n[(intptr_t)arg]++;
	}
	return NULL;
}

static void child(int sig)
{
	pthread_t t;

	for (intptr_t i = 0; i < 3; i++)
		CHECK(pthread_create(&t, NULL, calls, (void *)i) == 0);
	while (n[0] < 100 || n[1] < 100 || n[2] < 100)
		sched_yield();
	if (sig)
		kill(getpid(), sig);
	_exit(23);
}

int main(void)
{
	static const int sigs[] = { 0, SIGTERM, 0, SIGKILL, SIGABRT };

	for (int i = 0; i < 5; i++) {
		pid_t pid = fork();
		int status;

		CHECK(pid >= 0);
		if (pid == 0)
			child(sigs[i]);
		status = guest_wait(pid);
		CHECK(sigs[i] ? WIFSIGNALED(status) && WTERMSIG(status) == sigs[i] : WIFEXITED(status) && WEXITSTATUS(status) == 23);
	}
	return guest_done();
}
