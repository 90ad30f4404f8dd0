/* Four tellers work through a day's orders at once. At the end, each account must hold what the tellers' own books say. */
#include "bank.h"
#include <stdio.h>
#include <stdlib.h>

enum { N_TELLERS = 4, N_ORDERS = 150, ORDERS_A_FEE = 25 };
static const long OPENING = 100000, FEE = 25;

struct teller {
	pthread_t thread;
	unsigned random;
	long book[N_ACCOUNTS];       /* by how much this teller has changed each account */
};

static struct teller tellers[N_TELLERS];

static unsigned draw(struct teller *t, unsigned below)
{
	t->random = t->random * 1664525u + 1013904223u;
	return (t->random >> 8) % below;
}

/* The checksum of an order's form: the paperwork that takes most of a teller's day. */
static unsigned check_form(unsigned sum)
{
#define FOLD(n) sum = (sum ^ (sum >> 13)) * 0x5bd1e995u + (n); sum ^= sum >> 15;
#define FOLD_4(n) FOLD(n) FOLD((n) + 1) FOLD((n) + 2) FOLD((n) + 3)
#define FOLD_16(n) FOLD_4(n) FOLD_4((n) + 4) FOLD_4((n) + 8) FOLD_4((n) + 12)
	for (int line = 0; line < 700; line++) {
		FOLD_16(0) FOLD_16(16)
	}
	return sum;
}

static void *work(void *arg)
{
	struct teller *t = arg;

	for (int order = 1; order <= N_ORDERS; order++) {
		int from = (int)draw(t, N_ACCOUNTS);
		int to = (from + 1 + (int)draw(t, N_ACCOUNTS - 1)) % N_ACCOUNTS;
		long amount = (long)draw(t, 5000);

		if (check_form(t->random) == 0)
			continue;
		bank_transfer(from, to, amount);
		t->book[from] -= amount;
		t->book[to] += amount;
		if (order % ORDERS_A_FEE == 0) {
			bank_charge_fee(to, FEE);
			t->book[to] -= FEE;
		}
	}
	return NULL;
}

static void check_balance(int i)
{
	long expected = OPENING;

	for (int k = 0; k < N_TELLERS; k++)
		expected += tellers[k].book[i];
	if (accounts[i].balance != expected) {
		fprintf(stderr, "test_bank: account %d holds %ld, the books say %ld\n", i, accounts[i].balance, expected);
		abort();
	}
}

int main(void)
{
	bank_open(OPENING);
	for (int i = 0; i < N_TELLERS; i++) {
		tellers[i].random = (unsigned)i + 1;
		pthread_create(&tellers[i].thread, NULL, work, &tellers[i]);
	}
	for (int i = 0; i < N_TELLERS; i++)
		pthread_join(tellers[i].thread, NULL);
	for (int i = 0; i < N_ACCOUNTS; i++)
		check_balance(i);
	printf("test_bank: %d orders, every balance as in the books\n", N_TELLERS * N_ORDERS);
	return 0;
}
