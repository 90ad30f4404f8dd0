/* The table against the running kernel: sockets, files and ioctl. */
#include "sys_arena.h"

#include <fcntl.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>

/* --- sockets --- */

static void udp_pair(void)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(in);

	fds[0] = socket(AF_INET, SOCK_DGRAM, 0);
	fds[1] = socket(AF_INET, SOCK_DGRAM, 0);
	assert_int_equal(bind(fds[0], (void *)&in, sizeof(in)), 0);
	assert_int_equal(getsockname(fds[0], (void *)&in, &len), 0);
	assert_int_equal(connect(fds[1], (void *)&in, sizeof(in)), 0);
	assert_int_equal(write(fds[1], "datagram", 8), 8);
}

static void setup_recvfrom(struct arena *a, uint64_t arg[6])
{
	uint32_t len = 10;         /* less than an address takes */

	udp_pair();
	put(a, 0, &len, 4);
	ARGS(fds[0], at(a, 64), 100, 0, at(a, 256), at(a, 0));
}

static int64_t check_recvfrom(const struct arena *a, const struct sys_call *c)
{
	uint32_t len;

	assert_int_equal(c->ret, 8);
	assert_memory_equal(a->mem + 64, "datagram", 8);
	memcpy(&len, a->mem, 4);
	assert_int_equal(len, sizeof(struct sockaddr_in));
	/* The buffer of 10 bytes was respected. */
	assert_int_equal(a->mem[256 + 10], a->before[256 + 10]);
	return 0;
}

static void setup_recvfrom_trunc(struct arena *a, uint64_t arg[6])
{
	udp_pair();
	ARGS(fds[0], at(a, 64), 3, MSG_TRUNC, 0, 0);
}

static void setup_recvmsg(struct arena *a, uint64_t arg[6])
{
	struct iovec iov[2] = { { a->mem + 512, 3 }, { a->mem + 600, 100 } };
	struct msghdr h = {
		.msg_name = a->mem + 1024, .msg_namelen = 64, .msg_iov = (void *)(a->mem + 256), .msg_iovlen = 2,
		.msg_control = a->mem + 2048, .msg_controllen = 256, .msg_flags = 0x5555,
	};
	int on = 1;

	udp_pair();
	setsockopt(fds[0], SOL_SOCKET, SO_TIMESTAMP, &on, sizeof(on));
	assert_int_equal(write(fds[1], "second", 6), 6);
	put(a, 0, &h, sizeof(h));
	put(a, 256, iov, sizeof(iov));
	ARGS(fds[0], at(a, 0), 0);
}

static int64_t check_recvmsg(const struct arena *a, const struct sys_call *c)
{
	struct msghdr h;

	assert_int_equal(c->ret, 8);
	assert_memory_equal(a->mem + 512, "dat", 3);
	assert_memory_equal(a->mem + 600, "agram", 5);
	memcpy(&h, a->mem, sizeof(h));
	assert_ptr_equal(h.msg_name, a->mem + 1024);
	assert_ptr_equal(h.msg_iov, a->mem + 256);
	assert_ptr_equal(h.msg_control, a->mem + 2048);
	assert_int_equal(h.msg_namelen, sizeof(struct sockaddr_in));
	assert_int_equal(h.msg_flags, 0);
	assert_true(h.msg_controllen > 0);
	return 0;
}

static void setup_recvmmsg(struct arena *a, uint64_t arg[6])
{
	struct timespec t = { .tv_sec = 50 };

	udp_pair();
	assert_int_equal(write(fds[1], "two", 3), 3);
	for (size_t i = 0; i < 3; i++) {
		struct iovec iov = { a->mem + 4096 * (i + 1), 100 };
		struct mmsghdr h = { .msg_hdr = { .msg_iov = (void *)(a->mem + 1024 + 16 * i), .msg_iovlen = 1 } };

		put(a, 64 * i, &h, sizeof(h));
		put(a, 1024 + 16 * i, &iov, sizeof(iov));
	}
	put(a, 2048, &t, sizeof(t));
	ARGS(fds[0], at(a, 0), 3, MSG_WAITFORONE, at(a, 2048));
}

static int64_t check_recvmmsg(const struct arena *a, const struct sys_call *c)
{
	struct mmsghdr h[2];

	assert_int_equal(c->ret, 2);
	memcpy(h, a->mem, sizeof(h));
	assert_int_equal(h[0].msg_len, 8);
	assert_int_equal(h[1].msg_len, 3);
	assert_memory_equal(a->mem + 8192, "two", 3);
	return 0;
}

