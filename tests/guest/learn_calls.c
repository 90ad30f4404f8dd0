/* Calls whose outputs lie behind several pointers, or in odd places: for recordings that have to find them by watching. */
#include "guest.h"

#include <fcntl.h>
#include <linux/keyctl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <sys/uio.h>
#include <sys/utsname.h>
#include <termios.h>

#define N_MSG 3
#define N_PART 4
#define PART 5000

static uint64_t sum_of(const void *p, size_t n)
{
	const unsigned char *at = p;
	uint64_t sum = 14695981039346656037u;

	for (size_t i = 0; i < n; i++)
		sum = (sum ^ at[i]) * 1099511628211u;
	return sum;
}

/* Each array in a mapping of its own: nothing is found by being next to something. */
static void *apart(size_t n)
{
	void *p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CHECK(p != MAP_FAILED);
	return p;
}

/* Three levels: messages, their vectors, the parts; more pages than fit into a struct. */
static void messages(void)
{
	struct mmsghdr *in = apart(N_MSG * sizeof(*in));
	unsigned char text[N_PART * PART];
	uint64_t sum = 0;
	int s[2];

	CHECK(socketpair(AF_UNIX, SOCK_DGRAM, 0, s) == 0);
	for (int m = 0; m < N_MSG; m++) {
		struct iovec *v = apart(4096 + N_PART * sizeof(*v));

		v = (struct iovec *)((char *)v + 1024);   /* not at the page's beginning */
		for (int i = 0; i < N_PART; i++)
			v[i] = (struct iovec){ (char *)apart(PART + 4096) + 100 * i, PART };
		in[m].msg_hdr = (struct msghdr){ .msg_iov = v, .msg_iovlen = N_PART, .msg_control = apart(4096), .msg_controllen = 512 };
		for (size_t i = 0; i < sizeof(text); i++)
			text[i] = (unsigned char)(i * 7 + i / 251 + (size_t)m);
		CHECK(send(s[0], text, sizeof(text), 0) == sizeof(text));
	}
	CHECK(recvmmsg(s[1], in, N_MSG, 0, NULL) == N_MSG);
	for (int m = 0; m < N_MSG; m++) {
		CHECK(in[m].msg_len == sizeof(text));
		for (int i = 0; i < N_PART; i++)
			sum = sum * 31 + sum_of(in[m].msg_hdr.msg_iov[i].iov_base, PART);
	}
	printf("messages %016llx\n", (unsigned long long)sum);
	close(s[0]);
	close(s[1]);
}

/* Into read-only memory nothing is written; into memory that was never touched it is. */
static void vectors(void)
{
	int fd = open("/proc/self/exe", O_RDONLY);
	char *fresh = apart(1 << 20), *none = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct iovec v[3] = { { fresh + 4090, 70000 }, { fresh + 500000, 3 }, { fresh + 900001, 20000 } };

	CHECK(preadv(fd, v, 3, 1) > 10000);
	printf("vectors %016llx\n", (unsigned long long)sum_of(fresh, 1 << 20));
	CHECK(pread(fd, none, 100, 0) == -1 && errno == EFAULT);
	CHECK(pread(fd, fresh, 1 << 20, 0) > 10000);
	printf("again %016llx\n", (unsigned long long)sum_of(fresh, 1 << 20));
	close(fd);
}

static void options(void)
{
	struct tcp_info info;
	struct linger linger;
	struct timeval tv;
	char name[16];
	int s = socket(AF_INET, SOCK_STREAM, 0), value;
	socklen_t n = sizeof(value);

	CHECK(getsockopt(s, SOL_SOCKET, SO_RCVBUF, &value, &n) == 0 && n == sizeof(value));
	printf("rcvbuf %d\n", value);
	n = sizeof(linger);
	CHECK(getsockopt(s, SOL_SOCKET, SO_LINGER, &linger, &n) == 0);
	n = sizeof(tv);
	CHECK(getsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &tv, &n) == 0);
	n = sizeof(info);
	CHECK(getsockopt(s, IPPROTO_TCP, TCP_INFO, &info, &n) == 0);
	printf("linger %d timeout %ld tcp %d of %u bytes\n", linger.l_onoff, (long)tv.tv_sec, info.tcpi_state, (unsigned)n);
	CHECK(prctl(PR_SET_NAME, "learner") == 0 && prctl(PR_GET_NAME, name) == 0);
	CHECK(prctl(PR_GET_PDEATHSIG, &value) == 0);
	printf("name %s, signal %d\n", name, value);
	close(s);
}

static void devices(void)
{
	struct winsize size = { .ws_row = 25, .ws_col = 80 }, got = { 0 };
	struct termios t;
	int master = posix_openpt(O_RDWR | O_NOCTTY), n = 0, zero = 0;
	char slave[64];

	if (master < 0)
		return;
	CHECK(ioctl(master, TIOCGPTN, &n) == 0 && ioctl(master, TIOCSPTLCK, &zero) == 0);
	CHECK(ptsname_r(master, slave, sizeof(slave)) == 0);
	CHECK(ioctl(master, TIOCSWINSZ, &size) == 0 && ioctl(master, TIOCGWINSZ, &got) == 0);
	CHECK(tcgetattr(master, &t) == 0);
	printf("terminal %d by %d, flags %x\n", got.ws_row, got.ws_col, (unsigned)t.c_lflag);
	close(master);
}

static void keys(void)
{
	char secret[64] = "";
	long key = syscall(SYS_add_key, "user", "relive-guest", "a secret", 8, KEY_SPEC_PROCESS_KEYRING);

	if (key < 0)
		return;   /* no keys here: the same each time */
	CHECK(syscall(SYS_keyctl, KEYCTL_READ, key, secret, sizeof(secret)) == 8);
	printf("key: %s\n", secret);
}

static void the_system(void)
{
	struct utsname un;
	struct rlimit lim;
	struct rusage use;
	struct statfs fs;
	cpu_set_t cpus;
	sigset_t set;

	CHECK(uname(&un) == 0 && getrlimit(RLIMIT_CORE, &lim) == 0 && getrusage(RUSAGE_SELF, &use) == 0);
	CHECK(statfs("/proc", &fs) == 0 && sched_getaffinity(0, sizeof(cpus), &cpus) == 0);
	CHECK(sigprocmask(SIG_BLOCK, NULL, &set) == 0);
	printf("%s, type %lx, %d processors\n", un.sysname, (unsigned long)fs.f_type, CPU_COUNT(&cpus));
	CHECK(syscall(SYS_bpf, 1000, &set, 0) == -1);
	CHECK(syscall(600, &set, &un, 7) == -1 && errno == ENOSYS);
}

int main(void)
{
	struct timespec t = { 0, 2000000 }, now;

	messages();
	vectors();
	options();
	devices();
	keys();
	the_system();
	CHECK(nanosleep(&t, NULL) == 0 && clock_gettime(CLOCK_MONOTONIC, &now) == 0);
	return guest_done();
}
