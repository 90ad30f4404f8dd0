/*
 * Calls from one place, first often enough that a recorder may have made them cheap, then such as need care: bad
 * pointers, flags, errors that are told once, waits, and writes of which a part would fit.
 */
#include <fcntl.h>
#include <linux/futex.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/utsname.h>
#include "guest.h"

#define WARM 40

static char *page, *edge;   /* readable and writable; and where that ends */
static void *const bad = (void *)0x10;

static long call(long nr, long a, long b, long c, long d)
{
	long ret = syscall(nr, a, b, c, d, 0, 0);

	return ret < 0 ? -errno : ret;
}
#define CALL(nr, a, b, c, d) call(nr, (long)(a), (long)(b), (long)(c), (long)(d))

static void warm_up(void)
{
	for (int i = 0; i < WARM; i++)
		CHECK(CALL(SYS_getppid, 0, 0, 0, 0) == getppid());
}

static void bad_pointers(int fd)
{
	struct pollfd p[2] = { { fd, POLLOUT, 0 }, { -1, 0, 0 } };
	void *const wild = (void *)0x8000000000000000ul;

	for (int i = 0; i < 3; i++) {
		void *const at[] = { bad, wild, edge };
		void *where = at[i];

		CHECK(CALL(SYS_poll, where, 1, 0, 0) == -EFAULT);
		CHECK(CALL(SYS_clock_gettime, 1, where, 0, 0) == -EFAULT);
		CHECK(CALL(SYS_gettimeofday, where, 0, 0, 0) == -EFAULT);
		CHECK(CALL(SYS_pread64, fd, where, 8, 0) == -EFAULT);
		CHECK(CALL(SYS_pwrite64, fd, where, 8, 0) == -EFAULT);
		CHECK(CALL(SYS_preadv, fd, where, 1, 0) == -EFAULT);
		CHECK(CALL(SYS_readv, fd, where, 1, 0) == -EFAULT);
		CHECK(CALL(SYS_writev, fd, where, 1, 0) == -EFAULT);
		CHECK(CALL(SYS_fstat, fd, where, 0, 0) == -EFAULT);
		CHECK(CALL(SYS_stat, where, page, 0, 0) == -EFAULT);
		CHECK(CALL(SYS_open, where, O_RDONLY, 0, 0) == -EFAULT);
		CHECK(CALL(SYS_uname, where, 0, 0, 0) == -EFAULT);
		CHECK(CALL(SYS_getrandom, where, 8, 0, 0) == -EFAULT);
		CHECK(CALL(SYS_getrusage, RUSAGE_SELF, where, 0, 0) == -EFAULT);
		CHECK(CALL(SYS_ppoll, where, 1, 0, 0) == -EFAULT);
		CHECK(CALL(SYS_futex, (long)where & ~3L, FUTEX_WAKE_PRIVATE, 1, 0) >= -EFAULT);
	}
	CHECK(CALL(SYS_poll, p, 2, 0, 0) == 1 && p[0].revents == POLLOUT);
	/* Half of it can be read, and nothing may have changed for the half that could be written. */
	memset(edge - 8, 0x55, 8);
	CHECK(CALL(SYS_poll, edge - 8, 2, 0, 0) == -EFAULT && edge[-1] == 0x55);
	CHECK(CALL(SYS_clock_gettime, 1, edge - 8, 0, 0) == -EFAULT);
	CHECK(CALL(SYS_clock_gettime, 1, 0, 0, 0) == -EFAULT);
	CHECK(CALL(SYS_clock_gettime, 99, page, 0, 0) == -EINVAL);
	CHECK(CALL(SYS_read, fd, edge - 4, 8, 0) >= -EFAULT);
}

static void blocked_signal_and_bad_pointer(void)
{
	struct sigaction sa;
	sigset_t set, old, now;

	sigemptyset(&set);
	sigaddset(&set, SIGSEGV);
	sigprocmask(SIG_BLOCK, &set, &old);
	CHECK(CALL(SYS_poll, bad, 1, 0, 0) == -EFAULT);
	CHECK(CALL(SYS_clock_gettime, 1, bad, 0, 0) == -EFAULT);
	sigprocmask(SIG_SETMASK, &old, &now);
	CHECK(sigismember(&now, SIGSEGV));
	signal(SIGSEGV, SIG_IGN);
	CHECK(CALL(SYS_poll, bad, 1, 0, 0) == -EFAULT);
	CHECK(!sigaction(SIGSEGV, NULL, &sa) && sa.sa_handler == SIG_IGN);
	signal(SIGSEGV, SIG_DFL);
}

