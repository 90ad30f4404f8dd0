/* Lock functions that are left by other ways than their return: exceptions, cancellation, a jump out of a handler. */
#include "guest.h"
#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <signal.h>
#include <unistd.h>

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static sem_t never, ready;
static pthread_mutex_t blocked = PTHREAD_MUTEX_INITIALIZER;
static sigjmp_buf out;
static int n_thrown, n_cleaned;

static void throwing()
{
	if (n_thrown++ < 2)
		throw 1;
}

struct guard {
	guard() { pthread_mutex_lock(&mutex); }
	~guard() { pthread_mutex_unlock(&mutex); n_cleaned++; }
};

static void *wait_for_ever(void *)
{
	guard g;

	sem_post(&ready);
	for (;;)
		pthread_cond_wait(&cond, &mutex);
}

static void *cancelled_before(void *)
{
	int old;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &old);
	sem_post(&ready);
	guard g;
	while (sem_trywait(&never) == 0)
		;
	pthread_mutex_lock(&blocked);   /* not left by a cancellation */
	pthread_mutex_unlock(&blocked);
	pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, &old);
	sem_wait(&never);
	return NULL;
}

static void jump(int)
{
	siglongjmp(out, 1);
}

static void cancel(void *(*f)(void *))
{
	pthread_t t;
	void *result;

	CHECK(pthread_create(&t, NULL, f, NULL) == 0);
	sem_wait(&ready);
	pthread_mutex_lock(&mutex);
	pthread_mutex_unlock(&mutex);
	CHECK(pthread_cancel(t) == 0);
	pthread_mutex_unlock(&blocked);
	CHECK(pthread_join(t, &result) == 0 && result == PTHREAD_CANCELED);
	pthread_mutex_lock(&blocked);
}

int main()
{
	sem_init(&never, 0, 0);
	sem_init(&ready, 0, 0);
	for (int i = 0; i < 3; i++) {
		try {
			pthread_once(&once, throwing);
		} catch (int) {
		}
	}
	CHECK(n_thrown == 3);
	pthread_mutex_lock(&blocked);
	cancel(wait_for_ever);
	pthread_mutex_unlock(&blocked);
	{
		pthread_t t;
		void *result;

		pthread_mutex_lock(&blocked);
		CHECK(pthread_create(&t, NULL, cancelled_before, NULL) == 0);
		sem_wait(&ready);
		CHECK(pthread_cancel(t) == 0);
		usleep(2000);
		pthread_mutex_unlock(&blocked);
		CHECK(pthread_join(t, &result) == 0 && result == PTHREAD_CANCELED);
	}
	CHECK(n_cleaned == 2);
	signal(SIGALRM, jump);
	if (!sigsetjmp(out, 1)) {
		alarm(1);
		sem_wait(&never);
	}
	pthread_mutex_lock(&mutex);
	pthread_mutex_unlock(&mutex);
	return guest_done();
}
