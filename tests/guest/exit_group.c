/* A thread ends the process while others compute, sleep and wait for locks. */
#include "guest.h"
#include <pthread.h>

static pthread_mutex_t held = PTHREAD_MUTEX_INITIALIZER;

static __attribute__((noreturn)) void *compute(void *arg)
{
	(void)arg;
	for (;;)
		guest_work(1, 100);
}

static void *blocked(void *arg)
{
	(void)arg;
	pthread_mutex_lock(&held);
	return NULL;
}

static void *ender(void *arg)
{
	(void)arg;
	usleep(3000);
	guest_done();
	_exit(17);
}

int main(void)
{
	pthread_t t;

	pthread_mutex_lock(&held);
	for (int i = 0; i < 2; i++)
		CHECK(pthread_create(&t, NULL, compute, NULL) == 0);
	CHECK(pthread_create(&t, NULL, blocked, NULL) == 0);
	CHECK(pthread_create(&t, NULL, ender, NULL) == 0);
	for (;;)
		sleep(100);
}
