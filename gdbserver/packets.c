/* The packets this server understands. Everything else gets the empty reply, which means "not supported". */
#include "gdbserver/session.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/scope.h"
#include "gdbserver/signals.h"

#define MONITOR_MAX 4096
#define CATCH_MAX 4096

static int packet_empty(struct session *s, struct arg *a)
{
	(void)s;
	(void)a;
	return 0;
}

static int packet_ok(struct session *s, struct arg *a)
{
	(void)a;
	return reply_ok(s);
}

static int packet_supported(struct session *s, struct arg *a)
{
	static const struct {
		const char *name;
		unsigned int flag;
	} offers[] = {
		{ "multiprocess+", GDB_MULTIPROCESS }, { "swbreak+", GDB_SWBREAK }, { "hwbreak+", GDB_HWBREAK },
		{ "fork-events+", GDB_FORK_EVENTS }, { "vfork-events+", GDB_VFORK_EVENTS },
		{ "exec-events+", GDB_EXEC_EVENTS }, { "error-message+", GDB_ERROR_MESSAGE },
	};
	bool more = arg_skip(a, ':');

	while (more) {
		struct arg word = arg_until(a, ';');

		for (size_t i = 0; i < sizeof(offers) / sizeof(offers[0]); i++)
			if (strlen(offers[i].name) == (size_t)(word.end - word.p) &&
			    !memcmp(offers[i].name, word.p, strlen(offers[i].name)))
				s->flags |= offers[i].flag;
		more = arg_skip(a, ';');
	}
	out_fmt(&s->reply, "PacketSize=%x", WIRE_PACKET_MAX);
	out_str(&s->reply, ";QStartNoAckMode+;multiprocess+;vContSupported+;swbreak+;hwbreak+"
			   ";fork-events+;vfork-events+;exec-events+;error-message+;binary-upload+"
			   ";ReverseStep+;ReverseContinue+;qXfer:features:read+;qXfer:auxv:read+;qXfer:exec-file:read+"
			   ";qXfer:threads:read+;qXfer:siginfo:read+;QPassSignals+;QProgramSignals+");
	if (s->t->ops->catch_syscalls)
		out_str(&s->reply, ";QCatchSyscalls+");
	return 0;
}

static int packet_no_ack(struct session *s, struct arg *a)
{
	(void)a;
	s->flags |= GDB_NO_ACK;
	return reply_ok(s);
}

static int packet_extended(struct session *s, struct arg *a)
{
	(void)a;
	s->flags |= GDB_EXTENDED;
	return reply_ok(s);
}

/* Only all-stop. */
static int packet_non_stop(struct session *s, struct arg *a)
{
	if (arg_hex(a))
		return reply_refuse(s, "a recording is replayed all-stop");
	return a->err ? a->err : reply_ok(s);
}

static int packet_pass_signals(struct session *s, struct arg *a)
{
	uint64_t set = 0;

	while (!arg_at_end(a)) {
		int signo = signal_from_gdb((int)arg_hex_max(a, 0xffff));

		if (signo > 0)
			set |= 1ull << (signo - 1);
		if (!arg_at_end(a))
			arg_want(a, ';');
	}
	if (a->err)
		return a->err;
	s->pass_signals = set;
	return reply_ok(s);
}

/* 0, or 1 with the numbers wanted; none: all. */
static int packet_catch_syscalls(struct session *s, struct arg *a)
{
	autofree int *nrs = calloc(CATCH_MAX, sizeof(*nrs));
	size_t n = 0;
	uint64_t on = arg_hex_max(a, 1);
	int err;

	if (!nrs)
		return -ENOMEM;
	while (arg_skip(a, ';')) {
		if (n == CATCH_MAX)
			return -E2BIG;
		nrs[n++] = (int)arg_hex_max(a, INT32_MAX);
	}
	arg_want_end(a);
	if (a->err)
		return a->err;
	if (!s->t->ops->catch_syscalls)
		return 0;
	err = s->t->ops->catch_syscalls(s->t->self, on, nrs, n);
	return err < 0 ? err : reply_ok(s);
}

static int packet_select(struct session *s, struct arg *a)
{
	bool for_resume = arg_skip(a, 'c');
	struct ptid id;
	int32_t tid;

	if (!for_resume)
		arg_want(a, 'g');
	id = arg_ptid(a, s->stop.pid);
	arg_want_end(a);
	if (a->err)
		return a->err;
	tid = session_thread(s, id);
	if (tid < 0)
		return tid;
	*(for_resume ? &s->c : &s->g) = id;
	return reply_ok(s);
}

static int packet_alive(struct session *s, struct arg *a)
{
	struct ptid id = arg_ptid(a, s->stop.pid);
	int32_t tid;

	arg_want_end(a);
	if (a->err)
		return a->err;
	tid = session_thread(s, id);
	return tid < 0 ? tid : reply_ok(s);
}