static volatile sig_atomic_t pipes_broken;

static void on_pipe(int sig)
{
	(void)sig;
	pipes_broken++;
}

/* A socket tells an error once. */
static void errors_told_once(void)
{
	int s[2], p[2];
	char c = 'x';

	signal(SIGPIPE, on_pipe);
	for (int i = 0; i < 4; i++) {
		CHECK(!socketpair(AF_UNIX, SOCK_STREAM, 0, s));
		CHECK(CALL(SYS_write, s[0], &c, 1, 0) == 1 && CALL(SYS_read, s[1], &c, 1, 0) == 1);
		CHECK(CALL(SYS_write, s[0], &c, 1, 0) == 1);
		close(s[1]);   /* with a byte unread */
		CHECK((i % 2 ? CALL(SYS_recvfrom, s[0], &c, 1, 0) : CALL(SYS_read, s[0], &c, 1, 0)) == -ECONNRESET);
		CHECK((i % 2 ? CALL(SYS_recvfrom, s[0], &c, 1, 0) : CALL(SYS_read, s[0], &c, 1, 0)) == 0);
		CHECK((i % 2 ? CALL(SYS_sendto, s[0], &c, 1, 0) : CALL(SYS_write, s[0], &c, 1, 0)) == -EPIPE);
		close(s[0]);
		CHECK(!pipe(p) && CALL(SYS_write, p[1], &c, 1, 0) == 1);
		close(p[0]);
		CHECK(CALL(SYS_write, p[1], &c, 1, 0) == -EPIPE);
		close(p[1]);
		CHECK(pipes_broken == 2 * (i + 1));
	}
}

static void not_waiting(void)
{
	struct epoll_event ev = { .events = EPOLLIN | EPOLLET };
	struct timespec none = { 0, 0 };
	struct pollfd pfd;
	int s[2], e = epoll_create1(0), word = 5;
	char c = 'x';

	CHECK(!socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	CHECK(CALL(SYS_write, s[0], &c, 1, 0) == 1 && CALL(SYS_read, s[1], &c, 1, 0) == 1);
	CHECK(CALL(SYS_recvfrom, s[1], &c, 1, MSG_DONTWAIT) == -EAGAIN);
	fcntl(s[1], F_SETFL, O_NONBLOCK);
	CHECK(CALL(SYS_read, s[1], &c, 1, 0) == -EAGAIN);
	CHECK(CALL(SYS_recvfrom, s[1], &c, 1, 0) == -EAGAIN);
	pfd = (struct pollfd){ s[1], POLLIN, 0x7f };
	CHECK(CALL(SYS_poll, &pfd, 1, 0, 0) == 0 && pfd.revents == 0);
	pfd.revents = 0x7f;
	CHECK(CALL(SYS_ppoll, &pfd, 1, &none, 0) == 0 && pfd.revents == 0);
	CHECK(!epoll_ctl(e, EPOLL_CTL_ADD, s[1], &ev));
	CHECK(CALL(SYS_epoll_wait, e, page, 4, 0) == 0);
	CHECK(CALL(SYS_write, s[0], &c, 1, 0) == 1);
	CHECK(CALL(SYS_epoll_wait, e, page, 4, -1) == 1);
	CHECK(CALL(SYS_epoll_wait, e, page, 4, 0) == 0);   /* the edge was told */
	CHECK(CALL(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 4, 0) == -EAGAIN);
	CHECK(CALL(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 5, &none) == -ETIMEDOUT);
	CHECK(CALL(SYS_futex, &word, FUTEX_WAKE_PRIVATE, 1, 0) == 0);
	close(s[0]);
	close(s[1]);
	close(e);
}

#define PIECE 4096
#define PIECES 200

struct flow {
	int in;
	long got;
};

static void *slow_reader(void *arg)
{
	struct flow *f = arg;
	static char bytes[100000];
	long n;

	do {
		usleep(300);
		n = read(f->in, bytes, sizeof(bytes));
		for (long i = 0; i < n; i++)
			CHECK(bytes[i] == (char)((f->got + i) % PIECE % 251));
		f->got += n > 0 ? n : 0;
	} while (n > 0);
	return NULL;
}

/* Who waits is never told that a part was sent. */
static void whole_or_wait(int out, int in)
{
	static char bytes[PIECE];
	struct flow f = { in, 0 };
	pthread_t reader;

	for (int i = 0; i < PIECE; i++)
		bytes[i] = (char)(i % 251);
	CHECK(!pthread_create(&reader, NULL, slow_reader, &f));
	for (int i = 0; i < PIECES; i++)
		CHECK((i % 2 ? CALL(SYS_write, out, bytes, PIECE, 0) : CALL(SYS_sendto, out, bytes, PIECE, 0)) == PIECE);
	close(out);
	CHECK(!pthread_join(reader, NULL));
	CHECK(f.got == (long)PIECE * PIECES);
	close(in);
}

static void through_tcp(void)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t n = sizeof(at);
	int l = socket(AF_INET, SOCK_STREAM, 0), out = socket(AF_INET, SOCK_STREAM, 0), in, room = 10000;

	CHECK(!bind(l, (struct sockaddr *)&at, n) && !listen(l, 1) && !getsockname(l, (struct sockaddr *)&at, &n));
	setsockopt(out, SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
	setsockopt(l, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room));
	CHECK(!connect(out, (struct sockaddr *)&at, n));
	in = accept(l, NULL, NULL);
	close(l);
	whole_or_wait(out, in);
}

