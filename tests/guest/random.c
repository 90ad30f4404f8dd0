/* Random numbers from the kernel: getrandom, getentropy, /dev/urandom, rdrand where cpuid offers it. */
#include "guest.h"
#include <cpuid.h>
#include <fcntl.h>
#include <sys/random.h>

static __attribute__((target("rdrnd"))) int rdrand(unsigned long long *out)
{
	return __builtin_ia32_rdrand64_step(out);
}

int main(void)
{
	unsigned long long r = 0;
	unsigned a, b, c, d;
	unsigned char buf[64];
	int fd = open("/dev/urandom", O_RDONLY);

	CHECK(fd >= 0 && read(fd, buf, sizeof(buf)) == sizeof(buf));
	for (size_t i = 0; i < sizeof(buf); i++)
		printf("%02x", buf[i]);
	CHECK(getrandom(buf, 16, GRND_NONBLOCK) == 16 && getentropy(buf + 16, 16) == 0);
	for (size_t i = 0; i < 32; i++)
		printf("%02x", buf[i]);
	if (__get_cpuid(1, &a, &b, &c, &d) && (c & bit_RDRND))
		CHECK(rdrand(&r));
	printf("\nrdrand %llx\n", r);
	srand((unsigned)r ^ buf[0]);
	printf("rand %d\n", rand());
	return guest_done();
}