static int packet_current(struct session *s, struct arg *a)
{
	(void)a;
	if (s->life != LIFE_RUNNING)
		return -ESRCH;
	out_str(&s->reply, "QC");
	reply_ptid(s, s->t->ops->current_pid(s->t->self), s->t->ops->current_tid(s->t->self));
	return 0;
}

/* All of them at once: there is room for thousands. */
static int packet_threads_first(struct session *s, struct arg *a)
{
	autofree struct target_thread *list = NULL;
	int n = session_threads(s, &list);

	(void)a;
	if (n < 0)
		return n;
	out_char(&s->reply, n ? 'm' : 'l');
	for (int i = 0; i < n && s->reply.n < WIRE_PACKET_MAX - 64; i++) {
		if (i)
			out_char(&s->reply, ',');
		reply_ptid(s, list[i].pid, list[i].tid);
	}
	return 0;
}

static int packet_threads_next(struct session *s, struct arg *a)
{
	(void)a;
	out_char(&s->reply, 'l');
	return 0;
}

static int packet_thread_extra(struct session *s, struct arg *a)
{
	autofree struct target_thread *list = NULL;
	struct ptid id = arg_ptid(a, s->stop.pid);
	int n;

	arg_want_end(a);
	if (a->err)
		return a->err;
	n = session_is_here(s, id) ? session_threads(s, &list) : -ESRCH;
	for (int i = 0; i < n; i++) {
		if (list[i].tid != id.tid)
			continue;
		out_hex(&s->reply, list[i].name, strnlen(list[i].name, sizeof(list[i].name)));
		return 0;
	}
	return n < 0 ? n : -ESRCH;
}

/* 0: made by the server. gdb then ends it rather than detach, which is all the same to a recording. */
static int packet_attached(struct session *s, struct arg *a)
{
	(void)a;
	out_char(&s->reply, '0');
	return 0;
}

/* TYPE,ADDR,LENGTH; conditions and commands were not announced, so none follow. */
static int packet_break(struct session *s, struct arg *a, bool insert)
{
	uint64_t kind = arg_hex_max(a, WP_ACCESS), addr, len;
	int err;

	arg_want(a, ',');
	addr = arg_hex(a);
	arg_want(a, ',');
	len = arg_hex(a);
	arg_want_end(a);
	if (a->err)
		return a->err;
	/* A child that is not replayed cannot be stopped, and need not be. */
	if (s->life == LIFE_FORKED_OFF || session_is_left(s, s->g))
		return reply_ok(s);
	if (session_is_child(s, s->g)) {
		struct session_break b = { (enum target_bp_kind)kind, addr, len };

		err = break_note_child(s, &b, insert);
		return err < 0 ? err : reply_ok(s);
	}
	if (s->life != LIFE_RUNNING)
		return -ESRCH;
	err = insert ? break_insert(s, (enum target_bp_kind)kind, addr, len) :
		       break_remove(s, (enum target_bp_kind)kind, addr, len);
	return err < 0 ? err : reply_ok(s);
}

static int packet_break_insert(struct session *s, struct arg *a)
{
	return packet_break(s, a, true);
}

static int packet_break_remove(struct session *s, struct arg *a)
{
	return packet_break(s, a, false);
}

static void session_let_go(struct session *s)
{
	break_remove_all(s);
	if (s->t->ops->catch_syscalls)
		s->t->ops->catch_syscalls(s->t->self, false, NULL, 0);
	s->life = s->flags & GDB_EXTENDED ? LIFE_NONE : LIFE_OVER;
}

/* Let go of one process. Of a fork's two, gdb keeps the one that it is told to follow. */
static int let_go(struct session *s, int32_t pid)
{
	struct ptid id = { .pid = pid };

	if (session_is_left(s, id)) {
		s->left = 0;
		return reply_ok(s);
	}
	if (!session_is_here(s, id))
		return -ESRCH;
	if (s->life == LIFE_FORKED_OFF) {
		session_let_go(s);
	} else if (session_is_child(s, id)) {
		s->fork_child = 0;
		break_forget_child(s);
	} else if (pid && s->fork_child && s->t->ops->follow) {
		int err = session_follow_child(s);

		s->left = 0;
		return err < 0 ? err : reply_ok(s);
	} else if (pid && s->fork_child) {
		break_remove_all(s);
		s->life = LIFE_FORKED_OFF;
	} else {
		session_let_go(s);
	}
	return reply_ok(s);
}

static int packet_detach(struct session *s, struct arg *a)
{
	int32_t pid = 0;

	if (arg_skip(a, ';'))
		pid = (int32_t)arg_hex_max(a, INT32_MAX);
	arg_want_end(a);
	return a->err ? a->err : let_go(s, pid);
}

