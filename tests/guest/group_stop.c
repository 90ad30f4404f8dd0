/* A group stop of a process with threads, reported by each way of waiting; continued, stopped again, killed while stopped. */
#include "guest.h"
#include <pthread.h>
#include <signal.h>

static volatile int n_cont;
static volatile unsigned spins[2];

static void on_cont(int sig)
{
	(void)sig;
	n_cont++;
}

static void *work(void *arg)
{
	for (;;) {
		spins[(intptr_t)arg]++;
		(void)guest_work(3, 10000);
		usleep(100);
	}
	return NULL;
}

static void child(int fd)
{
	pthread_t th;
	char c;

	CHECK(setpgid(0, 0) == 0);   /* SIGTSTP does not stop a group without a parent in its session */
	signal(SIGCONT, on_cont);
	signal(SIGTTIN, SIG_IGN);
	for (intptr_t i = 0; i < 2; i++)
		CHECK(pthread_create(&th, NULL, work, (void *)i) == 0);
	while (!spins[0] || !spins[1])
		sched_yield();
	raise(SIGTTIN);
	raise(SIGSTOP);
	while (n_cont < 1)   /* another thread may run the handler */
		sched_yield();
	raise(SIGTSTP);
	while (n_cont < 2)
		sched_yield();
	CHECK(read(fd, &c, 1) == 1);
	_exit(c);
}

int main(void)
{
	int pipes[2], status;
	siginfo_t si = { 0 };
	pid_t pid;

	CHECK(pipe(pipes) == 0);
	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0)
		child(pipes[0]);
	CHECK(waitpid(pid, &status, WUNTRACED) == pid && WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP);
	CHECK(waitpid(pid, &status, WUNTRACED | WNOHANG) == 0);
	CHECK(kill(pid, SIGCONT) == 0);
	CHECK(waitid(P_PID, (id_t)pid, &si, WSTOPPED) == 0 && si.si_code == CLD_STOPPED && si.si_status == SIGTSTP);
	CHECK(kill(pid, SIGCONT) == 0);
	CHECK(waitid(P_PID, (id_t)pid, &si, WCONTINUED) == 0 && si.si_code == CLD_CONTINUED);
	CHECK(write(pipes[1], "x", 1) == 1);
	status = guest_wait(pid);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 'x');
	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0)
		child(pipes[0]);
	CHECK(waitpid(pid, &status, WUNTRACED) == pid && WIFSTOPPED(status));
	CHECK(kill(pid, SIGKILL) == 0);
	status = guest_wait(pid);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	return guest_done();
}
