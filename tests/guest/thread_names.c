/* Names of threads: pthread_setname_np, prctl, and what /proc says of them. */
#include "guest.h"
#include <pthread.h>
#include <sys/prctl.h>

static void *worker(void *arg)
{
	char name[16];

	CHECK(pthread_setname_np(pthread_self(), arg) == 0);
	CHECK(pthread_getname_np(pthread_self(), name, sizeof(name)) == 0 && strcmp(name, arg) == 0);
	CHECK(prctl(PR_GET_NAME, name) == 0 && strcmp(name, arg) == 0);
	printf("thread named %s\n", name);
	return NULL;
}

int main(void)
{
	char comm[32] = "";
	pthread_t t;
	FILE *f;

	CHECK(pthread_create(&t, NULL, worker, "red") == 0);
	pthread_join(t, NULL);
	CHECK(pthread_create(&t, NULL, worker, "green") == 0);
	pthread_join(t, NULL);
	CHECK(prctl(PR_SET_NAME, "leader") == 0);
	f = fopen("/proc/self/comm", "r");
	CHECK(f && fgets(comm, sizeof(comm), f) && strcmp(comm, "leader\n") == 0);
	return guest_done();
}
