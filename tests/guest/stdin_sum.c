/* Reads its standard input to the end, by blocks and lines, and prints a sum: works on a file, a pipe, a terminal, nothing. */
#include "guest.h"

int main(void)
{
	unsigned long sum = 0, n = 0, lines = 0;
	int c;

	while ((c = getchar()) != EOF) {
		sum = sum * 31 + (unsigned)c;
		n++;
		lines += c == '\n';
	}
	printf("%lu bytes, %lu lines, sum %lx\n", n, lines, sum);
	return guest_done();
}
