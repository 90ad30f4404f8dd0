#include "gdbserver/session.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/err.h"

/* O packets carry hexadecimal text; this much of it each. */
#define CONSOLE_CHUNK 4096

static bool session_interrupted(void *arg)
{
	struct session *s = arg;

	if (s->interrupt_seen)
		return true;
	if (s->pump && !s->pump(s->hook_arg, &s->wire))
		s->interrupt_seen = true;
	else if (wire_take_interrupt(&s->wire))
		s->interrupt_seen = true;
	return s->interrupt_seen;
}

int session_new(struct target *t, struct session **ret_s)
{
	struct session *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	wire_init(&s->wire);
	s->t = t;
	s->stop = (struct target_stop){ .kind = STOP_STEP };
	s->stop.pid = t->ops->current_pid(t->self);
	s->stop.tid = t->ops->current_tid(t->self);
	t->interrupted = session_interrupted;
	t->interrupted_arg = s;
	*ret_s = s;
	return 0;
}

void session_free(struct session *s)
{
	if (!s)
		return;
	break_remove_all(s);
	s->t->interrupted = NULL;
	s->t->interrupted_arg = NULL;
	free(s->breaks);
	free(s->child_breaks);
	wire_free(&s->wire);
	buf_free(&s->out);
	buf_free(&s->reply);
	buf_free(&s->sent);
	buf_free(&s->object);
	free(s);
}

static void session_send(struct session *s, const void *payload, size_t n)
{
	buf_clear(&s->sent);
	wire_frame(&s->sent, payload, n);
	if (!s->sent.err)
		buf_put(&s->out, s->sent.p, s->sent.n);
}

void session_console(struct session *s, const char *text)
{
	struct buf payload = { 0 };
	size_t left = strlen(text);

	while (left) {
		size_t n = left < CONSOLE_CHUNK ? left : CONSOLE_CHUNK;

		buf_clear(&payload);
		out_char(&payload, 'O');
		out_hex(&payload, text, n);
		if (!payload.err)
			session_send(s, payload.p, payload.n);
		text += n;
		left -= n;
	}
	buf_free(&payload);
}

int reply_ok(struct session *s)
{
	buf_clear(&s->reply);
	out_str(&s->reply, "OK");
	return 0;
}

/* The protocol has no escapes in sentences: what framing could mistake becomes a '?'. */
int reply_refuse(struct session *s, const char *sentence)
{
	buf_clear(&s->reply);
	out_str(&s->reply, "E.");
	for (const char *p = sentence; *p; p++)
		out_char(&s->reply, strchr("$#*}", *p) || (unsigned char)*p < ' ' ? '?' : *p);
	return 0;
}

static void reply_error(struct session *s, int err)
{
	if (s->flags & GDB_ERROR_MESSAGE) {
		reply_refuse(s, rl_strerror(err));
		return;
	}
	buf_clear(&s->reply);
	out_fmt(&s->reply, "E%02x", -err < 256 ? (unsigned int)-err : 0xffu);
}

void reply_ptid(struct session *s, int32_t pid, int32_t tid)
{
	if (s->flags & GDB_MULTIPROCESS)
		out_fmt(&s->reply, "p%x.%x", (unsigned int)pid, (unsigned int)tid);
	else
		out_fmt(&s->reply, "%x", (unsigned int)tid);
}

static void session_packet(struct session *s, const char *data, size_t n)
{
	int ret;

	buf_clear(&s->reply);
	ret = packet_dispatch(s, data, n);
	if (ret < 0)
		reply_error(s, ret);
	else if (s->reply.err)
		reply_error(s, s->reply.err);
	if (ret == REPLY_NONE)
		return;
	session_send(s, s->reply.p, s->reply.n);
}

/* Without acknowledgements there is no way to ask again, and nothing on a modern transport that breaks bytes. */
static void session_event(struct session *s, enum wire_event event)
{
	bool acks = !(s->flags & GDB_NO_ACK);

	switch (event) {
	case WIRE_PACKET:
	case WIRE_BAD_PACKET:
		if (acks) {
			out_char(&s->out, event == WIRE_PACKET ? '+' : '-');
			if (s->flush)
				s->flush(s->hook_arg, &s->out);
		}
		if (event == WIRE_PACKET || !acks)
			session_packet(s, s->wire.packet, s->wire.packet_n);
		break;
	case WIRE_TOO_LONG:
		if (acks)
			out_char(&s->out, '+');
		buf_clear(&s->reply);
		reply_error(s, -E2BIG);
		session_send(s, s->reply.p, s->reply.n);
		break;
	case WIRE_NAK:
		if (acks)
			buf_put(&s->out, s->sent.p, s->sent.n);
		break;
	case WIRE_NONE:
	case WIRE_ACK:
	case WIRE_INTERRUPT:      /* came too late: the target is stopped already */
		break;
	}
}

