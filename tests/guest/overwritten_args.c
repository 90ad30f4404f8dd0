/* Calls whose outputs overwrite the very structures that say where the outputs go: readv and its like, recvmsg, recvmmsg. */
#include "guest.h"
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#define N_BYTES 96
#define ROUNDS 40   /* more than it takes until a recorder may have made the call cheap */

static char data[N_BYTES];

/* Its first bytes are the vector, or the message's header. */
struct area {
	union {
		struct iovec v[2];
		struct mmsghdr m;
		char bytes[64];
	};
	char rest[N_BYTES];
};
static struct area area;

static void check_landed(void)
{
	CHECK(memcmp(area.bytes, data, sizeof(area.bytes)) == 0);
	CHECK(memcmp(area.rest, data + sizeof(area.bytes), N_BYTES - sizeof(area.bytes)) == 0);
	memset(&area, 0, sizeof(area));
}

/* The vector is read into itself, then into the rest. */
static void *vector(void)
{
	area.v[0] = (struct iovec){ area.bytes, sizeof(area.bytes) };
	area.v[1] = (struct iovec){ area.rest, N_BYTES - sizeof(area.bytes) };
	return area.v;
}

static void from_file(int fd)
{
	struct iovec there = { data, N_BYTES };

	CHECK(preadv(fd, vector(), 2, 0) == N_BYTES);
	check_landed();
	CHECK(syscall(SYS_preadv2, fd, vector(), 2, 0, 0, 0) == N_BYTES);
	check_landed();
	CHECK(lseek(fd, 0, SEEK_SET) == 0 && readv(fd, vector(), 2) == N_BYTES);
	check_landed();
	if (process_vm_readv(getpid(), vector(), 2, &there, 1, 0) == N_BYTES)
		check_landed();
	else
		CHECK(errno == EPERM || errno == ENOSYS);   /* some containers do not allow it */
}

static void from_pipe(const int p[2])
{
	CHECK(write(p[1], data, N_BYTES) == N_BYTES && readv(p[0], vector(), 2) == N_BYTES);
	check_landed();
}

/* The vector stands elsewhere and is overwritten, then the header is. */
static void message(const int s[2])
{
	struct msghdr m = { .msg_iov = vector(), .msg_iovlen = 2 };
	struct { char head[56]; struct iovec v[2]; } far;

	CHECK(send(s[0], data, N_BYTES, 0) == N_BYTES && recvmsg(s[1], &m, 0) == N_BYTES);
	check_landed();
	far.v[0] = (struct iovec){ area.bytes + 16, 8 };   /* msg_iov */
	far.v[1] = (struct iovec){ area.rest, N_BYTES - 8 };
	area.m.msg_hdr = (struct msghdr){ .msg_iov = far.v, .msg_iovlen = 2 };
	CHECK(send(s[0], data, N_BYTES, 0) == N_BYTES && recvmsg(s[1], &area.m.msg_hdr, 0) == N_BYTES);
	CHECK(memcmp(area.bytes + 16, data, 8) == 0 && memcmp(area.rest, data + 8, N_BYTES - 8) == 0);
	area.m.msg_hdr = (struct msghdr){ .msg_iov = far.v, .msg_iovlen = 2 };
	CHECK(send(s[0], data, N_BYTES, 0) == N_BYTES && recvmmsg(s[1], &area.m, 1, 0, NULL) == 1 && area.m.msg_len == N_BYTES);
	CHECK(memcmp(area.bytes + 16, data, 8) == 0 && memcmp(area.rest, data + 8, N_BYTES - 8) == 0);
	memset(&area, 0, sizeof(area));
}

int main(void)
{
	FILE *f = tmpfile();
	int p[2], s[2];

	for (int i = 0; i < N_BYTES; i++)
		data[i] = (char)(0x91 + i % 50);
	CHECK(f && pipe(p) == 0 && socketpair(AF_UNIX, SOCK_DGRAM, 0, s) == 0);
	CHECK(write(fileno(f), data, N_BYTES) == N_BYTES);
	for (int i = 0; i < ROUNDS; i++) {
		from_file(fileno(f));
		from_pipe(p);
		message(s);
	}
	return guest_done();
}
