/* mmap, munmap with holes, mprotect, mremap (in place, moving, shrinking), madvise, fixed mappings, a private file mapping. */
#include "guest.h"
#include <fcntl.h>
#include <sys/mman.h>

enum { P = 4096 };

int main(void)
{
	char *m = mmap(NULL, 16 * P, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), *n, *f;
	unsigned char vec[16];
	int fd;

	CHECK(m != MAP_FAILED);
	memset(m, 'a', 16 * P);
	CHECK(munmap(m + 4 * P, 4 * P) == 0 && mincore(m + 4 * P, P, vec) == -1 && errno == ENOMEM);
	CHECK(mmap(m + 5 * P, P, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == m + 5 * P);
	CHECK(m[5 * P] == 0 && m[3 * P] == 'a' && m[8 * P] == 'a');
	CHECK(mmap(m, P, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) == MAP_FAILED && errno == EEXIST);
	CHECK(mprotect(m, P, PROT_READ) == 0 && m[0] == 'a' && mprotect(m, P, PROT_READ | PROT_WRITE) == 0);
	m[0] = 'b';
	n = mremap(m + 8 * P, 8 * P, 64 * P, MREMAP_MAYMOVE);
	CHECK(n != MAP_FAILED && n[0] == 'a' && n[8 * P - 1] == 'a' && n[8 * P] == 0 && n[64 * P - 1] == 0);
	n[64 * P - 1] = 'z';
	CHECK(mremap(n, 64 * P, 2 * P, 0) == n && n[2 * P - 1] == 'a');
	CHECK(madvise(n, P, MADV_DONTNEED) == 0 && n[0] == 0 && n[P] == 'a');
	CHECK(madvise(m, P, MADV_WILLNEED) == 0 && madvise(m, 4 * P, MADV_NOHUGEPAGE) <= 0);
	CHECK(madvise(n + P, P, MADV_FREE) == 0 && (n[P] == 'a' || n[P] == 0));

	fd = open("/proc/self/exe", O_RDONLY);
	f = mmap(NULL, P, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	CHECK(f != MAP_FAILED && memcmp(f, "\177ELF", 4) == 0);
	f[1] = 'X';
	CHECK(pread(fd, vec, 4, 0) == 4 && vec[1] == 'E');
	CHECK(madvise(f, P, MADV_DONTNEED) == 0 && f[1] == 'E');

	n = mmap(NULL, 4 * P, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	memcpy(n, "moving", 7);
	f = mmap(NULL, 4 * P, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(mremap(n, 4 * P, 4 * P, MREMAP_MAYMOVE | MREMAP_FIXED, f) == f && strcmp(f, "moving") == 0);
	return guest_done();
}
