/* Closes its standard output early; writing fails, and so does the flush at exit; standard error still works. */
#include "guest.h"

int main(void)
{
	guest_done();
	close(1);
	CHECK(write(1, "x", 1) == -1 && errno == EBADF);
	CHECK(puts("lost") >= 0 && fflush(stdout) == EOF);
	fputs("stderr still works\n", stderr);
	return 5;
}
