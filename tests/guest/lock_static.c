/* lock_kinds with the C library in the program itself. */
#include "lock_kinds.c"
