/* poll, ppoll, select, pselect and epoll over pipes fed by a thread; timeouts. */
#include "guest.h"
#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/select.h>

static int fd[3][2];

static void *feeder(void *arg)
{
	(void)arg;
	for (int i = 0; i < 30; i++) {
		usleep(300);
		CHECK(write(fd[i % 3][1], "x", 1) == 1);
	}
	return NULL;
}

static int take(int i)
{
	char buf[64];
	ssize_t n = read(fd[i][0], buf, sizeof(buf));

	CHECK(n > 0);
	return (int)n;
}

static int by_poll(void)
{
	struct pollfd p[3];
	int got = 0;

	for (int i = 0; i < 3; i++)
		p[i] = (struct pollfd){ .fd = fd[i][0], .events = POLLIN };
	CHECK(poll(p, 3, 2000) > 0);
	for (int i = 0; i < 3; i++)
		if (p[i].revents & POLLIN)
			got += take(i);
	return got;
}

static int by_select(void)
{
	struct timeval tv = { 2, 0 };
	fd_set set;
	int got = 0;

	FD_ZERO(&set);
	for (int i = 0; i < 3; i++)
		FD_SET(fd[i][0], &set);
	CHECK(select(fd[2][0] + 1, &set, NULL, NULL, &tv) > 0);
	for (int i = 0; i < 3; i++)
		if (FD_ISSET(fd[i][0], &set))
			got += take(i);
	return got;
}

static int by_epoll(int ep)
{
	struct epoll_event ev[3];
	int n = epoll_wait(ep, ev, 3, 2000), got = 0;

	CHECK(n > 0);
	for (int i = 0; i < n; i++)
		got += take(ev[i].data.fd);
	return got;
}

int main(void)
{
	struct timespec soon = { 0, 1000000 };
	struct epoll_event ev;
	pthread_t t;
	int ep = epoll_create1(EPOLL_CLOEXEC), got = 0;

	for (int i = 0; i < 3; i++) {
		CHECK(pipe(fd[i]) == 0);
		ev = (struct epoll_event){ .events = EPOLLIN, .data.fd = i };
		CHECK(epoll_ctl(ep, EPOLL_CTL_ADD, fd[i][0], &ev) == 0);
	}
	CHECK(ppoll(NULL, 0, &soon, NULL) == 0 && pselect(0, NULL, NULL, NULL, &soon, NULL) == 0);
	CHECK(epoll_wait(ep, &ev, 1, 1) == 0 && poll(NULL, 0, 1) == 0);
	CHECK(pthread_create(&t, NULL, feeder, NULL) == 0);
	for (int turn = 0; got < 30; turn++)
		got += turn % 3 == 0 ? by_poll() : turn % 3 == 1 ? by_select() : by_epoll(ep);
	pthread_join(t, NULL);
	printf("got %d\n", got);
	return guest_done();
}
