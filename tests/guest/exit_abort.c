/* abort() after some output; the output is flushed by hand, the status is that of SIGABRT. */
#include "guest.h"
#include <sys/resource.h>

int main(void)
{
	struct rlimit no_core = { 0, 0 };

	setrlimit(RLIMIT_CORE, &no_core);
	puts("about to abort");
	guest_done();
	abort();
}
