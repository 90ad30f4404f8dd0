/* Starting the program: pinned, under the filter, stopped at the end of its execve. */
#include "recorder/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>
#include "common/err.h"
#include "common/log.h"
#include "common/nofile.h"
#include "common/scope.h"
#include "agent/abi.h"
#include "tracee/confine.h"
#include "tracee/layout.h"
#include "tracee/pin.h"

#define TRACE_OPTIONS (PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | \
		       PTRACE_O_TRACEEXEC | PTRACE_O_TRACEEXIT | PTRACE_O_TRACESECCOMP | PTRACE_O_EXITKILL)

/* PATH may name directories that we cannot search: EACCES then says nothing of the program, which is not there. */
static int why_not(const char *name, int err)
{
	const char *at = getenv("PATH");
	char path[4096];

	if (err != EACCES || strchr(name, '/') || !at)
		return err;
	while (*at) {
		size_t n = strcspn(at, ":");

		snprintf(path, sizeof(path), "%.*s/%s", (int)n, at, name);
		if (access(path, F_OK) == 0)
			return err;
		at += n + (at[n] == ':');
	}
	return ENOENT;
}

/*
 * A filter asks its tracer only about calls that no other filter has answered itself: what a container's filter denies
 * would not be seen by us, and at replay it would. So then ours is not used, and each call stops by PTRACE_SYSCALL, which
 * comes before any filter.
 */
int run_user(struct recording *r, struct task *t, int sig)
{
	return run_until_stop(r, t, r->outer_filter ? PTRACE_SYSCALL : PTRACE_CONT, sig);
}

static void child_main(struct recording *r, int go_fd, int report_fd)
{
	char byte;
	int err;

	if (read(go_fd, &byte, 1) != 1)
		_exit(125);
	/* Our handlers go with the exec; what we found ignored or blocked the program finds so, too. */
	sigaction(SIGALRM, &r->old_alarm, NULL);
	sigprocmask(SIG_SETMASK, &r->old_mask, NULL);
	nofile_restore(&r->old_nofile);
	err = r->outer_filter ? 0 : confine_recorded(RL_STUB_CALL + 2, r->opts->agent ? AGENT_SYSCALL + 2 : 0);
	if (!err) {
		execvp(r->opts->argv[0], r->opts->argv);
		err = -why_not(r->opts->argv[0], errno);
	}
	(void)!write(report_fd, &err, sizeof(err));
	_exit(127);
}

/* Let the child's own calls pass, up to its exec. 0: it executed; 1: it could not. */
static int pass_until_exec(pid_t pid)
{
	for (;;) {
		struct stop s;
		int err = remote_wait(pid, &s);

		if (err)
			return err;
		switch (s.kind) {
		case TS_EXEC:
			return 0;
		case TS_DEAD:
			return 1;
		case TS_SIGNAL:
			err = remote_resume(pid, PTRACE_CONT, s.sig);
			break;
		default:
			err = remote_resume(pid, PTRACE_CONT, 0);
		}
		if (err)
			return err;
	}
}

/* The trace's chunks are packed on another processor than ours and the program's, if there is one. */
static void pack_elsewhere(struct recording *r)
{
	cpu_set_t others;

	if (pin_others(&others) && trace_writer_thread(r->w, &others))
		log_debug("no thread to pack the trace");
}

int start_program(struct recording *r, struct task **ret_root)
{
	int go[2], report[2], err, why = 0;
	struct proc *p;
	struct mm *mm;
	pid_t pid;

	if (pipe2(go, O_CLOEXEC) < 0)
		return -errno;
	autoclose int go_r = go[0], go_w = go[1];

	if (pipe2(report, O_CLOEXEC) < 0)
		return -errno;
	autoclose int report_r = report[0], report_w = report[1];

	pid = fork();
	if (pid < 0)
		return -errno;
	if (pid == 0)
		child_main(r, go_r, report_w);
	if (ptrace(PTRACE_SEIZE, pid, 0, TRACE_OPTIONS) < 0) {
		err = -errno;
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		return err;
	}
	pack_elsewhere(r);
	close(report_w);
	report_w = -1;
	if (write(go_w, "g", 1) != 1)
		return -errno;
	err = pass_until_exec(pid);
	if (err < 0)
		return err;
	if (err) {
		r->result->exec_failed = true;
		r->result->exec_errno = ENOEXEC;
		if (read(report_r, &why, sizeof(why)) == sizeof(why))
			r->result->exec_errno = -why;
		return 0;
	}
	mm = mm_new(pid);
	p = mm ? proc_add(r, pid, mm) : NULL;
	*ret_root = p ? task_add(r, pid, p, mm) : NULL;
	if (!*ret_root)
		return -ENOMEM;
	r->root_pid = pid;
	signal_note_inherited(p);
	return task_execed(r, *ret_root);
}
