/* Anonymous shared memory between parent and child, with a process-shared mutex and condition variable in it. */
#include "guest.h"
#include <pthread.h>
#include <sys/mman.h>

struct shared {
	pthread_mutex_t lock;
	pthread_cond_t turn_changed;
	int turn;
	long sum;
	int log[40];
};

static void play(struct shared *s, int me)
{
	for (int i = 0; i < 20; i++) {
		pthread_mutex_lock(&s->lock);
		while (s->turn % 2 != me)
			pthread_cond_wait(&s->turn_changed, &s->lock);
		s->log[s->turn] = me;
		s->sum += s->turn;
		s->turn++;
		pthread_cond_broadcast(&s->turn_changed);
		pthread_mutex_unlock(&s->lock);
	}
}

int main(void)
{
	struct shared *s = mmap(NULL, sizeof(*s), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pthread_mutexattr_t ma;
	pthread_condattr_t ca;
	pid_t pid;

	CHECK(s != MAP_FAILED);
	pthread_mutexattr_init(&ma);
	pthread_mutexattr_setpshared(&ma, PTHREAD_PROCESS_SHARED);
	pthread_mutex_init(&s->lock, &ma);
	pthread_condattr_init(&ca);
	pthread_condattr_setpshared(&ca, PTHREAD_PROCESS_SHARED);
	pthread_cond_init(&s->turn_changed, &ca);
	pid = fork();
	CHECK(pid >= 0);
	play(s, pid == 0);
	if (pid == 0)
		_exit(0);
	CHECK(guest_wait(pid) == 0);
	for (int i = 0; i < 40; i++)
		CHECK(s->log[i] == i % 2);
	printf("sum: %ld\n", s->sum);
	return guest_done();
}
