/* Standard output by other names: dup, dup2, fcntl, a redirection away and back, a closed one. */
#include "guest.h"
#include <fcntl.h>

int main(void)
{
	int d = dup(1), e = fcntl(1, F_DUPFD_CLOEXEC, 50), null = open("/dev/null", O_WRONLY);

	CHECK(d > 2 && e >= 50 && null > 2);
	CHECK(write(d, "by dup\n", 7) == 7 && write(e, "by fcntl\n", 9) == 9);
	CHECK(dup2(null, 1) == 1 && write(1, "never seen\n", 11) == 11);
	CHECK(dup2(d, 1) == 1 && write(1, "back again\n", 11) == 11);
	CHECK(dup3(2, 60, O_CLOEXEC) == 60 && write(60, "stderr by dup3\n", 15) == 15);
	close(1);
	CHECK(write(1, "x", 1) == -1 && errno == EBADF);
	CHECK(dup(d) == 1);
	puts("on a new descriptor 1");
	if (fork() == 0) {
		CHECK(write(d, "from a child\n", 13) == 13);
		_exit(0);
	}
	wait(NULL);
	return guest_done();
}
