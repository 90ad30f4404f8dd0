/* Pipes inside one process: blocking both ways between threads, a full pipe, end of file, SIGPIPE ignored. */
#include "guest.h"
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>

enum { TOTAL = 1 << 20 };
static int fds[2];

static void *writer(void *arg)
{
	char block[5000];

	(void)arg;
	for (int i = 0; i < (int)sizeof(block); i++)
		block[i] = (char)(i * 7);
	for (int left = TOTAL; left > 0;) {
		ssize_t n = write(fds[1], block, left < 5000 ? (size_t)left : 5000);

		CHECK(n > 0);
		left -= (int)n;
	}
	close(fds[1]);
	return NULL;
}

int main(void)
{
	pthread_t t;
	char buf[3000];
	long total = 0, sum = 0;
	ssize_t n;

	CHECK(pipe(fds) == 0);
	CHECK(pthread_create(&t, NULL, writer, NULL) == 0);
	while ((n = read(fds[0], buf, sizeof(buf))) > 0) {
		total += n;
		for (int i = 0; i < n; i++)
			sum += buf[i];
	}
	CHECK(n == 0);
	pthread_join(t, NULL);
	close(fds[0]);
	printf("%ld bytes, sum %ld\n", total, sum);
	CHECK(pipe2(fds, O_NONBLOCK | O_CLOEXEC) == 0);
	CHECK(read(fds[0], buf, 1) == -1 && errno == EAGAIN);
	while ((n = write(fds[1], buf, sizeof(buf))) > 0)
		;
	CHECK(errno == EAGAIN);
	signal(SIGPIPE, SIG_IGN);
	close(fds[0]);
	CHECK(write(fds[1], buf, 1) == -1 && errno == EPIPE);
	return guest_done();
}
