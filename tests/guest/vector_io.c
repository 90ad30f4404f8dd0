/* writev, readv, pread, pwrite, preadv, sendmmsg and recvmmsg; several buffers, some empty, some at a page's end. */
#include "guest.h"
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>

int main(void)
{
	char a[5] = "", b[7] = "", c[100] = "", *edge;
	struct iovec in[3] = { { a, 4 }, { b, 6 }, { c, 99 } };
	struct iovec out[4] = { { "scatter", 7 }, { "", 0 }, { "ed ", 3 }, { "bytes", 5 } };
	struct mmsghdr mm[2] = { { .msg_hdr = { .msg_iov = &out[0], .msg_iovlen = 1 } },
				 { .msg_hdr = { .msg_iov = &out[3], .msg_iovlen = 1 } } };
	struct mmsghdr rr[2] = { { .msg_hdr = { .msg_iov = &in[2], .msg_iovlen = 1 } },
				 { .msg_hdr = { .msg_iov = &in[1], .msg_iovlen = 1 } } };
	FILE *f = tmpfile();
	int p[2], s[2];

	CHECK(f && pipe(p) == 0 && writev(p[1], out, 4) == 15 && readv(p[0], in, 3) == 15);
	CHECK(memcmp(a, "scat", 4) == 0 && memcmp(b, "tered ", 6) == 0 && memcmp(c, "bytes", 5) == 0);
	CHECK(pwrite(fileno(f), "0123456789", 10, 100) == 10 && pread(fileno(f), c, 3, 104) == 3 && memcmp(c, "456", 3) == 0);
	CHECK(pwritev(fileno(f), out, 4, 50) == 15 && preadv(fileno(f), in, 2, 50) == 10 && memcmp(a, "scat", 4) == 0);
	edge = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(edge != MAP_FAILED && munmap(edge + 4096, 4096) == 0);
	CHECK(write(p[1], "0123456789", 10) == 10 && read(p[0], edge + 4090, 20) <= 10);
	CHECK(socketpair(AF_UNIX, SOCK_DGRAM, 0, s) == 0 && sendmmsg(s[0], mm, 2, 0) == 2);
	CHECK(recvmmsg(s[1], rr, 2, 0, NULL) == 2 && rr[0].msg_len == 7 && rr[1].msg_len == 5);
	CHECK(memcmp(c, "scatter", 7) == 0 && memcmp(b, "bytes", 5) == 0);
	CHECK(fflush(stdout) == 0 && writev(1, out, 4) == 15 && write(1, "\n", 1) == 1);
	return guest_done();
}
