/* Two threads take two mutexes in opposite orders and lock each other out; the main thread sees it and gives up. */
#include "guest.h"
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <unistd.h>

static pthread_mutex_t first = PTHREAD_MUTEX_INITIALIZER;
static pthread_mutex_t second = PTHREAD_MUTEX_INITIALIZER;
static sem_t has_first, has_second;

static void *forward(void *arg)
{
	(void)arg;
	pthread_mutex_lock(&first);
	sem_post(&has_first);
	sem_wait(&has_second);
	pthread_mutex_lock(&second);
	return NULL;
}

static void *backward(void *arg)
{
	(void)arg;
	sem_wait(&has_first);
	pthread_mutex_lock(&second);
	sem_post(&has_second);
	pthread_mutex_lock(&first);
	return NULL;
}

/* glibc's mutex: 2 when somebody waits for it. */
static int waited_for(pthread_mutex_t *m)
{
	return __atomic_load_n((int *)m, __ATOMIC_SEQ_CST) == 2;
}

int main(void)
{
	pthread_t t[2];

	sem_init(&has_first, 0, 0);
	sem_init(&has_second, 0, 0);
	CHECK(pthread_create(&t[0], NULL, forward, NULL) == 0);
	CHECK(pthread_create(&t[1], NULL, backward, NULL) == 0);
	while (!waited_for(&first) || !waited_for(&second))
		usleep(1000);
	(void)guest_done();
	fflush(stdout);
	raise(SIGKILL);
	return 1;
}
