/* qXfer: documents that gdb reads piece by piece. One is made when its reading begins, and kept until the next. */
#include "gdbserver/session.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/scope.h"

#define SIGINFO_MAX 256

static int make_features(struct session *s, const char *annex, struct buf *out)
{
	if (strcmp(annex, "target.xml"))
		return -ENOENT;
	regs_xml(session_layout(s), out);
	return 0;
}

static int make_auxv(struct session *s, const char *annex, struct buf *out)
{
	autofree void *data = NULL;
	size_t n = 0;
	int err;

	(void)annex;
	err = s->t->ops->auxv(s->t->self, &data, &n);
	if (err < 0)
		return err;
	buf_put(out, data, n);
	return 0;
}

static int make_exec_file(struct session *s, const char *annex, struct buf *out)
{
	char path[SESSION_PATH_MAX] = "";
	struct arg a = arg_of(annex, strlen(annex));
	struct ptid id = { 0 };
	int err;

	if (!arg_at_end(&a))
		id.pid = (int32_t)arg_hex_max(&a, INT32_MAX);
	arg_want_end(&a);
	if (a.err)
		return a.err;
	if (!session_is_here(s, id))
		return -ESRCH;
	err = s->t->ops->exec_file(s->t->self, path, sizeof(path));
	if (err < 0)
		return err;
	path[sizeof(path) - 1] = '\0';
	out_str(out, path);
	return 0;
}

static void thread_xml(struct session *s, const struct target_thread *t, struct buf *out)
{
	char name[sizeof(t->name) + 1];

	snprintf(name, sizeof(name), "%.*s", (int)sizeof(t->name), t->name);
	if (s->flags & GDB_MULTIPROCESS)
		out_fmt(out, "<thread id=\"p%x.%x\"", (unsigned int)t->pid, (unsigned int)t->tid);
	else
		out_fmt(out, "<thread id=\"%x\"", (unsigned int)t->tid);
	if (name[0]) {
		out_str(out, " name=\"");
		out_xml(out, name);
		out_char(out, '"');
	}
	out_str(out, "/>\n");
}

static int make_threads(struct session *s, const char *annex, struct buf *out)
{
	autofree struct target_thread *list = NULL;
	int n = session_threads(s, &list);

	(void)annex;
	if (n < 0)
		return n;
	out_str(out, "<?xml version=\"1.0\"?>\n<threads>\n");
	for (int i = 0; i < n; i++)
		thread_xml(s, &list[i], out);
	out_str(out, "</threads>\n");
	return 0;
}

static int make_siginfo(struct session *s, const char *annex, struct buf *out)
{
	uint8_t info[SIGINFO_MAX];
	size_t n = 0;
	int err;

	(void)annex;
	if (!s->t->ops->siginfo)
		return -ENOENT;
	err = s->t->ops->siginfo(s->t->self, info, sizeof(info), &n);
	if (err < 0)
		return err;
	buf_put(out, info, n < sizeof(info) ? n : sizeof(info));
	return 0;
}

static const struct object {
	const char *name;
	int (*make)(struct session *s, const char *annex, struct buf *out);
} objects[] = {
	{ "features", make_features },
	{ "auxv", make_auxv },
	{ "exec-file", make_exec_file },
	{ "threads", make_threads },
	{ "siginfo", make_siginfo },
};

/* Have `name` (OBJECT:read:ANNEX) in s->object. */
static int object_load(struct session *s, const struct object *o, const char *name, const char *annex, bool afresh)
{
	int err;

	if (!afresh && !strcmp(s->object_name, name))
		return 0;
	s->object_name[0] = '\0';
	buf_clear(&s->object);
	err = o->make(s, annex, &s->object);
	if (err < 0)
		return err;
	if (s->object.err)
		return s->object.err;
	snprintf(s->object_name, sizeof(s->object_name), "%s", name);
	return 0;
}

static void object_reply(struct session *s, uint64_t offset, uint64_t n)
{
	size_t size = s->object.n, start, used;
	size_t mark = s->reply.n;

	if (offset >= size) {
		out_char(&s->reply, 'l');
		return;
	}
	start = (size_t)offset;
	if (n > size - start)
		n = size - start;
	out_char(&s->reply, 'm');
	used = wire_escape(&s->reply, s->object.p + start, (size_t)n, WIRE_PACKET_MAX - 1);
	if (!s->reply.err && start + used == size)
		s->reply.p[mark] = 'l';
}

/* qXfer:OBJECT:read:ANNEX:OFFSET,LENGTH */
int packet_xfer(struct session *s, struct arg *a)
{
	const char *start = a->p;
	struct arg object = arg_until(a, ':'), annex;
	const struct object *o = NULL;
	char name[sizeof(s->object_name)];
	uint64_t offset, n;
	size_t name_n;
	int err;

	for (size_t i = 0; i < sizeof(objects) / sizeof(objects[0]); i++)
		if (strlen(objects[i].name) == (size_t)(object.end - object.p) &&
		    !memcmp(objects[i].name, object.p, strlen(objects[i].name)))
			o = &objects[i];
	if (!o || !arg_skip_word(a, ":read:"))
		return 0;
	annex = arg_until(a, ':');
	name_n = (size_t)(annex.end - start);
	arg_want(a, ':');
	offset = arg_hex(a);
	arg_want(a, ',');
	n = arg_hex(a);
	arg_want_end(a);
	if (a->err)
		return a->err;
	if (name_n >= sizeof(name) || memchr(start, '\0', name_n))
		return -ENOENT;
	memcpy(name, start, name_n);
	name[name_n] = '\0';
	err = object_load(s, o, name, name + (annex.p - start), offset == 0);
	if (err < 0)
		return err;
	object_reply(s, offset, n);
	return 0;
}
