/*
 * Counters of events, select, and reads with more room than there are bytes, from one place and often enough that a recorder
 * may have made them cheap: such as wait, and such as do not.
 */
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/select.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include "guest.h"

#define ROUNDS 40
#define BIG 200000

static char big[BIG];

static long call(long nr, long a, long b, long c, long d, long e, long f)
{
	long ret = syscall(nr, a, b, c, d, e, f);

	return ret < 0 ? -errno : ret;
}
#define CALL(nr, a, b, c, d, e, f) call(SYS_##nr, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))

static long put(int fd, uint64_t v)
{
	return CALL(write, fd, &v, 8, 0, 0, 0);
}

static long take(int fd)
{
	uint64_t v;
	long n = CALL(read, fd, &v, 8, 0, 0, 0);

	return n == 8 ? (long)v : n;
}

static void *taker(void *arg)
{
	long sum = 0;

	while (sum < 3 * ROUNDS)
		sum += take(*(int *)arg);
	return (void *)sum;
}

static void counters(void)
{
	int free = eventfd(0, EFD_NONBLOCK), waits = eventfd(0, 0);
	pthread_t t;
	void *sum;

	for (int i = 0; i < ROUNDS; i++) {
		CHECK(take(free) == -EAGAIN && put(free, 5) == 8 && put(free, 1) == 8 && take(free) == 6);
		CHECK(put(free, UINT64_MAX - 1) == 8 && put(free, 1) == -EAGAIN && take(free) == (long)(UINT64_MAX - 1));
		CHECK(put(waits, 1) == 8 && put(waits, 70) == 8 && take(waits) == 71);
		CHECK(CALL(read, free, big, 4, 0, 0, 0) == -EINVAL && CALL(write, free, 8, 8, 0, 0, 0) == -EFAULT);
		CHECK(CALL(read, free, 8, 8, 0, 0, 0) == -EFAULT || take(free) == -EAGAIN);
		while (take(free) > 0)
			;
	}
	CHECK(!pthread_create(&t, NULL, taker, &waits));
	for (int i = 0; i < ROUNDS; i++)
		CHECK(put(waits, 1) == 8 && put(waits, 2) == 8 && (i % 8 || usleep(100) == 0));
	CHECK(!pthread_join(t, &sum) && (long)sum == 3 * ROUNDS);
	close(free);
	close(waits);
}

static void timers_and_signals(void)
{
	struct itimerspec soon = { .it_value.tv_nsec = 1 };
	struct signalfd_siginfo si;
	int free = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK), waits = timerfd_create(CLOCK_MONOTONIC, 0), sig;
	struct pollfd p = { free, POLLIN, 0 };
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	sig = signalfd(-1, &set, SFD_NONBLOCK);
	for (int i = 0; i < ROUNDS; i++) {
		CHECK(take(free) == -EAGAIN && CALL(read, sig, &si, sizeof(si), 0, 0, 0) == -EAGAIN);
		CHECK(!timerfd_settime(free, 0, &soon, NULL) && !timerfd_settime(waits, 0, &soon, NULL));
		CHECK(poll(&p, 1, -1) == 1 && take(free) == 1 && take(waits) == 1);
		CHECK(!kill(getpid(), SIGUSR1));
		memset(&si, 0x33, sizeof(si));
		CHECK(CALL(read, sig, &si, sizeof(si), 0, 0, 0) == sizeof(si) && si.ssi_signo == SIGUSR1 && si.ssi_pid == (uint32_t)getpid());
	}
	close(free);
	close(waits);
	close(sig);
}

static void names(void)
{
	char dir[] = "hot_events_XXXXXX", file[64];
	int in = inotify_init1(IN_NONBLOCK), fd;
	struct inotify_event *e = (struct inotify_event *)big;

	CHECK(mkdtemp(dir) && inotify_add_watch(in, dir, IN_CREATE) > 0);
	snprintf(file, sizeof(file), "%s/file", dir);
	for (int i = 0; i < ROUNDS; i++) {
		CHECK(CALL(read, in, big, 4096, 0, 0, 0) == -EAGAIN && (fd = open(file, O_CREAT | O_WRONLY, 0600)) >= 0);
		close(fd);
		CHECK(CALL(read, in, big, 4096, 0, 0, 0) >= (long)sizeof(*e) + 5 && e->mask == IN_CREATE && !strcmp(e->name, "file"));
		CHECK(unlink(file) == 0);
	}
	close(in);
	CHECK(rmdir(dir) == 0);
}

