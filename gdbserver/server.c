#include "gdbserver/server.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/scope.h"
#include "gdbserver/session.h"

#define READ_MAX 65536

struct connection {
	int in_fd, out_fd;
};

static int wait_for(int fd, short events, int timeout_ms)
{
	struct pollfd p = { .fd = fd, .events = events };
	int n;

	do {
		n = poll(&p, 1, timeout_ms);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

/* One read into the queue. Bytes, 0 at the end of input, or -errno; -EAGAIN: nothing there yet. */
static ssize_t receive(int fd, struct wire *wire)
{
	uint8_t data[READ_MAX];
	size_t room = wire_room(wire);
	ssize_t n;
	int err;

	n = read(fd, data, room < sizeof(data) ? room : sizeof(data));
	if (n < 0)
		return errno == EINTR ? -EAGAIN : errno == ECONNRESET ? 0 : -errno;
	if (n == 0)
		return 0;
	err = wire_push(wire, data, (size_t)n);
	return err < 0 ? err : n;
}

/* While the target runs: take in what has come, but never wait. A full queue is left for later. */
static bool pump(void *arg, struct wire *wire)
{
	struct connection *c = arg;
	ssize_t n;

	if (!wire_room(wire) || wait_for(c->in_fd, POLLIN, 0) <= 0)
		return true;
	n = receive(c->in_fd, wire);
	return n > 0 || n == -EAGAIN;
}

/* A socket whose other end is gone must not raise SIGPIPE. */
static ssize_t write_quietly(int fd, const void *data, size_t n)
{
	ssize_t done = send(fd, data, n, MSG_NOSIGNAL);

	return done < 0 && errno == ENOTSOCK ? write(fd, data, n) : done;
}

/* 0, 1 if nobody reads any more, or -errno. */
static int flush(struct connection *c, struct buf *out)
{
	size_t done = 0;

	if (out->err)
		return out->err;
	while (done < out->n) {
		ssize_t n = write_quietly(c->out_fd, out->p + done, out->n - done);

		if (n < 0 && errno == EAGAIN)
			n = wait_for(c->out_fd, POLLOUT, -1) < 0 ? -1 : 0;
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EPIPE || errno == ECONNRESET ? 1 : -errno;
		done += (size_t)n;
	}
	buf_clear(out);
	return 0;
}

/* Failures show again when the reply follows. */
static void flush_now(void *arg, struct buf *out)
{
	flush(arg, out);
}

static int serve(struct session *s, struct connection *c)
{
	while (s->life != LIFE_OVER) {
		bool more = session_work(s);
		int ret = flush(c, &s->out);
		ssize_t n;

		if (ret)
			return ret < 0 ? ret : 0;
		if (more)
			continue;
		if (s->life == LIFE_OVER)
			break;
		ret = wait_for(c->in_fd, POLLIN, -1);
		if (ret < 0)
			return ret;
		n = receive(c->in_fd, &s->wire);
		if (n == 0)
			break;
		if (n < 0 && n != -EAGAIN)
			return (int)n;
	}
	return 0;
}

int gdbserver_run(struct target *t, int in_fd, int out_fd)
{
	struct connection c = { .in_fd = in_fd, .out_fd = out_fd };
	struct session *s;
	int err = session_new(t, &s);

	if (err)
		return err;
	s->pump = pump;
	s->flush = flush_now;
	s->hook_arg = &c;
	err = serve(s, &c);
	session_free(s);
	return err;
}

static int listen_on(const struct addrinfo *ai)
{
	autoclose int fd = socket(ai->ai_family, ai->ai_socktype | SOCK_CLOEXEC, ai->ai_protocol);
	int on = 1;

	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, ai->ai_addr, ai->ai_addrlen) < 0 || listen(fd, 1) < 0)
		return -errno;
	return take_fd(&fd);
}

static int bound_port(int fd)
{
	struct sockaddr_storage addr;
	socklen_t n = sizeof(addr);

	if (getsockname(fd, (struct sockaddr *)&addr, &n) < 0)
		return -errno;
	if (addr.ss_family == AF_INET6)
		return ntohs(((struct sockaddr_in6 *)&addr)->sin6_port);
	return ntohs(((struct sockaddr_in *)&addr)->sin_port);
}

int gdbserver_listen(const char *host, int port, int *ret_port)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV }, *list;
	char service[16];
	int fd = -ENOENT, actual;

	if (port < 0 || port > 65535)
		return -EINVAL;
	snprintf(service, sizeof(service), "%d", port);
	if (getaddrinfo(host ? host : "127.0.0.1", service, &hints, &list))
		return -ENOENT;
	for (const struct addrinfo *ai = list; ai && fd < 0; ai = ai->ai_next)
		fd = listen_on(ai);
	freeaddrinfo(list);
	if (fd < 0)
		return fd;
	actual = bound_port(fd);
	if (actual < 0) {
		close(fd);
		return actual;
	}
	if (ret_port)
		*ret_port = actual;
	return fd;
}

int gdbserver_accept(int listen_fd)
{
	int on = 1, fd;

	do {
		fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC);
	} while (fd < 0 && errno == EINTR);
	if (fd < 0)
		return -errno;
	/* Small packets, each answered before the next: waiting to fill segments would cost 40 ms a packet. */
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	return fd;
}
