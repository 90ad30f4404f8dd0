/* The main stack grows to 6 MB by recursion; a thread's stack of 4 MB too; alloca and a large frame. */
#include "guest.h"
#include <alloca.h>
#include <pthread.h>

static __attribute__((noinline)) long dive(int n, const char *above)
{
	volatile char frame[1000];

	frame[0] = above[0];
	frame[999] = (char)n;
	return n == 0 ? 0 : dive(n - 1, (const char *)frame) + frame[0] + (frame[999] == (char)n);
}

static void *thread(void *arg)
{
	*(long *)arg = dive(3500, "\1");
	return NULL;
}

int main(void)
{
	pthread_attr_t a;
	pthread_t t;
	long in_thread;
	char *far;

	printf("main: %ld\n", dive(5500, "\1"));
	pthread_attr_init(&a);
	pthread_attr_setstacksize(&a, 4 << 20);
	CHECK(pthread_create(&t, &a, thread, &in_thread) == 0 && pthread_join(t, NULL) == 0);
	printf("thread: %ld\n", in_thread);
	far = alloca(1 << 20);
	far[0] = 1;
	far[(1 << 20) - 1] = 2;
	CHECK(far[0] + far[(1 << 20) - 1] == 3);
	return guest_done();
}
