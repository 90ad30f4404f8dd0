/* The server on real descriptors: sockets, pipes, a TCP port. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fake_target.h"
#include "gdbserver/server.h"

#define SECONDS 60

struct served {
	struct fake *fake;
	int in_fd, out_fd, result;
	pthread_t thread;
};

static void *serve(void *arg)
{
	struct served *v = arg;

	v->result = gdbserver_run(&v->fake->target, v->in_fd, v->out_fd);
	shutdown(v->out_fd, SHUT_WR);
	return NULL;
}

static struct fake *fake_alone(void)
{
	struct fake *f = fake_new();

	session_free(f->s);
	f->s = NULL;
	return f;
}

static void serve_start(struct served *v, int in_fd, int out_fd)
{
	v->fake = fake_alone();
	v->in_fd = in_fd;
	v->out_fd = out_fd;
	assert_int_equal(pthread_create(&v->thread, NULL, serve, v), 0);
}

static void serve_join(struct served *v, int expected)
{
	pthread_join(v->thread, NULL);
	assert_int_equal(v->result, expected);
	assert_null(v->fake->target.interrupted);
	free(v->fake);
}

/* Exactly this must come back. */
static void expect(int fd, const char *text)
{
	char got[4096];
	size_t n = 0, want = strlen(text);

	while (n < want) {
		ssize_t more = read(fd, got + n, want - n);

		assert_true(more > 0);
		n += (size_t)more;
	}
	assert_memory_equal(got, text, want);
}

static void say(int fd, const char *text)
{
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
}

static void conversation_ends_with_the_connection(void **state)
{
	struct served v;
	int pair[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	serve_start(&v, pair[0], pair[0]);
	say(pair[1], "$qC#b4");
	expect(pair[1], "+$QC100#25");
	say(pair[1], "+$qC");
	close(pair[1]);
	serve_join(&v, 0);
	close(pair[0]);
}

static void conversation_ends_with_detach_and_kill(void **state)
{
	static const char *const last[] = { "$D#44", "$k#6b" };

	(void)state;
	for (int i = 0; i < 2; i++) {
		struct served v;
		int pair[2];

		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
		serve_start(&v, pair[0], pair[0]);
		say(pair[1], last[i]);
		expect(pair[1], i ? "+" : "+$OK#9a");
		serve_join(&v, 0);
		close(pair[0]);
		close(pair[1]);
	}
}

static void pipes_serve_as_well(void **state)
{
	struct served v;
	int to[2], from[2];

	(void)state;
	assert_int_equal(pipe(to) | pipe(from), 0);
	serve_start(&v, to[0], from[1]);
	say(to[1], "$qC#b4");
	expect(from[0], "+$QC100#25");
	close(to[1]);
	serve_join(&v, 0);
	close(to[0]), close(from[0]), close(from[1]);
}

static void interrupt_reaches_a_target_that_runs(void **state)
{
	struct served v;
	int pair[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	v.fake = fake_alone();
	v.fake->polls = INT32_MAX;        /* it runs until it is asked to stop */
	v.in_fd = v.out_fd = pair[0];
	assert_int_equal(pthread_create(&v.thread, NULL, serve, &v), 0);
	say(pair[1], "$vCont;c#a8");
	expect(pair[1], "+");
	usleep(20000);
	say(pair[1], "\3");
	expect(pair[1], "$T02thread:100;");
	say(pair[1], "$bc#c5");
	usleep(20000);
	close(pair[1]);                   /* and gives up when nobody listens any more */
	serve_join(&v, 0);
	close(pair[0]);
}

static void reader_that_is_gone_is_no_error(void **state)
{
	struct served v;
	int pair[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	say(pair[1], "$g#67$g#67$g#67");
	close(pair[1]);
	serve_start(&v, pair[0], pair[0]);
	serve_join(&v, 0);
	close(pair[0]);
}

static void broken_descriptor_is_an_error(void **state)
{
	struct fake *f = fake_alone();
	int fd = open("/dev/null", O_WRONLY);

	(void)state;
	assert_int_equal(gdbserver_run(&f->target, fd, fd), -EBADF);
	close(fd);
	free(f);
}

static void large_answers_cross_a_descriptor_that_does_not_block(void **state)
{
	struct served v;
	int pair[2];
	size_t n = 0;
	char got[65536];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
	fcntl(pair[1], F_SETFL, 0);
	serve_start(&v, pair[0], pair[0]);
	for (int i = 0; i < 100; i++)
		say(pair[1], "$m400000,3000#80");
	shutdown(pair[1], SHUT_WR);
	usleep(20000);
	for (ssize_t more; (more = read(pair[1], got, sizeof(got))) > 0; )
		n += (size_t)more;
	assert_true(n > 100 * 2 * FAKE_MEM_N);
	serve_join(&v, 0);
	close(pair[0]);
	close(pair[1]);
}

static void port_is_told_and_connectable(void **state)
{
	struct sockaddr_in addr = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct served v;
	int port = 0, listen_fd, client, fd;

	(void)state;
	listen_fd = gdbserver_listen(NULL, 0, &port);
	assert_true(listen_fd >= 0 && port > 0);
	assert_int_equal(gdbserver_listen("127.0.0.1", port, NULL), -EADDRINUSE);
	assert_int_equal(gdbserver_listen("no such host", 0, NULL), -ENOENT);
	assert_int_equal(gdbserver_listen(NULL, 70000, NULL), -EINVAL);
	addr.sin_port = htons((uint16_t)port);
	client = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(connect(client, (struct sockaddr *)&addr, sizeof(addr)), 0);
	fd = gdbserver_accept(listen_fd);
	assert_true(fd >= 0);
	serve_start(&v, fd, fd);
	say(client, "$qC#b4");
	expect(client, "+$QC100#25");
	close(client);
	serve_join(&v, 0);
	close(fd);
	close(listen_fd);
	assert_int_equal(gdbserver_accept(-1), -EBADF);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(conversation_ends_with_the_connection),
		cmocka_unit_test(conversation_ends_with_detach_and_kill),
		cmocka_unit_test(pipes_serve_as_well),
		cmocka_unit_test(interrupt_reaches_a_target_that_runs),
		cmocka_unit_test(reader_that_is_gone_is_no_error),
		cmocka_unit_test(broken_descriptor_is_an_error),
		cmocka_unit_test(large_answers_cross_a_descriptor_that_does_not_block),
		cmocka_unit_test(port_is_told_and_connectable),
	};

	alarm(SECONDS);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
