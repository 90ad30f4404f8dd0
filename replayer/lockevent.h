/* What threads do to locks, as seen at the functions of their C library (lockfuncs.def). */
#ifndef RELIVE_LOCKEVENT_H
#define RELIVE_LOCKEVENT_H

#include <stdbool.h>
#include <stdint.h>

enum lock_op {
	LOCK_MUTEX_LOCK, LOCK_MUTEX_TRY, LOCK_MUTEX_UNLOCK, LOCK_MUTEX_INIT,
	LOCK_RW_READ, LOCK_RW_TRYREAD, LOCK_RW_WRITE, LOCK_RW_TRYWRITE, LOCK_RW_UNLOCK, LOCK_RW_INIT,
	LOCK_SPIN_LOCK, LOCK_SPIN_TRY, LOCK_SPIN_UNLOCK,
	LOCK_SEM_WAIT, LOCK_SEM_TRY, LOCK_SEM_POST, LOCK_SEM_INIT,
	LOCK_COND_WAIT, LOCK_COND_SIGNAL, LOCK_COND_INIT,
	LOCK_BARRIER_WAIT, LOCK_BARRIER_INIT,
	LOCK_ONCE,
	LOCK_JOIN,
};

enum lock_phase {
	LOCK_ENTER,      /* the function was called */
	LOCK_RETURN,     /* it returned `result` */
	LOCK_UNWOUND,    /* it was left by an exception, a cancellation or a jump, and will not return */
	LOCK_THREAD_END, /* the thread has ended by itself; only `task` counts */
};

struct lock_event {
	enum lock_phase phase;
	enum lock_op op;
	uint32_t task, proc;          /* by their numbers in the trace */
	uint64_t obj;                 /* address of the lock; of LOCK_JOIN: the thread as pthread_self() names it */
	uint64_t mutex;               /* of LOCK_COND_WAIT; else 0 */
	uint32_t target;              /* of LOCK_JOIN: the task waited for; 0: not known */
	uint64_t site;                /* return address of the call */
	int64_t result;               /* of LOCK_RETURN */
	/* It happened between these two instants: those of the recorded events before and after it. */
	uint64_t after_ns, before_ns;
	uint64_t event_no;            /* the one after it */
};

#endif
