/* Robust mutexes: a thread dies holding one, and a process dies holding one in shared memory; the next owner is told. */
#include "guest.h"
#include <pthread.h>
#include <sys/mman.h>

static pthread_mutex_t own;

static void robust(pthread_mutex_t *m, int shared)
{
	pthread_mutexattr_t a;

	pthread_mutexattr_init(&a);
	pthread_mutexattr_setrobust(&a, PTHREAD_MUTEX_ROBUST);
	pthread_mutexattr_setpshared(&a, shared);
	CHECK(pthread_mutex_init(m, &a) == 0);
}

static void *dies(void *arg)
{
	pthread_mutex_lock(arg);
	return NULL;
}

int main(void)
{
	pthread_mutex_t *common = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pthread_t t;
	pid_t pid;

	robust(&own, PTHREAD_PROCESS_PRIVATE);
	CHECK(pthread_create(&t, NULL, dies, &own) == 0 && pthread_join(t, NULL) == 0);
	CHECK(pthread_mutex_lock(&own) == EOWNERDEAD);
	CHECK(pthread_mutex_consistent(&own) == 0 && pthread_mutex_unlock(&own) == 0);
	robust(common, PTHREAD_PROCESS_SHARED);
	pid = fork();
	if (pid == 0) {
		pthread_mutex_lock(common);
		usleep(1000);
		_exit(0);
	}
	while (*(volatile int *)common == 0)
		usleep(100);
	CHECK(pthread_mutex_lock(common) == EOWNERDEAD);
	CHECK(guest_wait(pid) == 0);
	CHECK(pthread_mutex_consistent(common) == 0 && pthread_mutex_unlock(common) == 0);
	pid = fork();
	if (pid == 0) {
		pthread_mutex_lock(common);
		_exit(0);
	}
	CHECK(guest_wait(pid) == 0);
	CHECK(pthread_mutex_trylock(common) == EOWNERDEAD);
	return guest_done();
}
