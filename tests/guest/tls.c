/* Thread-local storage of every model, keys with destructors, and errno: each thread has its own. */
#include "guest.h"
#include <pthread.h>

static __thread int local = 7;
__thread char big[20000];
static pthread_key_t key;
static int n_destroyed;

static void destroy(void *p)
{
	free(p);
	__atomic_add_fetch(&n_destroyed, 1, __ATOMIC_SEQ_CST);
}

static void *worker(void *arg)
{
	int me = *(int *)arg, *mine = malloc(sizeof(int));

	CHECK(local == 7 && big[19999] == 0 && mine);
	pthread_setspecific(key, mine);
	for (int i = 0; i < 100; i++) {
		local += me;
		big[i] = (char)me;
		errno = me;
		guest_work(1, 30);
		CHECK(local == 7 + me * (i + 1) && big[i] == me && errno == me);
		CHECK(pthread_getspecific(key) == mine);
	}
	return (void *)(intptr_t)local;
}

int main(void)
{
	int id[4];
	pthread_t t[4];

	CHECK(pthread_key_create(&key, destroy) == 0);
	for (int i = 0; i < 4; i++) {
		id[i] = i + 1;
		CHECK(pthread_create(&t[i], NULL, worker, &id[i]) == 0);
	}
	for (int i = 0; i < 4; i++) {
		void *ret;

		pthread_join(t[i], &ret);
		printf("thread %d: local %ld\n", i, (long)(intptr_t)ret);
	}
	CHECK(local == 7 && n_destroyed == 4);
	return guest_done();
}
