/*
 * Threads that are interrupted by signals all the time, and fork: what a child inherits of the others' stacks, also
 * below their stack pointers, is part of its memory. The children compute, so that they are preempted, and some make a
 * thread, whose stack is one of the inherited ones again.
 */
#include "guest.h"
#include <ctype.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <strings.h>
#include <sys/resource.h>
#include <sys/time.h>

#define N_THREADS 3
#define N_FORKS 4

static volatile sig_atomic_t n_alarms, n_usr;
static volatile int stop;
static volatile double share[64];

static __attribute__((noinline)) uint64_t deep(uint64_t seed, int depth)
{
	volatile uint64_t room[64];

	for (int i = 0; i < 64; i++)
		room[i] = seed + (uint64_t)i;
	if (depth)
		return deep(seed + room[depth % 64], depth - 1) + room[1];
	return guest_work(seed, 20) + room[0];
}

static char text[] = "a text to look at, again and again, with vectors; it is long enough for them";
static volatile size_t sink;

/* ld.so binds each function at its first call, and saves all vector registers that seem in use below the stack pointer. */
static void one_more(int no)
{
	char c[sizeof(text)];

	for (int i = 0; i < 64; i++)
		share[i] += no;
	switch (no) {
	case 0: sink += (size_t)getppid(); break;
	case 1: sink += (size_t)getpgrp(); break;
	case 2: sink += (size_t)getuid(); break;
	case 3: sink += strlen(text + sink % 2); break;
	case 4: sink += (size_t)memchr(text, ';', sizeof(text)); break;
	case 5: sink += (size_t)strchr(text, ','); break;
	case 6: sink += (size_t)strrchr(text, ','); break;
	case 7: sink += strspn(text, "a text"); break;
	case 8: sink += strcspn(text, ";"); break;
	case 9: sink += (size_t)strcasecmp(text, "A TEXT"); break;
	case 10: sink += (size_t)strncasecmp(text, "A TEXT", sink % 5); break;
	case 11: sink += (size_t)memmem(text, sizeof(text), "long", 4); break;
	case 12: sink += (size_t)strstr(text, "enough"); break;
	case 13: sink += (size_t)geteuid(); break;
	case 14: sink += (size_t)getgid(); break;
	case 15: sink += (size_t)stpcpy(c, text); break;
	case 16: sink += (size_t)atoi(text); break;
	case 17: sink += (size_t)strtod(text, NULL); break;
	case 18: sink += (size_t)sched_getcpu(); break;
	case 19: sink += (size_t)toupper(text[sink % 4]); break;
	case 20: sink += (size_t)memcmp(text, text + 9, sink % 9); break;
	case 21: sink += (size_t)getpagesize(); break;
	case 22: sink += strnlen(text, sink % 60); break;
	case 23: sink += (size_t)memrchr(text, 'a', sizeof(text)); break;
	case 24: sink += (size_t)getegid(); break;
	case 25: sink += (size_t)getsid(0); break;
	}
}

static volatile int next_one;

static void on_alarm(int sig)
{
	double x = sig;

	for (int i = 0; i < 64; i++)
		share[i] = x *= 1.25;
	n_alarms++;
	one_more(next_one++);
}

static void on_usr(int sig)
{
	(void)sig;
	n_usr++;
	one_more(next_one++);
	deep(3, 2);
}

static void *in_child(void *arg)
{
	return (void *)(deep((uintptr_t)arg, 8) | 1);
}

static int child(int no)
{
	uint64_t sum = (uint64_t)no + 1;

	for (int i = 0; i < 60; i++)
		sum = deep(sum, i % 12);
	if (no % 2) {
		pthread_t t;
		void *got;

		CHECK(pthread_create(&t, NULL, in_child, (void *)(uintptr_t)sum) == 0);
		for (int i = 0; i < 60; i++)
			sum = deep(sum, i % 12);
		CHECK(pthread_join(t, &got) == 0 && got);
	}
	_exit(20 + no);
}

static void *forker(void *arg)
{
	unsigned no = (unsigned)(uintptr_t)arg;

	for (unsigned i = 0; i < N_FORKS; i++) {
		pid_t pid;
		int status;

		deep(i, 10);
		one_more(next_one++);
		pid = fork();
		CHECK(pid >= 0);
		if (pid == 0)
			child((int)(no + i));
		while (waitpid(pid, &status, 0) < 0)
			CHECK(errno == EINTR);
		CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 20 + (int)(no + i));
	}
	return NULL;
}

static void *busy(void *arg)
{
	uint64_t sum = 1;

	(void)arg;
	while (!stop)
		sum = deep(sum, (int)(sum % 20));
	return NULL;
}

int main(void)
{
	struct itimerval every = { { 0, 1000 }, { 0, 1000 } };
	struct sigaction alarm_action = { .sa_handler = on_alarm, .sa_flags = SA_RESTART };
	struct sigaction usr_action = { .sa_handler = on_usr, .sa_flags = SA_RESTART };
	pthread_t t[N_THREADS], worker;

	CHECK(sigaction(SIGALRM, &alarm_action, NULL) == 0 && sigaction(SIGUSR1, &usr_action, NULL) == 0);
	CHECK(setitimer(ITIMER_REAL, &every, NULL) == 0);
	CHECK(pthread_create(&worker, NULL, busy, NULL) == 0);
	for (uintptr_t i = 0; i < N_THREADS; i++)
		CHECK(pthread_create(&t[i], NULL, forker, (void *)i) == 0);
	for (int i = 0; i < 40; i++) {
		pthread_kill(t[i % 2], SIGUSR1);
		pthread_kill(worker, SIGUSR1);
		deep((uint64_t)i, 15);
		usleep(300);
	}
	for (int i = 0; i < N_THREADS; i++)
		CHECK(pthread_join(t[i], NULL) == 0);
	stop = 1;
	CHECK(pthread_join(worker, NULL) == 0);
	memset(&every, 0, sizeof(every));
	CHECK(setitimer(ITIMER_REAL, &every, NULL) == 0 && n_alarms && n_usr);
	return guest_done();
}
