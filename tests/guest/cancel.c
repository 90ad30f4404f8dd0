/* pthread_cancel of a thread in a blocking call, with cleanup handlers; detached threads. */
#include "guest.h"
#include <pthread.h>

static int n_cleaned;

static void cleanup(void *arg)
{
	n_cleaned += *(int *)arg;
}

static void *blocked(void *arg)
{
	int fd[2];
	char c;

	CHECK(pipe(fd) == 0);
	pthread_cleanup_push(cleanup, arg);
	CHECK(read(fd[0], &c, 1) == 1);
	pthread_cleanup_pop(0);
	return NULL;
}

static void *nothing(void *arg)
{
	return arg;
}

int main(void)
{
	pthread_t t;
	void *ret;
	int weight = 5;

	CHECK(pthread_create(&t, NULL, blocked, &weight) == 0);
	usleep(2000);
	CHECK(pthread_cancel(t) == 0 && pthread_join(t, &ret) == 0 && ret == PTHREAD_CANCELED && n_cleaned == 5);
	for (int i = 0; i < 5; i++)
		CHECK(pthread_create(&t, NULL, nothing, NULL) == 0 && pthread_detach(t) == 0);
	usleep(2000);
	return guest_done();
}
