/* Killed by a fault without a handler, in a thread. */
#include "guest.h"
#include <pthread.h>
#include <sys/resource.h>

static void *crash(void *arg)
{
	*(volatile int *)arg = 1;
	return NULL;
}

int main(void)
{
	struct rlimit no_core = { 0, 0 };
	pthread_t t;

	setrlimit(RLIMIT_CORE, &no_core);
	guest_done();
	pthread_create(&t, NULL, crash, NULL);
	pthread_join(t, NULL);
	return 0;
}