static void vectors(int fd)
{
	struct iovec v[20];

	for (int i = 0; i < 20; i++)
		v[i] = (struct iovec){ page + 19 * 8 - i * 8, 8 };
	memset(page, 0, 4096);
	for (long n = 1; n <= 20; n++) {
		CHECK(CALL(SYS_preadv, fd, v, n, 3) == n * 8);
		CHECK(memcmp(page + 19 * 8, "34567", 5) == 0);
	}
	CHECK(memcmp(page, "56789012", 8) == 0);
	CHECK(lseek(fd, 0, SEEK_SET) == 0 && CALL(SYS_readv, fd, v, 2, 0) == 16 && page[19 * 8] == '0');
}

#define FLAGS_OF_RESULTS 0x8d5ul   /* CF, PF, AF, ZF, SF, OF */
#define FLAG_DF 0x400ul
#define FLAG_ID 0x200000ul

static unsigned long flags_after_call(unsigned long flags)
{
	unsigned long pid = SYS_getpid, r11;

	__asm__ volatile("sub $128, %%rsp; push %[flags]; popfq; syscall; pushfq; pop %[flags]; cld; add $128, %%rsp; mov %%r11, %[r11]"
			 : "+a"(pid), [flags] "+r"(flags), [r11] "=r"(r11) : : "rcx", "r11", "memory", "cc");
	CHECK((long)pid == getpid() && r11 == flags);
	return flags;
}

/* A call leaves the flags as they are, and puts them into r11. */
static void flags(void)
{
	for (unsigned long i = 0; i < 2000; i++) {
		unsigned long want = i * 0x9e3779b97f4a7c15ul >> 40 & (FLAGS_OF_RESULTS | FLAG_DF | FLAG_ID);

		want = (i % 2 ? want & FLAGS_OF_RESULTS : want) | 0x202;
		CHECK(flags_after_call(want) == want);
	}
}

int main(void)
{
	char name[] = "hot_calls_XXXXXX";
	int fd = mkstemp(name), s[2];

	page = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	edge = page + 4096;
	CHECK(fd >= 0 && !mprotect(edge, 4096, PROT_NONE));
	unlink(name);
	for (int i = 0; i < 100; i++)
		CHECK(write(fd, "0123456789", 10) == 10);
	warm_up();
	for (int i = 0; i < 3; i++)
		bad_pointers(fd);
	blocked_signal_and_bad_pointer();
	vectors(fd);
	flags();
	errors_told_once();
	not_waiting();
	CHECK(!socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	whole_or_wait(s[0], s[1]);
	through_tcp();
	return guest_done();
}