bool session_work(struct session *s)
{
	while (s->life != LIFE_OVER) {
		enum wire_event event;

		if (s->out.n >= SESSION_OUT_ENOUGH)
			return true;
		event = wire_next(&s->wire);
		if (event == WIRE_NONE)
			break;
		session_event(s, event);
	}
	return false;
}

int session_threads(struct session *s, struct target_thread **ret)
{
	int max = 64;

	*ret = NULL;
	if (s->life == LIFE_FORKED_OFF) {
		*ret = calloc(1, sizeof(**ret));
		if (!*ret)
			return -ENOMEM;
		(*ret)->pid = (*ret)->tid = s->fork_child;
		return 1;
	}
	if (s->life != LIFE_RUNNING)
		return 0;
	for (;;) {
		struct target_thread *list = calloc((size_t)max, sizeof(*list));
		int n = list ? s->t->ops->threads(s->t->self, list, max) : -ENOMEM;

		if (n >= 0 && n <= max) {
			*ret = list;
			return n;
		}
		free(list);
		if (n < 0)
			return n;
		if (n > SESSION_THREADS_MAX)
			return -E2BIG;
		max = n;
	}
}

bool thread_exists(struct session *s, int32_t tid)
{
	struct target_thread *list = NULL;
	int n = session_threads(s, &list);
	bool found = false;

	for (int i = 0; i < n; i++)
		found |= list[i].tid == tid;
	free(list);
	return found;
}

bool session_is_child(const struct session *s, struct ptid id)
{
	return s->fork_child && id.pid == s->fork_child;
}

bool session_is_left(const struct session *s, struct ptid id)
{
	return s->left && id.pid == s->left;
}

bool session_is_here(struct session *s, struct ptid id)
{
	if (s->life == LIFE_FORKED_OFF)
		return id.pid <= 0 || id.pid == s->fork_child;
	if (s->life != LIFE_RUNNING)
		return false;
	return id.pid <= 0 || id.pid == s->t->ops->current_pid(s->t->self) || session_is_child(s, id);
}

int32_t session_thread(struct session *s, struct ptid id)
{
	int32_t now;

	/* To let go of it gdb selects it once more; nothing else is asked of it. */
	if (session_is_left(s, id))
		return s->t->ops->current_tid(s->t->self);
	if (!session_is_here(s, id))
		return -ESRCH;
	now = s->t->ops->current_tid(s->t->self);
	if (id.tid <= 0 || id.tid == now || s->life == LIFE_FORKED_OFF || session_is_child(s, id))
		return now;
	return thread_exists(s, id.tid) ? id.tid : -ESRCH;
}

const struct regs_layout *session_layout(struct session *s)
{
	if (!s->layout_known) {
		s->layout = regs_layout_here(s->t->ops->xcr0 ? s->t->ops->xcr0(s->t->self) : 0);
		s->layout_known = true;
	}
	return &s->layout;
}

int session_regs(struct session *s, int32_t tid, const struct regs_state **ret)
{
	int err;

	if (s->regs_tid != tid) {
		s->regs_tid = 0;
		err = s->t->ops->regs(s->t->self, tid, &s->regs.gpr);
		if (err < 0)
			return err;
		/* Without its vector registers a thread is still worth showing. */
		if (!s->t->ops->xsave ||
		    s->t->ops->xsave(s->t->self, tid, s->regs.xsave, sizeof(s->regs.xsave), &s->regs.xsave_n) < 0)
			s->regs.xsave_n = 0;
		if (s->regs.xsave_n > sizeof(s->regs.xsave))
			s->regs.xsave_n = sizeof(s->regs.xsave);
		s->regs_tid = tid;
	}
	*ret = &s->regs;
	return 0;
}

void session_forget(struct session *s)
{
	s->regs_tid = 0;
	s->object_name[0] = '\0';
}
