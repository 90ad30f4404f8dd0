/* main leaves by pthread_exit; the process lives on until the last thread ends. */
#include "guest.h"
#include <pthread.h>

static pthread_t main_thread;

static void *stay(void *arg)
{
	(void)arg;
	pthread_join(main_thread, NULL);
	usleep(2000);
	guest_done();
	exit(3);
}

int main(void)
{
	pthread_t t;

	main_thread = pthread_self();
	CHECK(pthread_create(&t, NULL, stay, NULL) == 0);
	pthread_exit(NULL);
}
