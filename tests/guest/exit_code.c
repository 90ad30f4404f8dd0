/* The exit status is what main returns; atexit and destructors run before, in order. */
#include "guest.h"

static void last(void) { puts("first registered, last run"); }
static void first(void) { puts("last registered, first run"); }
static __attribute__((destructor)) void destructor(void)
{
	puts("destructor");
	puts("EXIT-SUCCESS");
}

int main(void)
{
	atexit(last);
	atexit(first);
	return 42;
}
