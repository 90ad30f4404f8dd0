/* A lock-free stack without tags: pop's compare-and-swap succeeds although the stack has changed twice (ABA); nodes get lost or doubled. */
#include "guest.h"
#include <pthread.h>

enum { N_NODES = 6, N_ROUNDS = 10000 };
struct node {
	struct node *volatile next;
	volatile int in_use;
};
static struct node nodes[N_NODES];
static struct node *volatile top;
static int n_doubled;

static struct node *pop(void)
{
	for (;;) {
		struct node *t = top, *next;

		if (!t)
			return NULL;
		next = t->next;
		guest_work(1, 10);
		if (__sync_bool_compare_and_swap(&top, t, next))
			return t;
	}
}

static void push(struct node *n)
{
	struct node *t;

	do {
		t = top;
		n->next = t;
	} while (!__sync_bool_compare_and_swap(&top, t, n));
}

static void *worker(void *arg)
{
	(void)arg;
	for (int i = 0; i < N_ROUNDS; i++) {
		struct node *a = pop(), *b = pop();

		if (a && __sync_add_and_fetch(&a->in_use, 1) != 1)
			__atomic_add_fetch(&n_doubled, 1, __ATOMIC_SEQ_CST);
		if (b && __sync_add_and_fetch(&b->in_use, 1) != 1)
			__atomic_add_fetch(&n_doubled, 1, __ATOMIC_SEQ_CST);
		guest_work(1, 20);
		if (a)
			__sync_sub_and_fetch(&a->in_use, 1);
		if (b)
			__sync_sub_and_fetch(&b->in_use, 1);
		if (a)
			push(a);
		guest_work(1, 5);
		if (b && b != a)
			push(b);
	}
	return NULL;
}

int main(void)
{
	pthread_t t[3];
	int left = 0;

	for (int i = 0; i < N_NODES; i++)
		push(&nodes[i]);
	for (int i = 0; i < 3; i++)
		CHECK(pthread_create(&t[i], NULL, worker, NULL) == 0);
	for (int i = 0; i < 3; i++)
		pthread_join(t[i], NULL);
	for (struct node *n = top; n && left <= N_NODES; n = n->next)
		left++;
	printf("nodes left %d of %d, used twice %d times\n", left, N_NODES, n_doubled);
	return guest_done();
}
