/*
 * sendmsg, recvmsg, readv and writev through sockets and pipes, from one place and often enough that a recorder may have
 * made them cheap: what arrives and where, what the header says after, waits, errors, descriptors, and headers and lists
 * that are received into.
 */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include "guest.h"

#define ROUNDS 60
#define FLOW 150

static void *const bad = (void *)0x10;

static long call(long nr, long a, long b, long c, long d)
{
	long ret = syscall(nr, a, b, c, d, 0, 0);

	return ret < 0 ? -errno : ret;
}
#define CALL(nr, a, b, c, d) call(SYS_##nr, (long)(a), (long)(b), (long)(c), (long)(d))

static void exchange(int a, int b)
{
	char out[3][8], in[4][8];

	for (int i = 0; i < ROUNDS; i++) {
		struct iovec from[3] = { { out[0], 3 }, { out[1], 0 }, { out[2], 8 } };
		struct iovec to[4] = { { in[0], 1 }, { in[1], 2 }, { in[2], 4 }, { in[3], 8 } };
		struct msghdr m = { .msg_iov = from, .msg_iovlen = 3 };
		struct msghdr r = { .msg_iov = to, .msg_iovlen = 4, .msg_flags = 0x55, .msg_namelen = 77 };

		memset(out, 'a' + i % 26, sizeof(out));
		memset(in, 0, sizeof(in));
		CHECK(CALL(sendmsg, a, &m, MSG_NOSIGNAL, 0) == 11 && CALL(writev, a, from, 3, 0) == 11);
		CHECK(CALL(recvmsg, b, &r, i % 2 ? MSG_PEEK : 0, 0) == 15 && r.msg_flags == 0 && r.msg_namelen == 77 && !r.msg_controllen);
		CHECK(in[0][0] == out[0][0] && !in[0][1] && in[1][1] == out[0][0] && in[2][3] == out[0][0] && in[3][7] == out[0][0]);
		memset(in, 0, sizeof(in));
		CHECK(CALL(readv, b, to, 4, 0) == (i % 2 ? 15 : 7) && in[2][3] == out[0][0] && (in[3][0] == out[0][0]) == i % 2);
		CHECK(!(i % 2) || CALL(readv, b, to, 4, 0) == 7);
		CHECK(CALL(recvmsg, b, &r, MSG_DONTWAIT, 0) == -EAGAIN && CALL(recvmsg, b, bad, 0, 0) == -EFAULT);
		CHECK(CALL(sendmsg, a, bad, 0, 0) == -EFAULT && CALL(writev, a, bad, 1, 0) == -EFAULT && CALL(readv, b, bad, 1, 0) == -EFAULT);
		CHECK(CALL(readv, b, to, -1, 0) == -EINVAL && CALL(writev, a, to, 0, 0) == 0);
	}
}

/* What arrives falls upon the list that says where it goes, or upon the header. */
static void into_itself(int a, int b)
{
	for (int i = 0; i < ROUNDS; i++) {
		char bytes[64], more[64] = { 0 };
		struct {
			struct iovec v[2];
			struct msghdr m;
		} s = { .v = { { NULL, 32 }, { more, 32 } } };

		memset(bytes, 'x', sizeof(bytes));
		s.v[0].iov_base = i % 2 ? (char *)s.v : (char *)&s.m + offsetof(struct msghdr, msg_iovlen);
		s.m.msg_iov = s.v;
		s.m.msg_iovlen = 2;
		CHECK(CALL(write, a, bytes, 64, 0) == 64 && CALL(recvmsg, b, &s.m, 0, 0) == 64);
		CHECK(more[0] == 'x' && more[31] == 'x' && *(i % 2 ? (char *)s.v : (char *)&s.m.msg_iovlen) == 'x');
		s.v[0] = (struct iovec){ s.v, 16 };
		s.v[1] = (struct iovec){ more, 16 };
		CHECK(CALL(write, a, "0123456789abcdefghijklmnopqrstuv", 32, 0) == 32 && CALL(readv, b, s.v, 2, 0) == 32);
		CHECK(!memcmp(s.v, "0123456789abcdef", 16) && !memcmp(more, "ghijklmnopqrstuv", 16));
	}
}

