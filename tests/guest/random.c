/*
 * Random numbers from the kernel: getrandom, getentropy, /dev/urandom, rdrand where cpuid offers it; and from the
 * processor, by a program that does not ask cpuid first. Constants that look like cpuid stay what they are.
 */
#include "guest.h"
#include <cpuid.h>
#include <fcntl.h>
#include <sys/random.h>

static __attribute__((target("rdrnd"))) int rdrand(unsigned long long *out)
{
	return __builtin_ia32_rdrand64_step(out);
}

static int processor_has(const char *flag)
{
	char line[8192], word[32];
	FILE *f = fopen("/proc/cpuinfo", "r");
	int found = 0;

	CHECK(f);
	snprintf(word, sizeof(word), " %s ", flag);
	while (!found && fgets(line, sizeof(line), f)) {
		char *end = strchr(line, '\n');

		if (end)
			*end = ' ';
		found = !strncmp(line, "flags", 5) && strstr(line, word);
	}
	fclose(f);
	return found;
}

static void unasked(void)
{
	unsigned long long a = 0, b = 0x1122334455667788ull, c = 0, d = 0;
	unsigned char ok = 1;

	if (processor_has("rdrand")) {
		do
			__asm__ volatile("rdrand %0; setc %1" : "=r"(a), "=r"(ok) : : "cc");
		while (!ok);
		__asm__ volatile("rdrand %w0" : "+r"(b) : : "cc");
		__asm__ volatile("movq $-1, %%r9; rdrand %%r9d; movq %%r9, %0" : "=r"(c) : : "r9", "cc");
		CHECK(b >> 16 == 0x112233445566ull && c >> 32 == 0);
	}
	if (processor_has("rdseed")) {
		do
			__asm__ volatile("rdseed %0; setc %1" : "=r"(d), "=r"(ok) : : "cc");
		while (!ok);
	}
	printf("unasked %llx %llx %llx %llx\n", a, b, c, d);
	if (processor_has("rdpid")) {
		__asm__ volatile("rdpid %0" : "=r"(a));
		printf("processor %llu\n", a & 0xfff);
	}
	__asm__ volatile("movl $0x90a20f, %k0" : "=r"(a));   /* 0f a2 in the middle of an instruction */
	CHECK(a == 0x90a20f);
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
	unasked();
	srand((unsigned)r ^ buf[0]);
	printf("rand %d\n", rand());
	return guest_done();
}
