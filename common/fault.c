#include "common/fault.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/banned.h"

bool fault_possible = true;

static struct {
	char from_env[64];
	const char *name;
	unsigned skip;
	int err;
	bool env_read, fired;
} fault;

static void fault_read_env(void)
{
	const char *env = getenv("RELIVE_FAULT");
	unsigned skip = 0;
	int err = EIO;

	fault.env_read = true;
	if (env && sscanf(env, "%63[^:]:%u:%d", fault.from_env, &skip, &err) >= 1)
		fault_arm(fault.from_env, skip, err);
	else
		fault_possible = false;
}

bool fault_hit(const char *name)
{
	if (!fault.env_read)
		fault_read_env();
	if (!fault.name || strcmp(name, fault.name) != 0)
		return false;
	if (fault.skip) {
		fault.skip--;
		return false;
	}
	fault.name = NULL;
	fault.fired = true;
	fault_possible = false;
	errno = fault.err;
	return true;
}

void fault_arm(const char *name, unsigned skip, int err)
{
	fault.env_read = true;
	fault.name = name;
	fault.skip = skip;
	fault.err = err;
	fault.fired = false;
	fault_possible = true;
}

bool fault_disarm(void)
{
	bool fired = fault.fired;

	fault.env_read = true;
	fault.name = NULL;
	fault.fired = false;
	fault_possible = false;
	return fired;
}
