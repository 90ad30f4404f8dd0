#include "tracee/pin.h"

#include <errno.h>
#include <stdbool.h>

static cpu_set_t others;   /* all zero at first */

static bool usable(int cpu, const cpu_set_t *set)
{
	return cpu >= 0 && cpu < CPU_SETSIZE && CPU_ISSET(cpu, set);
}

int pin_self(int want, cpu_set_t *ret_before)
{
	cpu_set_t one;
	int cpu;

	if (sched_getaffinity(0, sizeof(*ret_before), ret_before) < 0)
		return -errno;
	cpu = usable(want, ret_before) ? want : sched_getcpu();
	if (!usable(cpu, ret_before)) {
		for (cpu = 0; cpu < CPU_SETSIZE - 1 && !CPU_ISSET(cpu, ret_before); cpu++)
			;
	}
	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	if (sched_setaffinity(0, sizeof(one), &one) < 0)
		return -errno;
	others = *ret_before;
	CPU_CLR(cpu, &others);
	return cpu;
}

int pin_others(cpu_set_t *ret)
{
	*ret = others;
	return CPU_COUNT(ret);
}
