/* cpuid says the same each time within a run, and is usable by dispatching code; xgetbv agrees with it. */
#include "guest.h"
#include <cpuid.h>

int main(void)
{
	unsigned a, b, c, d, first[4] = { 0, 0, 0, 0 };

	CHECK(__get_cpuid(0, &a, &b, &c, &d) && a >= 1);
	for (int i = 0; i < 50; i++) {
		CHECK(__get_cpuid_count(7, 0, &a, &b, &c, &d));
		if (i == 0) {
			first[0] = a;
			first[1] = b;
			first[2] = c;
			first[3] = d;
		}
		CHECK(a == first[0] && b == first[1] && c == first[2] && d == first[3]);
	}
	CHECK(__get_cpuid(1, &a, &b, &c, &d));
	if (c & bit_OSXSAVE) {
		unsigned lo, hi;

		__asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
		CHECK((lo & 3) == 3);
	}
	CHECK(__builtin_cpu_supports("sse2"));
	return guest_done();
}
