/* Who was alone so far waits, busily, for the first thread or process it has made: it must give way without a call that waits. */
#include <pthread.h>
#include <sys/mman.h>
#include "guest.h"

static volatile int *flag;

static void *set(void *arg)
{
	*flag = 1;
	return arg;
}

static void spin(void)
{
	while (!*flag)
		continue;
}

int main(int argc, char **argv)
{
	const char *how = argc > 1 ? argv[1] : "thread";
	pthread_t thread;
	int status;
	pid_t pid;

	flag = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(flag != MAP_FAILED);
	if (!strcmp(how, "thread")) {
		CHECK(!pthread_create(&thread, NULL, set, NULL));
		spin();
		CHECK(!pthread_join(thread, NULL));
		return guest_done();
	}
	pid = fork();
	CHECK(pid >= 0);
	if (!pid)
		_exit(set(NULL) != NULL);
	if (!strcmp(how, "process"))
		spin();
	while (!waitpid(pid, &status, WNOHANG))
		continue;
	CHECK(status == 0 && *flag == 1);
	return guest_done();
}
