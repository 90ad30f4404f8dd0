/* The least a program does: write one line, and go. */
#include "guest.h"

int main(void)
{
	puts("hello, world");
	return guest_done();
}