static void setup_sendmmsg(struct arena *a, uint64_t arg[6])
{
	udp_pair();
	for (size_t i = 0; i < 2; i++) {
		struct iovec iov = { a->mem + 4096, i + 1 };
		struct mmsghdr h = { .msg_hdr = { .msg_iov = (void *)(a->mem + 1024 + 16 * i), .msg_iovlen = 1 } };

		put(a, 64 * i, &h, sizeof(h));
		put(a, 1024 + 16 * i, &iov, sizeof(iov));
	}
	ARGS(fds[1], at(a, 0), 2, 0);
}

static int64_t check_sendmmsg(const struct arena *a, const struct sys_call *c)
{
	struct mmsghdr h[2];

	assert_int_equal(c->ret, 2);
	memcpy(h, a->mem, sizeof(h));
	assert_int_equal(h[1].msg_len, 2);
	return 0;
}

static void setup_accept(struct arena *a, uint64_t arg[6])
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(in);
	uint32_t room = 64;

	fds[0] = socket(AF_INET, SOCK_STREAM, 0);
	fds[1] = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(bind(fds[0], (void *)&in, sizeof(in)), 0);
	assert_int_equal(listen(fds[0], 5), 0);
	assert_int_equal(getsockname(fds[0], (void *)&in, &len), 0);
	assert_int_equal(connect(fds[1], (void *)&in, sizeof(in)), 0);
	put(a, 0, &room, 4);
	ARGS(fds[0], at(a, 256), at(a, 0), 0);
}

static int64_t check_accept(const struct arena *a, const struct sys_call *c)
{
	struct sockaddr_in in;

	assert_true(c->ret >= 0);
	close((int)c->ret);
	memcpy(&in, a->mem + 256, sizeof(in));
	assert_int_equal(in.sin_family, AF_INET);
	return 0;
}

static void setup_getsockopt(struct arena *a, uint64_t arg[6])
{
	uint32_t room = 64;

	udp_pair();
	put(a, 0, &room, 4);
	ARGS(fds[0], SOL_SOCKET, SO_RCVBUF, at(a, 256), at(a, 0));
}

static void setup_getsockopt_linger(struct arena *a, uint64_t arg[6])
{
	setup_getsockopt(a, arg);
	arg[2] = SO_LINGER;
}

static void setup_getsockname(struct arena *a, uint64_t arg[6])
{
	uint32_t room = 6;

	udp_pair();
	put(a, 0, &room, 4);
	ARGS(fds[0], at(a, 256), at(a, 0));
}

static void socket_calls_write_data_addresses_and_headers(void **state)
{
	static const struct real_call calls[] = {
		{ __NR_recvfrom, setup_recvfrom, close_fds, check_recvfrom },
		{ __NR_recvfrom, setup_recvfrom_trunc, close_fds, NULL },
		{ __NR_recvmsg, setup_recvmsg, close_fds, check_recvmsg },
		{ __NR_recvmmsg, setup_recvmmsg, close_fds, check_recvmmsg },
		{ __NR_sendmmsg, setup_sendmmsg, close_fds, check_sendmmsg },
		{ __NR_accept, setup_accept, close_fds, check_accept },
		{ __NR_accept4, setup_accept, close_fds, check_accept },
		{ __NR_getsockopt, setup_getsockopt, close_fds, NULL },
		{ __NR_getsockopt, setup_getsockopt_linger, close_fds, NULL },
		{ __NR_getsockname, setup_getsockname, close_fds, NULL },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		check_direct(&calls[i]);
		check_planned(&calls[i]);
	}
}

/* --- file offsets, descriptors' properties --- */

static void setup_sendfile(struct arena *a, uint64_t arg[6])
{
	uint64_t from = 4;

	assert_int_equal(pipe(fds), 0);
	fds[2] = open("/proc/self/exe", O_RDONLY);
	put(a, 64, &from, 8);
	ARGS(fds[1], fds[2], at(a, 64), 100);
}

static int64_t check_sendfile(const struct arena *a, const struct sys_call *c)
{
	uint64_t now;

	assert_int_equal(c->ret, 100);
	memcpy(&now, a->mem + 64, 8);
	assert_int_equal(now, 104);
	return 0;
}

static void setup_splice(struct arena *a, uint64_t arg[6])
{
	setup_sendfile(a, arg);
	ARGS(fds[2], at(a, 64), fds[1], 0, 100, 0);
}

static void setup_name_to_handle(struct arena *a, uint64_t arg[6])
{
	uint32_t room = 128;

	put_path(a, "/dev/shm");
	put(a, 64, &room, 4);
	ARGS((uint64_t)AT_FDCWD, at(a, 0), at(a, 64), at(a, 32), 0);
}

