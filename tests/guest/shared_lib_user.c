/* Uses a private shared library, by linking and by dlopen; the library has state, thread-local state and a constructor. */
#include "guest.h"
#include "shared_lib.h"
#include <dlfcn.h>
#include <pthread.h>

static void *worker(void *arg)
{
	for (int i = 0; i < (int)(intptr_t)arg; i++)
		lib_count_local();
	return (void *)(intptr_t)lib_count_local();
}

int main(void)
{
	pthread_t t;
	void *ret;
	int (*twice)(int);
	void *m = dlopen("libm.so.6", RTLD_NOW), *self = dlopen(NULL, RTLD_NOW);
	double (*cosine)(double);

	CHECK(lib_constructed() == 1 && lib_twice(21) == 42 && lib_count_local() == 1);
	CHECK(pthread_create(&t, NULL, worker, (void *)4) == 0 && pthread_join(t, &ret) == 0);
	CHECK((intptr_t)ret == 5 && lib_count_local() == 2);
	CHECK(m && self);
	*(void **)&cosine = dlsym(m, "cos");
	*(void **)&twice = dlsym(self, "lib_twice");
	CHECK(cosine && cosine(0.0) == 1.0 && twice && twice(2) == 4 && dlclose(m) == 0);
	printf("from the library: %s\n", lib_greeting());
	return guest_done();
}
