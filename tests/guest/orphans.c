/* A child that outlives its parent and still prints to the shared output. */
#include "guest.h"

int main(void)
{
	int fd[2];
	char c;

	CHECK(pipe(fd) == 0);
	if (fork() == 0) {
		close(fd[1]);
		CHECK(read(fd[0], &c, 1) == 0);      /* end of file: the parent is gone */
		puts("the child outlives its parent");
		_exit(guest_done());
	}
	puts("parent leaves");
	return 0;
}
