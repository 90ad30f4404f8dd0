/* Buffered input and output on a file: modes, seeking, formatted reads and writes, ungetc, temporary files. */
#include "guest.h"

int main(void)
{
	char name[] = "/tmp/relive-guest-stdio-XXXXXX", line[128];
	int fd = mkstemp(name), a, b;
	FILE *f = fdopen(fd, "w+");

	CHECK(fd >= 0 && f);
	for (int i = 0; i < 5000; i++)
		CHECK(fprintf(f, "line %d %d %s\n", i, i * i, "words and words") > 0);
	CHECK(fseek(f, 0, SEEK_SET) == 0);
	for (int i = 0; i < 5000; i++) {
		CHECK(fgets(line, sizeof(line), f));
		CHECK(sscanf(line, "line %d %d", &a, &b) == 2 && a == i && b == i * i);
	}
	CHECK(!fgets(line, sizeof(line), f) && feof(f));
	long end = ftell(f);
	CHECK(fseek(f, -5, SEEK_END) == 0 && fgetc(f) == 'o' && ungetc('X', f) == 'X' && fgetc(f) == 'X');
	CHECK(fclose(f) == 0 && unlink(name) == 0);
	printf("%ld bytes written and read back\n", end);
	return guest_done();
}