static long choose(int how, int n, fd_set *r, fd_set *w, fd_set *x, void *limit)
{
	return how ? CALL(pselect6, n, r, w, x, limit, NULL) : CALL(select, n, r, w, x, limit, 0);
}

static void choices(void)
{
	struct { uint64_t set, len; } unmasked = { 0, 8 };
	int p[2];
	char c;

	CHECK(!pipe(p));
	for (int i = 0; i < 2 * ROUNDS; i++) {
		long limit[2] = { i % 5 == 0, 0 }, none[2] = { 0, 0 };
		int n = (p[0] > p[1] ? p[0] : p[1]) + 1;
		fd_set r, w;

		FD_ZERO(&r);
		FD_SET(p[0], &r);
		w = r;
		CHECK(choose(i % 2, n, &r, NULL, NULL, none) == 0 && !FD_ISSET(p[0], &r) && !none[0]);
		FD_SET(p[0], &r);
		FD_SET(p[1], &w);
		CHECK(choose(i % 2, n, &r, &w, NULL, i % 3 ? limit : NULL) == 1 && !FD_ISSET(p[0], &r) && FD_ISSET(p[1], &w) && limit[0] <= 1);
		CHECK(write(p[1], "x", 1) == 1);
		/* One set is another one, or its neighbour; the last one written counts. */
		FD_ZERO(&r);
		FD_SET(p[0], &r);
		FD_SET(p[1], &r);
		CHECK(choose(i % 2, n, &r, &r, NULL, NULL) == 2 && !FD_ISSET(p[0], &r) && FD_ISSET(p[1], &r));
		FD_SET(p[0], &r);
		CHECK(choose(i % 2, n, &r, NULL, &r, NULL) == 1 && !FD_ISSET(p[0], &r) && !FD_ISSET(p[1], &r));
		FD_SET(p[0], &r);
		CHECK(CALL(pselect6, n, &r, NULL, NULL, NULL, &unmasked) == 1 && FD_ISSET(p[0], &r));
		CHECK(choose(i % 2, n, (fd_set *)8, NULL, NULL, NULL) == -EFAULT && choose(i % 2, -1, &r, NULL, NULL, NULL) == -EINVAL);
		limit[0] = -1;
		CHECK(choose(i % 2, n, &r, NULL, NULL, limit) == -EINVAL);
		/* The time that is left falls upon the set. */
		limit[0] = (long)(1ul << p[0]);
		limit[1] = 0;
		CHECK(choose(i % 2, n, (fd_set *)limit, NULL, NULL, limit) == 1);
		CHECK(read(p[0], &c, 1) == 1 && c == 'x');
	}
	close(p[0]);
	close(p[1]);
}

static void room(void)
{
	FILE *f = tmpfile();
	int fd = fileno(f), zero = open("/dev/zero", O_RDONLY), p[2];

	CHECK(!pipe(p));
	for (int i = 0; i < BIG; i++)
		big[i] = (char)(i % 241);
	CHECK(write(fd, big, 100000) == 100000);
	for (int i = 0; i < ROUNDS; i++) {
		long at = i % 2 ? 90000 : 10;

		memset(big, 1, BIG);
		CHECK(CALL(pread64, fd, big, BIG, at, 0, 0) == 100000 - at && big[0] == (char)(at % 241) && big[99999 - at] == (char)(99999 % 241));
		CHECK(CALL(lseek, fd, at, SEEK_SET, 0, 0, 0) == at && CALL(read, fd, big, BIG, 0, 0, 0) == 100000 - at);
		CHECK(CALL(read, fd, big, BIG, 0, 0, 0) == 0 && CALL(lseek, fd, 0, SEEK_CUR, 0, 0, 0) == 100000);
		CHECK(CALL(pread64, fd, big, BIG, 200000, 0, 0) == 0 && CALL(pread64, fd, big, BIG, -1, 0, 0) == -EINVAL);
		CHECK(CALL(read, zero, big, BIG, 0, 0, 0) == BIG && !big[0] && !big[BIG - 1]);
		CHECK(write(p[1], "pipe", 4) == 4 && CALL(read, p[0], big, BIG, 0, 0, 0) == 4 && big[3] == 'e');
	}
	close(p[0]);
	close(p[1]);
	close(zero);
	fclose(f);
}

int main(void)
{
	counters();
	timers_and_signals();
	names();
	choices();
	room();
	return guest_done();
}
