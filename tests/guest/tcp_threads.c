/* A small TCP echo server on the loopback with a thread a connection, and clients in threads of the same process; UDP. */
#include "guest.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sys/socket.h>

enum { N_CLIENTS = 3, N_ROUNDS = 20 };
static struct sockaddr_in addr;

static void *serve(void *arg)
{
	int c = (int)(intptr_t)arg;
	char buf[256];
	ssize_t n;

	while ((n = recv(c, buf, sizeof(buf), 0)) > 0)
		CHECK(send(c, buf, (size_t)n, 0) == n);
	close(c);
	return NULL;
}

static void *client(void *arg)
{
	int s = socket(AF_INET, SOCK_STREAM, 0), one = 1;
	char out[64], in[64];

	CHECK(connect(s, (struct sockaddr *)&addr, sizeof(addr)) == 0);
	CHECK(setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) == 0);
	for (int i = 0; i < N_ROUNDS; i++) {
		int n = snprintf(out, sizeof(out), "client %d says %d", (int)(intptr_t)arg, i);

		CHECK(send(s, out, (size_t)n, 0) == n && recv(s, in, (size_t)n, MSG_WAITALL) == n && memcmp(in, out, (size_t)n) == 0);
	}
	CHECK(shutdown(s, SHUT_RDWR) == 0 && close(s) == 0);
	return NULL;
}

int main(void)
{
	socklen_t len = sizeof(addr);
	pthread_t c[N_CLIENTS], h[N_CLIENTS];
	struct sockaddr_in from;
	int l = socket(AF_INET, SOCK_STREAM, 0), u = socket(AF_INET, SOCK_DGRAM, 0), one = 1;
	char buf[16];

	addr.sin_family = AF_INET;
	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	CHECK(setsockopt(l, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) == 0);
	CHECK(bind(l, (struct sockaddr *)&addr, sizeof(addr)) == 0 && listen(l, 8) == 0);
	CHECK(getsockname(l, (struct sockaddr *)&addr, &len) == 0);
	for (int i = 0; i < N_CLIENTS; i++)
		CHECK(pthread_create(&c[i], NULL, client, (void *)(intptr_t)i) == 0);
	for (int i = 0; i < N_CLIENTS; i++) {
		int s;

		len = sizeof(from);
		s = accept4(l, (struct sockaddr *)&from, &len, SOCK_CLOEXEC);
		CHECK(s >= 0 && from.sin_addr.s_addr == addr.sin_addr.s_addr);
		CHECK(pthread_create(&h[i], NULL, serve, (void *)(intptr_t)s) == 0);
	}
	for (int i = 0; i < N_CLIENTS; i++)
		CHECK(pthread_join(c[i], NULL) == 0 && pthread_join(h[i], NULL) == 0);

	addr.sin_port = 0;
	len = sizeof(addr);
	CHECK(bind(u, (struct sockaddr *)&addr, sizeof(addr)) == 0 && getsockname(u, (struct sockaddr *)&addr, &len) == 0);
	CHECK(sendto(u, "datagram", 8, 0, (struct sockaddr *)&addr, sizeof(addr)) == 8);
	len = sizeof(from);
	CHECK(recvfrom(u, buf, sizeof(buf), 0, (struct sockaddr *)&from, &len) == 8 && from.sin_port == addr.sin_port);
	printf("%d rounds\n", N_CLIENTS * N_ROUNDS);
	return guest_done();
}
