/* A hundred processes at once, each blocked in a pipe, and the limit on descriptors as the program finds it. */
#include "guest.h"
#include <sys/resource.h>

#define N 100

int main(void)
{
	struct rlimit limit;
	int start[2], done[2];
	pid_t pid[N];
	char c;

	CHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0);
	printf("limit %lu\n", (unsigned long)limit.rlim_cur);
	fflush(stdout);
	CHECK(pipe(start) == 0 && pipe(done) == 0);
	for (int i = 0; i < N; i++) {
		pid[i] = fork();
		CHECK(pid[i] >= 0);
		if (pid[i] == 0) {
			CHECK(write(done[1], "d", 1) == 1 && read(start[0], &c, 1) == 1);
			_exit(i);
		}
	}
	for (int i = 0; i < N; i++)
		CHECK(read(done[0], &c, 1) == 1);
	for (int i = 0; i < N; i++)
		CHECK(write(start[1], "s", 1) == 1);
	for (int i = 0; i < N; i++)
		CHECK(guest_wait(pid[i]) == i << 8);
	return guest_done();
}
