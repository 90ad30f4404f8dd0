/*
 * Calls of sockets, from one place and often enough that a recorder may have made them cheap: names, control data, several
 * messages at once, options; lengths that are too short, buffers that are far too long, that end where memory does, or that
 * fall upon what says where they are.
 */
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include "guest.h"

#define ROUNDS 40
#define BIG 200000

static char *edge;            /* where writable memory ends */
static char big[BIG];

static long call(long nr, long a, long b, long c, long d, long e, long f)
{
	long ret = syscall(nr, a, b, c, d, e, f);

	return ret < 0 ? -errno : ret;
}
#define CALL(nr, a, b, c, d, e, f) call(SYS_##nr, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))

static int udp(struct sockaddr_in *at)
{
	socklen_t n = sizeof(*at);
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	*at = (struct sockaddr_in){ .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	CHECK(fd >= 0 && !bind(fd, (struct sockaddr *)at, n) && CALL(getsockname, fd, at, &n, 0, 0, 0) == 0 && n == sizeof(*at));
	return fd;
}

static void datagrams(void)
{
	struct sockaddr_in ours, theirs;
	int a = udp(&ours), b = udp(&theirs), on = 1;

	CHECK(!setsockopt(b, SOL_SOCKET, SO_TIMESTAMP, &on, sizeof(on)));
	for (int i = 0; i < ROUNDS; i++) {
		struct { struct sockaddr_in at; char rest[112]; } from;
		socklen_t n = sizeof(from);
		char byte = (char)i, got[8];
		struct iovec v = { got, 8 };
		char control[64];
		struct msghdr m = { &from, sizeof(from), &v, 1, control, sizeof(control), 0 };

		memset(&from, 0x77, sizeof(from));
		CHECK(CALL(sendto, a, &byte, 1, 0, &theirs, sizeof(theirs)) == 1);
		CHECK(CALL(recvfrom, b, i % 2 ? big : got, i % 2 ? BIG : 8, 0, &from, &n) == 1 && n == sizeof(ours));
		CHECK((i % 2 ? big : got)[0] == byte && !memcmp(&from.at, &ours, sizeof(ours)) && from.rest[0] == 0x77);
		n = 4;   /* too short: the rest of it is not written, and how long it is is told */
		memset(edge - 4, 0x77, 4);
		CHECK(CALL(sendto, a, &byte, 1, MSG_NOSIGNAL, &theirs, sizeof(theirs)) == 1);
		CHECK(CALL(recvfrom, b, got, 8, MSG_DONTWAIT, edge - 4, &n) == 1 && n == sizeof(ours) && !memcmp(edge - 4, &ours, 4));
		n = 16;
		CHECK(CALL(recvfrom, b, got, 8, MSG_DONTWAIT, &from, &n) == -EAGAIN && n == 16);
		CHECK(CALL(sendto, a, "abcdefgh", 8, 0, &theirs, sizeof(theirs)) == 8 && CALL(recvmsg, b, &m, 0, 0, 0, 0) == 8);
		CHECK(m.msg_namelen == sizeof(ours) && !memcmp(&from.at, &ours, sizeof(ours)) && m.msg_controllen == CMSG_SPACE(16));
		CHECK(((struct cmsghdr *)control)->cmsg_type == SO_TIMESTAMP && m.msg_flags == 0);
		n = 1;
		CHECK(CALL(sendto, a, &byte, 1, 0, &theirs, sizeof(theirs)) == 1);
		CHECK(CALL(recvfrom, b, &n, 1, 0, &from, &n) == 1 && n == sizeof(ours));   /* a byte falls upon the length */
		m = (struct msghdr){ &theirs, sizeof(theirs), &v, 1, NULL, 0, 0 };
		CHECK(CALL(sendmsg, a, &m, 0, 0, 0, 0) == 8 && CALL(recvfrom, b, got, 8, 0, NULL, NULL) == 8);
	}
	close(a);
	close(b);
}

static void several(void)
{
	struct sockaddr_in ours, theirs;
	int a = udp(&ours), b = udp(&theirs);

	for (int i = 0; i < ROUNDS; i++) {
		char out[3][4] = { "one", "two", "3" }, in[4][6] = { { 0 } };
		struct sockaddr_in from[4];
		struct iovec vo[3], vi[4];
		struct mmsghdr mo[3] = { { .msg_len = 0 } }, mi[4] = { { .msg_len = 0 } };

		for (int k = 0; k < 4; k++) {
			vi[k] = (struct iovec){ in[k], 6 };
			mi[k] = (struct mmsghdr){ { &from[k], sizeof(from[k]), &vi[k], 1, NULL, 0, 0 }, 99 };
			if (k == 3)
				break;
			vo[k] = (struct iovec){ out[k], 4 - (size_t)k % 2 };
			mo[k] = (struct mmsghdr){ { &theirs, sizeof(theirs), &vo[k], 1, NULL, 0, 0 }, 99 };
		}
		if (i % 4 == 3)   /* what the second brings is the third's list */
			vi[1].iov_base = &vi[2];
		CHECK(CALL(sendmmsg, a, mo, 3, MSG_DONTWAIT, 0, 0) == 3 && mo[0].msg_len == 4 && mo[1].msg_len == 3 && mo[2].msg_len == 4);
		if (i % 4 == 3) {
			CHECK(CALL(recvmmsg, b, mi, 2, MSG_DONTWAIT, NULL, 0) == 2 && !memcmp(&vi[2], "two", 3));
			CHECK(CALL(recvfrom, b, in[2], 6, 0, NULL, NULL) == 4);
		} else {
			CHECK(CALL(recvmmsg, b, mi, 4, MSG_DONTWAIT, NULL, 0) == 3 && !memcmp(in[1], "two", 4) && !memcmp(in[2], "3", 2));
			CHECK(mi[1].msg_len == 3 && mi[2].msg_len == 4 && mi[3].msg_len == 99 && !memcmp(&from[2], &ours, sizeof(ours)));
			CHECK(mi[0].msg_hdr.msg_namelen == sizeof(ours) && mi[3].msg_hdr.msg_namelen == sizeof(ours));
		}
		CHECK(CALL(recvmmsg, b, mi, 4, MSG_DONTWAIT, NULL, 0) == -EAGAIN);
	}
	close(a);
	close(b);
}

static void connections(void)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) }, peer, own;
	socklen_t n = sizeof(at);
	int l = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

	CHECK(!bind(l, (struct sockaddr *)&at, n) && !listen(l, 9) && !getsockname(l, (struct sockaddr *)&at, &n));
	for (int i = 0; i < ROUNDS; i++) {
		int c = (int)CALL(socket, AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0, 0, 0, 0), s, v = 7;
		struct linger wait = { 1, 5 };
		struct { int unused; char before[4]; int len; char after[4]; } o;

		n = sizeof(peer);
		CHECK(CALL(accept4, l, &peer, &n, 0, 0, 0) == -EAGAIN && n == sizeof(peer));
		CHECK(CALL(connect, c, &at, sizeof(at), 0, 0, 0) == -EINPROGRESS);
		do {
			s = (int)CALL(accept4, l, i % 2 ? &peer : NULL, i % 2 ? &n : NULL, SOCK_NONBLOCK, 0, 0);
		} while (s == -EAGAIN);
		CHECK(s >= 0 && n == sizeof(peer));
		n = sizeof(own);
		CHECK(CALL(getsockname, c, &own, &n, 0, 0, 0) == 0 && (i % 2 == 0 || !memcmp(&own, &peer, sizeof(own))));
		CHECK(CALL(getpeername, c, &own, &n, 0, 0, 0) == 0 && !memcmp(&own, &at, sizeof(at)));
		n = sizeof(v);
		CHECK(CALL(getsockopt, c, SOL_SOCKET, SO_ERROR, &v, &n, 0) == 0 && v == 0 && n == 4);
		o.len = 4;   /* the option falls upon its length, in part */
		memset(o.before, 9, 4);
		CHECK(CALL(getsockopt, c, IPPROTO_TCP, TCP_NODELAY, (char *)&o.len - 2, &o.len, 0) == 0 && !o.before[2] && !o.before[3]);
		o.len = 4;
		CHECK(CALL(getsockopt, c, SOL_SOCKET, SO_TYPE, (char *)&o.len + 2, &o.len, 0) == 0 && o.after[0] == 0);
		v = 1;
		CHECK(CALL(setsockopt, c, IPPROTO_TCP, TCP_NODELAY, &v, 4, 0) == 0);
		o.len = 4;
		memset(o.before, 9, 4);
		CHECK(CALL(getsockopt, c, IPPROTO_TCP, TCP_NODELAY, o.before, &o.len, 0) == 0 && o.before[0] == 1 && !o.before[3]);
		CHECK(CALL(getsockopt, c, SOL_SOCKET, SO_ERROR, &v, (void *)8, 0) == -EFAULT);
		CHECK(CALL(getsockopt, 0, SOL_SOCKET, SO_ERROR, &v, &n, 0) == -ENOTSOCK);
		if (i % 3 == 0)
			CHECK(!setsockopt(c, SOL_SOCKET, SO_LINGER, &wait, sizeof(wait)));
		CHECK(CALL(close, c, 0, 0, 0, 0, 0) == 0 && CALL(close, c, 0, 0, 0, 0, 0) == -EBADF);
		while (CALL(recvfrom, s, &v, 4, 0, NULL, NULL) == -EAGAIN)
			;
		CHECK(CALL(close, s, 0, 0, 0, 0, 0) == 0);
	}
	close(l);
}

