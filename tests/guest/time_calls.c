/* All ways to ask for the time agree with one another, and time never goes back. */
#include "guest.h"
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/times.h>

static double seconds(clockid_t id)
{
	struct timespec ts;

	CHECK(clock_gettime(id, &ts) == 0);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

int main(void)
{
	clockid_t ids[] = { CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_BOOTTIME, CLOCK_MONOTONIC_RAW, CLOCK_REALTIME_COARSE,
			    CLOCK_MONOTONIC_COARSE, CLOCK_PROCESS_CPUTIME_ID, CLOCK_THREAD_CPUTIME_ID, CLOCK_TAI };
	struct timeval tv;
	struct timespec res;
	struct rusage ru;
	struct tms tms;

	for (size_t i = 0; i < sizeof(ids) / sizeof(*ids); i++) {
		double a = seconds(ids[i]);

		guest_work(1, 100);
		CHECK(seconds(ids[i]) >= a && clock_getres(ids[i], &res) == 0);
	}
	CHECK(gettimeofday(&tv, NULL) == 0);
	double now = seconds(CLOCK_REALTIME);
	CHECK(now - (double)tv.tv_sec < 60 && (double)time(NULL) - now < 60);
	CHECK(getrusage(RUSAGE_SELF, &ru) == 0 && times(&tms) != (clock_t)-1 && clock() >= 0);
	for (int i = 0; i < 300; i++)
		seconds(CLOCK_MONOTONIC);
	return guest_done();
}
