/* Barriers, readers-writer locks, semaphores, spin locks, once. */
#include "guest.h"
#include <pthread.h>
#include <semaphore.h>

enum { N_THREADS = 4, N_PHASES = 20 };
static pthread_barrier_t barrier;
static pthread_rwlock_t rw = PTHREAD_RWLOCK_INITIALIZER;
static pthread_spinlock_t spin;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static sem_t tokens;
static int phase[N_THREADS], n_serial, n_once, n_spun, shared_value;

static void first(void)
{
	usleep(1000);
	n_once++;
}

static void *worker(void *arg)
{
	int me = *(int *)arg;

	pthread_once(&once, first);
	CHECK(n_once == 1);
	for (int p = 1; p <= N_PHASES; p++) {
		phase[me] = p;
		if (pthread_barrier_wait(&barrier) == PTHREAD_BARRIER_SERIAL_THREAD)
			__atomic_add_fetch(&n_serial, 1, __ATOMIC_SEQ_CST);
		for (int i = 0; i < N_THREADS; i++)
			CHECK(phase[i] == p);
		pthread_barrier_wait(&barrier);
		if (me == 0) {
			pthread_rwlock_wrlock(&rw);
			shared_value++;
			shared_value++;
			pthread_rwlock_unlock(&rw);
		} else {
			pthread_rwlock_rdlock(&rw);
			CHECK(shared_value % 2 == 0);
			pthread_rwlock_unlock(&rw);
		}
		sem_wait(&tokens);
		pthread_spin_lock(&spin);
		n_spun++;
		pthread_spin_unlock(&spin);
		sem_post(&tokens);
	}
	return NULL;
}

int main(void)
{
	int id[N_THREADS];
	pthread_t t[N_THREADS];

	pthread_barrier_init(&barrier, NULL, N_THREADS);
	pthread_spin_init(&spin, PTHREAD_PROCESS_PRIVATE);
	sem_init(&tokens, 0, 2);
	for (int i = 0; i < N_THREADS; i++) {
		id[i] = i;
		CHECK(pthread_create(&t[i], NULL, worker, &id[i]) == 0);
	}
	for (int i = 0; i < N_THREADS; i++)
		pthread_join(t[i], NULL);
	CHECK(n_serial == N_PHASES && n_spun == N_PHASES * N_THREADS && shared_value == 2 * N_PHASES);
	printf("phases: %d\n", n_serial);
	return guest_done();
}
