# From the failing test back to the write that got lost. To be read by a gdb that is connected to a recording of
# test_bank, with the number of the wrong account (the test prints it) in $account:
#
#     relive replay test_bank.rlv
#     (gdb) set $account = 7
#     (gdb) source examples/lost-update/find-race.gdb

set pagination off
set confirm off

echo \n--- Forward to the failure.\n
continue
bt 6

echo \n--- Watch the wrong balance, and go back from write to write. A write that changes the balance by another\n
echo --- amount than it posts puts back a balance read too long ago.\n
set $balance = accounts[$account].balance
watch -l accounts[$account].balance
reverse-continue
while accounts[$account].balance + amount == $balance
  set $balance = accounts[$account].balance
  reverse-continue
end

set $lost_to = $_thread
set $overwritten = accounts[$account].balance
printf "\n--- Here it is: thread %d posts %ld and yet makes %ld of %ld.\n", $_thread, amount, $balance, $overwritten
bt 3

echo \n--- So it had read the balance before the write before this one. That one is lost: go there.\n
reverse-continue
set $racing = $_thread
printf "\nRACING WRITE: thread %d writes %ld over %ld, here:\n", $_thread, $overwritten, accounts[$account].balance
info line *$pc
bt 3

printf "\nIT FALLS BETWEEN READ AND WRITE OF: thread %d, which at this moment is here:\n", $lost_to
thread $lost_to
frame function account_post
up
printf "\n--- account_post() wants the account's lock held. One of the two callers above does not hold it.\n"
thread $racing
