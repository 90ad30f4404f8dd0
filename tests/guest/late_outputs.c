/* Threads wait in read, recv, accept and epoll_wait, for outputs that arrive while another thread watches that memory and computes. */
#include "guest.h"
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#define ROUNDS 30

static int p[2], s[2], ep;
static volatile struct {
	char by_read[64], by_recv[64];
	struct epoll_event ev[4];
	int done;
} out;

static void *reads(void *arg)
{
	for (int i = 0; i < ROUNDS; i++)
		CHECK(read(p[0], (char *)out.by_read, sizeof(out.by_read)) == 64);
	return arg;
}

static void *receives(void *arg)
{
	struct iovec v[2] = { { (char *)out.by_recv, 10 }, { (char *)out.by_recv + 10, 54 } };
	struct msghdr m = { .msg_iov = v, .msg_iovlen = 2 };

	for (int i = 0; i < ROUNDS; i++) {
		CHECK(epoll_wait(ep, (struct epoll_event *)out.ev, 4, -1) == 1 && out.ev[0].data.u32 == 77);
		CHECK(recvmsg(s[0], &m, 0) == 64);
	}
	return arg;
}

/* What it sees depends on when it looks. */
static void *watches(void *arg)
{
	uint64_t sum = 0;

	while (!out.done) {
		for (int i = 0; i < 64; i++)
			sum = sum * 31 + (unsigned char)out.by_read[i] + 7u * (unsigned char)out.by_recv[i];
		sum = guest_work(sum + out.ev[0].events, 20);
	}
	printf("seen: %llx\n", (unsigned long long)sum);
	return arg;
}

int main(void)
{
	struct epoll_event e = { .events = EPOLLIN, .data.u32 = 77 };
	pthread_t t[3];
	char text[64];

	ep = epoll_create1(0);
	CHECK(pipe(p) == 0 && socketpair(AF_UNIX, SOCK_DGRAM, 0, s) == 0 && epoll_ctl(ep, EPOLL_CTL_ADD, s[0], &e) == 0);
	CHECK(pthread_create(&t[0], NULL, reads, NULL) == 0 && pthread_create(&t[1], NULL, receives, NULL) == 0 &&
	      pthread_create(&t[2], NULL, watches, NULL) == 0);
	for (int i = 0; i < ROUNDS; i++) {
		memset(text, 'a' + i % 26, sizeof(text));
		CHECK(write(p[1], text, 64) == 64 && send(s[1], text, 64, 0) == 64);
		usleep(500);
	}
	CHECK(pthread_join(t[0], NULL) == 0 && pthread_join(t[1], NULL) == 0);
	CHECK(out.by_read[63] == 'a' + (ROUNDS - 1) % 26 && out.by_recv[63] == 'a' + (ROUNDS - 1) % 26);
	out.done = 1;
	CHECK(pthread_join(t[2], NULL) == 0);
	return guest_done();
}
