#include "gdbserver/session.h"

#include <string.h>

#include "gdbserver/signals.h"

static void stop_regs(struct session *s, int32_t tid)
{
	static const int wanted[] = { GDB_RBP, GDB_RSP, GDB_RIP };
	const struct regs_state *regs;

	if (session_regs(s, tid, &regs) < 0)
		return;
	for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
		out_fmt(&s->reply, "%02x:", (unsigned int)wanted[i]);
		regs_put(session_layout(s), regs, wanted[i], &s->reply);
		out_char(&s->reply, ';');
	}
}

static const char *watch_word(enum target_bp_kind kind)
{
	return kind == WP_READ ? "rwatch" : kind == WP_ACCESS ? "awatch" : "watch";
}

/* Why it stopped, in gdb's words. Kinds that gdb did not offer to understand never get here: resume.c skips them. */
static void stop_reason(struct session *s, const struct target_stop *stop)
{
	struct buf *r = &s->reply;

	switch (stop->kind) {
	case STOP_BREAK:
		if (stop->bp_kind == BP_HARD && s->flags & GDB_HWBREAK)
			out_str(r, "hwbreak:;");
		else if (stop->bp_kind != BP_HARD && s->flags & GDB_SWBREAK)
			out_str(r, "swbreak:;");
		break;
	case STOP_WATCH:
		out_fmt(r, "%s:%llx;", watch_word(stop->bp_kind), (unsigned long long)stop->watch_addr);
		break;
	case STOP_BEGIN:
		out_str(r, "replaylog:begin;");
		break;
	case STOP_END:
	case STOP_EXITED:
		out_str(r, "replaylog:end;");
		break;
	case STOP_ERROR:
		out_str(r, s->stop_dir == TARGET_FORWARD ? "replaylog:end;" : "replaylog:begin;");
		break;
	case STOP_FORK:
		out_str(r, stop->is_vfork ? "vfork:" : "fork:");
		reply_ptid(s, stop->other_pid, stop->other_pid);
		out_char(r, ';');
		break;
	case STOP_VFORK_DONE:
		out_str(r, "vforkdone:;");
		break;
	case STOP_EXEC:
		out_str(r, "exec:");
		out_hex(r, stop->text, strnlen(stop->text, sizeof(stop->text)));
		out_char(r, ';');
		break;
	case STOP_SYSCALL_ENTRY:
	case STOP_SYSCALL_RETURN:
		out_fmt(r, "%s:%x;", stop->kind == STOP_SYSCALL_ENTRY ? "syscall_entry" : "syscall_return",
			(unsigned int)stop->syscall_nr);
		break;
	case STOP_STEP:
	case STOP_SIGNAL:
	case STOP_INTERRUPTED:
		break;
	}
}

static int stop_signal(const struct target_stop *stop)
{
	if (stop->kind == STOP_SIGNAL)
		return signal_to_gdb(stop->signo);
	return stop->kind == STOP_INTERRUPTED ? GDB_SIGINT : GDB_SIGTRAP;
}

static void stop_write(struct session *s, const struct target_stop *stop)
{
	out_fmt(&s->reply, "T%02x", (unsigned int)stop_signal(stop));
	stop_reason(s, stop);
	out_str(&s->reply, "thread:");
	reply_ptid(s, stop->pid, stop->tid);
	out_char(&s->reply, ';');
	stop_regs(s, stop->tid);
}

void stop_describe(struct session *s)
{
	stop_write(s, &s->stop);
}

void stop_describe_plainly(struct session *s)
{
	struct target_stop plain = { .kind = STOP_STEP };

	plain.pid = s->t->ops->current_pid(s->t->self);
	plain.tid = s->t->ops->current_tid(s->t->self);
	stop_write(s, &plain);
}
