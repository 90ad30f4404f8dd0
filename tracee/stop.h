/* What a wait status of a ptraced task means. One enumerator a thing that the loops must do something about. */
#ifndef RELIVE_STOP_H
#define RELIVE_STOP_H

#include <stdbool.h>
#include <sys/types.h>

enum stop_kind {
	TS_NONE,
	TS_SYSCALL,     /* syscall-entry or -exit stop (the caller knows which) */
	TS_SECCOMP,     /* the seccomp filter asked for us, before the call */
	TS_NEW_TASK,    /* clone, fork or vfork made a task; PTRACE_GETEVENTMSG tells which */
	TS_VFORK_DONE,
	TS_EXEC,
	TS_EXITING,     /* PTRACE_EVENT_EXIT: about to die, memory still there */
	TS_INTERRUPT,   /* PTRACE_INTERRUPT's stop, or a new task's first stop */
	TS_GROUP,       /* group-stop by .sig */
	TS_SIGNAL,      /* signal-delivery-stop of .sig */
	TS_DEAD,        /* gone; .status is its wait status */
};

struct stop {
	enum stop_kind kind;
	int sig;
	int status;
};

struct stop stop_decode(int wait_status);
const char *stop_name(enum stop_kind kind);
/** Whether the process is to stop, which no signal mask prevents: by a SIGSTOP that begins it, or because it has begun. */
enum halt {
	HALT_NO,
	HALT_GROUP,
	HALT_SIGNAL,
};
enum halt stop_halts(const struct stop *s);
/** The same, in view of what was put off before: a SIGSTOP stays one. */
static inline void stop_put_off(enum halt *put_off, const struct stop *s)
{
	enum halt now = stop_halts(s);

	*put_off = now > *put_off ? now : *put_off;
}

#endif