static int packet_kill(struct session *s, struct arg *a)
{
	(void)a;
	session_let_go(s);
	return REPLY_NONE;
}

/* gdb closes the connection after it, or, extended, may run the program again: not the end of the conversation. */
static int packet_vkill(struct session *s, struct arg *a)
{
	int32_t pid = (int32_t)arg_hex_max(a, INT32_MAX);
	int err;

	arg_want_end(a);
	if (a->err)
		return a->err;
	err = let_go(s, pid);
	if (s->life == LIFE_OVER)
		s->life = LIFE_NONE;
	return err;
}

static int packet_attach(struct session *s, struct arg *a)
{
	(void)a;
	return reply_refuse(s, "a recording has nothing to attach to; use run");
}

static int packet_monitor(struct session *s, struct arg *a)
{
	autofree char *text = NULL;
	char command[MONITOR_MAX], line[MONITOR_MAX + 64];
	int err;

	arg_hex_text(a, command, sizeof(command));
	if (a->err)
		return a->err;
	err = s->t->ops->monitor ? s->t->ops->monitor(s->t->self, command, &text) : -ENOENT;
	session_forget(s);
	if (err == -ENOENT) {
		snprintf(line, sizeof(line), "relive: there is no monitor command '%s'; try 'monitor help'\n", command);
		session_console(s, line);
		return reply_ok(s);
	}
	if (err < 0)
		return err;
	if (text)
		session_console(s, text);
	return reply_ok(s);
}

/* `after`: NULL: arguments follow immediately; else what may follow the name, besides the end. */
static const struct packet {
	const char *name;
	const char *after;
	int (*handle)(struct session *s, struct arg *a);
} packets[] = {
	{ "qSupported", ":", packet_supported },
	{ "QStartNoAckMode", "", packet_no_ack },
	{ "QNonStop:", NULL, packet_non_stop },
	{ "QPassSignals:", NULL, packet_pass_signals },
	{ "QProgramSignals:", NULL, packet_ok },
	{ "QCatchSyscalls:", NULL, packet_catch_syscalls },
	{ "qXfer:", NULL, packet_xfer },
	{ "qfThreadInfo", "", packet_threads_first },
	{ "qsThreadInfo", "", packet_threads_next },
	{ "qThreadExtraInfo,", NULL, packet_thread_extra },
	{ "qAttached", ":", packet_attached },
	{ "qC", "", packet_current },
	{ "qGetTLSAddr:", NULL, packet_tls },
	{ "qRcmd,", NULL, packet_monitor },
	{ "qSearch:memory:", NULL, packet_mem_search },
	{ "qSymbol:", NULL, packet_ok },
	{ "vMustReplyEmpty", "", packet_empty },
	{ "vCont?", "", packet_vcont_query },
	{ "vCont", ";", packet_vcont },
	{ "vCtrlC", "", packet_ok },
	{ "vFile:", NULL, packet_file },
	{ "vKill;", NULL, packet_vkill },
	{ "vRun", ";", packet_run },
	{ "vAttach;", NULL, packet_attach },
	{ "bc", "", packet_reverse_continue },
	{ "bs", "", packet_reverse_step },
	{ "!", "", packet_extended },
	{ "?", "", packet_why },
	{ "g", "", packet_regs_read },
	{ "G", NULL, packet_refuse_write },
	{ "p", NULL, packet_reg_read },
	{ "P", NULL, packet_reg_write },
	{ "m", NULL, packet_mem_read },
	{ "x", NULL, packet_mem_read_binary },
	{ "M", NULL, packet_mem_write },
	{ "X", NULL, packet_mem_write },
	{ "Z", NULL, packet_break_insert },
	{ "z", NULL, packet_break_remove },
	{ "H", NULL, packet_select },
	{ "T", NULL, packet_alive },
	{ "c", NULL, packet_continue },
	{ "C", NULL, packet_continue_signal },
	{ "s", NULL, packet_step },
	{ "S", NULL, packet_step_signal },
	{ "D", ";", packet_detach },
	{ "k", "", packet_kill },
	{ "R", NULL, packet_restart },
};

static bool packet_fits(const struct packet *p, const struct arg *a)
{
	size_t n = strlen(p->name), have = (size_t)(a->end - a->p);

	if (have < n || memcmp(a->p, p->name, n))
		return false;
	return !p->after || have == n || (a->p[n] && strchr(p->after, a->p[n]));
}

int packet_dispatch(struct session *s, const char *data, size_t n)
{
	struct arg a = arg_of(data, n);

	for (size_t i = 0; i < sizeof(packets) / sizeof(packets[0]); i++) {
		if (!packet_fits(&packets[i], &a))
			continue;
		arg_skip_word(&a, packets[i].name);
		return packets[i].handle(s, &a);
	}
	return 0;
}
