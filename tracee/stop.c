#include "tracee/stop.h"

#include <signal.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

static enum stop_kind event_kind_of(int event, int sig)
{
	switch (event) {
	case PTRACE_EVENT_SECCOMP: return TS_SECCOMP;
	case PTRACE_EVENT_CLONE:
	case PTRACE_EVENT_FORK:
	case PTRACE_EVENT_VFORK: return TS_NEW_TASK;
	case PTRACE_EVENT_VFORK_DONE: return TS_VFORK_DONE;
	case PTRACE_EVENT_EXEC: return TS_EXEC;
	case PTRACE_EVENT_EXIT: return TS_EXITING;
	case PTRACE_EVENT_STOP: return sig == SIGTRAP ? TS_INTERRUPT : TS_GROUP;
	}
	return TS_NONE;
}

struct stop stop_decode(int wait_status)
{
	struct stop s = { .kind = TS_DEAD, .status = wait_status };
	int event;

	if (!WIFSTOPPED(wait_status))
		return s;
	s.sig = WSTOPSIG(wait_status);
	event = wait_status >> 16;
	if (event)
		s.kind = event_kind_of(event, s.sig);
	else if (s.sig == (SIGTRAP | 0x80))
		s.kind = TS_SYSCALL;
	else
		s.kind = TS_SIGNAL;
	return s;
}

const char *stop_name(enum stop_kind kind)
{
	static const char *const names[] = {
		[TS_NONE] = "nothing", [TS_SYSCALL] = "a system call", [TS_SECCOMP] = "a filtered system call",
		[TS_NEW_TASK] = "a new task", [TS_VFORK_DONE] = "a vfork's end", [TS_EXEC] = "an exec",
		[TS_EXITING] = "an exit", [TS_INTERRUPT] = "an interruption", [TS_GROUP] = "a group stop",
		[TS_SIGNAL] = "a signal", [TS_DEAD] = "its death",
	};

	return names[kind];
}

enum halt stop_halts(const struct stop *s)
{
	return s->kind == TS_GROUP ? HALT_GROUP : s->kind == TS_SIGNAL && s->sig == SIGSTOP ? HALT_SIGNAL : HALT_NO;
}
