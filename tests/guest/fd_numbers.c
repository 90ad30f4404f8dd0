/* The lowest free descriptor is the one a program expects: the recorder leaves none of its own in between. */
#include "guest.h"
#include <fcntl.h>

int main(void)
{
	int fd[5];

	for (int i = 0; i < 5; i++) {
		fd[i] = open("/dev/null", O_RDONLY);
		printf("descriptor %d\n", fd[i]);
	}
	close(fd[2]);
	CHECK(open("/dev/null", O_RDONLY) == fd[2]);
	printf("highest open below 100:");
	for (int i = 0; i < 100; i++)
		if (fcntl(i, F_GETFD) != -1)
			printf(" %d", i);
	puts("");
	return guest_done();
}