/* Much room for little, much room for much; and room that ends. */
static void amounts(void)
{
	int s[2];
	long n;

	CHECK(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, s));
	for (int i = 0; i < ROUNDS; i++) {
		long size = i % 4 == 3 ? 100000 : 5000, sent;

		for (long k = 0; k < size; k++)
			big[k] = (char)(k * 7 + i);
		sent = i % 2 ? CALL(write, s[0], big, size, 0, 0, 0) : CALL(sendto, s[0], big, size, 0, NULL, 0);
		CHECK(sent == size);
		memset(big, 0, size);
		n = i % 3 == 0 ? CALL(read, s[1], big, BIG, 0, 0, 0) : CALL(recvfrom, s[1], big, BIG, 0, NULL, NULL);
		CHECK(n > 0 && n <= size);
		for (long k = 0; k < n; k++)
			CHECK(big[k] == (char)(k * 7 + i));
		while (n < size) {
			long more = CALL(recvfrom, s[1], big, BIG, 0, NULL, NULL);

			CHECK(more > 0);
			n += more;
		}
		CHECK(CALL(recvfrom, s[1], big, BIG, 0, NULL, NULL) == -EAGAIN && CALL(read, s[1], big, BIG, 0, 0, 0) == -EAGAIN);
		/* Half of the buffer is there: what arrives there is the program's, whatever the result. */
		memset(edge - 4, 0, 4);
		CHECK(CALL(sendto, s[0], "12345678", 8, 0, NULL, 0) == 8);
		n = i % 2 ? CALL(recvfrom, s[1], edge - 4, 8, 0, NULL, NULL) : CALL(read, s[1], edge - 4, 8, 0, 0, 0);
		CHECK((n == -EFAULT || n == 4) && (edge[-4] == 0 || !memcmp(edge - 4, "1234", 4)));
		while (CALL(recvfrom, s[1], big, BIG, 0, NULL, NULL) > 0)
			;
	}
	/* Who does not wait is told how much was sent; a file may be what is sent. */
	for (int i = 0; i < 4; i++) {
		struct iovec v[20];
		off_t off = 3;
		int fd = open("/proc/self/exe", O_RDONLY);
		long all = 0;

		for (int k = 0; k < 20; k++)
			v[k] = (struct iovec){ big + k * 10000, 10000 };
		while ((n = CALL(writev, s[0], v, 20, 0, 0, 0)) > 0)
			all += n;
		CHECK(n == -EAGAIN && all > 0);
		CHECK(CALL(sendfile, s[0], fd, &off, 100, 0, 0) == -EAGAIN && off == 3);
		while (all && (n = CALL(read, s[1], big, BIG, 0, 0, 0)) > 0)
			all -= n;
		CHECK(all == 0);
		CHECK(CALL(sendfile, s[0], fd, &off, 100, 0, 0) == 100 && off == 103 && CALL(read, s[1], big, BIG, 0, 0, 0) == 100);
		close(fd);
	}
	close(s[0]);
	close(s[1]);
}

