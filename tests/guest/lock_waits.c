/*
 * Threads that wait for ever: two that both want to write where both read, two that join each other, and one that would tell
 * another one something, were it not for the lock that this one keeps while it waits. The main thread sees it and gives up.
 */
#include "guest.h"
#include <pthread.h>
#include <signal.h>
#include <sys/syscall.h>

#define THREADS 6

static pthread_mutex_t outer = PTHREAD_MUTEX_INITIALIZER, inner = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t told = PTHREAD_COND_INITIALIZER;
static pthread_rwlock_t rwlock = PTHREAD_RWLOCK_INITIALIZER;
static pthread_barrier_t both_read, both_there, has_outer;
static pthread_t thread[THREADS];
static volatile pid_t tid[THREADS];   /* once it is about to wait for ever */

static void now_for_ever(int no)
{
	tid[no] = (pid_t)syscall(SYS_gettid);
}

static void *upgrades(void *arg)
{
	pthread_rwlock_rdlock(&rwlock);
	pthread_barrier_wait(&both_read);
	now_for_ever(arg ? 1 : 0);
	pthread_rwlock_wrlock(&rwlock);
	return NULL;
}

static void *joins(void *arg)
{
	pthread_barrier_wait(&both_there);
	now_for_ever(arg ? 3 : 2);
	pthread_join(thread[arg ? 2 : 3], NULL);
	return NULL;
}

static void *waits(void *arg)
{
	pthread_mutex_lock(&outer);
	pthread_mutex_lock(&inner);
	pthread_barrier_wait(&has_outer);
	now_for_ever(4);
	for (;;)
		pthread_cond_wait(&told, &inner);
	return arg;
}

static void *tells(void *arg)
{
	pthread_barrier_wait(&has_outer);
	now_for_ever(5);
	pthread_mutex_lock(&outer);
	pthread_cond_signal(&told);
	return arg;
}

static int sleeps(pid_t id)
{
	char path[64], text[256] = "", *state;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", (int)id);
	f = id ? fopen(path, "r") : NULL;
	if (!f)
		return 0;
	CHECK(fgets(text, sizeof(text), f));
	fclose(f);
	state = strrchr(text, ')');
	return state && state[2] == 'S';
}

int main(void)
{
	static char other;
	void *(*const what[THREADS])(void *) = { upgrades, upgrades, joins, joins, waits, tells };

	pthread_barrier_init(&both_read, NULL, 2);
	pthread_barrier_init(&both_there, NULL, 3);
	pthread_barrier_init(&has_outer, NULL, 2);
	for (int i = 0; i < THREADS; i++)
		CHECK(pthread_create(&thread[i], NULL, what[i], i % 2 ? &other : NULL) == 0);
	pthread_barrier_wait(&both_there);   /* now both ids are known */
	for (int i = 0; i < THREADS; ) {
		usleep(1000);
		i = sleeps(tid[i]) ? i + 1 : 0;
	}
	(void)guest_done();
	fflush(stdout);
	raise(SIGKILL);
	return 1;
}
