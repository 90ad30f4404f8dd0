#include "common/fault.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/banned.h"

_Atomic bool fault_possible = true;

/* A trace is packed in a thread, which comes to points, too. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static struct {
	char from_env[64];
	const char *name;
	unsigned skip;
	int err;
	bool env_read, fired;
} fault;

static void arm(const char *name, unsigned skip, int err)
{
	fault.env_read = true;
	fault.name = name;
	fault.skip = skip;
	fault.err = err;
	fault.fired = false;
	fault_possible = true;
}

static void read_env(void)
{
	const char *env = getenv("RELIVE_FAULT");
	unsigned skip = 0;
	int err = EIO;

	fault.env_read = true;
	if (env && sscanf(env, "%63[^:]:%u:%d", fault.from_env, &skip, &err) >= 1)
		arm(fault.from_env, skip, err);
	else
		fault_possible = false;
}

static bool hit(const char *name)
{
	if (!fault.env_read)
		read_env();
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

bool fault_hit(const char *name)
{
	bool fires;

	pthread_mutex_lock(&lock);
	fires = hit(name);
	pthread_mutex_unlock(&lock);
	return fires;
}

void fault_arm(const char *name, unsigned skip, int err)
{
	pthread_mutex_lock(&lock);
	arm(name, skip, err);
	pthread_mutex_unlock(&lock);
}

bool fault_disarm(void)
{
	bool fired;

	pthread_mutex_lock(&lock);
	fired = fault.fired;
	fault.env_read = true;
	fault.name = NULL;
	fault.fired = false;
	fault_possible = false;
	pthread_mutex_unlock(&lock);
	return fired;
}
