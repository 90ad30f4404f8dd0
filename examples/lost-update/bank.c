#include "bank.h"

struct account accounts[N_ACCOUNTS];

void bank_open(long balance)
{
	for (int i = 0; i < N_ACCOUNTS; i++)
		account_open(&accounts[i], balance);
}

void bank_transfer(int from, int to, long amount)
{
	struct account *a = &accounts[from], *b = &accounts[to];
	struct account *first = from < to ? a : b, *second = from < to ? b : a;

	pthread_mutex_lock(&first->lock);
	pthread_mutex_lock(&second->lock);
	account_post(a, -amount);
	account_post(b, amount);
	pthread_mutex_unlock(&second->lock);
	pthread_mutex_unlock(&first->lock);
}

void bank_charge_fee(int account, long fee)
{
	account_post(&accounts[account], -fee);
}
