/* Arguments and environment arrive as given. */
#include "guest.h"

extern char **environ;

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		printf("arg %d: <%s>\n", i, argv[i]);
	for (char **e = environ; *e; e++)
		if (strncmp(*e, "GUEST_", 6) == 0)
			printf("env: %s\n", *e);
	CHECK(setenv("GUEST_NEW", "1", 1) == 0 && strcmp(getenv("GUEST_NEW"), "1") == 0);
	CHECK(getenv("PATH"));
	return guest_done();
}
