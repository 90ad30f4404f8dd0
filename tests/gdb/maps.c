/* Memory that is mapped, written, emptied, protected and given back, round by round; a debugger looks in between. */
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

enum { P = 4096, ROUNDS = 60 };

static char *fixed;              /* always at one place */
static long sums[6], done;

static long one_round(long i)
{
	char *p = mmap(NULL, 3 * P, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	long *q = mmap(fixed, P, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);

	memset(p, (int)i, 2 * P);
	sums[i % 6] += p[P] + p[2 * P] + q[0];          /* line: summed */
	q[0] = i;
	q[1] = -i;
	mprotect(fixed, P, PROT_READ);
	sums[i % 6] += q[1];
	madvise(p, P, MADV_DONTNEED);
	sums[i % 6] += p[0] + 1;                        /* line: emptied */
	munmap(p, 3 * P);
	return i;
}

int main(void)
{
	fixed = mmap(NULL, P, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (fixed == MAP_FAILED)
		return 1;
	for (long i = 1; i <= ROUNDS; i++)
		done = one_round(i);
	printf("%ld rounds, %ld %ld\n", done, sums[0], sums[5]);   /* line: all-done */
	return 0;
}
