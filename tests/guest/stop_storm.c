/*
 * Processes with threads that compute, call and sleep are stopped and continued in a storm of queued signals and timers: by their parent,
 * by one of their own threads, by both. No stop is lost, while one lasts nobody gets on, and each queued signal comes once.
 * Usage: stop_storm [ROUNDS [SIGNALS]].
 */
#include "guest.h"
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>

#define CHILDREN 2
#define THREADS 4
#define SIGNALS_MAX 4000

/* What a child and its parent share. */
static struct shared {
	atomic_uint progress[THREADS];
	atomic_uchar came[SIGNALS_MAX];
	atomic_uint n_came;
	atomic_int ready, done;
} *shared;

static struct shared *mine;
static int pipe_ends[2];
static int n_signals = 400;

static void on_queued(int sig, siginfo_t *info, void *context)
{
	(void)sig;
	(void)context;
	CHECK(info->si_code == SI_QUEUE && info->si_value.sival_int < n_signals);
	CHECK(atomic_fetch_add(&mine->came[info->si_value.sival_int], 1) == 0);
	atomic_fetch_add(&mine->n_came, 1);
}

static void on_strike(int sig)
{
	(void)sig;
	atomic_fetch_add(&mine->progress[0], 1);
}

static void *computes(void *arg)
{
	uint64_t seed = 1;

	while (!mine->done) {
		seed = guest_work(seed, 100);
		mine->progress[0]++;
	}
	return seed ? arg : NULL;
}

static void *calls(void *arg)
{
	struct timespec now;
	char c = 'x';

	while (!mine->done) {
		CHECK(getppid() > 0 && clock_gettime(CLOCK_MONOTONIC, &now) == 0);
		CHECK(write(pipe_ends[1], &c, 1) == 1);
		while (read(pipe_ends[0], &c, 1) != 1)
			CHECK(errno == EINTR);
		mine->progress[1]++;
	}
	return arg;
}

static void *sleeps(void *arg)
{
	while (!mine->done) {
		usleep(50);
		sched_yield();
		mine->progress[2]++;
	}
	return arg;
}

static void *stops(void *arg)
{
	for (unsigned i = 0; !mine->done; i++) {
		usleep(700);
		if (i % 3 == 0)
			CHECK(kill(getpid(), SIGSTOP) == 0);
		mine->progress[3]++;
	}
	return arg;
}

static void child(struct shared *s)
{
	static void *(*const run[THREADS])(void *) = { computes, calls, sleeps, stops };
	struct sigaction sa = { .sa_sigaction = on_queued, .sa_flags = SA_SIGINFO | SA_RESTART };
	struct itimerval every = { { 0, 900 }, { 0, 900 } };
	pthread_t t[THREADS];

	mine = s;
	CHECK(pipe(pipe_ends) == 0);
	for (int i = 0; i < 3; i++)
		CHECK(sigaction(SIGRTMIN + i, &sa, NULL) == 0);
	CHECK(signal(SIGALRM, on_strike) != SIG_ERR && setitimer(ITIMER_REAL, &every, NULL) == 0);
	for (int i = 0; i < THREADS; i++)
		CHECK(pthread_create(&t[i], NULL, run[i], NULL) == 0);
	s->ready = 1;
	for (int i = 0; i < THREADS; i++)
		CHECK(pthread_join(t[i], NULL) == 0);
	_exit(0);
}

/* To all children, each value once. */
static void storm(const pid_t *pid)
{
	for (int i = 0; i < n_signals; i++) {
		for (int k = 0; k < CHILDREN; k++) {
			union sigval v = { .sival_int = i };

			while (sigqueue(pid[k], SIGRTMIN + i % 3, v) < 0)
				CHECK(errno == EAGAIN && sched_yield() == 0);
		}
		usleep(100);
	}
	_exit(0);
}

static uint64_t sum_of(const struct shared *s)
{
	uint64_t sum = 0;

	for (int i = 0; i < THREADS; i++)
		sum += s->progress[i];
	return sum;
}

/* Tell what was not waited for yet; whoever has stopped itself goes on. */
static void drain(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, WNOHANG | WUNTRACED | WCONTINUED) == pid) {
		CHECK(WIFSTOPPED(status) || WIFCONTINUED(status));
		if (WIFSTOPPED(status))
			CHECK(kill(pid, SIGCONT) == 0);
	}
}

static void stop(pid_t pid, const struct shared *s)
{
	uint64_t before;
	int status;

	CHECK(kill(pid, SIGSTOP) == 0);
	CHECK(waitpid(pid, &status, WUNTRACED) == pid && WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP);
	before = sum_of(s);
	usleep(300);
	(void)guest_work(1, 1000);
	CHECK(sum_of(s) == before);
	CHECK(kill(pid, SIGCONT) == 0);
	/* It may stop itself before it gets on, and be neither stopped nor continued as far as can be told. */
	for (drain(pid); sum_of(s) == before; drain(pid))
		sched_yield();
}

int main(int argc, char **argv)
{
	int rounds = argc > 1 ? atoi(argv[1]) : 30, status;
	pid_t pid[CHILDREN], sender;

	n_signals = argc > 2 ? atoi(argv[2]) : n_signals;
	CHECK(n_signals <= SIGNALS_MAX);
	shared = mmap(NULL, CHILDREN * sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(shared != MAP_FAILED);
	for (int k = 0; k < CHILDREN; k++) {
		CHECK((pid[k] = fork()) >= 0);
		if (pid[k] == 0)
			child(&shared[k]);
		for (; !shared[k].ready; drain(pid[k]))   /* it may stop itself by now */
			usleep(100);
	}
	CHECK((sender = fork()) >= 0);
	if (sender == 0)
		storm(pid);
	for (int i = 0; i < rounds; i++) {
		int k = i % CHILDREN;

		for (int j = 0; j < CHILDREN; j++)
			drain(pid[j]);
		usleep((unsigned)(i * 37 % 400));
		if (i % 5 == 4)
			CHECK(kill(pid[k], SIGSTOP) == 0 && kill(pid[k], SIGCONT) == 0);
		else
			stop(pid[k], &shared[k]);
	}
	CHECK(guest_wait(sender) == 0);
	for (int k = 0; k < CHILDREN; k++) {
		while (shared[k].n_came < (unsigned)n_signals) {
			drain(pid[k]);
			usleep(100);
		}
		shared[k].done = 1;
		while (waitpid(pid[k], &status, WUNTRACED) == pid[k] && WIFSTOPPED(status))
			CHECK(kill(pid[k], SIGCONT) == 0);
		CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	}
	printf("%d rounds, %d signals\n", rounds, n_signals);
	return guest_done();
}
