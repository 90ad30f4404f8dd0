/* Every kind of lock, a known number of times, alone and by several threads, and in a forked child. */
#include "guest.h"
#include <pthread.h>
#include <semaphore.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { N_THREADS = 3, N_ROUNDS = 50 };

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_mutex_t recursive, checking, held, robust;
static pthread_rwlock_t rwlock = PTHREAD_RWLOCK_INITIALIZER;
static pthread_spinlock_t spin;
static sem_t sem;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static pthread_barrier_t barrier;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static long count, counts[3];   /* one for each kind of lock */

static struct timespec soon(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	ts.tv_nsec += 2000000;
	if (ts.tv_nsec >= 1000000000) {
		ts.tv_nsec -= 1000000000;
		ts.tv_sec++;
	}
	return ts;
}

static void make(pthread_mutex_t *m, int type, int robustness)
{
	pthread_mutexattr_t a;

	pthread_mutexattr_init(&a);
	pthread_mutexattr_settype(&a, type);
	pthread_mutexattr_setrobust(&a, robustness);
	pthread_mutex_init(m, &a);
}

static void do_once(void)
{
	count++;
}

static void *worker(void *arg)
{
	(void)arg;
	pthread_barrier_wait(&barrier);
	pthread_once(&once, do_once);
	for (int i = 0; i < N_ROUNDS; i++) {
		pthread_mutex_lock(&mutex);
		counts[0]++;
		pthread_mutex_unlock(&mutex);
		pthread_rwlock_wrlock(&rwlock);
		counts[1]++;
		pthread_rwlock_unlock(&rwlock);
		pthread_rwlock_rdlock(&rwlock);
		pthread_rwlock_unlock(&rwlock);
		pthread_spin_lock(&spin);
		counts[2]++;
		pthread_spin_unlock(&spin);
		sem_wait(&sem);
		sem_post(&sem);
	}
	return NULL;
}

static void *tries(void *arg)
{
	struct timespec real = soon(CLOCK_REALTIME), mono = soon(CLOCK_MONOTONIC);

	(void)arg;
	CHECK(pthread_mutex_trylock(&held) == EBUSY);
	CHECK(pthread_mutex_timedlock(&held, &real) == ETIMEDOUT);
	CHECK(pthread_mutex_clocklock(&held, CLOCK_MONOTONIC, &mono) == ETIMEDOUT);
	CHECK(pthread_rwlock_tryrdlock(&rwlock) == EBUSY && pthread_rwlock_trywrlock(&rwlock) == EBUSY);
	CHECK(pthread_rwlock_timedrdlock(&rwlock, &real) == ETIMEDOUT);
	CHECK(pthread_rwlock_timedwrlock(&rwlock, &real) == ETIMEDOUT);
	CHECK(pthread_spin_trylock(&spin) == EBUSY);
	CHECK(sem_trywait(&sem) == -1 && sem_timedwait(&sem, &real) == -1);
	pthread_mutex_lock(&mutex);
	CHECK(pthread_cond_timedwait(&cond, &mutex, &real) == ETIMEDOUT);
	pthread_mutex_unlock(&mutex);
	CHECK(pthread_mutex_lock(&robust) == 0);
	return NULL;   /* and dies with it */
}

static void alone(void)
{
	make(&recursive, PTHREAD_MUTEX_RECURSIVE, PTHREAD_MUTEX_STALLED);
	CHECK(!pthread_mutex_lock(&recursive) && !pthread_mutex_lock(&recursive) && !pthread_mutex_trylock(&recursive));
	CHECK(!pthread_mutex_unlock(&recursive) && !pthread_mutex_unlock(&recursive) && !pthread_mutex_unlock(&recursive));
	make(&checking, PTHREAD_MUTEX_ERRORCHECK, PTHREAD_MUTEX_STALLED);
	CHECK(!pthread_mutex_lock(&checking) && pthread_mutex_lock(&checking) == EDEADLK && !pthread_mutex_unlock(&checking));
	CHECK(pthread_mutex_unlock(&checking) == EPERM);
}

static void forked(void)
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		for (int i = 0; i < 7; i++) {
			pthread_mutex_lock(&mutex);
			pthread_mutex_unlock(&mutex);
		}
		_exit(0);
	}
	CHECK(waitpid(pid, &status, 0) == pid && status == 0);
}

int main(void)
{
	pthread_t t[N_THREADS];

	make(&held, PTHREAD_MUTEX_NORMAL, PTHREAD_MUTEX_STALLED);
	make(&robust, PTHREAD_MUTEX_NORMAL, PTHREAD_MUTEX_ROBUST);
	pthread_spin_init(&spin, 0);
	sem_init(&sem, 0, 2);
	pthread_barrier_init(&barrier, NULL, N_THREADS);
	alone();
	for (int i = 0; i < N_THREADS; i++)
		CHECK(pthread_create(&t[i], NULL, worker, NULL) == 0);
	for (int i = 0; i < N_THREADS; i++)
		pthread_join(t[i], NULL);
	for (int i = 0; i < 3; i++)
		CHECK(counts[i] == N_THREADS * N_ROUNDS);
	CHECK(count == 1);
	pthread_mutex_lock(&held);
	pthread_rwlock_wrlock(&rwlock);
	pthread_spin_lock(&spin);
	CHECK(!sem_wait(&sem) && !sem_wait(&sem));
	CHECK(pthread_create(&t[0], NULL, tries, NULL) == 0);
	pthread_join(t[0], NULL);
	pthread_spin_unlock(&spin);
	pthread_rwlock_unlock(&rwlock);
	pthread_mutex_unlock(&held);
	CHECK(pthread_mutex_lock(&robust) == EOWNERDEAD && !pthread_mutex_consistent(&robust) && !pthread_mutex_unlock(&robust));
	forked();
	return guest_done();
}
