/*
 * One processor for the supervisor and all that it starts: a stop is then a switch on that processor, and not a wake-up
 * on another one, which costs several times as much.
 */
#ifndef RELIVE_TRACEE_PIN_H
#define RELIVE_TRACEE_PIN_H

#include <sched.h>

#define PIN_HERE (-1)

/**
 * Pin the calling thread to one of the processors that it may use. What it starts from then on inherits that.
 *
 * @want        the one to take if it may be used; PIN_HERE, or when it may not: the one that it runs on.
 * @ret_before  what it could use before.
 *
 * The processor, or -errno: nothing has changed then.
 */
int pin_self(int want, cpu_set_t *ret_before);

/* The processors that the last pin_self left free, for threads that work beside it. How many; 0 before the first pin_self. */
int pin_others(cpu_set_t *ret);

#endif