static void setup_name_to_handle_small(struct arena *a, uint64_t arg[6])
{
	setup_name_to_handle(a, arg);
	memset(a->mem + 64, 0, 4);
}

static void setup_getlk(struct arena *a, uint64_t arg[6])
{
	struct flock l = { .l_type = F_WRLCK };

	fds[0] = open("/dev/shm", O_TMPFILE | O_RDWR, 0600);
	put(a, 64, &l, sizeof(l));
	ARGS(fds[0], F_GETLK, at(a, 64));
}

static void setup_getown_ex(struct arena *a, uint64_t arg[6])
{
	fds[0] = socket(AF_UNIX, SOCK_STREAM, 0);
	ARGS(fds[0], F_GETOWN_EX, at(a, 64));
}

static void setup_mincore(struct arena *a, uint64_t arg[6]) { ARGS(at(a, 0), 5 * 4096 - 7, at(a, 64)); }

static void file_calls_write_offsets_and_properties(void **state)
{
	static const struct real_call calls[] = {
		{ __NR_sendfile, setup_sendfile, close_fds, check_sendfile },
		{ __NR_splice, setup_splice, close_fds, check_sendfile },
		{ __NR_fcntl, setup_getlk, close_fds, NULL },
		{ __NR_fcntl, setup_getown_ex, close_fds, NULL },
	};
	static const struct real_call direct[] = {
		{ __NR_name_to_handle_at, setup_name_to_handle, NULL, NULL },
		{ __NR_name_to_handle_at, setup_name_to_handle_small, NULL, NULL },
		{ __NR_mincore, setup_mincore, NULL, NULL },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		check_direct(&calls[i]);
		check_planned(&calls[i]);
	}
	for (size_t i = 0; i < sizeof(direct) / sizeof(direct[0]); i++)
		check_direct(&direct[i]);
}

/* --- ioctl --- */

static void open_terminal(void)
{
	fds[0] = posix_openpt(O_RDWR | O_NOCTTY);
	assert_true(fds[0] >= 0);
	unlockpt(fds[0]);
	fds[1] = open(ptsname(fds[0]), O_RDWR | O_NOCTTY);
	assert_true(fds[1] >= 0);
}

#define TTY_IOCTL(name, request) \
	static void setup_##name(struct arena *a, uint64_t arg[6]) \
	{ \
		open_terminal(); \
		ARGS(fds[1], request, at(a, 64)); \
	}
TTY_IOCTL(tcgets, TCGETS)
TTY_IOCTL(tcgeta, TCGETA)
TTY_IOCTL(winsize, TIOCGWINSZ)
TTY_IOCTL(fionread, FIONREAD)
TTY_IOCTL(outq, TIOCOUTQ)
TTY_IOCTL(getd, TIOCGETD)
TTY_IOCTL(glcktrmios, TIOCGLCKTRMIOS)
TTY_IOCTL(tcgets2, 0x802c542a)
TTY_IOCTL(gsid, TIOCGSID)

static void setup_ptn(struct arena *a, uint64_t arg[6])
{
	open_terminal();
	ARGS(fds[0], TIOCGPTN, at(a, 64));
}

#define SOCKET_IOCTL(name, request) \
	static void setup_##name(struct arena *a, uint64_t arg[6]) \
	{ \
		fds[0] = socket(AF_INET, SOCK_DGRAM, 0); \
		memset(a->mem + 64, 0, 16); \
		put(a, 64, "lo", 3); \
		ARGS(fds[0], request, at(a, 64)); \
	}
SOCKET_IOCTL(ifflags, SIOCGIFFLAGS)
SOCKET_IOCTL(ifaddr, SIOCGIFADDR)
SOCKET_IOCTL(ifindex, SIOCGIFINDEX)
SOCKET_IOCTL(ifmtu, SIOCGIFMTU)
SOCKET_IOCTL(ifhwaddr, SIOCGIFHWADDR)
SOCKET_IOCTL(iftxqlen, SIOCGIFTXQLEN)
SOCKET_IOCTL(ifmap, SIOCGIFMAP)

static void setup_ifconf(struct arena *a, uint64_t arg[6])
{
	struct ifconf conf = { .ifc_len = 400, .ifc_buf = (char *)a->mem + 1024 };

	fds[0] = socket(AF_INET, SOCK_DGRAM, 0);
	put(a, 64, &conf, sizeof(conf));
	ARGS(fds[0], SIOCGIFCONF, at(a, 64));
}

#define ETHTOOL_IOCTL(name, command) \
	static void setup_##name(struct arena *a, uint64_t arg[6]) \
	{ \
		uint32_t cmd = command; \
		uint64_t data = at(a, 1024); \
		setup_ifflags(a, arg); \
		put(a, 64 + 16, &data, 8); \
		put(a, 1024, &cmd, 4); \
		arg[1] = 0x8946; \
	}
