/* A bank of a few accounts, used by several tellers at once. */
#ifndef BANK_H
#define BANK_H

#include "account.h"

enum { N_ACCOUNTS = 24 };
extern struct account accounts[N_ACCOUNTS];

/* Give every account the same balance. */
void bank_open(long balance);

/* Move an amount between two different accounts. */
void bank_transfer(int from, int to, long amount);

/* Take the monthly fee off an account. */
void bank_charge_fee(int account, long fee);

#endif
