/* The private library of shared_lib_user. */
#ifndef SHARED_LIB_H
#define SHARED_LIB_H

int lib_twice(int n);
int lib_count_local(void);      /* how often this thread has called it */
int lib_constructed(void);      /* 1 if the constructor ran */
const char *lib_greeting(void);

#endif
