/* A static program in whose code relive changes much: places that trap, and such that are come to often. */
#include <cpuid.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <x86intrin.h>

static volatile unsigned sum;

__attribute__((noinline)) static void trapping(void)
{
	unsigned a, b, c, d, aux;
	static char area[4096] __attribute__((aligned(64)));

	__cpuid(0, a, b, c, d);
	sum += a + (unsigned)__rdtsc() + (unsigned)__rdtscp(&aux);
	__asm__ volatile("xsave %0" : "+m"(area) : "a"(3), "d"(0));
}

__attribute__((noinline)) static void calling(void)
{
	for (int i = 0; i < 100; i++) {
		long got = SYS_getppid;

		__asm__ volatile("syscall" : "+a"(got) : : "rcx", "r11", "memory");
		sum += (unsigned)got;
		trapping();
	}
}

__attribute__((noinline)) static void done(void)
{
	printf("done\n");
}

int main(void)
{
	calling();
	done();
	return 0;
}