static void descriptors(void)
{
	int s[2];

	CHECK(!socketpair(AF_UNIX, SOCK_DGRAM, 0, s));
	for (int i = 0; i < ROUNDS; i++) {
		union { struct cmsghdr h; char room[CMSG_SPACE(3 * sizeof(int))]; } c = { .h = { CMSG_LEN(2 * sizeof(int)), SOL_SOCKET, SCM_RIGHTS } };
		struct sockaddr_un from;
		char byte = 'd', got;
		struct iovec v = { &byte, 1 }, to = { &got, 1 };
		struct msghdr m = { NULL, 0, &v, 1, &c, CMSG_SPACE(2 * sizeof(int)), 0 }, r = { &from, sizeof(from), &to, 1, edge - sizeof(c), sizeof(c), 0 };
		int fd[2] = { s[0], 0 };

		memcpy(CMSG_DATA(&c.h), fd, sizeof(fd));
		CHECK(CALL(sendmsg, s[0], &m, 0, 0, 0, 0) == 1 && CALL(recvmsg, s[1], &r, MSG_CMSG_CLOEXEC, 0, 0, 0) == 1 && got == 'd');
		CHECK(r.msg_namelen == 0 && r.msg_controllen == CMSG_SPACE(2 * sizeof(int)) && r.msg_flags == MSG_CMSG_CLOEXEC);
		memcpy(fd, CMSG_DATA((struct cmsghdr *)r.msg_control), sizeof(fd));
		CHECK(CALL(fcntl, fd[0], F_GETFD, 0, 0, 0, 0) == FD_CLOEXEC && CALL(write, fd[0], "w", 1, 0, 0, 0) == 1);
		CHECK(CALL(read, s[1], &got, 1, 0, 0, 0) == 1 && got == 'w');
		CHECK(CALL(close, fd[0], 0, 0, 0, 0, 0) == 0 && CALL(close, fd[1], 0, 0, 0, 0, 0) == 0);
	}
	close(s[0]);
	close(s[1]);
}

int main(void)
{
	char *at = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	edge = at + 4096;
	CHECK(at != MAP_FAILED && !munmap(edge, 4096));
	datagrams();
	several();
	connections();
	amounts();
	descriptors();
	return guest_done();
}
