/* Unix sockets: a pair between processes, a descriptor passed over it (SCM_RIGHTS), datagrams, a named listener. */
#include "guest.h"
#include <sys/socket.h>
#include <sys/un.h>

static void send_fd(int sock, int fd)
{
	char control[CMSG_SPACE(sizeof(int))] = { 0 }, c = 'f';
	struct iovec iov = { &c, 1 };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control) };
	struct cmsghdr *h = CMSG_FIRSTHDR(&m);

	h->cmsg_level = SOL_SOCKET;
	h->cmsg_type = SCM_RIGHTS;
	h->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(h), &fd, sizeof(int));
	CHECK(sendmsg(sock, &m, 0) == 1);
}

static int recv_fd(int sock)
{
	char control[CMSG_SPACE(sizeof(int))], c;
	struct iovec iov = { &c, 1 };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control) };
	int fd;

	CHECK(recvmsg(sock, &m, 0) == 1 && c == 'f' && CMSG_FIRSTHDR(&m));
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof(int));
	return fd;
}

int main(void)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int s[2], p[2], l, c;
	char buf[100];
	pid_t pid;

	CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, s) == 0 && pipe(p) == 0);
	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0) {
		int fd = recv_fd(s[1]);

		CHECK(write(fd, "through the passed pipe", 23) == 23);
		CHECK(recv(s[1], buf, sizeof(buf), 0) == 4 && send(s[1], buf, 4, 0) == 4);
		_exit(0);
	}
	send_fd(s[0], p[1]);
	CHECK(read(p[0], buf, sizeof(buf)) == 23 && memcmp(buf, "through", 7) == 0);
	CHECK(send(s[0], "ping", 4, 0) == 4 && recv(s[0], buf, sizeof(buf), 0) == 4 && memcmp(buf, "ping", 4) == 0);
	CHECK(guest_wait(pid) == 0);

	CHECK(socketpair(AF_UNIX, SOCK_DGRAM, 0, s) == 0);
	CHECK(send(s[0], "one", 3, 0) == 3 && send(s[0], "three", 5, 0) == 5);
	CHECK(recv(s[1], buf, sizeof(buf), MSG_PEEK) == 3 && recv(s[1], buf, sizeof(buf), 0) == 3);
	CHECK(recv(s[1], buf, 2, MSG_TRUNC) == 5 && recv(s[1], buf, 1, MSG_DONTWAIT) == -1 && errno == EAGAIN);

	snprintf(a.sun_path, sizeof(a.sun_path), "/tmp/relive-guest-sock-%d", (int)getpid());
	unlink(a.sun_path);
	l = socket(AF_UNIX, SOCK_STREAM, 0);
	CHECK(bind(l, (struct sockaddr *)&a, sizeof(a)) == 0 && listen(l, 4) == 0);
	pid = fork();
	if (pid == 0) {
		c = socket(AF_UNIX, SOCK_STREAM, 0);
		CHECK(connect(c, (struct sockaddr *)&a, sizeof(a)) == 0 && write(c, "named", 5) == 5);
		_exit(0);
	}
	c = accept(l, NULL, NULL);
	CHECK(c >= 0 && read(c, buf, sizeof(buf)) == 5 && guest_wait(pid) == 0 && read(c, buf, 1) == 0);
	CHECK(unlink(a.sun_path) == 0);
	return guest_done();
}