static void with_descriptors(int a, int b)
{
	for (int i = 0; i < ROUNDS; i++) {
		union {
			struct cmsghdr h;
			char room[CMSG_SPACE(sizeof(int))];
		} c;
		char byte = 'd';
		struct iovec v = { &byte, 1 };
		struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1, .msg_control = &c, .msg_controllen = sizeof(c) };
		int fd;

		c.h = (struct cmsghdr){ .cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS };
		memcpy(CMSG_DATA(&c.h), &b, sizeof(int));
		CHECK(CALL(sendmsg, a, &m, 0, 0) == 1);
		if (i % 2) {
			memset(&c, 0, sizeof(c));
			CHECK(CALL(recvmsg, b, &m, 0, 0) == 1 && m.msg_controllen == sizeof(c) && c.h.cmsg_type == SCM_RIGHTS);
			memcpy(&fd, CMSG_DATA(&c.h), sizeof(int));
			CHECK(fd > b && !close(fd));
		} else {
			m.msg_control = NULL;
			m.msg_controllen = 0;
			CHECK(CALL(recvmsg, b, &m, 0, 0) == 1 && m.msg_flags == MSG_CTRUNC && !m.msg_controllen);
		}
	}
}

struct flow {
	int in;
	long got;
};

static void *reader(void *arg)
{
	struct flow *f = arg;
	static char x[3000], y[5000];
	long n;

	do {
		struct iovec v[2] = { { x, sizeof(x) }, { y, sizeof(y) } };
		struct msghdr m = { .msg_iov = v, .msg_iovlen = 2 };

		if (f->got % 3 == 0)
			usleep(100);
		n = f->got % 2 ? CALL(recvmsg, f->in, &m, 0, 0) : CALL(readv, f->in, v, 2, 0);
		CHECK(n >= 0);
		for (long i = 0; i < n; i++)
			CHECK((i < 3000 ? x[i] : y[i - 3000]) == (char)((f->got + i) % 251));
		f->got += n;
	} while (n > 0);
	return NULL;
}

/* Who waits is never told that a part was sent, and gets what there is. */
static void flow(void)
{
	static char bytes[4000];
	struct flow f = { .got = 0 };
	long sent = 0;
	pthread_t t;
	int s[2];

	CHECK(!socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	f.in = s[1];
	CHECK(!pthread_create(&t, NULL, reader, &f));
	for (int i = 0; i < FLOW; i++) {
		struct iovec v[2] = { { bytes, 1000 + (size_t)i }, { bytes + 1000 + i, 2000 } };
		struct msghdr m = { .msg_iov = v, .msg_iovlen = 2 };

		for (long k = 0; k < 3000 + i; k++)
			bytes[k] = (char)((sent + k) % 251);
		CHECK((i % 2 ? CALL(sendmsg, s[0], &m, 0, 0) : CALL(writev, s[0], v, 2, 0)) == 3000 + i);
		sent += 3000 + i;
	}
	close(s[0]);
	CHECK(!pthread_join(t, NULL) && f.got == sent);
	close(s[1]);
}

static void ends(void)
{
	signal(SIGPIPE, SIG_IGN);
	for (int i = 0; i < 4; i++) {
		char byte = 'e';
		struct iovec v = { &byte, 1 };
		struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1 };
		int s[2];

		CHECK(!socketpair(AF_UNIX, SOCK_STREAM, 0, s) && !fcntl(s[0], F_SETFL, O_NONBLOCK));
		CHECK(CALL(readv, s[0], &v, 1, 0) == -EAGAIN && CALL(recvmsg, s[0], &m, 0, 0) == -EAGAIN);
		CHECK(CALL(writev, s[0], &v, 1, 0) == 1);
		close(s[1]);   /* with a byte unread: an error that is told once */
		CHECK((i % 2 ? CALL(recvmsg, s[0], &m, 0, 0) : CALL(readv, s[0], &v, 1, 0)) == -ECONNRESET);
		CHECK((i % 2 ? CALL(recvmsg, s[0], &m, 0, 0) : CALL(readv, s[0], &v, 1, 0)) == 0);
		CHECK((i % 2 ? CALL(sendmsg, s[0], &m, 0, 0) : CALL(writev, s[0], &v, 1, 0)) == -EPIPE);
		close(s[0]);
	}
}

int main(void)
{
	int s[2], p[2];
	char c[2][4];
	struct iovec out = { (char *)"pipe", 4 }, in[2] = { { c[0], 2 }, { c[1], 4 } };

	CHECK(!socketpair(AF_UNIX, SOCK_STREAM, 0, s) && !pipe(p));
	exchange(s[0], s[1]);
	into_itself(s[0], s[1]);
	with_descriptors(s[0], s[1]);
	for (int i = 0; i < ROUNDS; i++) {
		CHECK(CALL(writev, p[1], &out, 1, 0) == 4 && CALL(readv, p[0], in, 2, 0) == 4 && c[0][1] == 'i' && c[1][1] == 'e');
		CHECK(CALL(recvmsg, p[0], in, 0, 0) < 0);
	}
	flow();
	ends();
	return guest_done();
}
