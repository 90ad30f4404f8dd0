/* What a program asks about itself and the machine: ids, groups, limits, affinity, uname, sysinfo, priorities, umask, sessions. */
#include "guest.h"
#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>

int main(void)
{
	struct utsname u;
	struct sysinfo si;
	struct rlimit r;
	cpu_set_t cpus;
	gid_t groups[64];
	uid_t ruid, euid, suid;
	struct sched_param sp;

	CHECK(getresuid(&ruid, &euid, &suid) == 0 && ruid == getuid() && euid == geteuid());
	CHECK(getgid() == getegid() && getgroups(64, groups) >= 0);
	CHECK(getrlimit(RLIMIT_NOFILE, &r) == 0 && r.rlim_cur > 0 && prlimit(0, RLIMIT_STACK, NULL, &r) == 0);
	CHECK(uname(&u) == 0 && strcmp(u.sysname, "Linux") == 0 && sysinfo(&si) == 0 && si.totalram > 0);
	CHECK(sched_getaffinity(0, sizeof(cpus), &cpus) == 0);
	printf("processors: %d of %ld\n", CPU_COUNT(&cpus), sysconf(_SC_NPROCESSORS_ONLN));
	CHECK(CPU_COUNT(&cpus) == sysconf(_SC_NPROCESSORS_ONLN));
	CHECK(sched_getscheduler(0) >= 0 && sched_getparam(0, &sp) == 0);
	errno = 0;
	CHECK(getpriority(PRIO_PROCESS, 0) <= 19 && errno == 0);
	mode_t old = umask(077);
	CHECK(umask(old) == 077 && getpgrp() > 0 && getsid(0) >= 0);
	CHECK(prctl(PR_GET_DUMPABLE) >= 0 && sched_yield() == 0 && sched_getcpu() >= 0);
	return guest_done();
}
