/* Who and where it is, said aloud: ids, its processor, what /proc names it. Another replay has other ids, and says the same. */
#include "guest.h"
#include <pthread.h>
#include <sched.h>
#include <sys/syscall.h>

static void who(const char *name)
{
	char self[32] = "", thread[64] = "", exe[32], line[256], *at;
	unsigned cpu = 99, node = 99;
	static int word;
	FILE *f;

	snprintf(exe, sizeof(exe), "/proc/%d/exe", getpid());
	CHECK(readlink("/proc/self", self, sizeof(self) - 1) > 0 && atoi(self) == getpid());
	CHECK(readlink("/proc/thread-self", thread, sizeof(thread) - 1) > 0 && access(exe, R_OK) == 0);
	CHECK(syscall(SYS_getcpu, &cpu, &node, NULL) == 0 && cpu < 99);
	CHECK(gettid() != getpid() || syscall(SYS_set_tid_address, &word) == gettid());   /* a thread's is for its joiner */
	printf("%s: process %d of %d, thread %d (%s), processor %u %d\n", name, getpid(), getppid(), gettid(), thread, cpu, sched_getcpu());
	f = fopen("/proc/self/stat", "r");
	CHECK(f && fgets(line, sizeof(line), f) && (at = strrchr(line, ')')));
	printf("%d %.20s\n", atoi(line), at);
	fclose(f);
	f = fopen("/proc/self/status", "r");
	while (f && fgets(line, sizeof(line), f)) {
		if (strncmp(line, "TracerPid:", 10) == 0)
			CHECK(atoi(line + 10) == 0);
	}
	CHECK(f && fclose(f) == 0);
}

static void *thread(void *arg)
{
	who(arg);
	return NULL;
}

int main(void)
{
	pthread_t t;
	pid_t pid;

	who("first");
	CHECK(pthread_create(&t, NULL, thread, "thread") == 0 && pthread_join(t, NULL) == 0);
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		who("child");
		exit(0);
	}
	CHECK(guest_wait(pid) == 0);
	return guest_done();
}