ETHTOOL_IOCTL(ethtool_drvinfo, 3)
ETHTOOL_IOCTL(ethtool_link, 10)
ETHTOOL_IOCTL(ethtool_ts, 0x41)

static void setup_fsflags(struct arena *a, uint64_t arg[6])
{
	fds[0] = open("/proc/self/exe", O_RDONLY);
	ARGS(fds[0], FS_IOC_GETFLAGS, at(a, 64));
}

static void setup_figetbsz(struct arena *a, uint64_t arg[6])
{
	setup_fsflags(a, arg);
	arg[1] = FIGETBSZ;
}

static void setup_fiemap(struct arena *a, uint64_t arg[6])
{
	struct fiemap map = { .fm_length = UINT64_MAX, .fm_extent_count = 8 };

	setup_fsflags(a, arg);
	put(a, 64, &map, sizeof(map));
	arg[1] = FS_IOC_FIEMAP;
}

static void setup_procmap(struct arena *a, uint64_t arg[6])
{
	static int object;
	uint64_t q[13] = { 104, 0, (uint64_t)&object };
	uint32_t sizes[2] = { 200, 20 };

	q[11] = at(a, 1024);
	q[12] = at(a, 2048);
	fds[0] = open("/proc/self/maps", O_RDONLY);
	put(a, 64, q, sizeof(q));
	put(a, 64 + 80, sizes, sizeof(sizes));
	ARGS(fds[0], _IOWR('f', 17, uint64_t[13]), at(a, 64));
}

static void setup_pagemap(struct arena *a, uint64_t arg[6])
{
	uint64_t q[12] = { 96, 0, at(a, 0), at(a, ARENA_SIZE), 0, at(a, 1024), 5, 0, 0, 0, 0x8, 0x8 };

	fds[0] = open("/proc/self/pagemap", O_RDONLY);
	put(a, 64, q, sizeof(q));
	ARGS(fds[0], _IOWR('f', 16, uint64_t[12]), at(a, 64));
}

static void ioctls_write_what_the_table_says(void **state)
{
	static const struct real_call calls[] = {
		{ __NR_ioctl, setup_tcgets, close_fds, NULL },
		{ __NR_ioctl, setup_tcgeta, close_fds, NULL },
		{ __NR_ioctl, setup_winsize, close_fds, NULL },
		{ __NR_ioctl, setup_fionread, close_fds, NULL },
		{ __NR_ioctl, setup_outq, close_fds, NULL },
		{ __NR_ioctl, setup_getd, close_fds, NULL },
		{ __NR_ioctl, setup_glcktrmios, close_fds, NULL },
		{ __NR_ioctl, setup_tcgets2, close_fds, NULL },
		{ __NR_ioctl, setup_gsid, close_fds, NULL },
		{ __NR_ioctl, setup_ptn, close_fds, NULL },
		{ __NR_ioctl, setup_ifflags, close_fds, NULL },
		{ __NR_ioctl, setup_ifaddr, close_fds, NULL },
		{ __NR_ioctl, setup_ifindex, close_fds, NULL },
		{ __NR_ioctl, setup_ifmtu, close_fds, NULL },
		{ __NR_ioctl, setup_ifhwaddr, close_fds, NULL },
		{ __NR_ioctl, setup_iftxqlen, close_fds, NULL },
		{ __NR_ioctl, setup_ifmap, close_fds, NULL },
		{ __NR_ioctl, setup_fsflags, close_fds, NULL },
		{ __NR_ioctl, setup_figetbsz, close_fds, NULL },
	};
	static const struct real_call direct[] = {
		{ __NR_ioctl, setup_ifconf, close_fds, NULL },
		{ __NR_ioctl, setup_fiemap, close_fds, NULL },
		{ __NR_ioctl, setup_ethtool_drvinfo, close_fds, NULL },
		{ __NR_ioctl, setup_ethtool_link, close_fds, NULL },
		{ __NR_ioctl, setup_ethtool_ts, close_fds, NULL },
		{ __NR_ioctl, setup_procmap, close_fds, NULL },
		{ __NR_ioctl, setup_pagemap, close_fds, NULL },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		check_direct(&calls[i]);
		check_planned(&calls[i]);
	}
	for (size_t i = 0; i < sizeof(direct) / sizeof(direct[0]); i++)
		check_direct(&direct[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(socket_calls_write_data_addresses_and_headers),
		cmocka_unit_test(file_calls_write_offsets_and_properties),
		cmocka_unit_test(ioctls_write_what_the_table_says),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
