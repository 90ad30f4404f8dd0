#include "shared_lib.h"

static __thread int local;
static int constructed;

static __attribute__((constructor)) void construct(void)
{
	constructed = 1;
}

int lib_twice(int n)
{
	int result = n + n;

	return result;
}

int lib_count_local(void)
{
	return ++local;
}

int lib_constructed(void)
{
	return constructed;
}

const char *lib_greeting(void)
{
	return "good day";
}
